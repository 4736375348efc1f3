"""What `static/console.js` draws: numbers as they are drawn, and beside each the exact text that is shown. Pure."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from reports.days import Interval
from reports.metrics import Answer, Cell, Measure, Series
from reports.mrr import Kind, Month, rounded
from reports.summary import Summary
from reports.text import money, number, period, shortened, tick
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
    Metric.CREDIT_NOTE: "credit",
    Metric.DISPUTE: "dispute",
    Metric.SUBSCRIPTION_STARTED: "started",
    Metric.SUBSCRIPTION_CHANGED: "changed",
    Metric.SUBSCRIPTION_CANCELED: "canceled",
    Metric.TRIAL_ENDING: "trial",
}

_UPWARDS: Final = (Kind.OPENING, Kind.NEW, Kind.REACTIVATION, Kind.EXPANSION)
_DOWNWARDS: Final = (Kind.CONTRACTION, Kind.CHURN)
_OF_KIND: Final = {
    Kind.OPENING: "muted",
    Kind.NEW: "issued",
    Kind.REACTIVATION: "upcoming",
    Kind.EXPANSION: "paid",
    Kind.CONTRACTION: "refunded",
    Kind.CHURN: "failed",
}

Value = Callable[[Cell], tuple[float, str]]


def of_answer(found: Answer, measure: Measure, zone: ZoneInfo) -> tuple[dict[str, Any], int]:
    """The chart, a line a part, and how many lines there are in all (at most DRAWN_AT_MOST are in it)."""
    question, currency = found.question, found.currency
    value = _value(measure, currency)
    if question.split is None:
        lines = [(question.metric.value, found.whole)]
    else:
        lines = [one for one in found.lines if measure is not Measure.AMOUNT or currency in one[1].total.amounts]
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


def of_revenue(found: Summary, currency: str, zone: ZoneInfo) -> dict[str, Any]:
    """Net revenue by day in one currency, and that of the days before, where they can be compared."""
    lines = [("Net revenue", "paid", found.days, found.net(currency), False)]
    if before := found.net_before(currency):
        lines.append(("the time before", "muted", found.days_before, before, True))
    return {
        "labels": [period(day, Interval.DAY, zone) for day in found.days],
        "ticks": [tick(day, Interval.DAY, zone) for day in found.days],
        "series": [
            {
                "label": label,
                "colour": colour,
                "values": [float(amount) for amount in amounts],
                "texts": [
                    money(amount, currency) + (f" ({period(day, Interval.DAY, zone)})" if dashed else "")
                    for day, amount in zip(days, amounts, strict=True)
                ],
                "dashed": dashed,
            }
            for label, colour, days, amounts, dashed in lines
        ],
    }


def of_movements(months: Sequence[Month], currency: str, zone: ZoneInfo) -> dict[str, Any]:
    """Bars by month of what came and went, one upon the other, the outermost first: each hides what it stands on."""
    up = [kind for kind in _UPWARDS if any(kind in one.moved for one in months)]
    down = [kind for kind in _DOWNWARDS if any(kind in one.moved for one in months)]
    series = []
    for kinds in (up, down):
        for size in range(len(kinds), 0, -1):
            kind = kinds[size - 1]
            stacks = [sum((one.moved.get(each, Decimal(0)) for each in kinds[:size]), Decimal(0)) for one in months]
            own = [one.moved.get(kind, Decimal(0)) for one in months]
            series.append(
                {
                    "label": "first seen" if kind is Kind.OPENING else kind.value,
                    "colour": _OF_KIND[kind],
                    "values": [float(each) for each in stacks],
                    "texts": [money(rounded(each, currency), currency) for each in own],
                }
            )
    return {
        "stacked": True,
        "labels": [period(one.begin, Interval.MONTH, zone) for one in months],
        "ticks": [tick(one.begin, Interval.MONTH, zone) for one in months],
        "series": series,
    }


def _series(label: str, colour: str, series: Series, periods: Sequence[date], value: Value) -> dict[str, Any]:
    points = [value(series.at(begin)) for begin in periods]
    return {
        "label": shortened(label, 60),
        "colour": colour,
        "values": [at for at, _ in points],
        "texts": [text for _, text in points],
    }


def _value(measure: Measure, currency: str) -> Value:
    def value(cell: Cell) -> tuple[float, str]:
        found = cell.value(measure, currency)
        return (float(found), money(found, currency)) if measure is Measure.AMOUNT else (int(found), number(int(found)))

    return value
