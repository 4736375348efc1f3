"""The days and intervals of a question as SQL, with their parameters."""

from datetime import date
from typing import Any

from console.config import ConsoleConfig
from reports.days import Interval, span


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
