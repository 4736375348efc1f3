"""Every metric by day, with the time before it: what the overview shows."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from console.config import ConsoleConfig
from console.days import Interval, before, periods
from console.numbers import PEOPLE, Cell, Series
from console.queries import Query, period_of, within
from console.warehouse import Warehouse
from schemas.metrics import Metric


@dataclass(slots=True)
class Summary:
    """A series a metric; `earlier` has the totals of as many days right before."""

    first: date
    last: date
    days: list[date]
    series: dict[Metric, Series]
    earlier: dict[Metric, Cell]

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
    condition, more = within(config, *before(first, last))
    earlier = Query(
        "SELECT metric, currency, count() AS events, sum(amount) AS total\nFROM metrics\n"
        f"WHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric, currency",
        more | {"livemode": livemode},
    )
    rows, people_rows, earlier_rows = await asyncio.gather(*map(warehouse.rows, (by_day, people, earlier)))
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
    return Summary(first, last, periods(first, last, Interval.DAY), series, preceding)
