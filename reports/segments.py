"""Segments in numbers: how large each is and was, who is in it, and what one that is being made would be."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from reports.rows import read
from reports.text import aware
from schemas.errors import Unavailable
from warehouse.client import Row, Warehouse
from warehouse.query import Query

GROWTH_DAYS: Final = 30
WEEK: Final = 7
PAGE: Final = 100
SAMPLE: Final = 5  # members that are shown of a segment that is being made
_SAMPLE: Final = 2_000  # facts of each metric, and people, whose metadata is looked at
_VALUES: Final = 50

#: What there is to choose from: keys of metadata by metric ('' is people), and the currencies that people paid in.
_KEYS: Final = Query(
    "SELECT metric, groupUniqArrayArray(arrayFlatten(arrayMap(of_origin -> mapKeys(of_origin), "
    "mapValues(properties.metadata)))) AS keys, groupUniqArray(currency) AS currencies\n"
    "FROM (SELECT metric, properties, currency FROM metrics WHERE occurred_at > now() - INTERVAL 1 YEAR "
    "LIMIT {sample:UInt32} BY metric)\nGROUP BY metric\n"
    "UNION ALL\nSELECT '' AS metric, groupUniqArrayArray(mapKeys(properties)) AS keys, [] AS currencies\n"
    "FROM (SELECT properties FROM profiles LIMIT {sample:UInt32})",
    {"sample": _SAMPLE},
)


@dataclass(frozen=True, slots=True)
class Occurring:
    """What really occurs. `told`: ClickHouse has said it, so that what is not here is not known."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    currencies: tuple[str, ...] = ("usd",)
    told: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """`members` by day, the last being today; None before the first evaluation. `changes`: how many came and went."""

    days: list[date]
    members: list[int | None]
    refreshed_at: datetime | None = None
    entered: int = 0
    gone: int = 0
    changes: Mapping[date, tuple[int, int]] = field(default_factory=dict)

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
    counts: list[int | None] = []
    for day in days:
        counts.append(known[day]["members"] if day in known else counts[-1] if counts else None)
    changes = {day: (row["entered"], row["gone"]) for day, row in known.items()}
    came, went = (sum(numbers) for numbers in zip(*changes.values(), strict=True))
    return Size(days, counts, aware(known[max(known)]["refreshed"]), came, went, changes)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a segment; `lifetime_value` by currency, in major units. Without a profile `last_seen` is None."""

    email: str
    entered_at: datetime
    name: str
    country: str
    last_seen: datetime | None
    lifetime_value: dict[str, Decimal]


async def members(warehouse: Warehouse, segment: str, livemode: bool, after: str, limit: int = PAGE) -> list[Member]:
    """Who is in it as of the last evaluation, by email from `after` on. Raises Unavailable."""
    rows = await warehouse.rows(
        Query(
            "SELECT email, entered_at, name, country, last_seen, lifetime_value\n"
            "FROM segment_members AS member\nLEFT JOIN profiles USING (email, livemode)\n"
            "WHERE segment = {segment:String} AND livemode = {livemode:Bool} AND email > {after:String}\n"
            "ORDER BY email\nLIMIT {limit:UInt32}",
            {"segment": segment, "livemode": livemode, "after": after, "limit": limit},
        )
    )
    return [
        read(Member, row | {"last_seen": row["last_seen"] if row["last_seen"].year > 1970 else None}) for row in rows
    ]


async def occurring(warehouse: Warehouse) -> Occurring:
    """What there is to choose from; nothing when ClickHouse does not answer, since editing needs none of it."""
    try:
        rows = await warehouse.rows(_KEYS)
    except Unavailable:
        return Occurring()
    currencies = sorted({each.lower() for row in rows for each in row["currencies"] if each})
    return Occurring(
        {row["metric"]: tuple(sorted(row["keys"])) for row in rows}, tuple(currencies) or ("usd",), told=True
    )


async def values(warehouse: Warehouse, query: Query, live: bool) -> list[str]:
    """The values that occur most, of a query that gives `value` and `livemode`."""
    rows = await warehouse.rows(
        Query(
            f"SELECT toString(value) AS value\nFROM (\n{query.text}\n)\n"
            "WHERE livemode = {of_mode:Bool} AND value != ''\n"
            "GROUP BY value\nORDER BY count() DESC, value\nLIMIT {most:UInt32}",
            {**query.parameters, "of_mode": live, "most": _VALUES},
        )
    )
    return [row["value"] for row in rows]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many people satisfy each condition, and all of them; `others` in the other mode; some emails to look at."""

    conditions: list[int]
    members: int
    others: int
    sample: list[str]


async def counted(warehouse: Warehouse, counts: Query, members: Query, livemode: bool, conditions: int) -> Counted:
    """What a segment would be. Raises Unavailable.

    `counts` gives a row a mode: livemode, conditions (how many people satisfy each), members. `members` gives email and
    livemode of each.
    """
    some = Query(
        f"SELECT email\nFROM (\n{members.text}\n)\nWHERE livemode = {{of_mode:Bool}}\n"
        "ORDER BY email\nLIMIT {most:UInt32}",
        {**members.parameters, "of_mode": livemode, "most": SAMPLE},
    )
    rows, people = await asyncio.gather(warehouse.rows(counts), warehouse.rows(some))
    found = {bool(row["livemode"]): (row["conditions"], row["members"]) for row in rows}
    mine, all_of_mine = found.get(livemode, ([0] * conditions, 0))
    _, others = found.get(not livemode, ([], 0))
    return Counted(mine, all_of_mine, others, [row["email"] for row in people])
