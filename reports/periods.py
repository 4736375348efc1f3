"""Days and what is made of them, as SQL over `occurred_at` with its parameters."""

from datetime import date
from typing import Any

from reports.days import Calendar, Interval, span


def day_of(calendar: Calendar) -> tuple[str, dict[str, Any]]:
    """The calendar day of `occurred_at` in the timezone of the row's account, with its parameters."""
    by_zone: dict[str, list[str]] = {}
    for account, zone in sorted(calendar.by_account.items()):
        if zone != calendar.default:
            by_zone.setdefault(zone, []).append(account)
    otherwise = "toDate(occurred_at, {zone:String})"
    parameters: dict[str, Any] = {"zone": calendar.default}
    branches = []
    for index, (zone, accounts) in enumerate(sorted(by_zone.items())):
        branches.append(
            f"has({{accounts_{index}:Array(String)}}, account), toDate(occurred_at, {{zone_{index}:String}})"
        )
        parameters |= {f"accounts_{index}": accounts, f"zone_{index}": zone}
    return (f"multiIf({', '.join(branches)}, {otherwise})" if branches else otherwise), parameters


def within(calendar: Calendar, first: date, last: date) -> tuple[str, dict[str, Any]]:
    """The condition that a row lies in first … last, days as its account counts them, with its parameters."""
    since, until = span(first, last, calendar.zones)
    text = "occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}"
    parameters: dict[str, Any] = {"since": since, "until": until}
    if len(calendar.zones) > 1:  # else the two instants are exactly the days
        day, more = day_of(calendar)
        text += f"\n  AND {day} BETWEEN {{first:Date}} AND {{last:Date}}"
        parameters |= more | {"first": first, "last": last}
    return text, parameters


def period_of(calendar: Calendar, interval: Interval) -> tuple[str, dict[str, Any]]:
    """The beginning of the interval that holds the row, with its parameters: a day, or an instant for an hour."""
    if interval is Interval.HOUR:
        return "toTimeZone(toStartOfHour(occurred_at, {zone:String}), 'UTC')", {"zone": calendar.default}
    day, parameters = day_of(calendar)
    wrap = {Interval.DAY: "{}", Interval.WEEK: "toMonday({})", Interval.MONTH: "toStartOfMonth({})"}[interval]
    return wrap.replace("{}", day), parameters
