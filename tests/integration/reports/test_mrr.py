"""MRR as data teams and founders read it: views, page and JSON equal the simulated Stripe's own, at every month's end.

The movements are the ledger's of a simulated half year; what they must add up to is reckoned by
`simulator.world.pricing`.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest
from clickhouse_connect.driver.client import Client

from connector.lookups.answers import ask
from connector.lookups.questions import Question
from connector.stripe_api import StripeApi
from console.config import ConsoleConfig
from reports import mrr
from reports.days import Calendar
from schemas.topics import MRR_MOVEMENTS
from simulator.world.history import World as Stripe
from sinks.config import SinkConfig
from tests.conftest import ClickHouseServer, eventually
from tests.integration.connector_support import simulated
from tests.integration.console_support import HOSTILE, create_schema, fill, movement, serving
from tests.integration.sinks_support import Publisher, config, kafka, running
from tests.ledger_harness import World, run
from tests.unit.processors.test_mrr_truth import ENDS, START, VERSIONS, answered, events, truth
from warehouse.address import Address
from warehouse.client import Warehouse

__all__ = ["config", "kafka"]  # fixtures

VERSION = VERSIONS[-1]


@pytest.fixture(scope="module")
def world() -> World:
    return answered(run(events(1, VERSION)), 1, VERSION)


@pytest.fixture
async def warehouse(clickhouse_server: ClickHouseServer, database: str, world: World) -> AsyncIterator[Warehouse]:
    await create_schema(clickhouse_server.url, database)
    async with Warehouse(Address(clickhouse_server.url, database=database)) as opened:
        await opened.insert("mrr_movement_rows", list(world.moved.values()))
        yield opened


async def test_the_views_as_of_each_months_end_equal_the_truth(warehouse: Warehouse) -> None:
    for end, expected in zip(ENDS, truth(1), strict=True):
        at = f"toDateTime64('{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M:%S}', 3, 'UTC')"
        as_of = f"SELECT customer_id, product_id, currency, mrr FROM mrr WHERE since <= {at} AND {at} < until"
        summed = f"""SELECT customer_id, product_id, currency, sum(amount) AS mrr FROM mrr_movements
            WHERE occurred_at <= {at} GROUP BY ALL"""
        for query in (as_of, summed):
            found = {(r["customer_id"], r["product_id"], r["currency"]): r["mrr"] for r in await warehouse.rows(query)}
            assert {key: round(one, 6) for key, one in found.items() if round(one, 6)} == expected


async def test_every_customer_begins_once_and_kinds_follow_from_before_and_after(warehouse: Warehouse) -> None:
    moves = await warehouse.rows(
        "SELECT customer_id, currency, occurred_at, kind, sum(amount) AS net, any(customer_mrr) AS after "
        "FROM mrr_movements GROUP BY ALL ORDER BY occurred_at"
    )
    known: dict[tuple[str, str], Decimal] = {}
    seen = set()
    for one in moves:
        key = one["customer_id"], one["currency"]
        before = known.get(key, Decimal(0))
        known[key] = before + one["net"]
        seen.add(one["kind"])
        match one["kind"]:
            case "new" | "opening" if before == 0:
                assert known[key] > 0
            case "reactivation":
                assert before == 0
            case "churn":
                assert (before > 0, known[key]) == (True, 0)
            case "expansion":
                assert one["net"] >= 0
            case "contraction":
                assert known[key] > 0 > one["net"]
        assert known[key] == one["after"]
    assert seen == {kind.value for kind in mrr.Kind}


async def test_what_is_told_in_kafka_is_a_row_and_what_is_withdrawn_is_none(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    kept, gone = (
        movement(1, at, "10.833333333333", "10.833333333333"),
        movement(2, at, "7.000000000000", "7.000000000000"),
    )
    withdrawn = {key: gone[key] for key in gone if key not in ("items", "known_since", "started_at")}
    withdrawn |= {"items": [], "withdrawn": True, "version": 2}
    async with running(config):
        await kafka.send(MRR_MOVEMENTS, [orjson.dumps(one) for one in (withdrawn, kept, gone, kept)], 0)
        database = config.warehouse.database

        def there() -> bool:
            found = clickhouse.query(f"SELECT uniqExact(movement_id) FROM {database}.mrr_movement_rows").first_row[0]
            return bool(found == 2)

        await eventually(there, deadline=60)
    ((who, much, until),) = clickhouse.query(f"SELECT customer_id, mrr, until FROM {database}.mrr").result_rows
    assert (who, much, until.year) == ("cus_1", Decimal("10.833333333333"), 2200)
    assert clickhouse.query(f"SELECT kind FROM {database}.mrr_movements").result_rows == [("new",)]


async def test_what_is_older_than_all_that_is_known_opens_and_what_was_missed_is_found_late(
    warehouse: Warehouse,
) -> None:
    await warehouse.run("TRUNCATE TABLE mrr_movement_rows")
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    old, older = "2025-01-01T00:00:00Z", (begin + timedelta(days=2)).isoformat().replace("+00:00", "Z")
    await warehouse.insert(
        "mrr_movement_rows",
        [
            movement(1, begin, "5", "5", started_at=old, found_late=True),
            movement(2, begin + timedelta(days=1), "7", "7", started_at=old, found_late=True),
            movement(3, begin + timedelta(days=4), "9", "9", started_at=older, found_late=True),
            movement(1, begin + timedelta(days=6), "-5", "0", known_since=begin.isoformat().replace("+00:00", "Z")),
            movement(4, begin + timedelta(days=9), "6", "6", customer_id="cus_1"),
        ],
    )
    found = await warehouse.rows("SELECT kind, found_late FROM mrr_movements ORDER BY occurred_at")
    assert [(one["kind"], one["found_late"]) for one in found] == [
        ("opening", False),
        ("opening", False),
        ("new", True),
        ("churn", False),
        ("reactivation", False),
    ]
    shown = await mrr.overview(warehouse, Calendar(), begin.date(), begin.date() + timedelta(days=80), True)
    march, april, _ = shown.months["usd"]
    assert (march.opening, march.closing, april.closing) == (0, 22, 22)
    assert march.moved == {"opening": 12, "new": 9, "churn": -5, "reactivation": 6}
    assert await mrr.now(warehouse, True) == {"usd": 22}
    assert await mrr.now(warehouse, True, ["cus_2", "cus_3"]) == {"usd": 16}
    assert await mrr.now(warehouse, True, []) == {}


async def test_the_page_and_the_api_tell_it(
    warehouse: Warehouse, clickhouse_server: ClickHouseServer, database: str
) -> None:
    now = datetime.now(UTC)
    await warehouse.run("TRUNCATE TABLE mrr_movement_rows")
    evil = [{"product_id": HOSTILE, "currency": "usd", "amount": "0.833333333333", "mrr": "0.833333333333"}]
    yen = [{"product_id": "prod_tea", "currency": "jpy", "amount": "900", "mrr": "900"}]
    await warehouse.insert(
        "mrr_movement_rows",
        [
            movement(20, now - timedelta(days=40), "12.5", "12.5"),
            movement(2, now - timedelta(days=39), "", "", items=evil),
            movement(3, now - timedelta(days=38), "", "", items=yen),
        ],
    )
    await fill(clickhouse_server.url, database, now)
    async with serving(ConsoleConfig(warehouse.address)) as url, aiohttp.ClientSession() as http:

        async def text(path: str) -> str:
            async with http.get(url + path) as answer:
                assert answer.status == 200
                return await answer.text()

        page = await text("/mrr")
        assert "13.33\N{NO-BREAK SPACE}USD" in page  # 12.50 and 0.8333…: rounded once, when it is shown
        assert "and 1 more" in page
        assert "ada.20@example.com" in page
        assert "<script>document" not in page
        assert "900\N{NO-BREAK SPACE}JPY" in await text("/mrr?currency=jpy")
        assert "None in this time" in await text("/mrr?kind=churn")
        assert "No subscription is known yet" in await text("/mrr?mode=test")
        assert "13.33" in await text("/")
        assert "12.50\N{NO-BREAK SPACE}USD</b> a month" in await text("/profile?email=ada.20@example.com")
        told = orjson.loads(await text("/api/v1/mrr"))
        assert told["mrr"] == {"usd": "13.333333333333", "jpy": "900.000000000000"}
        assert {(one["product_id"], one["customers"]) for one in told["products"]} == {("prod_tea", 1), (HOSTILE, 1)}
        assert [one["closing"] for one in told["months"] if one["currency"] == "usd"][-1] == "13.333333333333"
        assert {one["kind"] for one in told["movements"]} == {"new"}
        async with http.get(f"{url}/mrr?currency=us$") as answer:
            assert answer.status == 400


async def test_a_subscription_is_looked_up_with_its_coupons_and_tiers() -> None:
    """Since 2025-09-30 Stripe names coupons; tiers are only shown to who asks for them."""
    world = Stripe(5, START, 120, 12, extended=True, pricing=True, until=START + 60 * 86_400)
    subscriptions = world.accounts["default"].subscriptions.values()
    discounted = next(one for one in subscriptions if one.discounts)
    tiered = next(one for one in subscriptions if any(plan.tiers for _, plan, _ in one.items))
    async with simulated(world) as stripe, StripeApi(stripe.access()) as api:

        async def found(identifier: str) -> dict[str, Any]:
            message, _ = await ask(api, Question("default", True, "subscription", identifier, "coupons", 0, 0))
            body: dict[str, Any] = orjson.loads(message.value or b"")
            return body

        coupon, (shown,) = discounted.discounts[0].coupon, (await found(discounted.id))["discounts"]
        assert shown["source"]["coupon"].items() >= {"id": coupon.id, "duration": coupon.duration}.items()
        (tiers,) = [
            one["price"]["tiers"]
            for one in (await found(tiered.id))["items"]["data"]
            if one["price"]["billing_scheme"] == "tiered"
        ]
        assert [one["up_to"] for one in tiers] == [5, None]
