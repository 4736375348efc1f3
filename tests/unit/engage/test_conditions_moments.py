"""Windows in the account's timezone: days are the calendar's, also where clocks change."""

from datetime import UTC, date, datetime

import pytest

from engage.conditions.moments import Clock, Stretch, Window, parse_moment, parse_span

BERLIN = "Europe/Berlin"  # clocks went from 2:00 to 3:00 on 2026-03-29, and from 3:00 to 2:00 on 2026-10-25


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stretch(now: str, kind: str, *parts: str, timezone: str = BERLIN) -> tuple[str, str]:
    if kind in ("in the last", "in the next"):
        window = Window(kind=kind, span=parse_span(parts[0]))  # type: ignore[arg-type]
    else:
        moments = [parse_moment(part) for part in parts]
        second = moments[1] if len(moments) > 1 else None
        window = Window(kind=kind, first=moments[0], second=second)  # type: ignore[arg-type]
    found = Clock(utc(now), timezone).stretch(window)
    return tuple(str(each and each.replace(tzinfo=None)) for each in (found.start, found.end))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("now", "kind", "parts", "start", "end"),
    [
        ("2026-06-15 10:00", "in the last", ["30 days"], "2026-05-16 10:00:00", "2026-06-15 10:00:00.001000"),
        # The same time on yesterday's clock: 23 hours ago in spring, 25 in autumn.
        ("2026-03-29 10:00", "in the last", ["1 day"], "2026-03-28 11:00:00", "2026-03-29 10:00:00.001000"),
        ("2026-10-25 10:00", "in the last", ["1 day"], "2026-10-24 09:00:00", "2026-10-25 10:00:00.001000"),
        ("2026-03-29 10:00", "in the last", ["24 hours"], "2026-03-28 10:00:00", "2026-03-29 10:00:00.001000"),
        # 2:30 does not exist on March 29: it is read with the offset from before.
        ("2026-03-30 00:30", "in the last", ["1 day"], "2026-03-29 01:30:00", "2026-03-30 00:30:00.001000"),
        ("2026-03-31 10:00", "in the last", ["1 month"], "2026-02-28 11:00:00", "2026-03-31 10:00:00.001000"),
        ("2026-06-15 10:00", "in the next", ["1 week"], "2026-06-15 10:00:00", "2026-06-22 10:00:00.001000"),
        ("2026-06-15 10:00", "before", ["2026-03-29"], "None", "2026-03-28 23:00:00"),
        ("2026-06-15 10:00", "after", ["2026-03-29"], "2026-03-29 22:00:00", "None"),
        ("2026-06-15 10:00", "on", ["2026-10-25"], "2026-10-24 22:00:00", "2026-10-25 23:00:00"),
        ("2026-06-15 23:00", "on", ["today"], "2026-06-15 22:00:00", "2026-06-16 22:00:00"),
        ("2026-06-15 10:00", "before", ["40 days ago"], "None", "2026-05-06 10:00:00"),
        (
            "2026-06-15 10:00",
            "between",
            ["60 days ago", "30 days ago"],
            "2026-04-16 10:00:00",
            "2026-05-16 10:00:00.001000",
        ),
        ("2026-06-15 10:00", "between", ["2026-01-01", "2026-01-31"], "2025-12-31 23:00:00", "2026-01-31 23:00:00"),
        ("2026-06-15 10:00", "after", ["2026-06-01 12:30"], "2026-06-01 10:30:00.001000", "None"),
    ],
)
def test_a_window_is_a_stretch_of_time(now: str, kind: str, parts: list[str], start: str, end: str) -> None:
    assert stretch(now, kind, *parts) == (start, end)


def test_both_ends_of_what_is_written_belong_to_it() -> None:
    clock = Clock(utc("2026-06-15 10:00:00.123456"))
    found = clock.stretch(Window(kind="in the last", span=parse_span("1 hour")))
    assert found.holds(utc("2026-06-15 09:00:00.123"))
    assert found.holds(utc("2026-06-15 10:00:00.123"))
    assert not found.holds(utc("2026-06-15 10:00:00.124"))
    assert not found.holds(utc("2026-06-15 09:00:00.122"))


def test_a_date_without_a_time_is_in_a_window_that_touches_it() -> None:
    clock = Clock(utc("2026-06-15 22:30"), BERLIN)  # 0:30 on the 16th there
    ahead = clock.stretch(Window(kind="in the next", span=parse_span("30 days")))
    assert clock.days(ahead) == (date(2026, 6, 16), date(2026, 7, 16))
    assert clock.days(Stretch()) == (None, None)


@pytest.mark.parametrize("text", ["", "soon", "5", "0 days", "99999999 days", "-3 days", "30 days ago", "1e3 days"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no length of time|is out of bounds"):
        parse_span(text)


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "0001-01-01", "2026-01-31 25:00", "in", "ago", "2026-1-5"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no moment|is no day|is no length of time"):
        parse_moment(text)
