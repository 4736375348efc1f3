"""One statement with its values beside it, and how values and names are written for ClickHouse."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

_PARAMETER = re.compile(r"\{(\w+):([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Query:
    """`{name:Type}` in `text` are bound from `parameters` by ClickHouse, never by us."""

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """One statement without parameters that asks the same. For people: it is never sent."""
        return _PARAMETER.sub(lambda match: _written(self.parameters[match[1]], match[2]), self.text)


def bound(value: Any) -> str:
    """A value as a parameter is sent: text with its escapes, a time in UTC (one without a timezone is UTC's)."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_element(item) for item in value) + "]"
    return str(value)


def _element(value: Any) -> str:
    """A value inside an array, which is read as SQL is."""
    if isinstance(value, str):
        return literal(value)
    return f"'{bound(value)}'" if isinstance(value, date) else bound(value)  # a datetime is a date too


def _moment(value: datetime) -> str:
    """A fraction only where there is one: the type DateTime takes none."""
    told = (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None)
    return told.isoformat(" ", "milliseconds" if told.microsecond else "seconds")


def identifier(name: str) -> str:
    """A name quoted for ClickHouse."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(value: Any) -> str:
    """A value as ClickHouse's SQL. Raises TypeError for a kind that no query here has."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, datetime):
        return f"toDateTime64('{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03}', 3, 'UTC')"
    if isinstance(value, date):
        return f"toDate('{value}')"
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    raise TypeError(f"no literal for {type(value).__name__}")


def _written(value: Any, kind: str) -> str:
    """Text that stands for a value of another kind says so."""
    as_text = isinstance(value, str) and kind != "String"
    return f"CAST({literal(value)}, {literal(kind)})" if as_text else literal(value)
