"""When a comparison is due: daily at one time where the account is, at once the first time, soon after differences."""

from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from connector.reconcile.daily import due_at
from reports.reconciliations import LastRun

NEW_YORK = ZoneInfo("America/New_York")
RUN = LastRun("r", "default", True, 0.0, date(2026, 3, 1), date(2026, 3, 7), equal=True, differences=0, remark="")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()


def due(checked: str, time: str = "04:30") -> str:
    found = due_at(time, NEW_YORK, replace(RUN, checked_at=at(checked)), at(checked))
    return datetime.fromtimestamp(found, NEW_YORK).strftime("%m-%d %H:%M")


def test_the_first_one_is_due_at_once() -> None:
    assert due_at("04:30", NEW_YORK, None, 1000.0) == 1000.0


@pytest.mark.parametrize(
    ("checked", "next_one"),
    [
        ("2026-03-10 04:30", "03-11 04:30"),
        ("2026-03-10 04:29", "03-10 04:30"),
        ("2026-03-10 23:00", "03-11 04:30"),
        ("2026-03-07 12:00", "03-08 04:30"),  # the clocks go forward in that night
        ("2026-10-31 12:00", "11-01 04:30"),  # and back
        ("2026-12-31 12:00", "01-01 04:30"),
    ],
)
def test_an_equal_one_is_followed_by_the_next_days(checked: str, next_one: str) -> None:
    assert due(checked) == next_one


def test_a_time_that_a_night_does_not_have_is_one_moment_all_the_same() -> None:
    assert due("2026-03-07 12:00", "02:30") == "03-08 03:30"


def test_after_differences_it_is_tried_again_within_the_hour() -> None:
    run = replace(RUN, checked_at=at("2026-03-10 12:00"), equal=False, differences=3)
    assert due_at("04:30", NEW_YORK, run, 0.0) == run.checked_at + 3600


def test_what_only_a_person_can_mend_waits_for_the_next_day() -> None:
    run = replace(RUN, checked_at=at("2026-03-10 12:00"), equal=False, remark="set TILLSTREAM_TIMEZONE=Europe/Berlin")
    assert due_at("04:30", NEW_YORK, run, 0.0) == at("2026-03-11 04:30")
    mended = replace(run, remark="set TILLSTREAM_TIMEZONE=America/New_York")
    assert due_at("04:30", NEW_YORK, mended, 5.0) == 5.0
