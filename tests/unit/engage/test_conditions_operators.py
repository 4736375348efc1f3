"""What a filter asks of one value. Missing and unreadable values satisfy `is not set` alone, or nothing."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from engage.conditions import Clock, Operator, Reader, event_filters, event_matches, event_value, matches
from engage.conditions.moments import Window, parse_moment, parse_span
from engage.conditions.operators import Operand
from schemas.metrics import Metric
from tests.integration.sinks_support import fact

CLOCK = Clock(datetime(2026, 6, 15, 10, tzinfo=UTC), "Europe/Berlin")
LAST_DAY = Window(kind="in the last", span=parse_span("1 day"))
BEFORE_JUNE = Window(kind="before", first=parse_moment("2026-06-01"))


@pytest.mark.parametrize(
    ("value", "operator", "operand", "expected"),
    [
        ("Ada", "equals", "Ada", True),
        ("Ada", "equals", "ada", False),
        ("Ada", "not equals", "ada", True),
        ("a\\'b", "contains", "\\'", True),
        ("Zoë", "starts with", "Zo", True),
        ("Zoë", "not ends with", "e", True),
        ("x", "in", ("x", "y"), True),
        ("x", "not in", ("x", "y"), False),
        ("12.50", "equals", Decimal("12.5"), True),
        ("12.50", "equals", "12.5", False),
        (12, "between", (Decimal(12), Decimal(12)), True),
        (Decimal("0.1"), "greater than", Decimal("0.1"), False),
        ("9" * 30, "at least", Decimal("9" * 30), True),
        ("9" * 31, "at least", Decimal(0), False),
        ("1e5", "at least", Decimal(0), False),
        ("1\n", "at least", Decimal(0), False),
        ("٣", "at least", Decimal(0), False),
        ("TRUE", "is", True, True),
        ("no", "is", False, False),
        (False, "is", False, True),
        (["a", "b"], "contains", "a", True),
        (["ab"], "contains", "a", False),
        (["ab"], "not contains", "a", True),
        ("2026-05-31", "date", BEFORE_JUNE, True),
        ("2026-06-01", "date", BEFORE_JUNE, False),
        ("2026-05-31T23:30:00+01:30", "date", BEFORE_JUNE, False),  # 22:00 in UTC: June has begun in Berlin
        ("2026-05-31T21:59:59.999Z", "date", BEFORE_JUNE, True),
        ("2026-02-30", "date", BEFORE_JUNE, False),
        ("soon", "date", BEFORE_JUNE, False),
        (date(2026, 6, 14), "date", LAST_DAY, True),
        (datetime(2026, 6, 14, 10, tzinfo=UTC), "date", LAST_DAY, True),
    ],
)
def test_a_value_is_compared_as_its_operand_is(value: Any, operator: str, operand: Operand, expected: bool) -> None:
    assert matches(value, Operator(operator), operand, CLOCK) is expected


@pytest.mark.parametrize("value", [None, "", []])
@pytest.mark.parametrize("operator", Operator)
def test_what_is_not_set_satisfies_nothing_but_that(value: Any, operator: Operator) -> None:
    operands: list[Operand] = ["x", Decimal(0), ("x",), True, False, LAST_DAY]
    for operand in operands:
        assert matches(value, operator, operand, CLOCK) is (operator is Operator.IS_NOT_SET)


def test_a_flow_asks_an_event_by_the_same_names() -> None:
    told = fact(
        metric=Metric.FAILED_PAYMENT,
        reason="Your card was declined.",
        attempt_count=2,
        properties={"CardBrand": "visa", "metadata": {"charge": {"a.b": "c"}, "customer": {"plan": "pro"}}},
    )
    event = told.model_dump(mode="json")
    reader = Reader()
    text = "{Reason: {contains: declined}, AttemptCount: 2, Amount: {at least: 12.34}, Currency: usd, Disputed: no, "
    text += "CardBrand: visa, metadata.a.b: c, metadata.plan: {in: [pro]}, metadata.charge.plan: is not set}"
    node = reader.compose(text)
    assert node is not None
    filters = event_filters(reader, node, Metric.FAILED_PAYMENT)
    assert reader.problems == []
    assert len(filters) == 9
    assert event_matches(filters, event, CLOCK)
    assert not event_matches(filters, {**event, "attempt_count": 3}, CLOCK)
    assert event_value(event, "Charge") == "ch_1"
    with pytest.raises(KeyError):
        event_value(event, "Colour")
