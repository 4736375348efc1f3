"""Every number of the console is the one that the rows say, on the real engine."""

import asyncio
import csv
import html
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from clickhouse_connect.driver.client import Client

from console.actions import Actions
from console.config import ConsoleConfig
from reports.days import Calendar
from schemas.metrics import Metric, MetricEvent
from settings.loading import load_settings
from tests.conftest import ClickHouseServer
from tests.integration.console_support import address, create_schema, envelope, fill, insert, row, serving
from tillstream.broker import own_broker
from warehouse.address import Address

NOW = datetime.now(UTC).replace(hour=18)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def shop(clickhouse_server: ClickHouseServer, database: str) -> tuple[ConsoleConfig, list[MetricEvent]]:
    rows = await fill(clickhouse_server.url, database, NOW)
    return ConsoleConfig(Address(clickhouse_server.url, database=database)), rows


async def get(http: aiohttp.ClientSession, url: str, status: int = 200) -> Any:
    async with http.get(url) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def facts(rows: list[MetricEvent], metric: Metric, livemode: bool) -> list[MetricEvent]:
    """Those that the last 30 days in UTC hold."""
    first = (datetime.now(UTC) - timedelta(days=29)).date().isoformat()
    last = datetime.now(UTC).date().isoformat()
    return [
        one
        for one in rows
        if one.metric == metric and one.livemode == livemode and first <= one.occurred_at[:10] <= last
    ]


@pytest.mark.parametrize("mode", ["live", "test"])
async def test_the_overview_counts_and_sums_what_the_rows_say(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]], mode: str
) -> None:
    config, rows = shop
    async with serving(config) as url:
        told = await get(http, f"{url}/api/v1/metrics?mode={mode}")
    for one in told["metrics"]:
        mine = facts(rows, Metric(one["metric"]), mode == "live")
        assert one["count"] == len(mine)
        assert one["unique_profiles"] == len({fact.email for fact in mine if fact.email})
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for fact in mine:
            sums[fact.currency] += Decimal(fact.amount)
        assert {currency: Decimal(text) for currency, text in one["amounts"].items()} == sums
        by_day = Counter(fact.occurred_at[:10] for fact in mine)
        assert {day["day"]: day["count"] for day in one["days"] if day["count"]} == by_day
        assert len(one["days"]) == 30


async def test_the_overview_says_what_came_in_what_is_at_risk_and_what_was_recovered(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str
) -> None:
    """Four invoices: one owed after a failure, one owed without, one paid after a failure, one given up."""
    await create_schema(clickhouse_server.url, database)

    def issued(number: int, days: int, amount: int, status: str, remaining: str) -> MetricEvent:
        told = {"status": status, "AmountRemaining": remaining}
        return one(Metric.ISSUED_INVOICE, number, days, amount, invoice_id=f"in_{number}", properties=told)

    def one(metric: Metric, number: int, days: int, amount: int, **more: Any) -> MetricEvent:
        at = datetime.now(UTC) - timedelta(days=days)
        return row(metric, number, at, currency="eur", amount_minor=amount, **more)

    rows = [
        issued(1, 9, 10900, "open", "79.00"),
        one(Metric.FAILED_PAYMENT, 1, 8, 7900, invoice_id="in_1"),
        one(Metric.FAILED_PAYMENT, 2, 5, 7900, invoice_id="in_1"),
        issued(2, 9, 3000, "open", "30.00"),
        issued(3, 40, 5000, "paid", "0.00"),
        one(Metric.FAILED_PAYMENT, 3, 40, 5000, invoice_id="in_3"),
        one(Metric.SUCCESSFULLY_PAID, 3, 3, 5000, invoice_id="in_3"),
        issued(4, 9, 700, "uncollectible", "7.00"),
        one(Metric.FAILED_PAYMENT, 4, 9, 700, invoice_id="in_4"),
        one(Metric.SUCCESSFULLY_PAID, 5, 2, 2000),
        one(Metric.REFUNDED_PAYMENT, 5, 1, 1250),
    ]
    await insert(clickhouse_server.url, database, "metric_rows", rows)
    async with (
        serving(ConsoleConfig(Address(clickhouse_server.url, database=database))) as url,
        http.get(f"{url}/") as answer,
    ):
        page = html.unescape(await answer.text()).replace("\N{NO-BREAK SPACE}", " ")
    assert '<p class="big">57.50 EUR' in page  # 50 + 20 - 12.50
    told = dict(re.findall(r"<dt>([^<]+)</dt><dd><b>([^<]+)</b>", page))
    assert told == {"At risk": "79.00 EUR", "Recovered": "50.00 EUR", "Refunded": "12.50 EUR"}
    assert "1 open invoice with a failed payment" in page
    assert "1 invoice paid after a failure" in page


