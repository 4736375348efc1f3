"""Filters as SQL: what `operators.matches` says of one value, for ClickHouse to say of all. Values are only ever bound.

An expression that is not set is NULL, and NULL satisfies nothing but `is not set`: that is what SQL's own logic makes
of comparisons with NULL, so no filter is ever negated as a whole.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from engage.conditions.catalog import Kind, Property
from engage.conditions.model import Filter
from engage.conditions.moments import Clock, Stretch, Window
from engage.conditions.operators import DAY, FIRST_YEAR, LAST_YEAR, NUMBER, TIME, Operator

_SIGNS: Final = {
    Operator.EQUALS: "=",
    Operator.NOT_EQUALS: "!=",
    Operator.GREATER_THAN: ">",
    Operator.AT_LEAST: ">=",
    Operator.LESS_THAN: "<",
    Operator.AT_MOST: "<=",
}
_TEXT: Final = {
    Operator.EQUALS: "{0} = {1}",
    Operator.NOT_EQUALS: "{0} != {1}",
    Operator.CONTAINS: "position({0}, {1}) > 0",
    Operator.NOT_CONTAINS: "position({0}, {1}) = 0",
    Operator.STARTS_WITH: "startsWith({0}, {1})",
    Operator.NOT_STARTS_WITH: "NOT startsWith({0}, {1})",
    Operator.ENDS_WITH: "endsWith({0}, {1})",
    Operator.NOT_ENDS_WITH: "NOT endsWith({0}, {1})",
    Operator.IN: "{0} IN {1}",
    Operator.NOT_IN: "{0} NOT IN {1}",
}
TIME_TYPE: Final = "DateTime64(3, 'UTC')"


@dataclass(slots=True)
class Parameters:
    """Collects what is bound; each value once."""

    values: dict[str, Any] = field(default_factory=dict)
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def bind(self, value: Any, kind: str) -> str:
        """The placeholder for `value` as ClickHouse's type `kind`."""
        key = (repr(value), kind)
        if key not in self._known:
            name = f"p{len(self.values)}"
            self.values[name] = value
            self._known[key] = f"{{{name}:{kind}}}"
        return self._known[key]

    def text(self, value: str) -> str:
        """Text."""
        return self.bind(str(value), "String")  # a metric is text of a type of its own

    def time(self, moment: datetime) -> str:
        """A moment, to the millisecond; bound as text, since clients disagree about fractions."""
        told = moment.astimezone(UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")
        return self.bind(told, TIME_TYPE)

    def day(self, day: date) -> str:
        """A calendar day."""
        return self.bind(day.isoformat(), "Date32")

    def number(self, number: Decimal, scale: int) -> str:
        """An exact number with `scale` decimals."""
        return self.bind(_plain(number), _decimal(scale))


def expression(about: Property, parameters: Parameters) -> str:
    """The property's value in SQL, NULL when not set."""
    return about.sql.format(*(parameters.text(value) for value in about.bound))


def condition(each: Filter, about: Property, parameters: Parameters, clock: Clock) -> str:
    """The filter as a condition; NULL counts as false."""
    value = expression(about, parameters)
    operator, operand = each.operator, each.operand
    if operator in (Operator.IS_SET, Operator.IS_NOT_SET):
        present = f"notEmpty({value})" if about.kind is Kind.LIST else f"({value}) IS NOT NULL"
        return present if operator is Operator.IS_SET else f"NOT {present}"
    if isinstance(operand, Window):
        return _when(about, value, clock.stretch(operand), parameters, clock)
    if isinstance(operand, bool):
        if about.kind is Kind.FLAG:
            return f"{value} = {parameters.bind(operand, 'Bool')}"
        return f"lower({value}) = {parameters.text(str(operand).lower())}"
    if about.kind is Kind.LIST:
        found = f"has({value}, {parameters.text(str(operand))})"
        return found if operator is Operator.CONTAINS else f"(notEmpty({value}) AND NOT {found})"
    first = operand[0] if isinstance(operand, tuple) else operand
    if isinstance(first, Decimal):
        return _number(about, value, operator, operand, parameters)
    bound = parameters.text(operand) if isinstance(operand, str) else parameters.bind(_list(operand), "Array(String)")
    return _TEXT[operator].format(value, bound)


def within(stretch: Stretch, value: str, parameters: Parameters) -> list[str]:
    """The conditions that put a time `value` into `stretch`."""
    found = []
    if stretch.start is not None:
        found.append(f"{value} >= {parameters.time(stretch.start)}")
    if stretch.end is not None:
        found.append(f"{value} < {parameters.time(stretch.end)}")
    return found


def compared(value: str, operator: Operator, bound: str) -> str:
    """Two numbers."""
    return f"{value} {_SIGNS[operator]} {bound}"


def _list(operand: Any) -> list[Any]:
    return list(operand)


def _plain(number: Decimal) -> str:
    """Digits alone, without an exponent."""
    return f"{number:f}"


def _decimal(scale: int) -> str:
    return "Decimal(76, 18)" if scale > 3 else f"Decimal(38, {scale})"


def _number(about: Property, value: str, operator: Operator, operand: Any, parameters: Parameters) -> str:
    scale = about.scale
    if about.kind is Kind.FREE:
        scale = 18
        value = f"if(match({value}, '^(?:{_sql_regex(NUMBER)})$'), toDecimal256OrNull({value}, 18), NULL)"
    if operator is Operator.BETWEEN:
        low, high = (parameters.number(number, scale) for number in operand)
        return f"({value} >= {low} AND {value} <= {high})"
    if operator in (Operator.IN, Operator.NOT_IN):
        sign, joint = (" = ", " OR ") if operator is Operator.IN else (" != ", " AND ")
        return f"({joint.join(value + sign + parameters.number(number, scale) for number in operand)})"
    return compared(value, operator, parameters.number(operand, scale))


def _when(about: Property, value: str, stretch: Stretch, parameters: Parameters, clock: Clock) -> str:
    if about.kind is Kind.TIME:
        return f"({' AND '.join(within(stretch, value, parameters))})"
    first, last = clock.days(stretch)
    if about.kind is Kind.DAY:
        return f"({' AND '.join(_days(value, first, last, parameters))})"
    # Text: a day that the calendar has (the engine takes February 30 for March 2), or a time on such a day.
    day = f"toDate32OrNull(substring({value}, 1, 10))"
    real = f"toString({day}) = substring({value}, 1, 10)"
    as_day = [real, f"toYear({day}) BETWEEN {FIRST_YEAR} AND {LAST_YEAR}", *_days(day, first, last, parameters)]
    time = f"parseDateTime64BestEffortOrNull({value}, 3, 'UTC')"
    as_time = [real, f"toYear({time}) BETWEEN {FIRST_YEAR} AND {LAST_YEAR}", *within(stretch, time, parameters)]
    return (
        f"multiIf(match({value}, '^(?:{_sql_regex(DAY)})$'), {' AND '.join(as_day)}, "
        f"match({value}, '^(?:{_sql_regex(TIME)})$'), {' AND '.join(as_time)}, NULL)"
    )


def _days(value: str, first: date | None, last: date | None, parameters: Parameters) -> list[str]:
    found = [f"{value} >= {parameters.day(first)}"] if first else []
    return found + ([f"{value} <= {parameters.day(last)}"] if last else [])


def _sql_regex(pattern: str) -> str:
    return pattern.replace("\\", "\\\\")
