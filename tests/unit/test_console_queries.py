"""Values never become SQL, and what is shown to people is quoted."""

from datetime import UTC, date, datetime

import pytest

from console.config import ConsoleConfig
from console.days import Interval
from console.feed import Cursor
from console.numbers import Question, Split, amounts_query, people_query
from console.queries import Query, literal, within
from schemas.metrics import Metric

NASTY = "'; DROP TABLE metric_rows; --\\"
CONFIG = ConsoleConfig("http://127.0.0.1:8123", timezones={NASTY: "Asia/Tokyo", "b": "UTC"})


@pytest.mark.parametrize("split", Split)
def test_no_value_is_ever_part_of_the_text(split: Split) -> None:
    question = Question(
        Metric.FAILED_PAYMENT, date(2026, 1, 1), date(2026, 1, 30), True, Interval.WEEK, split, currency=NASTY
    )
    for query in (amounts_query(CONFIG, question), people_query(CONFIG, question)):
        for value in (NASTY, "Failed Payment", "Asia/Tokyo", "2026"):
            assert value not in query.text
        assert literal(NASTY) in query.shown


def test_shown_sql_has_every_value_quoted() -> None:
    query = Query(
        "SELECT {a:String}, {b:Bool}, {c:Array(String)}, {d:Date}, {e:DateTime64(3, 'UTC')}, {f:UInt32}",
        {
            "a": "it's \\",
            "b": True,
            "c": ["x'", "y"],
            "d": date(2026, 1, 5),
            "e": datetime(2026, 1, 5, 10, 0, 0, 250_000, tzinfo=UTC),
            "f": 7,
        },
    )
    assert query.shown == (
        "SELECT 'it\\'s \\\\', true, ['x\\'', 'y'], toDate('2026-01-05'), "
        "toDateTime64('2026-01-05 10:00:00.250', 3, 'UTC'), 7"
    )


def test_with_one_timezone_the_instants_alone_are_the_days() -> None:
    one = ConsoleConfig("http://127.0.0.1:8123", default_timezone="America/New_York")
    assert "toDate" not in within(one, date(2026, 1, 1), date(2026, 1, 2))[0]
    assert "toDate" in within(CONFIG, date(2026, 1, 1), date(2026, 1, 2))[0]


def test_a_cursor_survives_its_text() -> None:
    cursor = Cursor(datetime(2026, 1, 5, 10, 0, 0, 250_000, tzinfo=UTC), "default:live:paid:ch~1")
    assert Cursor.parse(str(cursor)) == cursor
    for wrong in ("", "x~y", "2026-01-05T10:00:00.000Z"):
        with pytest.raises(ValueError, match=r"cursor|isoformat"):
            Cursor.parse(wrong)
