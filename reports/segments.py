"""Segments in numbers: how large each is and was, and who is in it. `days` are the account's."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from warehouse.client import Row, Warehouse
from warehouse.query import Query

GROWTH_DAYS: Final = 30
WEEK: Final = 7
PAGE: Final = 100


@dataclass(slots=True)
class Size:
    """`members` by day, the last being today; None before the first evaluation."""

    days: list[date]
    members: list[int | None]
    refreshed_at: datetime | None = None
    entered: int = 0
    gone: int = 0
    changes: dict[date, tuple[int, int]] = field(default_factory=dict)

    @property
    def now(self) -> int | None:
        """As of the last evaluation."""
        return self.members[-1]

    @property
    def week(self) -> list[int]:
        """The last 7 days and the one before them."""
        return [count or 0 for count in self.members[-WEEK - 1 :]]

    @property
    def change(self) -> int | None:
        """Against a week ago; None when it was not there yet."""
        before = self.members[-WEEK - 1] if len(self.members) > WEEK else None
        return None if before is None or self.now is None else self.now - before


async def sizes(
    warehouse: Warehouse, livemode: bool, today: date, segment: str = "", days: int = GROWTH_DAYS
) -> dict[str, Size]:
    """By segment ('' for all), those that were evaluated at least once. Raises Unavailable."""
    first = today - timedelta(days=days - 1)
    rows = await warehouse.rows(
        Query(
            "SELECT segment, greatest(day, {first:Date}) AS on, argMax(members, day) AS members,\n"
            "  max(refreshed_at) AS refreshed, sumIf(entered, day >= {first:Date}) AS entered,\n"
            "  sumIf(gone, day >= {first:Date}) AS gone\n"
            "FROM segment_sizes\n"
            "WHERE livemode = {livemode:Bool} AND ({segment:String} = '' OR segment = {segment:String})\n"
            "GROUP BY segment, on\nORDER BY segment, on",
            {"livemode": livemode, "segment": segment, "first": first},
        )
    )
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["segment"], []).append(row)
    return {name: filled(several, first, today) for name, several in found.items()}


def filled(rows: list[Row], first: date, today: date) -> Size:
    """A value for every day: on a day without an evaluation it is that of the day before. Pure."""
    known = {row["on"]: row for row in rows}
    last = max(today, *known)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    size = Size(days, [])
    for day in days:
        row = known.get(day)
        size.members.append(row["members"] if row else size.members[-1] if size.members else None)
        if row:
            size.refreshed_at = row["refreshed"]
            size.entered += row["entered"]
            size.gone += row["gone"]
            size.changes[day] = (row["entered"], row["gone"])
    return size


async def members(warehouse: Warehouse, segment: str, livemode: bool, after: str, limit: int = PAGE) -> list[Row]:
    """Who is in it as of the last evaluation, by email from `after` on. Raises Unavailable."""
    return await warehouse.rows(
        Query(
            "SELECT email, entered_at, name, country, last_seen, lifetime_value\n"
            "FROM segment_members AS member\nLEFT JOIN profiles USING (email, livemode)\n"
            "WHERE segment = {segment:String} AND livemode = {livemode:Bool} AND email > {after:String}\n"
            "ORDER BY email\nLIMIT {limit:UInt32}",
            {"segment": segment, "livemode": livemode, "after": after, "limit": limit},
        )
    )
