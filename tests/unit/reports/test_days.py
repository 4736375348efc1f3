"""Days, weeks and months as an account counts them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.days import Calendar, Interval, last_days, periods, span, today
from schemas.errors import ConfigurationError

DAYS = st.dates(date(1990, 1, 1), date(2100, 12, 31))


@pytest.mark.parametrize("wrong", [{"default": "Mars"}, {"by_account": {"a": "../x"}}])
def test_a_timezone_that_there_is_not_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="unknown timezone"):
        Calendar(**wrong)


def test_today_is_the_latest_day_anywhere() -> None:
    now = datetime(2026, 1, 5, 20, tzinfo=UTC)
    assert today(["UTC"], now) == date(2026, 1, 5)
    assert today(["UTC", "Asia/Tokyo"], now) == date(2026, 1, 6)


def test_thirty_days_are_thirty_with_today() -> None:
    first, last = last_days(date(2026, 1, 30))
    assert (first, last) == (date(2026, 1, 1), date(2026, 1, 30))
    assert len(periods(first, last, Interval.DAY)) == 30


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 7, 1), 24)])
def test_a_day_is_as_long_as_daylight_saving_makes_it(day: date, hours: int) -> None:
    since, until = span(day, day, ["America/New_York"])
    assert until - since == timedelta(hours=hours)


def test_several_timezones_are_all_covered() -> None:
    since, until = span(date(2026, 1, 5), date(2026, 1, 5), ["America/New_York", "Asia/Tokyo"])
    assert (since, until) == (datetime(2026, 1, 4, 15, tzinfo=UTC), datetime(2026, 1, 6, 5, tzinfo=UTC))


@given(first=DAYS, length=st.integers(0, 800), interval=st.sampled_from([Interval.DAY, Interval.WEEK, Interval.MONTH]))
def test_periods_hold_every_day_once(first: date, length: int, interval: Interval) -> None:
    last = first + timedelta(days=length)
    found = periods(first, last, interval)
    days = [first + timedelta(days=n) for n in range(length + 1)]
    assert sorted({interval.begin(day) for day in days}) == found
    assert all(interval.begin(begin) == begin and begin < interval.after(begin) for begin in found)


@given(
    first=DAYS,
    length=st.integers(0, 3),
    zones=st.lists(st.sampled_from(["UTC", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe"]), min_size=1),
)
def test_hours_hold_every_moment_once(first: date, length: int, zones: list[str]) -> None:
    last = first + timedelta(days=length)
    since, until = span(first, last, zones)
    found = periods(first, last, Interval.HOUR, zones)
    assert found == sorted(set(found))
    assert found[0] <= since < until <= found[-1] + timedelta(hours=1)
    assert max(later - earlier for earlier, later in pairwise(found)) == timedelta(hours=1)
