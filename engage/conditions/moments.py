"""When: moments as people write them, and the half-open stretches of time that windows stand for. Pure.

A *moment* is a day (`2026-01-31`), a time (`2026-01-31 18:00`), `now`, `today`, `30 days ago` or `in 30 days`. Days,
weeks and months are the calendar's in the account's timezone: `1 day ago` is the same time on yesterday's clock,
although that may be 23 or 25 hours. Minutes and hours are always the same length.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

TICK = timedelta(milliseconds=1)  # times in ClickHouse have milliseconds
EARLIEST, LATEST = date(1971, 1, 1), date(2298, 12, 30)  # what DateTime64 holds in any timezone

_SPAN = re.compile(r"([0-9]{1,9})\s+(minute|hour|day|week|month)s?", re.IGNORECASE)
_AGO = re.compile(r"(.+?)\s+ago", re.IGNORECASE)
_AHEAD = re.compile(r"in\s+(.+)", re.IGNORECASE)
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Unit(StrEnum):
    """What a span counts."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


#: The most of each unit, about 27 years of the long ones, so that no moment leaves what ClickHouse can hold.
LONGEST = {Unit.MINUTE: 10_000, Unit.HOUR: 10_000, Unit.DAY: 10_000, Unit.WEEK: 1_400, Unit.MONTH: 324}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(_Frozen):
    """A length of time, such as 30 days."""

    number: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.number} {self.unit}{'' if self.number == 1 else 's'}"

    @property
    def milliseconds(self) -> int:
        """Its length where no calendar is at hand: between two facts, a day is 24 hours. Raises for months."""
        minutes = {Unit.MINUTE: 1, Unit.HOUR: 60, Unit.DAY: 24 * 60, Unit.WEEK: 7 * 24 * 60}[self.unit]
        return self.number * minutes * 60_000


class Moment(_Frozen):
    """A point in time or, when `whole_day` is asked of the clock, a day. `text` is as it was written."""

    kind: Literal["now", "today", "day", "time", "ago", "ahead"]
    at: str = ""  # of a day or a time: ISO, on the account's clock
    span: Span | None = None

    def __str__(self) -> str:
        if self.kind == "ago":
            return f"{self.span} ago"
        return f"in {self.span}" if self.kind == "ahead" else self.at or self.kind


class Window(_Frozen):
    """A stretch of time: `kind` as it is written, and its moments or its span."""

    kind: Literal["in the last", "in the next", "between", "before", "after", "on"]
    span: Span | None = None
    first: Moment | None = None
    second: Moment | None = None

    def __str__(self) -> str:
        parts = [str(part) for part in (self.span, self.first, self.second) if part is not None]
        return f"{self.kind} {' and '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start` to just before `end`, both in UTC; None is open on that side."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether `moment` (with a timezone) is in it."""
        return (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)


@dataclass(frozen=True)
class Clock:
    """What time it is, and in which timezone days are counted. `now` has a timezone."""

    now: datetime
    timezone: str = "UTC"

    @cached_property
    def zone(self) -> ZoneInfo:
        """The account's timezone."""
        return ZoneInfo(self.timezone)

    @cached_property
    def local(self) -> datetime:
        """Now on the account's clock, to the millisecond."""
        now = self.now.astimezone(self.zone)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def stretch(self, window: Window) -> Stretch:
        """The stretch of time that `window` stands for now. Both ends of what is written belong to it."""
        now = self.local.astimezone(UTC)
        if window.span is not None and window.kind == "in the last":
            return Stretch(self._shifted(window.span, -1), now + TICK)
        if window.span is not None:
            return Stretch(now, self._shifted(window.span, 1) + TICK)
        assert window.first is not None
        begin, end = self._ends(window.first)
        if window.kind == "before":
            return Stretch(None, begin)
        if window.kind == "after":
            return Stretch(end, None)
        if window.kind == "on":
            return Stretch(begin, end)
        assert window.second is not None
        return Stretch(begin, self._ends(window.second)[1])

    def days(self, stretch: Stretch) -> tuple[date | None, date | None]:
        """First and last day that `stretch` touches: a date without a time counts as its whole day."""
        first = stretch.start.astimezone(self.zone).date() if stretch.start else None
        last = (stretch.end - TICK).astimezone(self.zone).date() if stretch.end else None
        return first, last

    def _ends(self, moment: Moment) -> tuple[datetime, datetime]:
        """When it begins, and when what it names is over: a day later for a day, else the next millisecond."""
        if moment.kind in ("day", "today"):
            day = self.local.date() if moment.kind == "today" else date.fromisoformat(moment.at)
            return self._midnight(day), self._midnight(day + timedelta(days=1))
        if moment.kind == "time":
            at = datetime.fromisoformat(moment.at).replace(tzinfo=self.zone).astimezone(UTC)
        elif moment.span is not None:
            at = self._shifted(moment.span, -1 if moment.kind == "ago" else 1)
        else:
            at = self.local.astimezone(UTC)
        return at, at + TICK

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def _shifted(self, span: Span, sign: int) -> datetime:
        """The moment `span` away, on the account's clock; in UTC."""
        if span.unit in (Unit.MINUTE, Unit.HOUR):
            return self.local.astimezone(UTC) + sign * timedelta(milliseconds=span.milliseconds)
        if span.unit is Unit.MONTH:
            return _month_away(self.local, sign * span.number).astimezone(UTC)
        days = span.number * (7 if span.unit is Unit.WEEK else 1)
        # Arithmetic on an aware datetime is on its clock's face; only then is the moment's offset looked up anew.
        return (self.local + timedelta(days=sign * days)).replace(fold=0).astimezone(UTC)


def _month_away(moment: datetime, months: int) -> datetime:
    """The same day and time `months` away, or the last day of a month that is too short."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day, fold=0)


def parse_span(text: str) -> Span:
    """'30 days' as a Span. Raises ValueError with what is wrong, in words."""
    found = _SPAN.fullmatch(text.strip())
    if not found:
        raise ValueError(f"'{text}' is no length of time; write a number and minutes, hours, days, weeks or months")
    number, unit = int(found[1]), Unit(found[2].lower())
    if not 0 < number <= LONGEST[unit]:
        raise ValueError(f"'{text}' is out of bounds; write 1 to {LONGEST[unit]} {unit}s")
    return Span(number=number, unit=unit)


def parse_moment(text: str) -> Moment:
    """A moment as people write it. Raises ValueError with what is wrong, in words."""
    text = text.strip()
    if text.lower() in ("now", "today"):
        return Moment(kind="now" if text.lower() == "now" else "today")
    if found := _AGO.fullmatch(text):
        return Moment(kind="ago", span=parse_span(found[1]))
    if found := _AHEAD.fullmatch(text):
        return Moment(kind="ahead", span=parse_span(found[1]))
    try:
        if _DAY.fullmatch(text):
            return Moment(kind="day", at=_within_reach(date.fromisoformat(text)).isoformat())
        if found := _TIME.fullmatch(text):
            at = datetime.fromisoformat(f"{found[1]} {found[2]}")
            _within_reach(at.date())
            return Moment(kind="time", at=at.isoformat(" "))
    except ValueError as error:
        raise ValueError(f"'{text}' is no day of the calendar: {error}") from None
    raise ValueError(f"'{text}' is no moment; write a day (2026-01-31), a time, now, today, 30 days ago or in 30 days")


def _within_reach(day: date) -> date:
    if not EARLIEST <= day <= LATEST:
        raise ValueError(f"only {EARLIEST} to {LATEST}")
    return day
