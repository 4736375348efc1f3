"""What comparisons found, kept in ClickHouse: `reconciliations`, a row a run, metric, currency and day."""

import time
from dataclasses import dataclass
from datetime import date
from secrets import token_hex
from typing import Any

from connector.reconcile.compare import Comparison
from connector.reconcile.run import Question
from schemas.times import rfc3339, unix_seconds
from warehouse.client import Warehouse
from warehouse.tables import RECONCILIATIONS

_NAMED = 1_000  # ids kept a cell and kind: beyond that a list helps nobody


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest comparison of an account and mode. `checked_at` is Unix seconds, `remark` what a person should do."""

    run_id: str
    account: str
    livemode: bool
    checked_at: float
    first_day: date
    last_day: date
    equal: bool
    differences: int
    remark: str


async def save(warehouse: Warehouse, account: str, livemode: bool, question: Question, found: Comparison) -> str:
    """Keep a run; gives its id. A run that found nothing at all has a row of its own, without a metric."""
    now = time.time()
    run_id = f"{rfc3339(now)}-{token_hex(3)}"
    base: dict[str, Any] = {
        "run_id": run_id,
        "account": account,
        "livemode": livemode,
        "timezone": question.our_zone.key,
        "remark": remark(found),
        "checked_at": rfc3339(now),
    }
    rows = [
        base
        | {
            "metric": metric.value,
            "currency": currency,
            "day": day.isoformat(),
            "ours_count": cell.ours[0],
            "ours_minor": cell.ours[1],
            "stripe_count": cell.stripes[0],
            "stripe_minor": cell.stripes[1],
            "equal": cell.equal,
            "missing_ids": cell.missing[:_NAMED],
            "extra_ids": cell.extra[:_NAMED],
            "different_ids": cell.different[:_NAMED],
        }
        for (metric, currency, day), cell in found.cells.items()
    ]
    edges = {question.span.first, question.span.last} - {key[2] for key in found.cells}
    rows += [base | {"day": day.isoformat(), "equal": True} for day in sorted(edges)]
    await warehouse.insert(RECONCILIATIONS.name, rows)
    return run_id


async def last_runs(warehouse: Warehouse) -> list[LastRun]:
    """The newest run of every account and mode. Raises Unavailable."""
    rows = await warehouse.json_rows(
        "SELECT run_id, account, livemode, max(checked_at) AS checked, min(day) AS first_day, max(day) AS last_day, "
        "min(equal) AS same, sum(length(missing_ids) + length(extra_ids) + length(different_ids)) AS differences, "
        "any(remark) AS remark FROM reconciliations GROUP BY account, livemode, run_id "
        "ORDER BY checked DESC LIMIT 1 BY account, livemode"
    )
    return [
        LastRun(
            run_id=row["run_id"],
            account=row["account"],
            livemode=bool(row["livemode"]),
            checked_at=unix_seconds(row["checked"]),
            first_day=date.fromisoformat(row["first_day"]),
            last_day=date.fromisoformat(row["last_day"]),
            equal=bool(row["same"]),
            differences=int(row["differences"]),
            remark=row["remark"],
        )
        for row in rows
    ]


def remark(found: Comparison) -> str:
    """What a person should know of it; '' when there is nothing."""
    if found.right_zone:
        return f"matches in {found.right_zone}: set TILLSTREAM_TIMEZONE={found.right_zone}"
    return ""
