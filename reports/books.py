"""Closed books: what a month came to as it was known at some time, and what has changed in it since, and by what.

A month is the account's. As of a time counts the highest version of each row that was known by then (`known_at` of the
view `metric_versions`); of the time before these are kept nothing can be said.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from reports.days import Interval, span
from reports.rows import read
from reports.text import aware
from schemas.errors import ConfigurationError
from schemas.metrics import RULES_BIT
from schemas.money import major_decimal
from warehouse.client import Row, Warehouse
from warehouse.query import Query

MOST: Final = 5_000  # changed rows in an answer
_FOREVER: Final = datetime(2261, 1, 1, tzinfo=UTC)
_COUNTED: Final = "occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}"
_WHOSE: Final = f"account = {{account:String}} AND livemode = {{livemode:Bool}} AND {_COUNTED}"
_BEGIN: Final = "SELECT min(known_at) AS begin FROM metric_history_rows WHERE metric_id = ''"
#: No FINAL is needed: of a version that was told again, one telling was early enough or none was.
_TOTALS: Final = f"""
SELECT newest.1 AS metric, newest.2 AS currency, count() AS count, sum(newest.3) AS minor
FROM (
    SELECT argMax((metric, currency, amount_minor, withdrawn), version) AS newest
    FROM metric_history_rows
    WHERE metric_id != '' AND {_WHOSE} AND known_at <= {{at:DateTime64(3, 'UTC')}}
    GROUP BY metric_id
)
WHERE NOT newest.4
GROUP BY metric, currency
ORDER BY metric, currency
"""
#: (counted, metric, currency, amount_minor) of a row; of one that does not count, nothing else matters.
_WORTH: Final = "if(withdrawn, (false, '', '', toInt64(0)), (true, toString(metric), toString(currency), amount_minor))"
_CHANGED: Final = f"""
SELECT metric_id, argMaxIf(worth, version, known_at <= {{at:DateTime64(3, 'UTC')}}) AS before,
    argMax(worth, version) AS after, maxIf(version, known_at <= {{at:DateTime64(3, 'UTC')}}) AS closed,
    arraySort(one -> one.1, groupArrayIf((version, known_at, event_id, source, worth),
        known_at > {{at:DateTime64(3, 'UTC')}})) AS told
FROM (SELECT *, {_WORTH} AS worth FROM metric_versions WHERE {_WHOSE})
GROUP BY metric_id
HAVING before != after
ORDER BY abs(after.4 - before.4) DESC, metric_id
LIMIT {{limit:UInt32}}
"""
_NOW: Final = """
SELECT metric_id, occurred_at, email FROM metrics WHERE metric_id IN {ids:Array(String)}
"""
_TYPES: Final = """
SELECT event_id, any(type) AS type FROM stripe_events
WHERE account = {account:String} AND livemode = {livemode:Bool} AND event_id IN {ids:Array(String)}
GROUP BY event_id
"""


@dataclass(frozen=True, slots=True)
class Month:
    """A month of an account; `zone` is the account's timezone."""

    account: str
    livemode: bool
    first: date
    zone: ZoneInfo

    @property
    def last(self) -> date:
        """Its last day."""
        return Interval.MONTH.after(self.first) - timedelta(days=1)

    @property
    def bounds(self) -> dict[str, Any]:
        """As the parameters of a question; `until` is no part of it."""
        since, until = span(self.first, self.last, [self.zone.key])
        return {"account": self.account, "livemode": self.livemode, "since": since, "until": until}


@dataclass(frozen=True, slots=True)
class Total:
    """What rows of a metric come to in one currency; `amount` in major units."""

    metric: str
    currency: str
    count: int
    amount: Decimal
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Closing:
    """A month whose books were closed, as it was known at `known_at`."""

    closing_id: str
    account: str
    livemode: bool
    month: date
    timezone: str
    known_at: datetime
    closed_at: datetime
    closed_by: str
    totals: tuple[Total, ...]


