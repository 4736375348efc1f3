"""How `tillstream metrics` shows one metric: a chart, its parts, a table, or lines for a spreadsheet."""

import csv
from decimal import Decimal
from typing import Final, TextIO
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from reports.metrics import Answer, Cell, Measure, Series
from reports.spreadsheet import METRIC_HEAD, metric_lines
from reports.text import change, money, number, period, tick
from schemas.metrics import Metric
from tillstream.charts import bar, chart, sparkline

COLOURS: Final = {
    Metric.SUCCESSFULLY_PAID: "green",
    Metric.FAILED_PAYMENT: "red",
    Metric.REFUNDED_PAYMENT: "yellow",
    Metric.ISSUED_INVOICE: "cyan",
    Metric.UPCOMING_INVOICE: "blue",
    Metric.CREDIT_NOTE: "magenta",
    Metric.DISPUTE: "bright_red",
    Metric.SUBSCRIPTION_STARTED: "bright_green",
    Metric.SUBSCRIPTION_CHANGED: "bright_cyan",
    Metric.SUBSCRIPTION_CANCELED: "bright_yellow",
    Metric.TRIAL_ENDING: "bright_blue",
}
_BAR: Final = 20  # columns of the longest bar in a table, where there is room
_PART: Final = 32  # and of a part's chart
CSV_HEAD: Final = ("metric", *METRIC_HEAD)


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
    values = [found.whole.at(begin).value(measure, found.currency) for begin in found.periods]
    largest = max(values, default=Decimal(0))
    top = money(largest, found.currency) if measure is Measure.AMOUNT else number(int(largest))
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
        values = [float(part.series.at(begin).value(measure, found.currency)) for begin in found.periods]
        table.add_row(
            Text(part.name(found.question.split), overflow="fold"),
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
    values = {begin: found.whole.at(begin).value(measure, found.currency) for begin in found.periods}
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
    """The lines of `reports.spreadsheet` for each metric, which comes first in them."""
    out = csv.writer(file)
    out.writerow(CSV_HEAD)
    for found in answers:
        out.writerows((found.question.metric.slug, *line) for line in metric_lines(found))


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