@pytest.mark.parametrize("interval", ["day", "week", "month"])
@pytest.mark.parametrize("split", ["", "currency", "reason"])
async def test_a_metric_taken_apart_is_still_the_whole(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]], interval: str, split: str
) -> None:
    config, rows = shop
    mine = facts(rows, Metric.FAILED_PAYMENT, True)
    async with serving(config) as url:
        told = await get(http, f"{url}/api/v1/metrics/failed_payment?interval={interval}&split={split}")
        async with http.get(f"{url}/metric/failed_payment/csv?interval={interval}&split={split}") as answer:
            table = list(csv.DictReader(io.StringIO(await answer.text())))
    people = len({fact.email for fact in mine if fact.email})
    assert told["total"]["count"] == len(mine)
    assert told["total"]["unique_profiles"] == people
    assert sum(period["count"] for period in told["periods"]) == len(mine)
    assert sum(Decimal(line["amount"]) for line in table if line["currency"] == "usd") == sum(
        Decimal(fact.amount) for fact in mine if fact.currency == "usd"
    )
    if split == "reason":
        assert {part["part"]: part["count"] for part in told["parts"]} == Counter(fact.reason for fact in mine)
        for part in told["parts"]:
            emails = {fact.email for fact in mine if fact.reason == part["part"] and fact.email}
            assert part["unique_profiles"] == len(emails)
    if split == "currency":
        assert {part["part"]: part["count"] for part in told["parts"]} == Counter(fact.currency for fact in mine)


async def test_the_shown_sql_gives_the_same_numbers(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]], clickhouse: Client
) -> None:
    config, rows = shop
    async with serving(config) as url:
        told = await get(http, f"{url}/api/v1/metrics/successfully_paid?split=currency&interval=week&compare=true")
    clickhouse.database = config.warehouse.database
    asked = [list(clickhouse.query(sql).named_results()) for sql in told["sql"]]
    amounts, people, before, _, parts, _ = asked
    mine = facts(rows, Metric.SUCCESSFULLY_PAID, True)
    assert told["total"]["count"] == len(mine)
    assert sum(row["events"] for row in amounts) == len(mine)
    assert [row["people"] for row in people if row["every_period"]] == [len({one.email for one in mine if one.email})]
    assert sum(row["events"] for row in before) == told["before"]["count"]
    assert {row["part"] for row in parts} == {one.currency for one in mine}
    assert sum(row["events"] for row in parts) == len(mine)


async def test_filters_splits_and_the_time_before_say_what_the_rows_say(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]]
) -> None:
    config, rows = shop
    day = datetime.now(UTC).date()
    week = [(day - timedelta(days=back)).isoformat() for back in range(7)]
    earlier = [(day - timedelta(days=back)).isoformat() for back in range(7, 14)]
    mine = [one for one in rows if one.metric == Metric.ISSUED_INVOICE and one.livemode and one.currency == "eur"]
    query = {
        "from": week[-1],
        "where": ["currency", "metadata.subscription.plan"],
        "is": ["eur", "monthly"],
        "split": "product",
        "compare": "true",
    }
    async with serving(config) as url:
        pairs = [
            (name, one) for name, value in query.items() for one in (value if isinstance(value, list) else [value])
        ]
        async with http.get(f"{url}/api/v1/metrics/issued_invoice", params=pairs) as answer:
            told = await answer.json()
        nobody = await get(http, f"{url}/api/v1/metrics/issued_invoice?where=metadata.subscription.plan&is=yearly")
        known = await get(http, f"{url}/api/v1/metrics/issued_invoice/properties")
    assert told["total"]["count"] == sum(one.occurred_at[:10] in week for one in mine)
    assert told["before"]["count"] == sum(one.occurred_at[:10] in earlier for one in mine)
    assert set(told["total"]["amounts"]) == {"eur"}
    assert {part["part"]: part["count"] for part in told["parts"]} == {"prod_tea": told["total"]["count"]}
    assert (nobody["total"]["count"], nobody["parts"]) == (0, [])
    keys = [one["key"] for one in known["properties"]]
    assert {"currency", "product", "properties.status", "metadata.subscription.plan"} <= set(keys)


