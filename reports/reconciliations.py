"""What comparisons with Stripe found."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from reports.text import aware
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
