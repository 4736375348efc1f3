"""Values never become SQL, and what is shown to people is quoted."""

from datetime import UTC, date, datetime

import pytest

from reports.days import Calendar, Interval
from reports.feed import Cursor
from reports.metrics import Question, amounts_query, largest_query, parts_queries, people_query
from reports.periods import within
from reports.properties import Is, Property
from schemas.metrics import Metric
from warehouse.query import Query, literal

NASTY = "'; DROP TABLE metric_rows; --\\"
CALENDAR = Calendar(by_account={NASTY: "Asia/Tokyo", "b": "UTC"})
KEYS = ["currency", "reason", "product", "properties.CardBrand", f"metadata.charge.{NASTY}"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("interval", Interval)
def test_no_value_is_ever_part_of_the_text(key: str, interval: Interval) -> None:
    split = Property.parse(key)
    filters = tuple(Is(Property.parse(one), NASTY) for one in KEYS)
    question = Question(
        Metric.FAILED_PAYMENT, date(2026, 1, 1), date(2026, 1, 30), True, interval, split, filters=filters
    )
    queries = (
        amounts_query(CALENDAR, question),
        people_query(CALENDAR, question),
        largest_query(CALENDAR, question, split),
        *parts_queries(CALENDAR, question, split, [NASTY]),
    )
    for query in queries:
        for value in (NASTY, "Failed Payment", "Asia/Tokyo", "2026"):
            assert value not in query.text
        assert literal(NASTY) in query.shown


@pytest.mark.parametrize(
    "key",
    ["", "nope", "properties.", "properties.a b", "properties.a`b", "properties.a.b", "metadata.charge", "metadata"],
)
def test_only_plain_names_become_sql(key: str) -> None:
    with pytest.raises(ValueError, match="no property"):
        Property.parse(key)


def test_a_key_of_metadata_may_hold_anything() -> None:
    sql, parameters = Property.parse("metadata.charge.a.b `c` {x:String}").bound(3)
    assert sql == "properties.metadata[{origin_3:String}][{key_3:String}]"
    assert parameters == {"origin_3": "charge", "key_3": "a.b `c` {x:String}"}


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
    one = Calendar("America/New_York")
    assert "toDate" not in within(one, date(2026, 1, 1), date(2026, 1, 2))[0]
    assert "toDate" in within(CALENDAR, date(2026, 1, 1), date(2026, 1, 2))[0]


def test_a_cursor_survives_its_text() -> None:
    cursor = Cursor(datetime(2026, 1, 5, 10, 0, 0, 250_000, tzinfo=UTC), "default:live:paid:ch~1")
    assert Cursor.parse(str(cursor)) == cursor
    for wrong in ("", "x~y", "2026-01-05T10:00:00.000Z"):
        with pytest.raises(ValueError, match=r"cursor|isoformat"):
            Cursor.parse(wrong)
