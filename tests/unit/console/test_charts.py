"""What is drawn is what was answered: one axis has one unit, and each point its exact text."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from console.charts import DRAWN_AT_MOST, of_answer, of_revenue
from reports.days import Interval, before, periods
from reports.metrics import Answer, Cell, Measure, Part, Question, Series
from reports.properties import Property
from reports.summary import Summary
from schemas.metrics import Metric

DAY = date(2026, 1, 5)
LONDON = ZoneInfo("Europe/London")


def series() -> Series:
    """Twice on the first of two days, for 10 USD and 500 JPY."""
    cell = Cell(2, 1, {"usd": Decimal("10.000"), "jpy": Decimal("500.000")})
    return Series(cell, {DAY: cell}, {"usd": 2, "jpy": 1})


def answer(parts: list[str], split: str = "") -> Answer:
    question = Question(
        Metric.FAILED_PAYMENT, DAY, date(2026, 1, 6), True, split=Property.parse(split) if split else None
    )
    days = periods(DAY, question.last, Interval.DAY)
    return Answer(question, days, series(), [Part(value, False, series()) for value in parts], ())


def test_a_day_without_events_is_drawn_as_zero() -> None:
    chart, lines = of_answer(answer([]), Measure.COUNT, LONDON)
    assert lines == 1
    assert chart["series"][0]["values"] == [2, 0]
    assert chart["series"][0]["label"] == "Failed Payment"


def test_amounts_of_one_currency_alone_share_an_axis() -> None:
    usd, _ = of_answer(answer(["a", "b"], "reason"), Measure.AMOUNT, LONDON)
    assert [one["values"] for one in usd["series"]] == [[10.0, 0.0], [10.0, 0.0]]
    assert usd["series"][0]["texts"][0] == "10.00\N{NO-BREAK SPACE}USD"


def test_a_part_without_the_drawn_currency_is_not_drawn_as_nothing() -> None:
    found = answer(["a"], "reason")
    found.parts.append(Part("b", False, Series(Cell(1, 1, {"jpy": Decimal(500)}))))
    chart, lines = of_answer(found, Measure.AMOUNT, LONDON)
    assert ([one["label"] for one in chart["series"]], lines) == (["a"], 1)


def test_no_more_lines_are_drawn_than_can_be_told_apart() -> None:
    chart, lines = of_answer(answer([str(n) for n in range(20)], "reason"), Measure.PEOPLE, LONDON)
    assert (len(chart["series"]), lines) == (DRAWN_AT_MOST, 20)
    assert len({one["colour"] for one in chart["series"]}) == DRAWN_AT_MOST


def test_nothing_at_all_makes_an_empty_chart() -> None:
    chart, lines = of_answer(answer([], "reason"), Measure.AMOUNT, LONDON)
    assert (chart["series"], lines) == ([], 0)


def test_the_time_before_is_drawn_point_by_point_and_says_its_own_days() -> None:
    found = answer([])
    first, last = before(DAY, found.question.last)
    earlier = periods(first, last, Interval.DAY)
    found = replace(found, earlier=Series(cells={last: Cell(7)}), earlier_periods=earlier)
    chart, _ = of_answer(found, Measure.COUNT, LONDON)
    assert chart["series"][1]["values"] == [0, 7]
    assert chart["series"][1]["texts"][1] == "7 (Sun 4 Jan 2026)"


def test_a_night_of_25_hours_shows_the_hour_that_came_twice() -> None:
    """London's clocks went back on 25 October 2026 at 01:00 UTC."""
    night = date(2026, 10, 25)
    hours = periods(night, night, Interval.HOUR, ("Europe/London",))
    assert len(hours) == 25
    assert hours[0] == datetime(2026, 10, 24, 23, tzinfo=UTC)
    assert all(later - earlier == timedelta(hours=1) for earlier, later in pairwise(hours))
    question = Question(Metric.FAILED_PAYMENT, night, night, True, Interval.HOUR)
    chart, _ = of_answer(Answer(question, hours, Series(), [], ()), Measure.COUNT, LONDON)
    assert chart["labels"][1:3] == [
        "Sun 25 Oct 2026, 01:00 (UTC+0100)",
        "Sun 25 Oct 2026, 01:00 (UTC+0000)",
    ]


def summary(begun: dict[Metric, datetime]) -> Summary:
    """Of two days: 10.00 paid on the first, 15.00 refunded on the second; 4.00 paid two days before the first."""
    paid, refunded = Cell(1, 1, {"usd": Decimal(10)}), Cell(1, 1, {"usd": Decimal(15), "eur": Decimal(1)})
    nothing = {metric: Series() for metric in Metric}
    first, last = before(DAY, date(2026, 1, 6))
    return Summary(
        DAY,
        date(2026, 1, 6),
        periods(DAY, date(2026, 1, 6), Interval.DAY),
        periods(first, last, Interval.DAY),
        nothing
        | {
            Metric.SUCCESSFULLY_PAID: Series(paid, {DAY: paid}, {"usd": 1}),
            Metric.REFUNDED_PAYMENT: Series(refunded, {date(2026, 1, 6): refunded}, {"eur": 1, "usd": 1}),
        },
        nothing | {Metric.SUCCESSFULLY_PAID: Series(cells={first: Cell(1, 0, {"usd": Decimal(4)})})},
        begun,
    )


def test_net_revenue_is_what_was_paid_less_what_was_refunded_and_may_be_less_than_nothing() -> None:
    found = summary({})
    chart = of_revenue(found, found.currency, LONDON)
    assert [one["values"] for one in chart["series"]] == [[10.0, -15.0], [4.0, 0.0]]
    assert chart["series"][0]["texts"][1] == "-15.00\N{NO-BREAK SPACE}USD"
    assert chart["series"][1]["texts"][0] == "4.00\N{NO-BREAK SPACE}USD (Sat 3 Jan 2026)"
    assert chart["series"][1]["dashed"]


def test_days_before_of_which_nothing_is_known_are_not_drawn_as_days_without_revenue() -> None:
    found = summary({Metric.SUCCESSFULLY_PAID: datetime(2026, 1, 4, tzinfo=UTC)})
    assert [one["label"] for one in of_revenue(found, found.currency, LONDON)["series"]] == ["Net revenue"]
