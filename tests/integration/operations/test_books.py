"""Books that were closed say later what has changed in the month since, and which event changed it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from operations.closing import close
from reports import books
from reports.books import Month, Worth
from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from tests.integration.console_support import envelope
from tests.integration.sinks.test_metric_history import warehouse, write
from tests.integration.sinks_support import config, fact
from warehouse.client import Warehouse
from warehouse.migrate import migrate

__all__ = ["config", "warehouse"]  # fixtures

#: October ends an hour later in Berlin than in winter: at 23:00 UTC on the 31st.
OCTOBER = Month("default", True, date(2025, 10, 1), ZoneInfo("Europe/Berlin"))
BEFORE, LATER = "2025-11-02T08:00:00.000Z", "2025-11-20T08:00:00.000Z"
CLOSED = datetime(2025, 11, 3, 12, tzinfo=UTC)


@pytest.fixture
async def october(warehouse: Warehouse) -> Warehouse:
    """Three payments of 10.00, 20.00 and 30.00 USD, one in JPY, one of November, and one of test mode."""
    await migrate(warehouse)
    await warehouse.run("INSERT INTO metric_history_rows (metric_id, known_at) VALUES ('', '2025-10-01 00:00:00')")
    paid = {"occurred_at": "2025-10-10T10:00:00.000Z", "event_id": "evt_paid"}
    rows = [fact(f"paid:{number}", amount_minor=number * 1000, **paid) for number in (1, 2, 3)]
    rows += [
        fact("paid:yen", currency="jpy", amount_minor=500, **paid),
        fact("paid:last", amount_minor=700, **paid | {"occurred_at": "2025-10-31T22:59:59.000Z"}),
        fact("paid:november", amount_minor=99, **paid | {"occurred_at": "2025-10-31T23:00:00.000Z"}),
        fact("paid:test", livemode=False, **paid),
        fact("paid:other", account="other", **paid),
    ]
    await write(warehouse, rows, BEFORE)
    return warehouse


def told(totals: tuple[books.Total, ...]) -> list[tuple[str, str, int, str]]:
    return [(one.metric, one.currency, one.count, str(one.amount)) for one in totals]


FIRST = [("Successfully Paid", "jpy", 1, "500"), ("Successfully Paid", "usd", 4, "67.00")]


async def test_a_closing_keeps_what_the_accounts_month_came_to(october: Warehouse) -> None:
    closing = await close(october, OCTOBER, "ada@staff.example")
    assert told(closing.totals) == FIRST
    (kept,) = await books.closings(october, True)
    assert (kept.closing_id, kept.closed_by, kept.month) == (closing.closing_id, "ada@staff.example", date(2025, 10, 1))
    assert told(kept.totals) == [(*one[:3], str(Decimal(one[3]).quantize(Decimal("0.001")))) for one in FIRST]
    found = await books.since_closed(october, kept)
    assert (found.equal, found.rows) == (True, ())
    assert all(one.equal for one in found.totals)


async def test_every_row_that_changed_is_named_with_the_event_that_changed_it(
    october: Warehouse, clickhouse: Client
) -> None:
    day = {"occurred_at": "2025-10-10T10:00:00.000Z"}
    await write(
        october,
        [
            fact("paid:1", amount_minor=1000, version=2, email="new@example.com", event_id="evt_email", **day),
            fact("paid:2", amount_minor=1500, version=2, event_id="evt_less", **day),
            fact("paid:2", amount_minor=1500, version=3, event_id="evt_same_amount", **day),
            fact("paid:3", amount_minor=3000, version=2, event_id="evt_moved", withdrawn=True, **day),
            fact("paid:3", amount_minor=3000, version=3, event_id="evt_moved", occurred_at="2025-11-04T10:00:00.000Z"),
            fact("paid:yen", currency="jpy", amount_minor=500, event_id="evt_replayed", **day),  # told once more
            fact(
                "refund", Metric.REFUNDED_PAYMENT, amount_minor=400, event_id="re_1@2025-11-20", source="import", **day
            ),
            fact(
                "paid:last",
                amount_minor=800,
                version=(2 << 49) + 7,
                event_id="evt_paid",
                source="replay",
                occurred_at="2025-10-31T22:59:59.000Z",
            ),
        ],
        LATER,
    )
    sent = envelope(1, datetime(2025, 11, 19, tzinfo=UTC), "ch_1")
    await october.insert(
        "stripe_event_rows", [sent.model_copy(update={"event_id": "evt_less"}).model_dump(mode="json")]
    )
    clickhouse.command("OPTIMIZE TABLE metric_history_rows FINAL")

    found = await books.since(october, OCTOBER, CLOSED)
    rows = {row.metric_id: row for row in found.rows}
    assert rows.keys() == {"paid:2", "paid:3", "refund", "paid:last"}
    usd = ("Successfully Paid", "usd")
    assert (rows["paid:2"].before, rows["paid:2"].after) == (Worth(*usd, Decimal(20)), Worth(*usd, Decimal(15)))
    (cause,) = rows["paid:2"].causes
    assert (cause.event_id, cause.type, cause.known_at) == (
        "evt_less",
        sent.type,
        datetime(2025, 11, 20, 8, tzinfo=UTC),
    )
    assert rows["paid:3"].after is None
    assert rows["paid:3"].moved_to == datetime(2025, 11, 4, 10, tzinfo=UTC)
    assert rows["refund"].before is None
    assert [(one.event_id, one.source) for one in rows["refund"].causes] == [("re_1@2025-11-20", "import")]
    assert [one.rules for one in rows["paid:last"].causes] == [2]
    totals = {
        (one.metric, one.currency): (one.count_then, str(one.amount_then), one.count_now, str(one.amount_now))
        for one in found.totals
    }
    assert totals == {
        ("Successfully Paid", "usd"): (4, "67.00", 3, "33.00"),
        ("Successfully Paid", "jpy"): (1, "500", 1, "500"),
        ("Refunded Payment", "usd"): (0, "0", 1, "4.00"),
    }
    assert not found.equal
    assert not found.altered


async def test_what_was_known_before_the_history_began_is_not_made_up(october: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="history of versions begins later") as refused:
        await books.since(october, OCTOBER, datetime(2025, 9, 30, tzinfo=UTC))
    assert "2025-10-01T00:00:00Z" in refused.value.remedy
    with pytest.raises(ConfigurationError, match="history of versions begins later"):
        await books.since(october, OCTOBER, datetime.fromisoformat("0001-01-01T00:00+14:00"))
    assert (await books.since(october, OCTOBER, datetime.fromisoformat("9999-12-31T23:59-14:00"))).equal


async def test_a_month_that_is_not_over_is_not_closed(warehouse: Warehouse) -> None:
    await migrate(warehouse)
    running = Month("default", True, datetime.now(ZoneInfo("UTC")).date().replace(day=1), ZoneInfo("UTC"))
    with pytest.raises(ConfigurationError, match="is not over in UTC"):
        await close(warehouse, running, "ada")


async def test_an_altered_history_or_closing_is_seen(october: Warehouse, clickhouse: Client) -> None:
    await close(october, OCTOBER, "ada")
    clickhouse.command("ALTER TABLE closing_rows UPDATE amount_minor = 1, amount = 0.01 WHERE currency = 'jpy'")
    (kept,) = await books.closings(october, True, "default", OCTOBER.first)
    found = await books.since_closed(october, kept)
    assert found.altered
    assert not found.equal


async def test_an_empty_month_can_be_closed(october: Warehouse) -> None:
    august = Month("default", True, date(2025, 8, 1), ZoneInfo("Europe/Berlin"))
    await close(october, august, "ada")
    (kept,) = await books.closings(october, True)
    assert kept.totals == ()
    assert (await books.since_closed(october, kept)).equal
    assert await books.closings(october, False) == []
    assert kept.closed_at - kept.known_at >= timedelta(seconds=4)