async def test_of_very_many_parts_the_rest_is_one_part(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]]
) -> None:
    config, rows = shop
    async with serving(config) as url:
        told = await get(http, f"{url}/api/v1/metrics/issued_invoice?split=properties.InvoiceNumber")
    assert len(told["parts"]) == 51
    assert told["parts"][-1]["others"]
    assert sum(part["count"] for part in told["parts"]) == told["total"]["count"]
    others = facts(rows, Metric.ISSUED_INVOICE, True)
    named = {part["part"] for part in told["parts"][:-1]}
    people = {one.email for one in others if one.properties["InvoiceNumber"] not in named and one.email}
    assert told["parts"][-1]["unique_profiles"] == len(people)


async def test_hours_are_the_accounts_own_and_a_long_night_has_25(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str
) -> None:
    """London's clocks went back on 26 October 2025 at 01:00 UTC: two hours of that name, and both are told."""
    await create_schema(clickhouse_server.url, database, default_timezone="Europe/London")
    hours = [datetime(2025, 10, 25, 23, 30, tzinfo=UTC) + timedelta(hours=n) for n in range(25)]
    paid = [row(Metric.SUCCESSFULLY_PAID, n, at) for n, at in enumerate(hours)]
    outside = [row(Metric.SUCCESSFULLY_PAID, 99, hours[0] - timedelta(hours=1))]
    await insert(clickhouse_server.url, database, "metric_rows", [*paid, *outside])
    config = ConsoleConfig(Address(clickhouse_server.url, database=database), calendar=Calendar("Europe/London"))
    async with serving(config) as url:
        asked = f"{url}/api/v1/metrics/successfully_paid?from=2025-10-26&to=2025-10-26"
        told = await get(http, f"{asked}&interval=hour")
        whole = await get(http, asked)
        async with http.get(f"{url}/metric/successfully_paid?from=2025-10-26&to=2025-10-26&interval=hour") as answer:
            page = await answer.text()
    assert [period["count"] for period in told["periods"]] == [1] * 25
    assert told["periods"][0]["begin"] == "2025-10-25T23:00:00.000Z"
    assert whole["total"] == told["total"]
    assert "01:00 (UTC+0100)" in page
    assert "01:00 (UTC+0000)" in page


async def test_days_are_those_of_each_account(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str
) -> None:
    zones = {"default": "UTC", "us": "America/Los_Angeles"}
    await create_schema(clickhouse_server.url, database, timezones=zones, default_timezone="UTC")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).replace(hour=3, minute=0, second=0)
    await insert(
        clickhouse_server.url,
        database,
        "metric_rows",
        [row(Metric.SUCCESSFULLY_PAID, n, yesterday, account=name) for n, name in enumerate(zones)],
    )
    config = ConsoleConfig(Address(clickhouse_server.url, database=database), calendar=Calendar(by_account=zones))
    async with serving(config) as url:
        paid = await get(http, f"{url}/api/v1/metrics/successfully_paid")
        whole = await get(http, f"{url}/api/v1/metrics")
    days = {period["begin"]: period["count"] for period in paid["periods"] if period["count"]}
    before = (yesterday - timedelta(days=1)).date().isoformat()
    assert days == {yesterday.date().isoformat(): 1, before: 1}
    of_overview = {day["day"]: day["count"] for day in whole["metrics"][3]["days"] if day["count"]}
    assert of_overview == days


