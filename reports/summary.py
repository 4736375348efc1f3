"""Every metric by day, with the time before it: what the overview shows."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime

from console.config import ConsoleConfig
from console.queries import period_of, within
from reports.days import Interval, before, periods
from reports.metrics import PEOPLE, Cell, Series, first_known
from schemas.metrics import Metric
from warehouse.client import Warehouse
from warehouse.query import Query

_OF_A_KIND = (Metric.SUCCESSFULLY_PAID, Metric.UPCOMING_INVOICE)  # of those that an import brings, and not


@dataclass(slots=True)
class Summary:
    """A series a metric; `earlier` has the totals of as many days right before.

    `begun`: of metrics whose two times can't be compared, the first fact of all (`numbers.first_known`).
    """

    first: date
    last: date
    days: list[date]
    series: dict[Metric, Series]
    earlier: dict[Metric, Cell]
    begun: dict[Metric, datetime]

    def counts(self, metric: Metric) -> list[int]:
        """By day."""
        return [self.series[metric].at(day).count for day in self.days]

    @property
    def empty(self) -> bool:
        """Whether nothing happened in these days."""
        return not any(series.total.count for series in self.series.values())


async def summary(warehouse: Warehouse, config: ConsoleConfig, first: date, last: date, livemode: bool) -> Summary:
    """Raises Unavailable. People are counted over the whole time only."""
    day, parameters = period_of(config, Interval.DAY)
    condition, more = within(config, first, last)
    by_day = Query(
        f"SELECT metric, {day} AS day, currency, count() AS events, sum(amount) AS total\n"
        f"FROM metrics\nWHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric, day, currency",
        parameters | more | {"livemode": livemode},
    )
    people = Query(
        f"SELECT metric, {PEOPLE} AS people\nFROM metrics\n"
        f"WHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric",
        more | {"livemode": livemode},
    )
    first_before, last_before = before(first, last)
    condition, more = within(config, first_before, last_before)
    earlier = Query(
        "SELECT metric, currency, count() AS events, sum(amount) AS total\nFROM metrics\n"
        f"WHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric, currency",
        more | {"livemode": livemode},
    )
    (rows, people_rows, earlier_rows), (imported, told) = await asyncio.gather(
        asyncio.gather(*map(warehouse.rows, (by_day, people, earlier))),
        asyncio.gather(*(first_known(warehouse, config, metric, livemode, first_before) for metric in _OF_A_KIND)),
    )
    begun = {metric: told if metric is Metric.UPCOMING_INVOICE else imported for metric in Metric}
    series: dict[Metric, Series] = {metric: Series() for metric in Metric}
    for row in rows:
        one = series[Metric(row["metric"])]
        for cell in (one.cells.setdefault(row["day"], Cell()), one.total):
            cell.count += row["events"]
            cell.amounts[row["currency"]] += row["total"]
        one.frequency[row["currency"]] += row["events"]
    for row in people_rows:
        series[Metric(row["metric"])].total.people = row["people"]
    preceding: dict[Metric, Cell] = defaultdict(Cell)
    for row in earlier_rows:
        cell = preceding[Metric(row["metric"])]
        cell.count += row["events"]
        cell.amounts[row["currency"]] += row["total"]
    known = {metric: at for metric, at in begun.items() if at is not None}
    return Summary(first, last, periods(first, last, Interval.DAY), series, preceding, known)
