"""What the flags of the commands that read mean, and what is said of those that mean nothing."""

from datetime import UTC, date, datetime, timedelta

import pytest

from reports.days import Calendar, Interval
from schemas.errors import ConfigurationError
from tillstream.reading import filters, span

CALENDAR = Calendar("UTC", {"tokyo": "Asia/Tokyo"})


def test_days_end_today_wherever_it_is_latest_unless_they_are_said() -> None:
    today = (datetime.now(UTC) + timedelta(hours=9)).date()
    assert span(CALENDAR, "", "", 30, Interval.DAY)[1] in (today, today + timedelta(days=1))
    assert span(CALENDAR, "", "2026-03-30", 30, Interval.DAY) == (date(2026, 3, 1), date(2026, 3, 30))
    assert span(CALENDAR, "2026-03-02", "2026-03-02", 30, Interval.HOUR) == (date(2026, 3, 2), date(2026, 3, 2))


@pytest.mark.parametrize(
    ("first", "last", "days", "interval", "words"),
    [
        ("2026-02-30", "", 30, "day", "--from: input should be a valid date"),
        ("", "yesterday", 30, "day", "--to: input should be a valid date"),
        ("2026-03-02", "2026-03-01", 30, "day", "from is after to"),
        ("1950-01-01", "1950-01-02", 30, "day", "days are those from 1970-01-02 to 2200-12-31"),
        ("", "1970-01-10", 30, "day", "days are those from 1970-01-02"),
        ("", "0001-01-10", 30, "day", "--to: input should be a valid date"),
        ("2010-01-01", "2026-01-01", 30, "day", "at most 3660 days at once"),
        ("", "2026-03-30", 32, "hour", "at most 31 days at once by the hour"),
    ],
)
def test_days_that_cannot_be_asked_for_are_refused(first: str, last: str, days: int, interval: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        span(CALENDAR, first, last, days, Interval(interval))
    assert error.value.remedy


def test_a_filter_is_asked_as_the_rows_have_it_and_once() -> None:
    found = filters(["currency=EUR", "currency = eur", "metadata.charge.a.b==x"])
    assert [(one.property.key, one.value) for one in found] == [("currency", "eur"), ("metadata.charge.a.b", "=x")]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (["currency"], "--where currency has no value"),
        (["colour=red"], "--where: 'colour' is no property"),
        ([f"reason={number}" for number in range(11)], "--where: at most 10 at once"),
    ],
)
def test_filters_that_cannot_be_are_refused(where: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        filters(where)
    assert error.value.remedy
