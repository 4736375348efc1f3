"""The witness's test: a quarter ties out to the cent against Stripe's own account of the money, and what was altered is
named.

Rows are the ledger's, of webhooks that came twice, out of order or by the sweep alone. The account of the money is the
simulated Stripe's, made of what happened to the money and of nothing that the ledger derives.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import orjson
import pytest
from clickhouse_connect.driver.client import Client

from connector.tieout.daily import DailyTieOut
from connector.tieout.facts import Tied, TieOut
from connector.tieout.run import Answer, tie_out
from connector.tieout.store import save
from console.config import ConsoleConfig
from reports.tieouts import last_tieouts
from schemas.envelope import Source
from schemas.times import rfc3339
from simulator.delivery.plan import Faults, plan
from simulator.rendering.objects import event_json
from simulator.world.history import World
from sinks.config import SinkConfig
from tests.conftest import MakeTopics, RunStripe
from tests.integration.balance_support import Place
from tests.integration.console_support import serving
from tests.integration.sinks_support import config
from tests.integration.sinks_support import rows as told
from tests.ledger_harness import World as Ledgers
from warehouse.client import Warehouse

__all__ = ["config"]  # a fixture

DAY = 86_400
DAYS = 90
ZONE = ZoneInfo("America/New_York")
SWEEP = 3_600.0
FAULTS = Faults(duplicate=0.1, shuffle_window=300, drop=0.05, delay=0.02)


@pytest.fixture(scope="module")
def world() -> World:
    return World(11, int(time.time()) - (DAYS + 10) * DAY, DAYS, 120, rare=True, extended=True)


@pytest.fixture(scope="module")
def rows(world: World) -> list[dict[str, Any]]:
    """What the ledger makes of it: lost ones come by the sweep, after everything else."""
    deliveries, lost = plan(world.events, FAULTS, 7)
    assert lost
    ledgers = Ledgers()
    for one in deliveries:
        ledgers.feed(orjson.loads(orjson.dumps(event_json(one.event, one.version))))
    for event in world.events:
        if event.id in lost:
            ledgers.feed(orjson.loads(orjson.dumps(event_json(event))), Source.SWEEP)
    ledgers.checkpoint()
    ledgers.settle()
    return list(ledgers.rows().values())


@pytest.fixture
async def place(
    config: SinkConfig,
    topic_prefix: str,
    make_topics: MakeTopics,
    run_stripe: RunStripe,
    world: World,
    rows: list[dict[str, Any]],
) -> Place:
    """Everything is in ClickHouse, as an import and a sweep bring it."""
    await make_topics(topic_prefix)
    place = Place(config, await run_stripe(world))
    await place.migrate()
    await place.bring()
    await place.sweep()
    await place.write()
    async with Warehouse(config.warehouse) as warehouse:
        await warehouse.insert("metric_rows", rows)
    return place


@pytest.fixture
async def warehouse(place: Place) -> AsyncIterator[Warehouse]:
    async with Warehouse(place.config.warehouse) as opened:
        yield opened


def days(world: World) -> tuple[date, date]:
    """All of it."""
    return datetime.fromtimestamp(world.start, ZONE).date(), datetime.fromtimestamp(world.end + 5 * DAY, ZONE).date()


async def answered(warehouse: Warehouse, world: World) -> Answer:
    return await tie_out(warehouse, "default", True, ZONE, days(world), SWEEP, time.time())


async def result(warehouse: Warehouse, world: World) -> TieOut:
    found = (await answered(warehouse, world)).result
    assert found is not None
    return found


async def test_a_quarter_ties_out_to_the_cent_and_every_transaction_has_its_name(
    warehouse: Warehouse, world: World, place: Place
) -> None:
    answer = await answered(warehouse, world)
    found = answer.result
    assert found is not None
    assert answer.money is not None
    assert found.differences == ()
    assert found.state is Tied.TIED
    balance = place.balance
    assert found.names.keys() == balance.transactions.keys()
    wanted = {
        "charge": {"Successfully Paid", "debit that failed", "share of a platform's charge", "debit on its way"},
        "partial_capture_reversal": {"Successfully Paid"},
        "charge_failure": {"debit that failed"},
        "refund": {"Refunded Payment", "refund that failed"},
        "refund_failure": {"refund that failed"},
        "dispute": {"Dispute"},
        "dispute_reversal": {"dispute won"},
        "fee": {"Stripe's fee"},
        "payout": {"payout"},
        "payout_reversal": {"payout that came back"},
    }
    seen: dict[str, set[str]] = {}
    for one in balance.transactions.values():
        seen.setdefault(one.reporting_category, set()).add(found.names[one.id].name)
    assert all(seen[category] <= names for category, names in wanted.items() if category in seen)
    assert {"charge", "partial_capture_reversal", "charge_failure", "refund", "refund_failure", "fee"} <= seen.keys()
    assert Counter(found.payouts.values()) == {Tied.TIED: len(balance.payouts)}
    assert {one.currency for one in answer.money.balances} == {"usd", "eur"}


async def test_the_stored_answer_has_every_cents_name_by_payout_and_day(
    warehouse: Warehouse, world: World, place: Place, clickhouse: Client
) -> None:
    answer = await answered(warehouse, world)
    run_id = await save(warehouse, answer, time.time())
    sums = told(
        clickhouse,
        f"SELECT currency, sum(transactions), sum(amount_minor), sum(fee_minor), sum(net_minor) "
        f"FROM {place.config.warehouse.database}.tieouts WHERE run_id = '{run_id}' AND name NOT LIKE 'payout by%' "
        "GROUP BY currency ORDER BY currency",
    )
    every = place.balance.transactions.values()
    assert sums == [
        (name, len(of), sum(one.amount for one in of), sum(one.fee for one in of), sum(one.net for one in of))
        for name in ("eur", "usd")
        if (of := [one for one in every if one.currency == name])
    ]
    first = next(iter(place.balance.transactions.values()))
    day = datetime.fromtimestamp(first.created, ZONE).date()
    assert told(
        clickhouse,
        f"SELECT min(day) FROM {place.config.warehouse.database}.tieouts WHERE run_id = '{run_id}'",
    ) == [(day,)]
    (last,) = await last_tieouts(warehouse)
    assert (last.account, last.livemode, last.state, last.differences) == ("default", True, "tied", 0)


def first(rows: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    return next(row for row in rows if row["metric"] == metric and row["charge_id"] and row["currency"] == "usd")


@pytest.mark.parametrize("metric", ["Successfully Paid", "Refunded Payment"])
async def test_one_altered_row_is_named(
    warehouse: Warehouse, world: World, rows: list[dict[str, Any]], metric: str
) -> None:
    row = first(rows, metric)
    altered = row | {"amount_minor": row["amount_minor"] + 1, "version": row["version"] + 1}
    await warehouse.insert("metric_rows", [altered])
    found = await result(warehouse, world)
    assert len(found.differences) == 1
    assert row["metric_id"] in found.differences[0].ids
    await warehouse.insert("metric_rows", [row | {"version": row["version"] + 2, "withdrawn": True}])
    (gone,) = (await result(warehouse, world)).differences
    assert row["charge_id"] in gone.text


async def test_a_row_that_nobody_paid_is_named(warehouse: Warehouse, world: World, rows: list[dict[str, Any]]) -> None:
    row = first(rows, "Successfully Paid")
    await warehouse.insert("metric_rows", [row | {"metric_id": "made:up", "charge_id": "ch_made_up"}])
    (one,) = (await result(warehouse, world)).differences
    assert (one.kind, one.ids) == ("no transaction", ("made:up",))


@pytest.mark.parametrize("field", ["amount_minor", "fee_minor", "net_minor"])
async def test_one_altered_transaction_is_named(warehouse: Warehouse, world: World, place: Place, field: str) -> None:
    one = next(one for one in place.balance.transactions.values() if one.source and one.reporting_category == "charge")
    (kept,) = await warehouse.json_rows(
        f"SELECT * FROM balance_transaction_rows FINAL WHERE transaction_id = '{one.id}'"
    )
    await warehouse.insert(
        "balance_transaction_rows", [kept | {field: kept[field] + 1, "version": kept["version"] + 1}]
    )
    found = await result(warehouse, world)
    assert found.state is Tied.DIFFERENT
    assert one.id in {name for different in found.differences for name in different.ids}
    if field == "net_minor":  # and the payout that took it, and the balance, are off by that cent
        assert {different.kind for different in found.differences} == {"arithmetic", "payout", "balance"}


async def test_a_transaction_that_is_missing_is_named_by_its_row_and_its_payout(
    warehouse: Warehouse, world: World, place: Place
) -> None:
    one = next(one for one in place.balance.transactions.values() if one.reporting_category == "charge" and one.payout)
    await warehouse.run(
        f"DELETE FROM balance_transaction_rows WHERE transaction_id = '{one.id}' SETTINGS mutations_sync = 2"
    )
    found = await result(warehouse, world)
    assert {different.kind for different in found.differences} == {"no transaction", "payout", "balance"}
    assert one.payout in {name for different in found.differences for name in different.ids}
    assert any(one.source or "" in different.text for different in found.differences)


async def test_each_part_of_the_quarter_ties_by_itself(warehouse: Warehouse, world: World) -> None:
    """A charge of one month that is refunded in the next, or a payout of the days before, makes no difference."""
    for start in range(world.start, world.end, 9 * DAY):
        span = tuple(datetime.fromtimestamp(at, ZONE).date() for at in (start, start + 8 * DAY))
        answer = await tie_out(warehouse, "default", True, ZONE, (span[0], span[1]), SWEEP, time.time())
        assert answer.result is not None
        assert answer.result.differences == ()


async def test_rows_of_the_last_hours_are_pending_and_without_a_sweep_nothing_is_checked(
    warehouse: Warehouse, world: World, rows: list[dict[str, Any]]
) -> None:
    row = first(rows, "Successfully Paid")
    at = time.time() - 60
    young = row | {"metric_id": "young", "charge_id": "ch_young", "occurred_at": rfc3339(at)}
    await warehouse.insert("metric_rows", [young])
    until = datetime.fromtimestamp(time.time(), ZONE).date()
    answer = await tie_out(warehouse, "default", True, ZONE, (None, until), SWEEP, time.time())
    assert answer.result is not None
    assert (answer.state, answer.result.waiting_rows) == ("pending", ("young",))
    other = await tie_out(warehouse, "other", True, ZONE, (None, None), SWEEP, time.time())
    assert (other.state, other.why) == ("unchecked", "Stripe's balance transactions were never read")
    assert await save(warehouse, replace(other), time.time()) == ""


async def test_the_page_shows_the_payouts_and_what_does_not_tie(
    warehouse: Warehouse, world: World, place: Place, rows: list[dict[str, Any]]
) -> None:
    async def page(**query: str) -> str:
        async with (
            serving(ConsoleConfig(place.config.warehouse)) as url,
            aiohttp.ClientSession() as http,
            http.get(f"{url}/payouts", params=query) as answer,
        ):
            assert answer.status == 200
            return await answer.text()

    assert "not tied out yet" in await page()
    await save(warehouse, await answered(warehouse, world), time.time() - 60)
    shown = await page()
    newest = list(place.balance.payouts.values())[-1]
    assert newest.id in shown
    assert "default:\nevery cent has a name" in shown
    assert "What does not tie" not in shown
    assert "never read" in await page(mode="test")
    row = first(rows, "Successfully Paid")
    await warehouse.insert("metric_rows", [row | {"amount_minor": 1, "version": row["version"] + 1}])
    await save(warehouse, await answered(warehouse, world), time.time())
    shown = await page()
    assert "not every cent has a name" in shown
    assert row["metric_id"] in shown


async def test_the_connector_ties_out_by_itself_and_takes_nothing_for_different_that_is_on_its_way(
    warehouse: Warehouse, place: Place, rows: list[dict[str, Any]]
) -> None:
    now = [time.time()]
    async with place.opened() as (api, _, _, opened):
        daily = DailyTieOut(lambda _: ZONE, SWEEP, opened, lambda: now[0])
        await daily.tie(api)
        assert [run.state for run in await last_tieouts(warehouse)] == ["tied"]
        await warehouse.run("TRUNCATE TABLE tieout_rows")
        at = time.time() - 20 * DAY
        made_up = rows[0] | {"metric": "Successfully Paid", "metric_id": "made:up", "charge_id": "ch_made_up"}
        await warehouse.insert("metric_rows", [made_up | {"occurred_at": rfc3339(at), "received_at": rfc3339(at)}])
        await daily.tie(api)
        assert await last_tieouts(warehouse) == []
        now[0] += 200
        await daily.tie(api)
        assert [run.state for run in await last_tieouts(warehouse)] == ["different"]
