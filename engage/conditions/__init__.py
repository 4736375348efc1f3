"""Klaviyo's condition model: what YAML says of people and of facts, as SQL and in Python. Pure: no I/O here.

For other parts:

- `parse(text, name) -> Definition` reads a segment's YAML and raises `Invalid` with its `problems`;
  `validate(text) -> list[Problem(line, column, message, nearest)]` names all mistakes, for an editor.
- `Reader` with `event_filters` (a `where:`), `person_filters` (a `person:`) and `group` (conditions in a list) read the
  same YAML inside other files: `reader.problems` is what was wrong.
- `event_matches(filters, event, clock)` asks a metric event (a dict as on `metrics.*`) in pure Python;
  `matches(value, operator, operand, clock)` asks one value.
- `compile_members(definition, clock) -> Query(text, parameters)` gives `email, livemode` of the members,
  `compile_counts` how many satisfy each condition: for ClickHouse's HTTP interface with bound parameters, in the
  database that holds the views.

`Clock(now, timezone)` is what time it is, and where days begin.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from engage.conditions.catalog import of_event
from engage.conditions.compile import compile_counts, compile_members
from engage.conditions.model import Condition, Definition, Filter, Group
from engage.conditions.moments import Clock
from engage.conditions.operators import Operator, matches
from engage.conditions.problems import Invalid, Problem, Reader
from engage.conditions.reading import group, metric_of, parse, validate
from engage.conditions.reading_filters import event_filters, person_filters

__all__ = [
    "Clock",
    "Condition",
    "Definition",
    "Filter",
    "Group",
    "Invalid",
    "Operator",
    "Problem",
    "Reader",
    "compile_counts",
    "compile_members",
    "event_filters",
    "event_matches",
    "event_value",
    "group",
    "matches",
    "metric_of",
    "parse",
    "person_filters",
    "validate",
]


def event_value(event: Mapping[str, Any], name: str) -> Any:
    """A property of a metric event (a dict as on `metrics.*`), None when not set. Raises KeyError for no such name."""
    about = of_event(name)
    if about is None:
        raise KeyError(name)
    return about.read(event)


def event_matches(filters: Iterable[Filter], event: Mapping[str, Any], clock: Clock) -> bool:
    """Whether the metric event satisfies all `filters`."""
    return all(matches(event_value(event, each.property), each.operator, each.operand, clock) for each in filters)
