"""Connected to a Stripe that loses, doubles and shuffles its deliveries: all of it comes in, and that can be proved."""

import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.delivery.faults import WebhookFaults
from simulator.world.history import World
from tests.conftest import DAY, RunningStripe, RunStripe, eventually
from tests.e2e.running import RunningUp, environment, settled, tillstream_async
from warehouse.address import Address
from warehouse.waiting import Warehouse

HISTORY_DAYS, LIVE_DAYS = 35, 4  # history for longer than the 30 days that Stripe keeps events for
ZONE = "America/New_York"
KEY = "rk_live_of_tillstream"
READS = (
    *("charge", "coupon", "credit_note", "customer", "dispute", "event", "invoice", "payment_intent", "subscription"),
    "accounts_kyc_basic",
)
PAYMENT = "metric = 'Successfully Paid' AND charge_id = {charge:String}"

Command = Callable[..., Awaitable[Any]]


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_status_turns_green_by_itself_and_every_number_is_stripes(
    run_stripe: RunStripe, tmp_path: Path
) -> None:
    now = int(time.time())
    began = now - LIVE_DAYS * DAY
    world = World(4, began - HISTORY_DAYS * DAY, HISTORY_DAYS + LIVE_DAYS + 1, customers=200, until=began)
    stripe = await run_stripe(world, timezone=ZONE)
    permit(stripe, without="event")  # so nothing is swept before the traffic is over
    env = environment(STRIPE_API_BASE=stripe.url, TILLSTREAM_TIMEZONE=ZONE, TILLSTREAM_SWEEP_MINUTES="0.05")
    up = RunningUp(tmp_path / "data", env)

    async def command(*arguments: str, code: int = 0) -> Any:
        done = await tillstream_async(*arguments, "--json", "--data", str(up.data), env=env, seconds=240)
        assert done.returncode == code, (arguments, done.stdout[-2000:], done.stderr[-2000:])
        return json.loads(done.stdout)

    try:
        await up.start(until_ready=False)
        await eventually(lambda: up.runtime()["roles"]["connector"]["ready"], deadline=240)
        connected = await command("connect", "--api-key", KEY, code=1)  # with the key, the running connector begins
        assert connected["missing_permissions"] == ["rak_event_read"]
        await eventually(lambda: up.runtime()["ready"], deadline=240)
        await command("import")

        stripe.stripe.webhooks.faults = WebhookFaults(lost=0.05, duplicate=0.2, shuffle_seconds=3_600)
        await stripe.stripe.advance_to(now)
        lost = undelivered(stripe, began, now - 3_600)
        assert lost
        permit(stripe)
        await eventually(lambda: green(command), deadline=240, interval=2)
        await settled(up.runtime()["kafka_bootstrap"])

        store = warehouse(up)
        known = store.rows("SELECT event_id FROM stripe_events WHERE event_id IN {ids:Array(String)}", {"ids": lost})
        assert {row["event_id"] for row in known} == set(lost)
        first = datetime.fromtimestamp(began - HISTORY_DAYS * DAY, UTC).strftime("%Y-%m-%d")
        await every_day_is_equal_until_somebody_meddles(command, store, first)
        await every_day_is_equal_without_who_was_erased(command, store, first)
    finally:
        await up.stop()


async def every_day_is_equal_until_somebody_meddles(command: Command, store: Warehouse, first: str) -> None:
    (equal,) = (await command("reconcile", "--from", first))["accounts"]
    assert equal["timezone"] == equal["stripe_timezone"] == ZONE
    assert all(cell["equal"] for cell in equal["cells"])
    metrics = {cell["metric"] for cell in equal["cells"]}
    assert metrics - {"Dispute", "Credit Note"} == {
        "Successfully Paid",
        "Failed Payment",
        "Refunded Payment",
        "Issued Invoice",
    }

    gone, added = meddle(store)
    wrong = await command("reconcile", code=1)
    differences = [(one["kind"], one["id"]) for one in wrong["accounts"][0]["differences"]]
    assert sorted(differences) == [("extra", added), ("missing", gone)]
    store.run(f"DELETE FROM metric_rows WHERE {PAYMENT}", {"charge": added})
    (healed,) = (await command("reconcile", "--heal"))["accounts"]
    assert (healed["equal"], healed["healed"]) == (True, 1)


async def every_day_is_equal_without_who_was_erased(command: Command, store: Warehouse, first: str) -> None:
    """Not even healing brings a person back: the money is known, and to be nobody's."""
    often = "SELECT email FROM successfully_paid WHERE email != '' GROUP BY email ORDER BY count() DESC LIMIT 1"
    (person,) = store.rows(often)
    await command("forget", person["email"], "--yes")
    (equal,) = (await command("reconcile", "--from", first, "--heal"))["accounts"]
    assert (equal["equal"], equal["differences"]) == (True, [])
    assert store.rows("SELECT metric_id FROM metrics WHERE email = {email:String}", person) == []
    (erased,) = store.rows("SELECT count() AS payments FROM unlinked WHERE unlinked_reason = 'erased'")
    assert erased["payments"] > 1


def permit(stripe: RunningStripe, without: str = "") -> None:
    """What the restricted key may do, as a person sets it in Stripe's dashboard."""
    reads = {f"{name}_read" for name in READS if name != without}
    stripe.stripe.keys.restrict(KEY, {*reads, "webhook_write"})


def undelivered(stripe: RunningStripe, since: int, until: int) -> list[str]:
    """The events of that time which no endpoint was told of, though it wants them."""
    told = {attempt.event_id for attempt in stripe.stripe.webhooks.attempts if attempt.status == 200}
    (endpoint,) = stripe.stripe.account().endpoints
    due = [event for event in stripe.world.events if since < event.created < until and endpoint.wants(event.type)]
    return [event.id for event in due if event.id not in told]


async def green(command: Command) -> bool:
    """`status` exits with 1 while anything is red; then it is asked again."""
    return bool((await command("status"))["light"] == "green")


def warehouse(up: RunningUp) -> Warehouse:
    runtime = up.runtime()
    return Warehouse(Address(runtime["clickhouse_url"], database=runtime["database"]))


def meddle(store: Warehouse) -> tuple[str, str]:
    """Remove one payment's row and add one that Stripe knows nothing of; their charges."""
    (row,) = store.rows(
        "SELECT charge_id FROM successfully_paid WHERE charge_id != '' AND occurred_at < today() - 2 "
        "ORDER BY occurred_at DESC LIMIT 1"
    )
    gone, added = row["charge_id"], "ch_made_up"
    store.run(
        "INSERT INTO metric_rows SELECT * REPLACE ('made-up' AS metric_id, {added:String} AS charge_id) "
        f"FROM (SELECT * FROM metric_rows WHERE {PAYMENT} LIMIT 1)",
        {"charge": gone, "added": added},
    )
    store.run(f"DELETE FROM metric_rows WHERE {PAYMENT}", {"charge": gone})
    return gone, added
