"""Counts, sums and unique people by time: what a metric's page and the overview show.

Money is summed by currency only. Unique people are counted by the engine for every cell and total: they can't be added.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from console.config import ConsoleConfig
from console.days import Interval, periods
from console.queries import Query, period_of, within
from console.warehouse import Row, Warehouse
from schemas.metrics import Metric


class Split(StrEnum):
    """By what a metric is taken apart."""

    NONE = "none"
    CURRENCY = "currency"
    REASON = "reason"


_PART = {
    Split.NONE: "",
    Split.CURRENCY: "currency",
    Split.REASON: "multiIf(reason != '', reason, reason_code != '', reason_code, 'no reason given')",
}


@dataclass(frozen=True, slots=True)
class Question:
    """One metric from `first` to `last` (days as the accounts count them), in one mode; `currency` '' is all."""

    metric: Metric
    first: date
    last: date
    livemode: bool
    interval: Interval = Interval.DAY
    split: Split = Split.NONE
    currency: str = ""


@dataclass(slots=True)
class Cell:
    """What happened in one period, or to one part, or in all; `amounts` by currency, in major units."""

    count: int = 0
    people: int = 0
    amounts: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


Key = tuple[date | None, str | None]  # period and part; None stands for all of them


@dataclass(slots=True)
class Answer:
    """The cells of a Question; `parts` (one, '', without a split) and `currencies` have the most frequent first."""

    question: Question
    periods: list[date]
    parts: list[str]
    currencies: list[str]
    cells: Mapping[Key, Cell]
    queries: tuple[Query, ...]

    def cell(self, period: date | None = None, part: str | None = None) -> Cell:
        """That of a period and a part, of all periods, of all parts, or of everything; empty when nothing happened."""
        return self.cells.get((period, part)) or Cell()


async def ask(warehouse: Warehouse, config: ConsoleConfig, question: Question) -> Answer:
    """Raises Unavailable."""
    money, people = amounts_query(config, question), people_query(config, question)
    money_rows, people_rows = await asyncio.gather(warehouse.rows(money), warehouse.rows(people))
    return _answer(question, money_rows, people_rows, (money, people))


def amounts_query(config: ConsoleConfig, question: Question) -> Query:
    """How often and how much, by period, part and currency."""
    head, tail, parameters = _frame(config, question)
    part = ", ".join(["period", *(["part"] if question.split is not Split.NONE else []), "currency"])
    return Query(
        f"SELECT\n  {head},\n  currency, count() AS events, sum(amount) AS total\n{tail}\n"
        f"GROUP BY {part}\nORDER BY {part}",
        parameters,
    )


def people_query(config: ConsoleConfig, question: Question) -> Query:
    """How many different people, by period and part, and over all of each."""
    head, tail, parameters = _frame(config, question)
    names = ["period"] if question.split is Split.NONE else ["period", "part"]
    sets = ["(period)", "()"] if question.split is Split.NONE else ["(period, part)", "(period)", "(part)", "()"]
    flags = ", ".join(f"grouping({name}) AS every_{name}" for name in names)
    return Query(
        f"SELECT\n  {head},\n  {flags}, uniqExactIf(email, email != '') AS people\n{tail}\n"
        f"GROUP BY GROUPING SETS ({', '.join(sets)})",
        parameters,
    )


def _frame(config: ConsoleConfig, question: Question) -> tuple[str, str, dict[str, object]]:
    """Columns, FROM with WHERE, and the parameters of both."""
    period, parameters = period_of(config, question.interval)
    condition, more = within(config, question.first, question.last)
    parameters |= more | {"metric": question.metric.value, "livemode": question.livemode}
    head = f"{period} AS period"
    if question.split is not Split.NONE:
        head += f",\n  {_PART[question.split]} AS part"
    tail = f"FROM metrics\nWHERE metric = {{metric:String}} AND livemode = {{livemode:Bool}}\n  AND {condition}"
    if question.currency:
        tail += "\n  AND currency = {currency:String}"
        parameters["currency"] = question.currency
    return head, tail, parameters


def _answer(question: Question, money: list[Row], people: list[Row], queries: tuple[Query, ...]) -> Answer:
    cells: dict[Key, Cell] = defaultdict(Cell)
    of_part: dict[str, int] = defaultdict(int)
    of_currency: dict[str, int] = defaultdict(int)
    for row in money:
        period, part, currency = row["period"], row.get("part", ""), row["currency"]
        of_part[part] += row["events"]
        of_currency[currency] += row["events"]
        for key in ((period, part), (period, None), (None, part), (None, None)):
            cell = cells[key]
            cell.count += row["events"]
            cell.amounts[currency] += row["total"]
    for row in people:
        every_period, every_part = bool(row["every_period"]), bool(row.get("every_part", 1))
        cells[None if every_period else row["period"], None if every_part else row["part"]].people = row["people"]
    if question.split is Split.NONE:  # the one part is everything
        for (period, part), cell in list(cells.items()):
            if part == "":
                cell.people = cells[period, None].people
    return Answer(
        question,
        periods(question.first, question.last, question.interval),
        _by_frequency(of_part) or ([""] if question.split is Split.NONE else []),
        _by_frequency(of_currency),
        cells,
        queries,
    )


def _by_frequency(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))


@dataclass(slots=True)
class Overview:
    """Every metric by day: `cells` by metric and day (None: all days)."""

    first: date
    last: date
    days: list[date]
    cells: Mapping[tuple[Metric, date | None], Cell]

    def cell(self, metric: Metric, day: date | None = None) -> Cell:
        """Empty when nothing happened."""
        return self.cells.get((metric, day)) or Cell()

    def counts(self, metric: Metric) -> list[int]:
        """By day."""
        return [self.cell(metric, day).count for day in self.days]


async def overview(warehouse: Warehouse, config: ConsoleConfig, first: date, last: date, livemode: bool) -> Overview:
    """Raises Unavailable. People are counted over the whole time only."""
    daily = Query(
        "SELECT day, metric, currency, sum(count) AS events, sum(amount) AS total\nFROM daily_metrics\n"
        "WHERE day BETWEEN {first:Date} AND {last:Date} AND livemode = {livemode:Bool}\n"
        "GROUP BY day, metric, currency",
        {"first": first, "last": last, "livemode": livemode},
    )
    condition, parameters = within(config, first, last)
    people = Query(
        "SELECT metric, uniqExactIf(email, email != '') AS people\nFROM metrics\n"
        f"WHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric",
        parameters | {"livemode": livemode},
    )
    daily_rows, people_rows = await asyncio.gather(warehouse.rows(daily), warehouse.rows(people))
    cells: dict[tuple[Metric, date | None], Cell] = defaultdict(Cell)
    for row in daily_rows:
        metric = Metric(row["metric"])
        for key in ((metric, row["day"]), (metric, None)):
            cells[key].count += row["events"]
            cells[key].amounts[row["currency"]] += row["total"]
    for row in people_rows:
        cells[Metric(row["metric"]), None].people = row["people"]
    return Overview(first, last, periods(first, last, Interval.DAY), cells)
