"""Every metric by day, with the time before it, and how collecting goes: what the overview shows."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from reports.days import Calendar, Interval, before, periods
from reports.metrics import PEOPLE, Cell, Series, cell, first_known, series
from reports.open_invoices import REMAINING
from reports.periods import period_of, within
from schemas.metrics import TOLD_BY_EVENTS, Metric
from warehouse.client import Warehouse
from warehouse.query import Query

_OF_A_KIND = (Metric.SUCCESSFULLY_PAID, *sorted(TOLD_BY_EVENTS))  # one for all that an import brings, and the others


@dataclass(frozen=True, slots=True)
class Summary:
    """A series a metric; `earlier` has those of as many `days_before`, without people.

    `begun`: of metrics whose two times can't be compared, the first fact of all (`numbers.first_known`).
    """

    first: date
    last: date
    days: list[date]
    days_before: list[date]
    series: Mapping[Metric, Series]
    earlier: Mapping[Metric, Series]
    begun: Mapping[Metric, datetime]

    def counts(self, metric: Metric) -> list[int]:
        """By day."""
        return [self.series[metric].at(day).count for day in self.days]

    @property
    def currency(self) -> str:
        """The main one: in which most is paid, by the number of payments; '' when nothing has an amount."""
        found = self.series[Metric.SUCCESSFULLY_PAID].currencies
        return found[0] if found else min((one for each in self.series.values() for one in each.currencies), default="")

    def net(self, currency: str) -> list[Decimal]:
        """Paid less refunded, by day, in major units."""
        return [_net(self.series, day, currency) for day in self.days]

    def net_before(self, currency: str) -> list[Decimal]:
        """The same of the days before; [] when they can't be compared."""
        if Metric.SUCCESSFULLY_PAID in self.begun:
            return []
        return [_net(self.earlier, day, currency) for day in self.days_before]

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
        f"SELECT metric, {day} AS period, currency, count() AS events, sum(amount) AS total\n"
        f"FROM metrics\nWHERE livemode = {{livemode:Bool}} AND {condition}\nGROUP BY metric, period, currency",
        parameters | more | {"livemode": livemode},
    )
    found, begins = await asyncio.gather(
        asyncio.gather(*map(warehouse.rows, (by_day, people, earlier))),
        asyncio.gather(*(first_known(warehouse, calendar, metric, livemode, first_before) for metric in _OF_A_KIND)),
    )
    known = dict(zip(_OF_A_KIND, begins, strict=True))
    begun = {metric: known.get(metric, known[Metric.SUCCESSFULLY_PAID]) for metric in Metric}
    mine = {metric: [[row for row in each if row["metric"] == metric] for each in found] for metric in Metric}
    return Summary(
        first,
        last,
        periods(first, last, Interval.DAY),
        periods(first_before, last_before, Interval.DAY),
        {metric: series(amounts, people) for metric, (amounts, people, _) in mine.items()},
        {metric: series(before, ()) for metric, (_, _, before) in mine.items()},
        {metric: at for metric, at in begun.items() if at is not None},
    )


def _net(series: Mapping[Metric, Series], day: date, currency: str) -> Decimal:
    paid, refunded = (series[one].at(day) for one in (Metric.SUCCESSFULLY_PAID, Metric.REFUNDED_PAYMENT))
    return paid.amount(currency) - refunded.amount(currency)


@dataclass(frozen=True, slots=True)
class Collecting:
    """`at_risk`: what is left of open invoices of which a payment failed; `recovered`: what was paid after a failure.

    Each counts invoices, with amounts by currency in major units.
    """

    at_risk: Cell
    recovered: Cell


#: Stripe tries for two months at most, and an invoice may have been open for some time before.
_AT_RISK_DAYS = 90


async def collecting(
    warehouse: Warehouse, calendar: Calendar, first: date, last: date, livemode: bool, now: datetime
) -> Collecting:
    """What is at risk `now`, of the last 90 days, and what was recovered within first … last. Raises Unavailable."""
    about = {"livemode": livemode, "now": now, "at_risk_days": _AT_RISK_DAYS}
    lately = "{now:DateTime64(3, 'UTC')} - toIntervalDay({at_risk_days:UInt16})"
    open_ones = Query(
        f"SELECT currency, count() AS events, sum(greatest({REMAINING}, 0)) AS total\nFROM issued_invoice\n"
        f"WHERE livemode = {{livemode:Bool}} AND occurred_at >= {lately} AND status = 'open'\n"
        "  AND invoice_id IN (SELECT invoice_id FROM failed_payment\n"
        f"    WHERE livemode = {{livemode:Bool}} AND occurred_at >= {lately} AND invoice_id != '')\nGROUP BY currency",
        about,
    )
    condition, more = within(calendar, first, last)
    paid = Query(
        "SELECT currency, uniqExact(invoice_id) AS events, sum(amount) AS total\nFROM successfully_paid AS paid\n"
        f"WHERE livemode = {{livemode:Bool}} AND {condition}\n"
        "  AND invoice_id IN (SELECT invoice_id FROM failed_payment\n"
        "    WHERE livemode = {livemode:Bool} AND invoice_id != ''\n"
        "      AND occurred_at >= {since:DateTime64(3, 'UTC')} - toIntervalDay({at_risk_days:UInt16}))\n"
        "GROUP BY currency",
        about | more,
    )
    at_risk, recovered = await asyncio.gather(*map(warehouse.rows, (open_ones, paid)))
    return Collecting(cell(at_risk), cell(recovered))
