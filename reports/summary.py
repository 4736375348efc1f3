"""Every metric by day, with the time before it: what the overview shows."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from reports.days import Calendar, Interval, before, periods
from reports.metrics import PEOPLE, Cell, Series, cell, first_known, series
from reports.periods import period_of, within
from schemas.metrics import Metric
from warehouse.client import Warehouse
from warehouse.query import Query

_OF_A_KIND = (Metric.SUCCESSFULLY_PAID, Metric.UPCOMING_INVOICE)  # of those that an import brings, and not


@dataclass(frozen=True, slots=True)
class Summary:
    """A series a metric; `earlier` has the totals of as many days right before.

    `begun`: of metrics whose two times can't be compared, the first fact of all (`numbers.first_known`).
    """

    first: date
    last: date
    days: list[date]
    series: Mapping[Metric, Series]
    earlier: Mapping[Metric, Cell]
    begun: Mapping[Metric, datetime]

    def counts(self, metric: Metric) -> list[int]:
        """By day."""
        return [self.series[metric].at(day).count for day in self.days]

    @property
    def empty(self) -> bool:
        """Whether nothing happened in these days."""
        return not any(series.total.count for series in self.series.values())


async def summary(warehouse: Warehouse, calendar: Calendar, first: date, last: date, livemode: bool) -> Summary:
    """Raises Unavailable. People are counted over the whole time only."""
    day, parameters = period_of(calendar, Interval.DAY)
    condition, more = within(calendar, first, last)
    by_day = Query(
        f"SELECT metric, {day} AS period, currency, count() AS events, sum(amount) AS total\n"
        f"FROM metrics\nWHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric, period, currency",
        parameters | more | {"livemode": livemode},
    )
    people = Query(
        f"SELECT metric, true AS every_period, {PEOPLE} AS people\nFROM metrics\n"
        f"WHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric",
        more | {"livemode": livemode},
    )
    first_before, last_before = before(first, last)
    condition, more = within(calendar, first_before, last_before)
    earlier = Query(
        "SELECT metric, currency, count() AS events, sum(amount) AS total\nFROM metrics\n"
        f"WHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric, currency",
        more | {"livemode": livemode},
    )
    found, (imported, told) = await asyncio.gather(
        asyncio.gather(*map(warehouse.rows, (by_day, people, earlier))),
        asyncio.gather(*(first_known(warehouse, calendar, metric, livemode, first_before) for metric in _OF_A_KIND)),
    )
    begun = {metric: told if metric is Metric.UPCOMING_INVOICE else imported for metric in Metric}
    mine = {metric: [[row for row in each if row["metric"] == metric] for each in found] for metric in Metric}
    return Summary(
        first,
        last,
        periods(first, last, Interval.DAY),
        {metric: series(amounts, people) for metric, (amounts, people, _) in mine.items()},
        {metric: cell(before) for metric, (_, _, before) in mine.items()},
        {metric: at for metric, at in begun.items() if at is not None},
    )
