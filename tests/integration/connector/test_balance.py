"""Stripe's own account of the money is in ClickHouse to the cent, by import and by sweep, and never a row twice.

The judge is the simulated balance, which knows nothing of the product.
"""

import time
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from connector.imports.progress import State
from schemas import topics
from schemas.balance import BalanceTransaction, Payout
from simulator.api.faults import Fault
from simulator.world.history import World
from sinks.config import SinkConfig
from tests.conftest import MakeTopics, RunStripe, eventually
from tests.integration.balance_support import Place
from tests.integration.connector_support import published
from tests.integration.sinks_support import config, rows, running

__all__ = ["config"]  # a fixture

DAY = 86_400
LINE = "transaction_id, reporting_category, currency, amount_minor, fee_minor, net_minor, status, payout_id"


@pytest.fixture
async def place(config: SinkConfig, topic_prefix: str, make_topics: MakeTopics, run_stripe: RunStripe) -> Place:
    """Fifty days of an account up to now, and ten more to come."""
    await make_topics(topic_prefix)
    now = int(time.time())
    return Place(config, await run_stripe(World(4, now - 50 * DAY, 60, 60, rare=True, until=now)))


def told(clickhouse: Client, place: Place, query: str) -> list[tuple[Any, ...]]:
    return rows(clickhouse, query.replace("FROM ", f"FROM {place.config.warehouse.database}."))


def true(place: Place) -> list[tuple[Any, ...]]:
    """Every transaction that Stripe shows now, as `LINE`."""
    now = place.stripe.stripe.now()
    settled = {
        payout.id for payout in place.balance.payouts.values() if payout.automatic and payout.created + 21_600 <= now
    }
    return sorted(
        (
            *(one.id, one.reporting_category, one.currency, one.amount, one.fee, one.net),
            *("available" if one.available_on <= now else "pending", one.payout if one.payout in settled else ""),
        )
        for one in place.balance.transactions.values()
        if one.created <= now
    )


async def test_an_import_and_a_sweep_bring_every_transaction_through_the_sink(place: Place, clickhouse: Client) -> None:
    await place.migrate()
    brought = await place.bring()
    assert [progress.state for progress in brought.progress] == [State.FINISHED, State.FINISHED]
    async with running(place.config):
        swept = await place.sweep()
        assert (swept.state, swept.error) == ("complete", "")
        wanted = true(place)

        async def there() -> bool:
            return len(told(clickhouse, place, "SELECT 1 FROM balance_transactions")) == len(wanted)

        await eventually(there)
        await eventually(
            lambda: (
                told(clickhouse, place, f"SELECT {LINE} FROM balance_transactions ORDER BY transaction_id")
                == [(*line[:7], line[7] or "") for line in wanted]
            )
        )
    columns = "payout_id, amount_minor, automatic, method, status"
    found = told(clickhouse, place, f"SELECT {columns} FROM payouts ORDER BY ALL")
    now = place.stripe.stripe.now()
    assert [line[:4] for line in found] == sorted(
        (one.id, one.amount, one.automatic, one.method) for one in place.balance.payouts.values() if one.created <= now
    )
    assert {line[4] for line in found} == {"paid", "in_transit", "failed"}
    assert swept.known_since == 1_262_304_000  # all that there ever was
    kept = told(clickhouse, place, "SELECT currency, available_minor, pending_minor FROM balances ORDER BY currency")
    totals = place.balance.totals(now)
    assert kept == [(name, totals[name]["available"], totals[name]["pending"]) for name in sorted(totals)]


async def test_what_is_on_the_topics_keeps_the_contract(place: Place) -> None:
    await place.migrate()
    await place.sweep()
    where = (place.config.kafka["bootstrap_servers"], place.config.topic_prefix)
    found = [BalanceTransaction.model_validate(one) for one in await published(*where, topics.BALANCE_TRANSACTIONS)]
    charges = {one.id: one for one in place.stripe.world.accounts["default"].charges.values()}
    seen = set()
    for one in found:
        seen.add(one.source_type)
        if one.source_type in ("charge", "refund", "dispute"):
            assert one.charge_id in charges
            assert one.source_currency == charges[one.charge_id].currency
        if one.source_type == "charge":
            assert one.source_amount_minor == charges[one.charge_id].amount_captured
    assert seen >= {"charge", "refund", "payout", ""}
    assert [Payout.model_validate(one) for one in await published(*where, topics.PAYOUTS)]


async def test_pending_money_is_read_again_until_it_is_available(place: Place, clickhouse: Client) -> None:
    await place.migrate()
    await place.sweep()
    await place.write()
    waiting = told(clickhouse, place, "SELECT count() FROM balance_transactions WHERE status = 'pending'")
    assert waiting[0][0] > 0
    await place.stripe.stripe.advance(9 * DAY)
    await place.sweep()
    await place.write()
    late = told(clickhouse, place, f"SELECT {LINE} FROM balance_transactions ORDER BY transaction_id")
    since = time.time() - 30 * DAY
    assert {line[0] for line in late} >= {
        one.id for one in place.balance.transactions.values() if since < one.created <= place.stripe.stripe.now()
    }
    assert late == [line for line in true(place) if line[0] in {one[0] for one in late}]


async def test_a_key_that_may_not_read_it_is_told_and_harms_nothing_else(place: Place, clickhouse: Client) -> None:
    await place.migrate()
    place.key = "rk_live_short"
    place.stripe.stripe.keys.restrict(place.key, {"charge_read", "balance_read", "payout_read"})
    swept = await place.sweep()
    assert swept.state == "unchecked"
    assert "rak_balance_transaction_source_read" in swept.error
    assert told(clickhouse, place, "SELECT state FROM balance_sweeps") == [("unchecked",)]
    brought = await place.bring()
    assert [one.state for one in brought.progress] == [State.SKIPPED, State.SKIPPED]
    place.stripe.stripe.keys.restrict(place.key, {"balance_transaction_source_read", "balance_read", "payout_read"})
    assert (await place.sweep()).state == "complete"
    brought = await place.bring()
    assert [one.state for one in brought.progress] == [State.FINISHED, State.FINISHED]
    assert told(clickhouse, place, "SELECT state FROM balance_sweeps") == [("complete",)]


async def test_a_sweep_that_breaks_off_begins_again_where_it_began(place: Place, clickhouse: Client) -> None:
    await place.migrate()
    await place.sweep()
    await place.stripe.stripe.advance(3 * DAY)
    place.stripe.stripe.faults.planned.append(Fault("error", "/v1/payouts"))
    broken = await place.sweep()
    assert broken.state == "failed"
    await place.stripe.stripe.advance(3 * DAY)
    assert (await place.sweep()).state == "complete"
    await place.write()
    known = {line[0] for line in told(clickhouse, place, "SELECT transaction_id FROM balance_transactions")}
    since = time.time() - 30 * DAY
    now = place.stripe.stripe.now()
    assert known >= {one.id for one in place.balance.transactions.values() if since < one.created <= now}