async def test_paging_through_the_feed_meets_every_event_once(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]]
) -> None:
    config, rows = shop
    same_moment = [row(Metric.ISSUED_INVOICE, 900_000 + n, NOW, email="twin@example.com") for n in range(25)]
    await insert(address(config), config.warehouse.database, "metric_rows", same_moment)
    wanted = {one.metric_id for one in [*rows, *same_moment] if one.metric == Metric.ISSUED_INVOICE and one.livemode}
    seen: list[dict[str, Any]] = []
    async with serving(config) as url:
        before = ""
        while before is not None:
            query = {"metric": "issued_invoice", "limit": "60", **({"before": before} if before else {})}
            async with http.get(f"{url}/api/v1/events", params=query) as answer:
                told = await answer.json()
            seen += told["events"]
            before = told["next"]
        twins = await get(http, f"{url}/api/v1/events?email=Twin@example.com")
    assert [one["metric_id"] for one in twins["events"]] == sorted((t.metric_id for t in same_moment), reverse=True)
    assert len(seen) == len(wanted)
    assert {one["metric_id"] for one in seen} == wanted
    assert [one["occurred_at"] for one in seen] == sorted((one["occurred_at"] for one in seen), reverse=True)


async def test_an_event_opens_with_its_properties_lines_and_what_stripe_sent(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]]
) -> None:
    config, rows = shop
    issued = next(one for one in rows if one.metric == Metric.ISSUED_INVOICE and one.livemode)
    paid = row(Metric.SUCCESSFULLY_PAID, 4711, NOW)
    sent = [
        envelope(101, NOW, "ch_4711"),
        envelope(102, NOW, "ch_47110"),
        envelope(103, NOW, "ch_4711", livemode=False),
    ]
    await insert(address(config), config.warehouse.database, "metric_rows", [paid])
    await insert(address(config), config.warehouse.database, "stripe_event_rows", sent)
    async with serving(config) as url:
        told = await get(http, f"{url}/api/v1/events/{issued.metric_id}")
        assert told["properties"]["InvoiceNumber"] == issued.properties["InvoiceNumber"]
        assert [(line["description"], line["quantity"]) for line in told["lines"]] == [("Tea, monthly", 2)]
        assert (await get(http, f"{url}/api/v1/events/{issued.metric_id}?mode=test", 404))["error"]
        async with http.get(f"{url}/part/raw?id={paid.metric_id}") as answer:
            text = await answer.text()
        assert "evt_101" in text
        assert "evt_102" not in text  # another charge, whose id begins alike
        assert "evt_103" not in text  # test mode
        async with http.get(f"{url}/raw?id=evt_101&account=default") as answer:
            assert "ch_4711" in await answer.text()


async def test_an_event_tells_how_it_was_enriched(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]], clickhouse: Client
) -> None:
    """Also when the table of the facts has forgotten the older versions, and when each was delivered twice."""
    config, _ = shop
    first = row(Metric.SUCCESSFULLY_PAID, 5150, NOW, email="", unlinked_reason="the charge names nobody")
    later = first.model_copy(update={"version": 2, "email": "late@example.com", "unlinked_reason": ""})
    linked = later.model_copy(update={"version": 3, "invoice_id": "in_5150", "source": "lookup"})
    for one in (first, later, first, linked, linked):
        await insert(address(config), config.warehouse.database, "metric_rows", [one])
    clickhouse.command(f"OPTIMIZE TABLE {config.warehouse.database}.metric_rows FINAL")
    async with serving(config) as url:
        told = await get(http, f"{url}/api/v1/events/{first.metric_id}")
    assert [(one["version"], one["email"], one["invoice_id"], one["source"]) for one in told["versions"]] == [
        (1, "", "", "webhook"),
        (2, "late@example.com", "", "webhook"),
        (3, "late@example.com", "in_5150", "lookup"),
    ]
    assert told["version"] == 3


