"""Calendar days, weeks and months in the accounts' timezones. Pure."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
DEFAULT_DAYS = 30
LONGEST_DAYS = 3660  # ten years


class Interval(StrEnum):
    """What one point of a chart stands for. Weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def begin(self, day: date) -> date:
        """The first day of the interval that holds `day`."""
        if self is Interval.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Interval.MONTH else day

    def after(self, begin: date) -> date:
        """The first day of the interval after the one that begins on `begin`."""
        if self is Interval.MONTH:
            return (begin.replace(day=28) + timedelta(days=4)).replace(day=1)
        return begin + timedelta(days=7 if self is Interval.WEEK else 1)


def today(zones: Iterable[str], now: datetime) -> date:
    """The latest of the days that it is now anywhere in `zones`; `now` is aware."""
    return max(now.astimezone(ZoneInfo(zone)).date() for zone in zones)


def last_days(last: date, days: int = DEFAULT_DAYS) -> tuple[date, date]:
    """The `days` days that end with `last`, as first and last day."""
    return last - timedelta(days=days - 1), last


def periods(first: date, last: date, interval: Interval) -> list[date]:
    """The beginnings of all intervals that touch first … last, in order."""
    found, at = [], interval.begin(first)
    while at <= last:
        found.append(at)
        at = interval.after(at)
    return found


def span(first: date, last: date, zones: Iterable[str]) -> tuple[datetime, datetime]:
    """The instants (UTC) between which every moment of first … last lies, whichever of `zones` counts its days.

    The second one is no longer part of it. With one timezone the span is exact, daylight saving included.
    """
    begins = [datetime.combine(first, time.min, ZoneInfo(zone)) for zone in zones]
    ends = [datetime.combine(last + ONE_DAY, time.min, ZoneInfo(zone)) for zone in zones]
    return min(at.astimezone(UTC) for at in begins), max(at.astimezone(UTC) for at in ends)
