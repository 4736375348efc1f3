"""What `static/console.js` draws: numbers as they are drawn, and beside each the exact text that is shown. Pure."""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from console.days import Interval
from console.numbers import Answer, Cell, Overview, Split
from console.text import money, number, period
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


class Measure(StrEnum):
    """What a metric's chart shows."""

    COUNT = "count"
    AMOUNT = "amount"
    PEOPLE = "people"


def of_overview(found: Overview, metrics: tuple[Metric, ...]) -> dict[str, Any]:
    """Counts by day, a line a metric."""
    return {
        "labels": [period(day, Interval.DAY) for day in found.days],
        "ticks": [f"{day.day} {day:%b}" for day in found.days],
        "series": [
            _series(metric.value, COLOUR_OF[metric], [found.cell(metric, day) for day in found.days], _count)
            for metric in metrics
        ],
    }


def currency_of(found: Answer) -> str:
    """The one currency whose amounts are drawn: on one axis others would lie. '' when nothing happened."""
    return found.question.currency or next(iter(found.currencies), "")


def of_answer(found: Answer, measure: Measure) -> tuple[dict[str, Any], int]:
    """The chart, a line a part, and how many lines there are in all (at most DRAWN_AT_MOST are in it)."""
    question, currency = found.question, currency_of(found)
    lines: list[tuple[str, list[Cell], Callable[[Cell], tuple[float, str]]]] = []
    for part in found.parts:
        if measure is Measure.AMOUNT and currency not in found.cell(None, part).amounts:
            continue
        cells = [found.cell(begin, part) for begin in found.periods]
        lines.append((_name(part, question.split) or question.metric.value, cells, _value(measure, currency)))
    drawn = lines[:DRAWN_AT_MOST]
    colours = (COLOUR_OF[question.metric],) if len(drawn) == 1 else _COLOURS
    tick = "%b %Y" if question.interval is Interval.MONTH else "%b"
    chart = {
        "labels": [period(begin, question.interval) for begin in found.periods],
        "ticks": [
            f"{begin:{tick}}" if question.interval is Interval.MONTH else f"{begin.day} {begin:{tick}}"
            for begin in found.periods
        ],
        "series": [
            _series(label, colour, cells, value) for (label, cells, value), colour in zip(drawn, colours, strict=False)
        ],
    }
    return chart, len(lines)


def _name(part: str, split: Split) -> str:
    return part.upper() if split is Split.CURRENCY else part


def _series(label: str, colour: str, cells: list[Cell], value: Callable[[Cell], tuple[float, str]]) -> dict[str, Any]:
    points = [value(cell) for cell in cells]
    return {"label": label, "colour": colour, "values": [at for at, _ in points], "texts": [text for _, text in points]}


def _count(cell: Cell) -> tuple[float, str]:
    return cell.count, number(cell.count)


def _value(measure: Measure, currency: str) -> Callable[[Cell], tuple[float, str]]:
    if measure is Measure.COUNT:
        return _count
    if measure is Measure.PEOPLE:
        return lambda cell: (cell.people, number(cell.people))

    def amount(cell: Cell) -> tuple[float, str]:
        total = cell.amounts.get(currency, Decimal(0))
        return float(total), money(total, currency)

    return amount
