"""Delays, quiet hours and dates by the clock on the wall, also in the two nights in which the clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.flows.duration import Duration
from engage.flows.model import DateTrigger, QuietHours
from engage.flows.parts import Weekday
from engage.flows.rules import calendar
from engage.flows.steps import Delay

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")]
)
MOMENTS = st.floats(1_700_000_000, 1_900_000_000)
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))


def moment(text: str, where: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=where).timestamp()


def wall(at: float, where: ZoneInfo = BERLIN) -> str:
    return datetime.fromtimestamp(at, where).strftime("%a %Y-%m-%d %H:%M")


def delay(length: str = "", **more: object) -> Delay:
    return Delay.model_validate(({"for": length} if length else {}) | more)


@pytest.mark.parametrize(
    ("text", "days", "seconds"),
    [
        ("3 days", 3, 0),
        ("90 minutes", 0, 5400),
        ("1 week 12 hours", 7, 43_200),
        ("2 days, 1 hour and 5 seconds", 2, 3605),
    ],
)
def test_lengths_of_time_are_read_as_people_write_them(text: str, days: int, seconds: int) -> None:
    assert Duration.parse(text) == Duration(days, seconds)


@pytest.mark.parametrize("text", ["", "3", "3 dys", "days", "3 days ago", "-1 days", "99999 days"])
def test_what_is_no_length_of_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="3 days"):
        Duration.parse(text)


@given(st.integers(0, 3000), st.integers(0, 90_000))
def test_a_length_of_time_is_read_as_it_is_written(days: int, seconds: int) -> None:
    assert Duration.parse(str(Duration(days, seconds))) == Duration(days, seconds)


def test_days_are_the_calendars_and_hours_the_clocks() -> None:
    friday = moment("2026-03-27 09:00")  # on Sunday the clocks go forward
    assert wall(calendar.later(friday, Duration.parse("3 days"), BERLIN)) == "Mon 2026-03-30 09:00"
    assert wall(calendar.later(friday, Duration.parse("72 hours"), BERLIN)) == "Mon 2026-03-30 10:00"
    saturday = moment("2026-10-24 09:00")  # and back
    assert wall(calendar.later(saturday, Duration.parse("1 day"), BERLIN)) == "Sun 2026-10-25 09:00"
    assert calendar.later(saturday, Duration.parse("1 day"), BERLIN) - saturday == 25 * 3600


@pytest.mark.parametrize(
    ("begun", "how", "ends"),
    [
        ("2026-01-05 10:00", delay("3 days", until="09:00"), "Fri 2026-01-09 09:00"),
        ("2026-01-05 08:00", delay("3 days", until="09:00"), "Thu 2026-01-08 09:00"),
        ("2026-01-05 08:00", delay(until="09:00"), "Mon 2026-01-05 09:00"),
        ("2026-01-05 09:00", delay(until="09:00"), "Mon 2026-01-05 09:00"),
        ("2026-01-09 17:00", delay("1 day", weekdays=["mon", "tue"], until="09:00"), "Mon 2026-01-12 09:00"),
        ("2026-01-05 10:00", delay(weekdays=["mon"], until="09:00"), "Mon 2026-01-12 09:00"),
        ("2026-01-05 10:00", delay(weekdays=["mon"]), "Mon 2026-01-05 10:00"),
        ("2026-01-06 10:00", delay(weekdays=["mon"]), "Mon 2026-01-12 00:00"),
        ("2026-03-28 12:00", delay(until="02:30"), "Sun 2026-03-29 03:30"),  # 02:30 is skipped that night
        ("2026-10-24 12:00", delay(until="02:30"), "Sun 2026-10-25 02:30"),  # and comes twice in this one
    ],
)
def test_a_delay_ends_at_the_next_allowed_weekday_and_hour(begun: str, how: Delay, ends: str) -> None:
    assert wall(calendar.due(how, moment(begun), BERLIN)) == ends


@given(MOMENTS, st.integers(0, 40), TIMES, st.sets(st.sampled_from(list(Weekday)), max_size=4), ZONES)
def test_a_delay_never_ends_early_nor_on_another_day_nor_a_week_late(
    now: float, days: int, until: time, weekdays: set[Weekday], where: ZoneInfo
) -> None:
    how = Delay(length=Duration(days), until=until, weekdays=tuple(weekdays))
    over = calendar.due(how, now, where)
    earliest = calendar.later(now, how.length, where)
    assert earliest <= over <= earliest + 8 * 86_400 + 3600
    local = datetime.fromtimestamp(over, where)
    if weekdays:
        assert list(Weekday)[local.weekday()] in weekdays
    # The wall shows the hour asked for, or, when that hour is skipped, the one after it.
    assert local.time() == until or calendar.at(local.date(), until, where) == over


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-01-05 20:59", None),
        ("2026-01-05 21:00", "Tue 2026-01-06 08:00"),
        ("2026-01-06 07:59", "Tue 2026-01-06 08:00"),
        ("2026-01-06 08:00", None),
        ("2026-03-28 23:00", "Sun 2026-03-29 08:00"),
    ],
)
def test_quiet_hours_over_midnight_end_in_the_morning(now: str, end: str | None) -> None:
    quiet = QuietHours.model_validate({"from": "21:00", "until": "08:00"})
    found = calendar.quiet_until(quiet, moment(now), BERLIN)
    assert (found and wall(found)) == end


@given(MOMENTS, TIMES, TIMES, ZONES)
def test_after_quiet_hours_it_is_not_quiet(now: float, begin: time, until: time, where: ZoneInfo) -> None:
    if begin == until:
        return
    quiet = QuietHours(begin=begin, until=until)
    end = calendar.quiet_until(quiet, now, where)
    if end is not None:
        assert now < end <= now + 25.5 * 3600
        assert calendar.quiet_until(quiet, end, where) is None


def test_a_date_starts_days_before_it_at_an_hour_of_the_persons_own() -> None:
    trigger = DateTrigger.model_validate({"date": "card_expiration_date", "days_before": 30, "at": "09:00"})
    assert wall(calendar.date_moment(trigger, date(2026, 4, 30), BERLIN)) == "Tue 2026-03-31 09:00"
    there = calendar.date_moment(trigger, date(2026, 4, 30), NEW_YORK)
    assert wall(there, NEW_YORK) == "Tue 2026-03-31 09:00"


def test_an_anniversary_is_the_next_one_and_leap_days_are_kept_on_the_28th() -> None:
    assert calendar.yearly(date(1990, 12, 30), date(2026, 1, 2)) == date(2025, 12, 30)
    assert calendar.yearly(date(2024, 2, 29), date(2026, 2, 1)) == date(2026, 2, 28)
    assert calendar.yearly(date(2024, 2, 29), date(2028, 2, 1)) == date(2028, 2, 29)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "a\x00b"])
def test_a_timezone_that_is_none_is_the_accounts(name: str) -> None:
    assert calendar.zone(name, "Europe/Berlin") == BERLIN
    assert datetime.fromtimestamp(0, calendar.zone(name)).utcoffset() == timedelta(0)
    assert calendar.zone("UTC").utcoffset(datetime.now(UTC)) == timedelta(0)
