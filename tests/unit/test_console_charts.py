"""What is drawn is what was answered: one axis has one unit, and each point its exact text."""

from datetime import date
from decimal import Decimal

from console.charts import DRAWN_AT_MOST, Measure, of_answer
from console.days import Interval, periods
from console.numbers import Answer, Cell, Question, Split
from schemas.metrics import Metric

DAY = date(2026, 1, 5)


def answer(parts: list[str], split: Split, currency: str = "") -> Answer:
    """Each part happened twice on one of two days, for 10 USD and 500 JPY."""
    question = Question(Metric.FAILED_PAYMENT, DAY, date(2026, 1, 6), True, Interval.DAY, split, currency)
    cell = Cell(2, 1, {"usd": Decimal("10.000"), "jpy": Decimal("500.000")})
    cells = {(day, part): cell for part in parts for day in (DAY, None)}
    return Answer(question, periods(DAY, question.last, Interval.DAY), parts, ["usd", "jpy"], cells, ())


def test_a_day_without_events_is_drawn_as_zero() -> None:
    chart, lines = of_answer(answer([""], Split.NONE), Measure.COUNT)
    assert lines == 1
    assert chart["series"][0]["values"] == [2, 0]
    assert chart["series"][0]["label"] == "Failed Payment"


def test_amounts_of_one_currency_alone_share_an_axis() -> None:
    usd, _ = of_answer(answer(["a", "b"], Split.REASON), Measure.AMOUNT)
    jpy, _ = of_answer(answer(["a", "b"], Split.REASON, "jpy"), Measure.AMOUNT)
    assert [series["values"] for series in usd["series"]] == [[10.0, 0.0], [10.0, 0.0]]
    assert usd["series"][0]["texts"][0] == "10.00\N{NO-BREAK SPACE}USD"
    assert [series["values"][0] for series in jpy["series"]] == [500.0, 500.0]


def test_no_more_lines_are_drawn_than_can_be_told_apart() -> None:
    chart, lines = of_answer(answer([str(n) for n in range(20)], Split.REASON), Measure.PEOPLE)
    assert (len(chart["series"]), lines) == (DRAWN_AT_MOST, 20)
    assert len({series["colour"] for series in chart["series"]}) == DRAWN_AT_MOST


def test_nothing_at_all_makes_an_empty_chart() -> None:
    chart, lines = of_answer(answer([], Split.REASON), Measure.AMOUNT)
    assert (chart["series"], lines) == ([], 0)
