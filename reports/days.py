"""Hours, days, weeks and months in the accounts' timezones. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import ConfigurationError

ONE_DAY = timedelta(days=1)
ONE_HOUR = timedelta(hours=1)
DEFAULT_DAYS = 30
EARLIEST, LATEST = date(1970, 1, 2), date(2200, 12, 31)
LONGEST_DAYS = 3660  # ten years
LONGEST_HOURLY_DAYS = 31  # by the hour, that is as many points as a chart can show


class Interval(StrEnum):
    """What one point of a chart stands for. Weeks begin on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def begin(self, day: date) -> date:
        """The first day of the interval that holds `day` (hours are counted by instants, not by days)."""
        if self is Interval.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Interval.MONTH else day

    def after(self, begin: date) -> date:
        """The first day of the interval after the one that begins on `begin`."""
        if self is Interval.MONTH:
            return (begin.replace(day=28) + timedelta(days=4)).replace(day=1)
        return begin + timedelta(days=7 if self is Interval.WEEK else 1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Whose days are meant: an account that is not in `by_account` (account to IANA name) has the `default` timezone.

    Raises ConfigurationError for a timezone that there isn't.
    """

    default: str = "UTC"
    by_account: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.zones:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ConfigurationError(
                    f"unknown timezone {name!r}", remedy="use an IANA name, such as UTC"
                ) from error

    @property
    def zones(self) -> tuple[str, ...]:
        """Every timezone in use, the default one first."""
        return (self.default, *sorted(set(self.by_account.values()) - {self.default}))

    def zone_of(self, account: str) -> ZoneInfo:
        """The timezone of an account."""
        return ZoneInfo(self.by_account.get(account, self.default))


def today(zones: Iterable[str], now: datetime) -> date:
    """The latest of the days that it is now anywhere in `zones`; `now` is aware."""
    return max(now.astimezone(ZoneInfo(zone)).date() for zone in zones)


def before(first: date, last: date) -> tuple[date, date]:
    """As many days, right before `first`."""
    return first - (last - first) - ONE_DAY, first - ONE_DAY


def last_days(last: date, days: int = DEFAULT_DAYS) -> tuple[date, date]:
    """The `days` days that end with `last`, as first and last day."""
    return last - timedelta(days=days - 1), last


def check(first: date, last: date, interval: Interval = Interval.DAY) -> None:
    """Raises ValueError for days that can't be asked for together."""
    longest = LONGEST_HOURLY_DAYS if interval is Interval.HOUR else LONGEST_DAYS
    if not EARLIEST <= first <= last <= LATEST:
        raise ValueError("from is after to" if first > last else f"days are those from {EARLIEST} to {LATEST}")
    if (last - first).days >= longest:
        raise ValueError(f"at most {longest} days at once{' by the hour' if interval is Interval.HOUR else ''}")


def periods(first: date, last: date, interval: Interval, zones: Sequence[str] = ("UTC",)) -> list[date]:
    """The beginnings of all intervals that touch first … last, in order: days, or for hours instants in UTC.

    Hours are those of the first of `zones`. A day has 23 of them, or 25, when daylight saving makes it so.
    """
    if interval is Interval.HOUR:
        since, until = span(first, last, zones)
        return list(_hours(since, until, ZoneInfo(zones[0])))
    found, at = [], interval.begin(first)
    while at <= last:
        found.append(at)
        at = interval.after(at)
    return found


def _hours(since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The beginnings of those that touch since … until; counted from midnight, as `toStartOfHour` does."""
    day = since.astimezone(zone).date()
    while (at := _midnight(day, zone)) < until:
        day += ONE_DAY
        following = _midnight(day, zone)
        while at < following:
            if since < at + ONE_HOUR and at < until:
                yield at
            at += ONE_HOUR


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def span(first: date, last: date, zones: Iterable[str]) -> tuple[datetime, datetime]:
    """The instants (UTC) between which every moment of first … last lies, whichever of `zones` counts its days.

    The second one is no longer part of it. With one timezone the span is exact, daylight saving included.
    """
    places = [ZoneInfo(zone) for zone in zones]
    return min(_midnight(first, place) for place in places), max(_midnight(last + ONE_DAY, place) for place in places)
