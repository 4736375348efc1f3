"""When: all arithmetic with days, hours and weekdays, by the clock on the wall of a timezone. Unix seconds in and out.

A day is a day of the calendar: it has 23 or 25 hours when the clocks change. An hour that the clocks skip is the same
moment as the hour after it; of an hour that comes twice, the first is meant.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from engage.flows.duration import Duration
from engage.flows.model import DateTrigger, QuietHours
from engage.flows.parts import Weekday
from engage.flows.steps import Delay

_WEEKDAYS = tuple(Weekday)


@lru_cache(maxsize=1024)
def zone(name: str, fallback: str = "UTC") -> tzinfo:
    """The timezone of an IANA name; that of `fallback` when there is no such name (people's own may be anything)."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # what zoneinfo raises for "", "../x", a folder, an unknown name
        return ZoneInfo(fallback)


def later(now: float, length: Duration, where: tzinfo) -> float:
    """`now` plus days of the calendar, plus seconds of the clock."""
    if not length.days:
        return now + length.seconds
    local = datetime.fromtimestamp(now, where)
    moved = datetime.combine(local.date() + timedelta(days=length.days), local.timetz().replace(tzinfo=None))
    return _moment(moved, where) + length.seconds


def due(delay: Delay, now: float, where: tzinfo) -> float:
    """When a delay that begins `now` is over: after its length, at the next allowed weekday and time of day."""
    earliest = later(now, delay.length, where)
    if delay.until is None and not delay.weekdays:
        return earliest
    local = datetime.fromtimestamp(earliest, where)
    allowed = {_WEEKDAYS.index(day) for day in delay.weekdays} or set(range(7))
    for days in range(9):  # a whole week, and the same weekday again when today's hour is over
        day = local.date() + timedelta(days=days)
        if day.weekday() not in allowed:
            continue
        if delay.until is not None:
            moment = at(day, delay.until, where)
        else:
            moment = earliest if days == 0 else at(day, time(0), where)
        if moment >= earliest:
            return moment
    return earliest  # never reached: one of nine days is allowed and ends after `earliest`


def quiet_until(quiet: QuietHours, now: float, where: tzinfo) -> float | None:
    """The end of the quiet hours that `now` lies in, None outside of them."""
    today = datetime.fromtimestamp(now, where).date()
    for day in (today - timedelta(days=1), today):
        begin = at(day, quiet.begin, where)
        end = at(day + timedelta(days=quiet.until <= quiet.begin), quiet.until, where)
        if begin <= now < end:
            return end
    return None


def date_moment(trigger: DateTrigger, known: date, where: tzinfo) -> float:
    """When a flow that a date starts begins for somebody whose date is `known`."""
    return at(known + timedelta(days=trigger.days_after - trigger.days_before), trigger.at, where)


def yearly(known: date, around: date) -> date:
    """The anniversary of `known` that is next to `around`; 29 February is 28 February in other years."""

    def anniversary(year: int) -> date:
        try:
            return known.replace(year=year)
        except ValueError:
            return known.replace(year=year, day=28)

    years = (around.year - 1, around.year, around.year + 1)
    return min((anniversary(year) for year in years), key=lambda day: abs((day - around).days))


def at(day: date, clock: time, where: tzinfo) -> float:
    """The moment at which the clock shows `clock` on `day`."""
    return _moment(datetime.combine(day, clock), where)


def _moment(wall: datetime, where: tzinfo) -> float:
    return wall.replace(tzinfo=where, fold=0).astimezone(UTC).timestamp()