async def test_raw_events_are_found_by_every_object_that_they_name(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str
) -> None:
    await create_schema(clickhouse_server.url, database)
    paid = row(Metric.SUCCESSFULLY_PAID, 1, NOW, charge_id="ch_1", invoice_id="in_1")
    bodies: list[dict[str, Any]] = [
        {"id": "evt_0", "data": {"object": {"id": "ch_1", "invoice": "in_1"}}},
        {"id": "evt_1", "data": {"object": {"id": "re_1", "charge": "ch_1"}}},
        {"id": "evt_2", "data": {"object": {"id": "inpay_1", "invoice": "in_1", "payment": {"charge": "ch_1"}}}},
        {"id": "evt_3", "related_object": {"id": "ch_1"}},
        {"id": "ch_1", "object": "charge", "customer": {"id": "cus_1"}},
        {"id": "evt_5", "data": {"object": {"id": "dp_1", "charge": {"id": "ch_1", "object": "charge"}}}},
        {"id": "evt_6", "data": {"object": {"id": "ch_2", "description": "ch_1"}}},
        {"id": "evt_7", "data": {"object": {"id": "in_1", "charge": None, "subscription": 5}}},
    ]
    sent = [envelope(n, NOW, "").model_copy(update={"body": json.dumps(body)}) for n, body in enumerate(bodies)]
    await insert(clickhouse_server.url, database, "metric_rows", [paid])
    await insert(clickhouse_server.url, database, "stripe_event_rows", [*sent, *sent])
    async with serving(ConsoleConfig(Address(clickhouse_server.url, database=database))) as url:
        told = await get(http, f"{url}/api/v1/events/{paid.metric_id}")
    assert [one["event_id"] for one in told["stripe_events"]] == [f"evt_{n}" for n in (0, 1, 2, 3, 4, 5, 7)]


async def test_open_pages_are_told_of_what_is_written(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]]
) -> None:
    config, _ = shop
    async with serving(config) as url, http.get(f"{url}/live") as stream:
        assert stream.content_type == "text/event-stream"
        async with asyncio.timeout(90):
            assert await stream.content.readline() == b"event: change\n"
            await stream.content.readuntil(b"\n\n")
            await insert(
                address(config), config.warehouse.database, "metric_rows", [row(Metric.FAILED_PAYMENT, 1, NOW)]
            )
            assert await stream.content.readline() == b"event: change\n"


async def test_a_person_is_found_and_told_exactly(
    http: aiohttp.ClientSession, shop: tuple[ConsoleConfig, list[MetricEvent]]
) -> None:
    config, _ = shop
    async with serving(config) as url:
        found = await get(http, f"{url}/api/v1/profiles?q=HEDY.55")
        assert [one["email"] for one in found["profiles"]] == ["hedy.55@example.com"]
        by_customer = await get(http, f"{url}/api/v1/profiles?q=cus_55")
        assert by_customer["profiles"] == found["profiles"]
        person = await get(http, f"{url}/api/v1/profiles/hedy.55@example.com")
        assert [one["currency"] for one in person["value"]] == ["usd", "jpy"]
        assert person["value"][1]["lifetime_value"] == "500"
        assert [card["last4"] for card in person["card_expirations"]] == ["4242", "4444"]
        assert await get(http, f"{url}/api/v1/profiles/hedy.55@example.com?mode=test", 404)


async def test_health_counts_what_came(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str, tmp_path: Path
) -> None:
    await create_schema(clickhouse_server.url, database)
    now = datetime.now(UTC)
    came = [envelope(n, now - timedelta(minutes=40 * n), "ch_1") for n in range(4)]
    await insert(
        clickhouse_server.url, database, "stripe_event_rows", [*came, envelope(9, now, "ch_1", False), came[0]]
    )
    unlinked = row(Metric.SUCCESSFULLY_PAID, 1, now, email="", unlinked_reason="the charge names nobody")
    await insert(clickhouse_server.url, database, "metric_rows", [unlinked])
    actions = Actions(load_settings(tillstream_data=tmp_path), own_broker)
    async with serving(ConsoleConfig(Address(clickhouse_server.url, database=database)), actions=actions) as url:
        told = await get(http, f"{url}/api/v1/health")
    assert (told["events_last_hour"], told["unlinked_30_days"], told["dead_letters"]) == (2, 1, 0)
    assert (told["verdict"], told["findings"][0]["name"]) == ("red", "nothing-runs")  # in the data directory
