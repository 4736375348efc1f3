"""Counts, sums and unique people of one metric by time, whole and in parts.

Money is summed by currency only. Unique people are counted by the engine for every cell and total: they can't be added.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from reports.days import Calendar, Interval, before, periods, span
from reports.periods import period_of, within
from reports.properties import Is, Property, conditions
from reports.text import aware
from schemas.metrics import TOLD_BY_EVENTS, Metric
from warehouse.client import Row, Warehouse
from warehouse.query import Query

PARTS_AT_MOST: Final = 50  # the largest; all others are one more part
# Exact but for emails whose hashes are the same, which among a million has a chance of one in 37 million.
PEOPLE: Final = "uniqExactIf(person, person != 0)"


@dataclass(frozen=True, slots=True)
class Question:
    """One metric from `first` to `last` (days as the accounts count them), in one mode."""

    metric: Metric
    first: date
    last: date
    livemode: bool
    interval: Interval = Interval.DAY
    split: Property | None = None
    filters: tuple[Is, ...] = ()
    compare: bool = False


class Measure(StrEnum):
    """What a metric's chart shows."""

    COUNT = "count"
    AMOUNT = "amount"
    PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class Cell:
    """What happened in one period, or in all; `amounts` by currency, in major units."""

    count: int = 0
    people: int = 0
    amounts: Mapping[str, Decimal] = field(default_factory=dict)

    def amount(self, currency: str) -> Decimal:
        """In one currency."""
        return self.amounts.get(currency, Decimal(0))

    def value(self, measure: Measure, currency: str) -> Decimal:
        """What is shown; of amounts, the one in `currency`."""
        if measure is Measure.AMOUNT:
            return self.amount(currency)
        return Decimal(self.people if measure is Measure.PEOPLE else self.count)


@dataclass(frozen=True, slots=True)
class Series:
    """A cell a period; `total` is over all periods, each person counted once; `frequency` is events by currency."""

    total: Cell = field(default_factory=Cell)
    cells: Mapping[date, Cell] = field(default_factory=dict)
    frequency: Mapping[str, int] = field(default_factory=dict)

    def at(self, period: date) -> Cell:
        """Empty when nothing happened."""
        return self.cells.get(period) or Cell()

    @property
    def currencies(self) -> list[str]:
        """The most frequent first."""
        return sorted(self.frequency, key=lambda currency: (-self.frequency[currency], currency))


