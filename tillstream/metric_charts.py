"""How `tillstream metrics` shows one metric: a chart, its parts, a table, or lines for a spreadsheet."""

import csv
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, TextIO
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from console.charts import currency_of, part_name, tick
from console.forms import Measure
from reports.days import Interval
from reports.metrics import Answer, Cell, Series
from reports.text import change, exact, harmless, iso, money, number, period
from schemas.metrics import Metric
from tillstream.charts import bar, chart, sparkline

COLOURS: Final = {
    Metric.SUCCESSFULLY_PAID: "green",
    Metric.FAILED_PAYMENT: "red",
    Metric.REFUNDED_PAYMENT: "yellow",
    Metric.ISSUED_INVOICE: "cyan",
    Metric.UPCOMING_INVOICE: "blue",
}
_BAR: Final = 20  # columns of the longest bar in a table, where there is room
_PART: Final = 32  # and of a part's chart
CSV_HEAD: Final = ("metric", "period", "part", "count", "unique_profiles", "currency", "amount")


def heading(found: Answer) -> Text:
    """The metric, and what it comes to."""
    total, metric = found.whole.total, found.question.metric
    text = Text.assemble((metric.value, f"bold {COLOURS[metric]}"), "  ", (number(total.count), "bold"))
    text.append(f"  {number(total.people)} {'person' if total.people == 1 else 'people'}", "dim")
    for currency in found.whole.currencies:
        text.append(f"  {money(total.amounts[currency], currency)}")
    if found.begun is not None:
        text.append(f"  nothing is known from before {found.begun:%Y-%m-%d}", "dim")
    changed = change(total.count, found.earlier.total.count) if found.earlier and found.begun is None else ""
    if changed:
        days = (found.question.last - found.question.first).days + 1
        before = f"the {days} days before" if days > 1 else "the day before"
        text.append(f"  {changed}" + ("" if changed == "as before" else f" on {before}"), "dim")
    return text


def drawn(found: Answer, measure: Measure, zone: ZoneInfo, width: int, height: int) -> Text:
    """The chart; of money, that of the most frequent currency."""
    question = found.question
    values = [_value(found, found.whole.at(begin), measure) for begin in found.periods]
    largest = max(values, default=Decimal(0))
    top = money(largest, currency_of(found)) if measure is Measure.AMOUNT else number(int(largest))
    ticks = [tick(begin, question.interval, zone) for begin in found.periods]
    lines = chart([float(value) for value in values], ticks, top, width=width, height=height)
    text = Text(no_wrap=True, overflow="crop")
    for line in lines:
        head, mark, bars = line.partition("┤") if "┤" in line else line.partition("│")
        text.append(head + mark, "dim").append(bars + "\n", COLOURS[question.metric] if mark else "dim")
    text.rstrip()
    return text


def parts(found: Answer, measure: Measure, width: int) -> Table:
    """A line a part, each with its own small chart."""
    assert found.question.split is not None
    label = found.question.split.label.lower()
    table = _table(label, "", "count", "people", "amount", folds=label)
    for part in found.parts:
        values = [float(_value(found, part.series.at(begin), measure)) for begin in found.periods]
        table.add_row(
            Text(part_name(part, found.question.split), overflow="fold"),
            Text(sparkline(values[-min(_PART, width // 5) :]), COLOURS[found.question.metric]),
            number(part.series.total.count),
            number(part.series.total.people),
            _amounts(part.series.total, part.series),
        )
    return table


def table(found: Answer, measure: Measure, zone: ZoneInfo, width: int) -> Table:
    """A line a period, the newest last: right above the prompt. It begins with the first in which something was."""
    question = found.question
    shown = _table(question.interval.value, "", "count", "people", "amount")
    values = {begin: _value(found, found.whole.at(begin), measure) for begin in found.periods}
    top = float(max(values.values(), default=Decimal(0)))
    for begin in found.periods[_empty(found) :]:
        cell = found.whole.at(begin)
        style = "" if cell.count else "dim"
        shown.add_row(
            Text(period(begin, question.interval, zone), style),
            Text(bar(float(values[begin]), top, min(_BAR, width // 6)), COLOURS[question.metric]),
            Text(number(cell.count), style),
            Text(number(cell.people), style),
            _amounts(cell, found.whole),
        )
    return shown


def write_csv(file: TextIO, answers: list[Answer]) -> None:
    """A line a metric, period, part and currency; a period without events has one, so that none is missing."""
    out = csv.writer(file)
    out.writerow(CSV_HEAD)
    for found in answers:
        split = found.question.split
        named = [(part_name(part, split), part.series) for part in found.parts] if split else []
        for begin in found.periods:
            at = iso(begin) if found.question.interval is Interval.HOUR else begin  # type: ignore[arg-type]
            for name, series in named or [("", found.whole)]:
                for line in _lines(series.at(begin)):
                    out.writerow((found.question.metric.slug, at, harmless(name), *line))


def _lines(cell: Cell) -> Iterator[tuple[Any, ...]]:
    amounts = [(currency, exact(amount, currency)) for currency, amount in sorted(cell.amounts.items())]
    for currency, amount in amounts or [("", "")]:
        yield cell.count, cell.people, currency, amount


def _value(found: Answer, cell: Cell, measure: Measure) -> Decimal:
    if measure is Measure.AMOUNT:
        return cell.amounts.get(currency_of(found), Decimal(0))
    return Decimal(cell.people if measure is Measure.PEOPLE else cell.count)


def _empty(found: Answer) -> int:
    """How many periods pass before something happens; one of them is shown."""
    empty = next((number for number, begin in enumerate(found.periods) if found.whole.at(begin).count), 0)
    return max(empty - 1, 0)


def _amounts(cell: Cell, series: Series) -> Text:
    """In the same order in every line."""
    return Text(", ".join(money(cell.amounts[each], each) for each in series.currencies if each in cell.amounts))


def _table(*columns: str, folds: str = "amount") -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        numbers = name in ("count", "people", "amount")
        table.add_column(name, justify="right" if numbers else "left", no_wrap=name not in ("amount", folds))
    return table
