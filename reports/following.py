"""What comes to ClickHouse: that there is something new, and each fact once, and again when more is known of it."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reports.feed import COLUMNS, Fact, Filter, fact
from reports.properties import conditions
from reports.text import aware
from schemas.errors import Unavailable
from warehouse.client import Warehouse
from warehouse.query import Query

ASK_SECONDS: Final = 1.0
# Inserts that run side by side become visible out of order: so far back, what has been seen is looked at again.
OVERLAP: Final = timedelta(seconds=20)
_AT_ONCE: Final = 1_000  # facts looked up by one query
_REMEMBERED: Final = 100_000  # facts; one that changes after so many others is told as if it were new


@dataclass(frozen=True, slots=True)
class Written:
    """The newest write, by the engine's clock, and how many there were since a while before."""

    at: datetime
    rows: int


async def written(warehouse: Warehouse, since: datetime) -> Written:
    """What was written from `since` on; another answer means that there is something new. Raises Unavailable."""
    row = await warehouse.row(
        Query(
            "SELECT max(written_at) AS newest, count() AS written\nFROM metric_arrivals\n"
            "WHERE written_at >= {since:DateTime64(3, 'UTC')}",
            {"since": since},
        )
    )
    return Written(aware(row["newest"]), row["written"])


@dataclass(slots=True)
class Mark:
    """Up to where all was written already: `since` by the engine's clock, and the facts of shortly before."""

    since: datetime
    told: OrderedDict[str, int] = field(default_factory=OrderedDict)  # metric_id → the version that was told


async def mark(warehouse: Warehouse, wanted: Filter) -> Mark:
    """This moment; whatever is read after it is either in what is read, or comes by `follow`. Raises Unavailable."""
    row = await warehouse.row(Query("SELECT now64(3, 'UTC') AS now"))
    found = Mark(aware(row["now"]))
    for metric_id, version, _ in await _written(warehouse, wanted, found.since - OVERLAP):
        found.told[metric_id] = version
    return found


async def follow(
    warehouse: Warehouse, wanted: Filter, began: Mark, trouble: Callable[[str], None]
) -> AsyncIterator[Fact]:
    """What is written from `began` on, for ever.

    `trouble(why)` is called once when ClickHouse falls silent, and `trouble('')` when it is back: nothing is missed.
    """
    told, silent = began.told, False
    while True:
        try:
            found = await _written(warehouse, wanted, began.since - OVERLAP)
            new = [one for one in found if told.get(one[0], -1) < one[1]]
            facts = await _facts(warehouse, wanted, new)
        except Unavailable as error:
            if not silent:
                trouble(str(error))
            silent = True
        else:
            if silent:
                trouble("")
            silent = False
            for metric_id, version, at in new:
                told[metric_id] = max(version, told.pop(metric_id, -1))
                began.since = max(began.since, at)
            while len(told) > _REMEMBERED:
                told.popitem(last=False)
            for one in facts:
                yield one
        await asyncio.sleep(ASK_SECONDS)


async def _written(warehouse: Warehouse, wanted: Filter, since: datetime) -> list[tuple[str, int, datetime]]:
    """The newest version of each fact that was written since, and when."""
    rows = await warehouse.rows(
        Query(
            "SELECT metric_id, max(version) AS newest, max(written_at) AS at\nFROM metric_arrivals\n"
            "WHERE written_at >= {since:DateTime64(3, 'UTC')} AND livemode = {livemode:Bool}\n"
            "  AND ({metric:String} = '' OR metric = {metric:String})\nGROUP BY metric_id\nORDER BY at, metric_id",
            {"since": since, "livemode": wanted.livemode, "metric": wanted.metric},
        )
    )
    return [(row["metric_id"], row["newest"], aware(row["at"])) for row in rows]


async def _facts(warehouse: Warehouse, wanted: Filter, new: list[tuple[str, int, datetime]]) -> list[Fact]:
    """Those of the new facts that still hold and pass the filter, in the order in which they happened."""
    filters, parameters = conditions(wanted.filters)
    wheres = ["livemode = {livemode:Bool}", "metric_id IN {ids:Array(String)}", *filters]
    parameters |= {"livemode": wanted.livemode}
    if wanted.email:
        wheres.append("email = {email:String}")
        parameters["email"] = wanted.email
    found: list[Fact] = []
    for begin in range(0, len(new), _AT_ONCE):
        ids = [metric_id for metric_id, *_ in new[begin : begin + _AT_ONCE]]
        query = Query(f"SELECT {COLUMNS}\nFROM metrics\nWHERE {' AND '.join(wheres)}", parameters | {"ids": ids})
        found += [fact(row) for row in await warehouse.rows(query)]
    return sorted(found, key=lambda one: (one.occurred_at, one.metric_id))
