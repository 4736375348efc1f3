"""Counts, sums and unique people of one metric by time, whole and in parts.

Money is summed by currency only. Unique people are counted by the engine for every cell and total: they can't be added.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from console.config import ConsoleConfig
from console.days import Interval, before, periods
from console.properties import Is, Property, conditions
from console.queries import Query, period_of, within
from console.text import aware
from console.warehouse import Row, Warehouse
from schemas.metrics import Metric

PARTS_AT_MOST: Final = 50  # the largest; all others are one more part


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


@dataclass(slots=True)
class Cell:
    """What happened in one period, or in all; `amounts` by currency, in major units."""

    count: int = 0
    people: int = 0
    amounts: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


@dataclass(slots=True)
class Series:
    """A cell a period; `total` is over all periods, each person counted once; `frequency` is events by currency."""

    total: Cell = field(default_factory=Cell)
    cells: dict[date, Cell] = field(default_factory=dict)
    frequency: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def at(self, period: date) -> Cell:
        """Empty when nothing happened."""
        return self.cells.get(period) or Cell()

    @property
    def currencies(self) -> list[str]:
        """The most frequent first."""
        return sorted(self.frequency, key=lambda currency: (-self.frequency[currency], currency))


@dataclass(slots=True)
class Part:
    """The events whose property is `value` ('' is none), or all that are not among the largest."""

    value: str
    others: bool
    series: Series = field(default_factory=Series)


@dataclass(slots=True)
class Answer:
    """What a Question is answered; `parts` (none without a split) has the most frequent first, the others last.

    `earlier` is the time of the same length right before, with its own periods, when it was asked for.
    """

    question: Question
    periods: list[date]
    whole: Series
    parts: list[Part]
    queries: tuple[Query, ...]
    earlier: Series | None = None
    earlier_periods: list[date] = field(default_factory=list)


async def ask(warehouse: Warehouse, config: ConsoleConfig, question: Question) -> Answer:
    """Raises Unavailable."""
    first, last = before(question.first, question.last)
    asked = [whole_query(config, question)]
    if question.compare:
        asked.append(whole_query(config, replace(question, first=first, last=last)))
    (parts, part_query), found = await asyncio.gather(
        _parts(warehouse, config, question), asyncio.gather(*(warehouse.rows(query) for query in asked))
    )
    answer = Answer(
        question,
        periods(question.first, question.last, question.interval, config.zones),
        _filled(Series(), found[0]),
        parts,
        (*asked, *part_query),
    )
    if question.compare:
        answer.earlier = _filled(Series(), found[1])
        answer.earlier_periods = periods(first, last, question.interval, config.zones)
    return answer


def whole_query(config: ConsoleConfig, question: Question) -> Query:
    """How often, how much and how many different people: by period and currency, by period, and in all."""
    period, tail, parameters = _frame(config, question)
    return Query(
        f"SELECT\n  {period} AS period, currency,\n"
        "  grouping(period) AS every_period, grouping(currency) AS every_currency,\n"
        "  count() AS events, sum(amount) AS total, uniqExactIf(email, email != '') AS people\n"
        f"{tail}\nGROUP BY GROUPING SETS ((period, currency), (period), ())\nORDER BY ALL",
        parameters,
    )


def largest_query(config: ConsoleConfig, question: Question, split: Property) -> Query:
    """The most frequent values of a property: PARTS_AT_MOST of them."""
    _, tail, parameters = _frame(config, question)
    value, more = split.bound(len(question.filters))
    return Query(
        f"SELECT {value} AS part, count() AS events\n{tail}\n"
        "GROUP BY part\nORDER BY events DESC, part\nLIMIT {most:UInt32}",
        parameters | more | {"most": PARTS_AT_MOST},
    )


def parts_query(config: ConsoleConfig, question: Question, split: Property, largest: list[str]) -> Query:
    """The same as `whole_query` for each of the `largest` values, and for all others together."""
    period, tail, parameters = _frame(config, question)
    value, more = split.bound(len(question.filters))
    return Query(
        "SELECT\n  if(value IN {largest:Array(String)}, value, '') AS part,\n"
        "  value NOT IN {largest:Array(String)} AS others,\n"
        "  period, currency, grouping(period) AS every_period, grouping(currency) AS every_currency,\n"
        "  count() AS events, sum(amount) AS total, uniqExactIf(email, email != '') AS people\n"
        f"FROM (\nSELECT {period} AS period, {value} AS value, currency, amount, email\n{tail}\n)\n"
        "GROUP BY GROUPING SETS ((part, others, period, currency), (part, others, period), (part, others))\n"
        "ORDER BY ALL",
        parameters | more | {"largest": largest},
    )


async def values(warehouse: Warehouse, config: ConsoleConfig, question: Question) -> list[str]:
    """The most frequent values of the property that the question is split by. Raises Unavailable."""
    if question.split is None:
        return []
    return [row["part"] for row in await warehouse.rows(largest_query(config, question, question.split))]


async def _parts(
    warehouse: Warehouse, config: ConsoleConfig, question: Question
) -> tuple[list[Part], tuple[Query, ...]]:
    if question.split is None:
        return [], ()
    largest = await values(warehouse, config, question)
    query = parts_query(config, question, question.split, largest)
    parts = {(value, False): Part(value, False) for value in largest} | {("", True): Part("", True)}
    rows_of: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in await warehouse.rows(query):
        rows_of[row["part"], bool(row["others"])].append(row)
    for key, rows in rows_of.items():
        _filled(parts[key].series, rows)
    return [part for part in parts.values() if part.series.total.count], (query,)


def _frame(config: ConsoleConfig, question: Question) -> tuple[str, str, dict[str, Any]]:
    """The period's SQL, FROM with WHERE, and the parameters of both."""
    period, parameters = period_of(config, question.interval)
    days, more = within(config, question.first, question.last)
    filters, of_filters = conditions(question.filters)
    tail = "\n  AND ".join(
        ["FROM metrics\nWHERE metric = {metric:String} AND livemode = {livemode:Bool}", days, *filters]
    )
    parameters |= more | of_filters | {"metric": question.metric.value, "livemode": question.livemode}
    return period, tail, parameters


def _filled(series: Series, rows: Iterable[Row]) -> Series:
    for row in rows:
        if row["every_period"]:
            cell = series.total
        else:
            at = row["period"]
            cell = series.cells.setdefault(aware(at) if isinstance(at, datetime) else at, Cell())
        if row["every_currency"]:
            cell.count, cell.people = row["events"], row["people"]
            continue
        series.frequency[row["currency"]] += row["events"]
        cell.amounts[row["currency"]] += row["total"]
        series.total.amounts[row["currency"]] += row["total"]
    return series
