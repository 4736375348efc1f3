"""What comparisons with Stripe found."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from reports.text import aware
from schemas.times import unix_seconds
from warehouse.client import Warehouse
from warehouse.query import Query

CALENDAR_DAYS: Final = 84  # twelve weeks
_STATE: Final = {True: "equal", False: "different"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A day of the calendar: '' when it was never compared, else equal or different; and what differed last."""

    day: date
    state: str = ""
    checked_at: datetime | None = None
    differing: list[str] = field(default_factory=list)


async def calendar(warehouse: Warehouse, livemode: bool, last: date) -> list[list[Checked]]:
    """Weeks from Monday, each day as it was compared last. Raises Unavailable."""
    first = last - timedelta(days=CALENDAR_DAYS - 1)
    first -= timedelta(days=first.weekday())
    rows = await warehouse.rows(
        Query(
            "SELECT day, min(same) AS equal, max(at) AS checked, groupArrayIf(name, NOT same) AS differing FROM (\n"
            "  SELECT day, argMax(equal, checked_at) AS same, max(checked_at) AS at,\n"
            "    concat(metric, ' ', upper(currency)) AS name\n"
            "  FROM reconciliations\n"
            "  WHERE livemode = {livemode:Bool} AND day BETWEEN {first:Date} AND {last:Date}\n"
            "  GROUP BY account, metric, currency, day\n)\nGROUP BY day",
            {"livemode": livemode, "first": first, "last": last},
        )
    )
    found = {
        row["day"]: Checked(row["day"], _STATE[row["equal"]], aware(row["checked"]), row["differing"]) for row in rows
    }
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [[found.get(day) or Checked(day) for day in days[at : at + 7]] for at in range(0, len(days), 7)]


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
