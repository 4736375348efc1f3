"""What a filter asks of one value, in Python. `engage.conditions.sql` asks ClickHouse the same; a test compares them.

**A value that is not set satisfies `is not set` and nothing else**: neither `equals` nor `not equals`, neither true nor
false. Source: Klaviyo, "Understanding changes to how segment conditions evaluate null or empty values" (help center,
article 14837232353691): properties that don't exist are excluded from boolean and text conditions. Whoever wants them
adds `is not set` beside the other condition. Empty text and an empty list are not set, since Stripe removes a metadata
key whose value is emptied.

A value that can't be read as what the operator compares (text that is no number, no date, neither true nor false)
satisfies none of that kind's operators, as if it were not set. Text is compared exactly, upper and lower case differ.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from engage.conditions.moments import Clock, Window

Operand = bool | Decimal | str | Window | tuple[str, ...] | tuple[Decimal, ...] | None

# What text has to look like, whole, to be read as another kind; Python's and ClickHouse's syntax alike.
NUMBER: Final = r"[+-]?[0-9]{1,30}(\.[0-9]{1,18})?"
DAY: Final = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME: Final = DAY + r"[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])"
FIRST_YEAR: Final = 1971  # of dates that can be compared: what ClickHouse holds in any timezone
LAST_YEAR: Final = 2298


class Operator(StrEnum):
    """As it is written in YAML. Which operand it takes is in `engage.conditions.reading`."""

    IS_SET = "is set"
    IS_NOT_SET = "is not set"
    EQUALS = "equals"  # text or a number
    NOT_EQUALS = "not equals"
    IN = "in"  # texts or numbers
    NOT_IN = "not in"
    CONTAINS = "contains"  # part of a text, or an element of a list
    NOT_CONTAINS = "not contains"
    STARTS_WITH = "starts with"
    NOT_STARTS_WITH = "not starts with"
    ENDS_WITH = "ends with"
    NOT_ENDS_WITH = "not ends with"
    GREATER_THAN = "greater than"
    AT_LEAST = "at least"
    LESS_THAN = "less than"
    AT_MOST = "at most"
    BETWEEN = "between"  # two numbers, or two moments; both ends belong to it
    IS = "is"  # true or false
    DATE = "date"  # any window: in the last, in the next, before, after, on, between moments


def is_set(value: Any) -> bool:
    """Whether there is a value: None, empty text and an empty list are none."""
    return value is not None and value not in ("", [], ())


def matches(value: Any, operator: Operator, operand: Operand, clock: Clock | None = None) -> bool:
    """Whether `value` satisfies the filter. `clock` is needed for dates alone.

    `value` is text, a number, a bool, a datetime with a timezone, a date, a list of texts, or None when not set. What
    is compared follows from the operand: numbers with a Decimal, text with a str, time with a Window.
    """
    if operator in (Operator.IS_SET, Operator.IS_NOT_SET):
        return is_set(value) == (operator is Operator.IS_SET)
    if not is_set(value):
        return False
    if isinstance(operand, Window):
        assert clock is not None, "dates need a clock"
        return _in_window(value, operand, clock)
    if operator is Operator.IS:
        return as_flag(value) is operand
    if isinstance(operand, Decimal) or (isinstance(operand, tuple) and isinstance(operand[0], Decimal)):
        return _number(as_number(value), operator, operand)
    if isinstance(value, list | tuple):
        return (operand in value) == (operator is Operator.CONTAINS)
    return isinstance(value, str) and _text(value, operator, operand)


def as_number(value: Any) -> Decimal | None:
    """A number, or text that is one (at most 30 digits before and 18 after the point); else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and re.fullmatch(NUMBER, value) else None


def as_flag(value: Any) -> bool | None:
    """A bool, or the text true or false in any case; else None."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) and value.isascii() else None


def as_time(value: Any) -> datetime | date | None:
    """A time or a day; of text, RFC 3339 with an offset or YYYY-MM-DD. None for anything else, or out of 1971–2298."""
    if isinstance(value, str):
        try:
            if re.fullmatch(DAY, value):
                value = date.fromisoformat(value)
            elif re.fullmatch(TIME, value):
                value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    return value if isinstance(value, date) and FIRST_YEAR <= value.year <= LAST_YEAR else None


def _in_window(value: Any, window: Window, clock: Clock) -> bool:
    found = as_time(value)
    stretch = clock.stretch(window)
    if isinstance(found, datetime):
        return stretch.holds(found)
    if found is None:
        return False
    first, last = clock.days(stretch)
    return (first is None or found >= first) and (last is None or found <= last)


def _number(value: Decimal | None, operator: Operator, operand: Decimal | Sequence[Any]) -> bool:
    if value is None:
        return False
    if isinstance(operand, tuple):
        if operator is Operator.BETWEEN:
            return bool(operand[0] <= value <= operand[1])
        return (value in operand) == (operator is Operator.IN)
    assert isinstance(operand, Decimal)
    return compare(value, operator, operand)


def compare(value: Decimal | int, operator: Operator, operand: Decimal) -> bool:
    """Two numbers. Raises KeyError for an operator that is none of numbers."""
    return {
        Operator.EQUALS: value == operand,
        Operator.NOT_EQUALS: value != operand,
        Operator.GREATER_THAN: value > operand,
        Operator.AT_LEAST: value >= operand,
        Operator.LESS_THAN: value < operand,
        Operator.AT_MOST: value <= operand,
    }[operator]


def _text(value: str, operator: Operator, operand: Any) -> bool:
    match operator:
        case Operator.EQUALS | Operator.NOT_EQUALS:
            return bool(value == operand) == (operator is Operator.EQUALS)
        case Operator.IN | Operator.NOT_IN:
            return (value in operand) == (operator is Operator.IN)
        case Operator.CONTAINS | Operator.NOT_CONTAINS:
            return (operand in value) == (operator is Operator.CONTAINS)
        case Operator.STARTS_WITH | Operator.NOT_STARTS_WITH:
            return value.startswith(operand) == (operator is Operator.STARTS_WITH)
        case Operator.ENDS_WITH | Operator.NOT_ENDS_WITH:
            return value.endswith(operand) == (operator is Operator.ENDS_WITH)
    raise AssertionError(f"{operator} compares no text")