@dataclass(frozen=True, slots=True)
class Part:
    """The events whose property is `value` ('' is none), or all that are not among the largest."""

    value: str
    others: bool
    series: Series = field(default_factory=Series)

    def name(self, split: Property) -> str:
        """As people read it."""
        return "all others" if self.others else split.shown(self.value)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a Question is answered; `parts` (none without a split) has the most frequent first, the others last.

    `earlier` is the time of the same length right before, with its own periods, when it was asked for. `begun` is as
    `first_known` gives it for that time: when it is a moment, the two times can't be compared.
    """

    question: Question
    periods: list[date]
    whole: Series
    parts: list[Part]
    queries: tuple[Query, ...]
    earlier: Series | None = None
    earlier_periods: list[date] = field(default_factory=list)
    begun: datetime | None = None

    @property
    def currency(self) -> str:
        """The one whose amounts are drawn: on one axis those of others would lie. '' when nothing happened."""
        return next(iter(self.whole.currencies), "")

    @property
    def lines(self) -> list[tuple[str, Series]]:
        """The parts by name, or the whole as ''."""
        split = self.question.split
        return [(part.name(split), part.series) for part in self.parts] if split else [("", self.whole)]


async def ask(warehouse: Warehouse, calendar: Calendar, question: Question) -> Answer:
    """Raises Unavailable."""
    first, last = before(question.first, question.last)
    asked = [amounts_query(calendar, question), people_query(calendar, question)]
    if question.compare:
        earlier = replace(question, first=first, last=last)
        asked += [amounts_query(calendar, earlier), people_query(calendar, earlier)]
    (parts, part_queries), found = await asyncio.gather(
        _parts(warehouse, calendar, question), asyncio.gather(*(warehouse.rows(query) for query in asked))
    )
    answer = Answer(
        question,
        periods(question.first, question.last, question.interval, calendar.zones),
        series(found[0], found[1]),
        parts,
        (*asked, *part_queries),
    )
    if not question.compare:
        return answer
    return replace(
        answer,
        earlier=series(found[2], found[3]),
        earlier_periods=periods(first, last, question.interval, calendar.zones),
        begun=await first_known(warehouse, calendar, question.metric, question.livemode, first),
    )


async def first_known(
    warehouse: Warehouse, calendar: Calendar, metric: Metric, livemode: bool, first: date
) -> datetime | None:
    """The first fact of all when there is none from before the day `first`, else None. Raises Unavailable.

    A time that begins before everything that is known can't be compared with: not even its zeros are facts. What an
    import brings is known from the first fact of any metric on; of others (`TOLD_BY_EVENTS`) only Stripe's events tell.
    """
    since, _ = span(first, first, calendar.zones)
    among = "IN" if metric in TOLD_BY_EVENTS else "NOT IN"
    facts = (
        "FROM metric_arrivals\nWHERE livemode = {livemode:Bool} AND NOT withdrawn "
        f"AND metric {among} {{told:Array(String)}}"
    )
    told = [metric.value] if metric in TOLD_BY_EVENTS else sorted(each.value for each in TOLD_BY_EVENTS)
    given = {"livemode": livemode, "told": told, "since": since}
    older = Query(f"SELECT 1 AS older {facts} AND occurred_at < {{since:DateTime64(3, 'UTC')}} LIMIT 1", given)
    if await warehouse.rows(older):
        return None
    found = await warehouse.row(Query(f"SELECT count() AS facts, min(occurred_at) AS begun {facts}", given))
    return aware(found["begun"]) if found["facts"] else None


def amounts_query(calendar: Calendar, question: Question) -> Query:
    """How often and how much, by period and currency."""
    period, tail, parameters = _frame(calendar, question)
    return Query(
        f"SELECT\n  {period} AS period, currency, count() AS events, sum(amount) AS total\n"
        f"{tail}\nGROUP BY period, currency\nORDER BY period, currency",
        parameters,
    )


def people_query(calendar: Calendar, question: Question) -> Query:
    """How many different people, by period and in all."""
    period, tail, parameters = _frame(calendar, question)
    return Query(
        f"SELECT\n  {period} AS period, grouping(period) AS every_period, {PEOPLE} AS people\n"
        f"{tail}\nGROUP BY GROUPING SETS ((period), ())\nORDER BY every_period, period",
        parameters,
    )


def largest_query(calendar: Calendar, question: Question, split: Property) -> Query:
    """The most frequent values of a property: PARTS_AT_MOST of them."""
    _, tail, parameters = _frame(calendar, question)
    value, more = split.bound(len(question.filters))
    return Query(
        f"SELECT {value} AS part, count() AS events\n{tail}\n"
        "GROUP BY part\nORDER BY events DESC, part\nLIMIT {most:UInt32}",
        parameters | more | {"most": PARTS_AT_MOST},
    )


def parts_queries(calendar: Calendar, question: Question, split: Property, largest: list[str]) -> tuple[Query, Query]:
    """The same as `amounts_query` and `people_query` for each of the `largest` values, and for all others together."""
    period, tail, parameters = _frame(calendar, question)
    value, more = split.bound(len(question.filters))
    head = (
        "SELECT\n  if(value IN {largest:Array(String)}, value, '') AS part,\n"
        "  value NOT IN {largest:Array(String)} AS others,\n  period, "
    )
    rows = f"FROM (\nSELECT {period} AS period, {value} AS value, currency, amount, person\n{tail}\n)\n"
    given = parameters | more | {"largest": largest}
    by = "others, part, period"
    amounts = Query(
        f"{head}currency, count() AS events, sum(amount) AS total\n{rows}"
        f"GROUP BY {by}, currency\nORDER BY {by}, currency",
        given,
    )
    people = Query(
        f"{head}grouping(period) AS every_period, {PEOPLE} AS people\n{rows}"
        f"GROUP BY GROUPING SETS ((part, others, period), (part, others))\nORDER BY every_period, {by}",
        given,
    )
    return amounts, people


async def values(warehouse: Warehouse, calendar: Calendar, question: Question) -> list[str]:
    """The most frequent values of the property that the question is split by. Raises Unavailable."""
    if question.split is None:
        return []
    return [row["part"] for row in await warehouse.rows(largest_query(calendar, question, question.split))]


async def _parts(warehouse: Warehouse, calendar: Calendar, question: Question) -> tuple[list[Part], tuple[Query, ...]]:
    if question.split is None:
        return [], ()
    largest = await values(warehouse, calendar, question)
    queries = parts_queries(calendar, question, question.split, largest)
    amounts, people = await asyncio.gather(*(warehouse.rows(query) for query in queries))
    parts = []
    for key in [*((value, False) for value in largest), ("", True)]:
        mine = [[row for row in rows if (row["part"], bool(row["others"])) == key] for rows in (amounts, people)]
        parts.append(Part(*key, series(*mine)))
    return [part for part in parts if part.series.total.count], queries


def _frame(calendar: Calendar, question: Question) -> tuple[str, str, dict[str, Any]]:
    """The period's SQL, FROM with WHERE, and the parameters of both."""
    period, parameters = period_of(calendar, question.interval)
    days, more = within(calendar, question.first, question.last)
    filters, of_filters = conditions(question.filters)
    tail = "\n  AND ".join(
        ["FROM metrics\nWHERE metric = {metric:String} AND livemode = {livemode:Bool}", days, *filters]
    )
    parameters |= more | of_filters | {"metric": question.metric.value, "livemode": question.livemode}
    return period, tail, parameters


def series(amounts: Collection[Row], people: Iterable[Row]) -> Series:
    """Of rows with `period`, `currency`, `events` and `total`; and `period`, `every_period` and `people`. Pure."""
    by_period, seen = defaultdict[date, list[Row]](list), dict[date | None, int]()
    for row in amounts:
        by_period[_period(row)].append(row)
    for row in people:
        seen[None if row["every_period"] else _period(row)] = row["people"]
    total = cell(amounts, seen.pop(None, 0))
    cells = {at: cell(by_period.get(at, ()), seen.get(at, 0)) for at in {*by_period, *seen} if at is not None}
    return Series(total, cells, _sums(amounts, "events"))


def cell(amounts: Collection[Row], people: int = 0) -> Cell:
    """Of rows with `currency`, `events` and `total`. Pure."""
    return Cell(sum(row["events"] for row in amounts), people, _sums(amounts, "total"))


def _sums(rows: Iterable[Row], column: str) -> dict[str, Any]:
    """By currency."""
    found: dict[str, Any] = {}
    for row in rows:
        found[row["currency"]] = found.get(row["currency"], 0) + row[column]
    return found


def _period(row: Row) -> date:
    at: date = row["period"]
    return aware(at) if isinstance(at, datetime) else at
