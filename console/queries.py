"""SQL over the views, always with bound parameters; and the same with its values written in, to be shown to people."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from console.config import ConsoleConfig
from reports.days import Interval, span

_PARAMETER = re.compile(r"\{(\w+):([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Query:
    """`{name:Type}` in `text` are bound from `parameters`."""

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """One statement without parameters that asks the same. For people: it is never sent."""
        return _PARAMETER.sub(lambda match: _written(self.parameters[match[1]], match[2]), self.text)


def _written(value: Any, kind: str) -> str:
    """Text that stands for a value of another kind says so."""
    as_text = isinstance(value, str) and kind != "String"
    return f"CAST({literal(value)}, {literal(kind)})" if as_text else literal(value)


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


def day_of(config: ConsoleConfig) -> tuple[str, dict[str, Any]]:
    """The calendar day of `occurred_at` in the timezone of the row's account, with its parameters."""
    by_zone: dict[str, list[str]] = {}
    for account, zone in sorted(config.timezones.items()):
        if zone != config.default_timezone:
            by_zone.setdefault(zone, []).append(account)
    otherwise = "toDate(occurred_at, {zone:String})"
    parameters: dict[str, Any] = {"zone": config.default_timezone}
    branches = []
    for index, (zone, accounts) in enumerate(sorted(by_zone.items())):
        branches.append(
            f"has({{accounts_{index}:Array(String)}}, account), toDate(occurred_at, {{zone_{index}:String}})"
        )
        parameters |= {f"accounts_{index}": accounts, f"zone_{index}": zone}
    return (f"multiIf({', '.join(branches)}, {otherwise})" if branches else otherwise), parameters


def within(config: ConsoleConfig, first: date, last: date) -> tuple[str, dict[str, Any]]:
    """The condition that a row lies in first … last, days as its account counts them, with its parameters."""
    since, until = span(first, last, config.zones)
    text = "occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}"
    parameters: dict[str, Any] = {"since": since, "until": until}
    if len(config.zones) > 1:  # else the two instants are exactly the days
        day, more = day_of(config)
        text += f"\n  AND {day} BETWEEN {{first:Date}} AND {{last:Date}}"
        parameters |= more | {"first": first, "last": last}
    return text, parameters


def period_of(config: ConsoleConfig, interval: Interval) -> tuple[str, dict[str, Any]]:
    """The beginning of the interval that holds the row, with its parameters: a day, or an instant for an hour."""
    if interval is Interval.HOUR:
        return "toTimeZone(toStartOfHour(occurred_at, {zone:String}), 'UTC')", {"zone": config.default_timezone}
    day, parameters = day_of(config)
    wrap = {Interval.DAY: "{}", Interval.WEEK: "toMonday({})", Interval.MONTH: "toStartOfMonth({})"}[interval]
    return wrap.replace("{}", day), parameters
