"""How large a segment was on each day, from what evaluations left."""

from datetime import UTC, date, datetime
from typing import Any

from reports.segments import filled

MONDAY = date(2026, 1, 5)
AT = datetime(2026, 1, 9, 12, tzinfo=UTC)


def row(day: int, members: int, entered: int = 0, gone: int = 0) -> dict[str, Any]:
    return {"on": date(2026, 1, day), "members": members, "refreshed": AT, "entered": entered, "gone": gone}


def test_a_day_without_an_evaluation_is_as_the_day_before() -> None:
    size = filled([row(7, 5), row(9, 4, entered=1, gone=2)], MONDAY, date(2026, 1, 10))
    assert size.members == [None, None, 5, 5, 4, 4]
    assert (size.now, size.entered, size.gone, size.refreshed_at) == (4, 1, 2, AT)
    assert size.change is None  # a week ago it was not there


def test_the_change_is_against_a_week_ago() -> None:
    size = filled([row(1, 5), row(8, 9)], date(2026, 1, 1), date(2026, 1, 8))
    assert (size.change, size.week) == (4, [5, 5, 5, 5, 5, 5, 5, 9])


def test_an_evaluation_of_a_day_that_has_only_begun_elsewhere_counts() -> None:
    assert filled([row(10, 3)], date(2026, 1, 8), date(2026, 1, 9)).now == 3