@dataclass(frozen=True, slots=True)
class Worth:
    """What a row counted as; None of both where it did not count."""

    metric: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Cause:
    """What made the difference: an event or fetched object, or newer rules (`rules` is their revision, else 0)."""

    known_at: datetime
    event_id: str
    type: str
    source: str
    rules: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A row that counts otherwise than before. `moved_to`: it counts at another time now, outside the month."""

    metric_id: str
    email: str
    before: Worth | None
    after: Worth | None
    moved_to: datetime | None
    causes: tuple[Cause, ...]

    @property
    def metric(self) -> str:
        """Whose it is, or was."""
        return (self.after or self.before or Worth("", "", Decimal())).metric


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric in one currency: then and now."""

    metric: str
    currency: str
    count_then: int
    count_now: int
    amount_then: Decimal
    amount_now: Decimal

    @property
    def equal(self) -> bool:
        """Nothing is different."""
        return (self.count_then, self.amount_then) == (self.count_now, self.amount_now)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What has changed in a month since `at`. `more`: there are more rows than these.

    `altered`: by the history the month did not come to what the closing says; somebody changed one of them.
    """

    month: date
    account: str
    at: datetime
    closing: Closing | None
    totals: tuple[Difference, ...]
    rows: tuple[Changed, ...]
    more: bool
    altered: bool

    @property
    def equal(self) -> bool:
        """Nothing has changed."""
        return not self.rows and not self.altered


async def begin(warehouse: Warehouse) -> datetime:
    """Since when it is known what was known. Raises Unavailable."""
    return aware((await warehouse.row(_BEGIN))["begin"])


async def totals(warehouse: Warehouse, month: Month, at: datetime = _FOREVER) -> tuple[Total, ...]:
    """By metric and currency, as known at `at`. Raises Unavailable."""
    found = await warehouse.rows(Query(_TOTALS, month.bounds | {"at": at}))
    return tuple(
        Total(row["metric"], row["currency"], row["count"], major_decimal(row["minor"], row["currency"]), row["minor"])
        for row in found
    )


async def closings(warehouse: Warehouse, livemode: bool, account: str = "", month: date | None = None) -> list[Closing]:
    """The newest first, of one `account` and `month` or of all. Raises Unavailable."""
    where, parameters = ["livemode = {livemode:Bool}"], dict[str, Any](livemode=livemode)
    if account:
        where, parameters = [*where, "account = {account:String}"], parameters | {"account": account}
    if month:
        where, parameters = [*where, "month = {month:Date}"], parameters | {"month": month}
    rows = await warehouse.rows(
        Query(
            f"SELECT * FROM closings WHERE {' AND '.join(where)}\n"
            "ORDER BY month DESC, closed_at DESC, closing_id, metric, currency",
            parameters,
        )
    )
    return [_closing(list(one)) for _, one in groupby(rows, key=lambda row: row["closing_id"])]


def _closing(rows: Sequence[Row]) -> Closing:
    names = ("metric", "currency", "count", "amount", "amount_minor")
    told = tuple(Total(**{name: row[name] for name in names}) for row in rows if row["metric"])
    return read(Closing, {name: value for name, value in rows[0].items() if name not in names} | {"totals": told})


async def compared(
    warehouse: Warehouse, month: Month, closing_id: str = "", as_of: datetime | None = None
) -> Comparison:
    """What has changed since `as_of`, else since the closing of that id, else since the month was closed last.

    Raises ConfigurationError when it was not, and as `since` does; Unavailable.
    """
    if as_of is not None:
        return await since(warehouse, month, aware(as_of))
    found = await closings(warehouse, month.livemode, month.account, month.first)
    chosen = next((one for one in found if closing_id in ("", one.closing_id)), None)
    if chosen is None:
        told = f"the books of {month.first:%B %Y} were not closed for the account {month.account}"
        raise ConfigurationError(told, remedy="close them on the console's page Closed books, or ask as of a day")
    return await since_closed(warehouse, chosen)


async def since_closed(warehouse: Warehouse, closing: Closing) -> Comparison:
    """What has changed since. Raises Unavailable."""
    month = Month(closing.account, closing.livemode, closing.month, ZoneInfo(closing.timezone))
    return await _compare(warehouse, month, closing.known_at, closing)


async def since(warehouse: Warehouse, month: Month, at: datetime) -> Comparison:
    """The same since any time. Raises ConfigurationError for one of which nobody knows what was known; Unavailable."""
    first = await begin(warehouse)
    if at < first:
        told = f"what was known on {at:%Y-%m-%d %H:%M} UTC was not kept: the history of versions begins later"
        raise ConfigurationError(told, remedy=f"ask as of {first:%Y-%m-%dT%H:%M:%SZ} or later")
    return await _compare(warehouse, month, min(at, _FOREVER), None)


async def _compare(warehouse: Warehouse, month: Month, at: datetime, closing: Closing | None) -> Comparison:
    then, now, changed = await asyncio.gather(
        totals(warehouse, month, at),
        totals(warehouse, month),
        warehouse.rows(Query(_CHANGED, month.bounds | {"at": at, "limit": MOST + 1})),
    )
    rows = await _explained(warehouse, month, changed[:MOST])
    told = closing.totals if closing else then
    return Comparison(
        month.first, month.account, at, closing, _differences(told, now), rows, len(changed) > MOST, told != then
    )


def _differences(then: Iterable[Total], now: Iterable[Total]) -> tuple[Difference, ...]:
    before, after = ({(one.metric, one.currency): one for one in some} for some in (then, now))
    nothing = Total("", "", 0, Decimal(), 0)
    return tuple(
        Difference(*key, old.count, new.count, old.amount, new.amount)
        for key in sorted({*before, *after})
        for old, new in [(before.get(key, nothing), after.get(key, nothing))]
    )


async def _explained(warehouse: Warehouse, month: Month, changed: Sequence[Row]) -> tuple[Changed, ...]:
    if not changed:
        return ()
    causes = {row["metric_id"]: _causes(row) for row in changed}
    events = sorted({one[2] for told in causes.values() for one in told if one[2]})
    whose = {"account": month.account, "livemode": month.livemode}
    found, types = await asyncio.gather(
        warehouse.rows(Query(_NOW, {"ids": list(causes)})), warehouse.rows(Query(_TYPES, whose | {"ids": events}))
    )
    rows, type_of = {row["metric_id"]: row for row in found}, {row["event_id"]: row["type"] for row in types}
    explained = []
    for row in changed:
        now, after = rows.get(row["metric_id"]), _worth(row["after"])
        explained.append(
            Changed(
                row["metric_id"],
                now["email"] if now else "",
                _worth(row["before"]),
                after,
                aware(now["occurred_at"]) if now and after is None else None,
                tuple(
                    Cause(aware(known_at), event_id, type_of.get(event_id, ""), source, _newer(version, row["closed"]))
                    for version, known_at, event_id, source, _ in causes[row["metric_id"]]
                ),
            )
        )
    return tuple(explained)


def _causes(row: Row) -> list[tuple[Any, ...]]:
    """Those of the versions told since by which the row counts otherwise than by the one before."""
    causes, before = [], row["before"]
    for told in row["told"]:
        if told[0] > row["closed"] and told[4] != before:
            causes.append(told)
            before = told[4]
    return causes


def _worth(worth: tuple[Any, ...]) -> Worth | None:
    counted, metric, currency, minor = worth
    return Worth(metric, currency, major_decimal(minor, currency)) if counted else None


def _newer(version: int, before: int) -> int:
    """The revision of the rules, where a row is told by newer ones than it was."""
    return version >> RULES_BIT if before and version >> RULES_BIT > before >> RULES_BIT else 0
