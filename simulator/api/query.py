"""The query string of a list request → which part of the list is wanted. Refuses what Stripe refuses. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

from simulator.api.shelves import Cut, Row, Test
from simulator.errors import ApiError, bad_value, missing, unknown_parameter
from simulator.rendering.kinds import PAGING, Kind
from simulator.world.objects import Event

Json = dict[str, Any]
_LIMIT, _HIGHEST_LIMIT = 10, 100
_MOST_TYPES = 20
_FAR = 2**40
_ARRAY = re.compile(r"\[\d*\]$")  # types[] and types[0] mean the same


class Query(Protocol):
    """The query string: aiohttp's multidict, or anything like it."""

    def get(self, key: str, /) -> str | None:
        """The first value."""

    def items(self) -> Any:
        """All pairs, repeated names too."""


def array(query: Query, name: str) -> list[str]:
    """The values of `name[]`, `name[0]`…"""
    return [value for key, value in query.items() if key != name and _ARRAY.sub("", key) == name]


def number(query: Query, name: str, default: int, low: int, high: int) -> int:
    """A whole number within bounds. Raises ApiError."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise bad_value(name, f"Invalid integer: {text}", code="parameter_invalid_integer")
    if not low <= int(text) <= high:
        bound = f"greater than or equal to {low}" if int(text) < low else f"less than or equal to {high}"
        raise bad_value(name, f"This value must be {bound}.", code="parameter_invalid_integer")
    return int(text)


def check_names(query: Query, known: Callable[[str], bool]) -> None:
    """Raises ApiError for a parameter that is not `known`."""
    for key, _ in query.items():
        if not (known(key) or known(_ARRAY.sub("", key))):
            raise unknown_parameter(key)


def wanted(
    name: str, kind: Kind, query: Query, *, oldest: int, now: int, delivered: Callable[[Event], bool] | None = None
) -> Cut:
    """The cut of a list of `kind` that the query asks for, never before `oldest` or after `now`. Raises ApiError."""
    check_names(query, kind.knows)
    after, before = _cursors(query)
    equal = dict(_equalities(kind, query))
    tests = [_member(member, value) for member, value in equal.values()]
    tests += _special_tests(name, query, delivered)
    match = next((pair for pair in equal.values() if pair[0] in kind.indexed), None)
    low, high = _bounds(query)
    limit = number(query, "limit", _LIMIT, 1, _HIGHEST_LIMIT)
    return Cut(limit, max(low, oldest), min(high, now), after, before, match, tests)


def short_page(rows: Sequence[Json], noun: str, query: Query) -> tuple[Sequence[Json], bool]:
    """A page of a list that is short enough to be there whole, and whether there is more. Raises ApiError."""
    check_names(query, lambda name: name in PAGING)
    after, before = _cursors(query)
    limit = number(query, "limit", _LIMIT, 1, _HIGHEST_LIMIT)
    places = {row["id"]: place for place, row in enumerate(rows)}
    for param, cursor in (("starting_after", after), ("ending_before", before)):
        if cursor is not None and cursor not in places:
            raise missing(noun, cursor, param)
    if before is not None:
        rows = rows[: places[before]]
        return rows[-limit:], len(rows) > limit
    rows = rows[places[after] + 1 :] if after is not None else rows
    return rows[:limit], len(rows) > limit


def _cursors(query: Query) -> tuple[str | None, str | None]:
    after, before = query.get("starting_after"), query.get("ending_before")
    if after is not None and before is not None:
        raise bad_value("ending_before", "You can only specify one of these parameters: ending_before, starting_after.")
    return after, before


def _bounds(query: Query) -> tuple[int, int]:
    exact = number(query, "created", -1, 0, _FAR)
    if exact >= 0:
        return exact, exact
    low = max(number(query, "created[gte]", 0, 0, _FAR), number(query, "created[gt]", -1, 0, _FAR) + 1)
    high = min(number(query, "created[lte]", _FAR, 0, _FAR), number(query, "created[lt]", _FAR, 0, _FAR) - 1)
    return low, high


def _equalities(kind: Kind, query: Query) -> Iterator[tuple[str, tuple[str, str]]]:
    for parameter, member in kind.equal.items():
        value = query.get(parameter)
        if value is None or parameter == "delivery_success" or (kind.noun == "event" and member == "type"):
            continue
        if parameter in kind.values and value not in kind.values[parameter]:
            raise _not_one_of(parameter, kind.values[parameter])
        if parameter == "status" and (kind.noun == "subscription" and value in ("all", "ended")):
            continue
        yield parameter, (member, value)


def _not_one_of(parameter: str, values: tuple[str, ...]) -> ApiError:
    listed = f"{', '.join(values[:-1])}, or {values[-1]}"
    return bad_value(parameter, f"Invalid {parameter}: must be one of {listed}")


def _special_tests(name: str, query: Query, delivered: Callable[[Event], bool] | None) -> Iterator[Test]:
    """The filters that aren't a plain comparison of one member."""
    if name == "subscriptions":
        yield from _subscription_tests(query.get("status"))
    elif name == "invoices":
        yield lambda row: getattr(row, "status", None) != "deleted"
    elif name == "customers":
        yield lambda row: not getattr(row, "deleted", False)
    elif name == "payment_methods":
        yield lambda row: getattr(row, "customer", None) is not None
    elif name == "events":
        yield from _event_tests(query, delivered)


def _subscription_tests(status: str | None) -> Iterator[Test]:
    """As with Stripe, canceled ones are hidden unless `status` asks for them."""
    if status is None:
        yield lambda row: getattr(row, "status", None) != "canceled"
    elif status == "ended":
        yield lambda row: getattr(row, "status", None) in ("canceled", "incomplete_expired")


def _event_tests(query: Query, delivered: Callable[[Event], bool] | None) -> Iterator[Test]:
    types = set(array(query, "types"))
    if len(types) > _MOST_TYPES:
        raise bad_value("types", f"You can only specify up to {_MOST_TYPES} event types.")
    if types and query.get("type") is not None:
        raise bad_value("type", "You may only specify one of these parameters: type, types.")
    if types:
        yield lambda row: getattr(row, "type", None) in types
    if (pattern := query.get("type")) is not None:  # such as charge.failed or charge.*
        yield lambda row: isinstance(row, Event) and fnmatchcase(row.type, pattern)
    success = query.get("delivery_success")
    if success is not None:
        if success not in ("true", "false"):
            raise bad_value("delivery_success", f"Invalid boolean: {success}")
        if delivered is not None:
            told = delivered
            yield lambda row: isinstance(row, Event) and told(row) == (success == "true")


def _member(member: str, value: str) -> Test:
    def test(row: Row) -> bool:
        return getattr(row, member, None) == value

    return test
