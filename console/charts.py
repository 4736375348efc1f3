"""What `static/console.js` draws: numbers as they are drawn, and beside each the exact text that is shown. Pure."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from console.forms import Measure
from reports.days import Interval
from reports.metrics import Answer, Cell, Part, Series
from reports.properties import Property
from reports.text import money, number, period, shortened
from schemas.metrics import Metric

DRAWN_AT_MOST: Final = 6  # lines; more can't be told apart
# Lines of one metric's parts, in the order of the colours in console.css.
_COLOURS: Final = ("issued", "paid", "refunded", "upcoming", "failed", "other")
COLOUR_OF: Final = {
    Metric.SUCCESSFULLY_PAID: "paid",
    Metric.FAILED_PAYMENT: "failed",
    Metric.REFUNDED_PAYMENT: "refunded",
    Metric.ISSUED_INVOICE: "issued",
    Metric.UPCOMING_INVOICE: "upcoming",
}

Value = Callable[[Cell], tuple[float, str]]


def currency_of(found: Answer) -> str:
    """The one currency whose amounts are drawn: on one axis others would lie. '' when nothing happened."""
    return next(iter(found.whole.currencies), "")


def part_name(part: Part, split: Property) -> str:
    """As people read it."""
    return "all others" if part.others else split.shown(part.value)


def of_answer(found: Answer, measure: Measure, zone: ZoneInfo) -> tuple[dict[str, Any], int]:
    """The chart, a line a part, and how many lines there are in all (at most DRAWN_AT_MOST are in it)."""
    question, currency = found.question, currency_of(found)
    value = _value(measure, currency)
    if question.split is None:
        lines = [(question.metric.value, found.whole)]
    else:
        lines = [
            (part_name(part, question.split), part.series)
            for part in found.parts
            if measure is not Measure.AMOUNT or currency in part.series.total.amounts
        ]
    drawn = lines[:DRAWN_AT_MOST]
    colours = (COLOUR_OF[question.metric],) if question.split is None else _COLOURS
    series = [
        _series(label, colour, one, found.periods, value) for (label, one), colour in zip(drawn, colours, strict=False)
    ]
    if found.earlier is not None and question.split is None:
        before = _series("the time before", "muted", found.earlier, found.earlier_periods, value)
        names = [period(begin, question.interval, zone) for begin in found.earlier_periods]
        before["texts"] = [f"{text} ({name})" for text, name in zip(before["texts"], names, strict=True)]
        size = len(found.periods)  # weeks and months of the two times may differ by one, and hours by daylight saving
        before["values"] = (before["values"] + [None] * size)[:size]
        before["texts"] = (before["texts"] + ["–"] * size)[:size]
        series.append(before | {"dashed": True})
    if measure is not Measure.AMOUNT:
        for one in series[: len(drawn)]:
            del one["texts"]  # as the browser writes numbers
    chart = {
        "labels": [period(begin, question.interval, zone) for begin in found.periods],
        "ticks": [tick(begin, question.interval, zone) for begin in found.periods],
        "series": series,
    }
    return chart, len(lines)


def tick(begin: date, interval: Interval, zone: ZoneInfo) -> str:
    """Below the axis: '5 Jan', 'Jan 2026' or '14:00'; midnight is the day."""
    if isinstance(begin, datetime):
        local = begin.astimezone(zone)
        return f"{local:%H:%M}" if local.hour else f"{local.day} {local:%b}"
    return f"{begin:%b %Y}" if interval is Interval.MONTH else f"{begin.day} {begin:%b}"


def _series(label: str, colour: str, series: Series, periods: Sequence[date], value: Value) -> dict[str, Any]:
    points = [value(series.at(begin)) for begin in periods]
    return {
        "label": shortened(label, 60),
        "colour": colour,
        "values": [at for at, _ in points],
        "texts": [text for _, text in points],
    }


def _value(measure: Measure, currency: str) -> Value:
    if measure is Measure.COUNT:
        return lambda cell: (cell.count, number(cell.count))
    if measure is Measure.PEOPLE:
        return lambda cell: (cell.people, number(cell.people))

    def amount(cell: Cell) -> tuple[float, str]:
        total = cell.amounts.get(currency, Decimal(0))
        return float(total), money(total, currency)

    return amount
