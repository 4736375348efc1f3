"""What comparisons found, kept in ClickHouse: `reconciliations`, a row a run, metric, currency and day."""

import time
from secrets import token_hex
from typing import Any

from connector.reconcile.compare import Comparison
from connector.reconcile.run import Question
from schemas.times import rfc3339
from warehouse.client import Warehouse
from warehouse.tables import RECONCILIATIONS

_NAMED = 1_000  # ids kept a cell and kind: beyond that a list helps nobody


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


def remark(found: Comparison) -> str:
    """What a person should know of it; '' when there is nothing."""
    if found.right_zone:
        return f"matches in {found.right_zone}: set TILLSTREAM_TIMEZONE={found.right_zone}"
    return ""
