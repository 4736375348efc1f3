"""The simulated Stripe delivers as Stripe does: what an endpoint asked for, in its version, again until it is taken."""

import asyncio
import hashlib
import hmac
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
import pytest
import stripe as stripe_python
from aiohttp import web
from aiohttp.test_utils import TestServer

from simulator.delivery.retries import DISABLED_AFTER
from simulator.world.history import World
from tests.conftest import DAY, RunningStripe, RunStripe

HOUR = 3_600
START = 1_767_225_600
VERSION = "2026-09-30.endive"


@dataclass
class Receiver:
    """An endpoint that keeps what comes; `status` is what it answers."""

    url: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0

    @property
    def ids(self) -> list[str]:
        """The events' ids, as they came."""
        return [orjson.loads(body)["id"] for body in self.bodies]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    kept = Receiver()

    async def take(request: web.Request) -> web.Response:
        kept.busy += 1
        kept.busiest = max(kept.busy, kept.busiest)
        kept.bodies.append(await request.read())
        await asyncio.sleep(0.002)
        kept.busy -= 1
        kept.signatures.append(request.headers["Stripe-Signature"])
        return web.Response(status=kept.status)

    app = web.Application()
    app.router.add_post("/hook", take)
    async with TestServer(app) as server:
        kept.url = f"http://127.0.0.1:{server.port}/hook"
        yield kept


async def listen(
    running: RunningStripe, url: str, *types: str, version: str = VERSION
) -> stripe_python.WebhookEndpoint:
    params: stripe_python.params.WebhookEndpointCreateParams = {
        "url": url,
        "enabled_events": list(types) or ["*"],  # type: ignore[typeddict-item]
        "api_version": version,  # type: ignore[typeddict-item]
    }
    return await running.client().v1.webhook_endpoints.create_async(params)


def happened(running: RunningStripe, since: int) -> list[str]:
    """Ids of the events after `since`, up to now."""
    return [event.id for event in running.world.events if since < event.created <= running.stripe.now()]


async def test_every_event_from_now_on_is_delivered_signed(stripe_api: RunningStripe, receiver: Receiver) -> None:
    began = stripe_api.stripe.now()
    endpoint = await listen(stripe_api, receiver.url)
    await stripe_api.stripe.advance(2 * DAY)
    assert sorted(receiver.ids) == sorted(happened(stripe_api, began))
    assert receiver.ids
    for body, signature in zip(receiver.bodies, receiver.signatures, strict=True):
        event = stripe_python.Webhook.construct_event(body, signature, str(endpoint.secret))
        assert event.api_version == VERSION


async def test_only_the_types_and_the_version_that_an_endpoint_asked_for(
    stripe_api: RunningStripe, receiver: Receiver
) -> None:
    await listen(stripe_api, receiver.url, "charge.succeeded", version="2020-03-02")
    await stripe_api.stripe.advance(2 * DAY)
    events = [orjson.loads(body) for body in receiver.bodies]
    assert {event["type"] for event in events} == {"charge.succeeded"}
    assert all("refunds" in event["data"]["object"] for event in events)


async def test_a_thin_destination_gets_notices_that_lead_to_the_object(
    stripe_api: RunningStripe, receiver: Receiver
) -> None:
    asked = stripe_api.client()
    made = await asked.v2.core.event_destinations.create_async(
        {
            "name": "thin",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": ["v1.charge.succeeded"],
            "webhook_endpoint": {"url": receiver.url},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    assert made.webhook_endpoint is not None
    secret = str(made.webhook_endpoint.signing_secret)
    await stripe_api.stripe.advance(2 * DAY)
    notice = asked.parse_event_notification(receiver.bodies[0], receiver.signatures[0], secret)
    assert notice.type == "v1.charge.succeeded"
    charge = await notice.fetch_related_object_async()  # type: ignore[attr-defined]
    assert charge.object == "charge"
    snapshot = (await notice.fetch_event_async()).snapshot_event  # type: ignore[union-attr]
    assert (await asked.v1.events.retrieve_async(snapshot)).data.object["id"] == charge.id


async def test_a_ping_tries_a_destination_out(stripe_api: RunningStripe, receiver: Receiver) -> None:
    asked = stripe_api.client()
    made = await asked.v2.core.event_destinations.create_async(
        {
            "name": "thin",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": ["v1.charge.succeeded"],
            "webhook_endpoint": {"url": receiver.url},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    told = await asked.v2.core.event_destinations.ping_async(made.id)
    secret = made.webhook_endpoint.signing_secret if made.webhook_endpoint else ""
    notice = asked.parse_event_notification(receiver.bodies[0], receiver.signatures[0], str(secret))
    assert (notice.id, notice.type) == (told.id, "v2.core.event_destination.ping")


@pytest.mark.parametrize("seed", range(4))
async def test_an_endpoint_with_bad_days_gets_everything_in_the_end(
    run_stripe: RunStripe, receiver: Receiver, seed: int
) -> None:
    running = await run_stripe(World(seed, START, 30, 20, until=START + 2 * DAY))
    running.stripe.webhooks.faults.shuffle_seconds = HOUR
    rng = random.Random(seed)
    await listen(running, receiver.url)
    for _ in range(5):  # two days may be bad, and on the third every retry comes: Stripe never gives up
        for _ in range(2):
            receiver.status = rng.choice((200, 500, 302, 404))
            await running.stripe.advance(rng.randrange(HOUR, DAY))
        receiver.status = 200
        await running.stripe.advance(DAY)
    receiver.status, running.stripe.webhooks.faults.shuffle_seconds = 200, 0
    everything = happened(running, START + 2 * DAY)
    await running.stripe.advance(2 * DAY)  # every retry comes within twelve hours
    taken = {attempt.event_id for attempt in running.stripe.webhooks.attempts if attempt.status == 200}
    assert taken >= set(everything)
    assert not (await running.client().v1.events.list_async({"delivery_success": False})).data


async def test_what_was_refused_comes_again_signed_afresh_and_is_pending_meanwhile(
    stripe_api: RunningStripe, receiver: Receiver
) -> None:
    receiver.status, first = 500, int(time.time())
    began = stripe_api.stripe.now()
    await listen(stripe_api, receiver.url)
    await stripe_api.stripe.advance(DAY)
    events = stripe_api.client().v1.events
    failed = await events.list_async({"delivery_success": False, "limit": 100})
    assert {event.id for event in failed.data} == set(happened(stripe_api, began))
    assert {event.pending_webhooks for event in failed.data} == {1}
    assert max(Counter(receiver.ids).values()) > 3
    receiver.status = 200
    await stripe_api.stripe.advance(DAY)
    assert not (await events.list_async({"delivery_success": False})).data
    assert all(first <= int(s.partition(",")[0][2:]) <= time.time() for s in receiver.signatures)


async def test_an_endpoint_that_takes_nothing_for_days_is_disabled_and_hears_nothing_more(
    run_stripe: RunStripe, receiver: Receiver
) -> None:
    running = await run_stripe(World(1, START, 30, 5, until=START + DAY))
    receiver.status = 503
    endpoint = await listen(running, receiver.url)
    await running.stripe.advance(DISABLED_AFTER + 3 * DAY)
    assert (await running.client().v1.webhook_endpoints.retrieve_async(endpoint.id)).status == "disabled"
    heard = len(receiver.bodies)
    await running.stripe.advance(5 * DAY)
    assert len(receiver.bodies) == heard


async def test_lost_deliveries_are_never_made_and_stripe_does_not_know(
    run_stripe: RunStripe, receiver: Receiver
) -> None:
    running = await run_stripe(World(1, START, 30, 20, until=START + DAY))
    faults = running.stripe.webhooks.faults
    faults.lost, faults.duplicate, faults.shuffle_seconds = 0.3, 0.3, HOUR
    await listen(running, receiver.url)
    await running.stripe.advance(10 * DAY)
    await running.stripe.advance(HOUR)
    everything = set(happened(running, START + DAY))
    counts = Counter(receiver.ids)
    assert set(counts) < everything
    assert set(counts.values()) == {1, 2}
    assert 0.1 < 1 - len(counts) / len(everything) < 0.5
    times = [orjson.loads(body)["created"] for body in receiver.bodies]
    assert times != sorted(times)
    assert not (await running.client().v1.events.list_async({"delivery_success": False})).data


async def test_a_deleted_endpoint_hears_no_more(stripe_api: RunningStripe, receiver: Receiver) -> None:
    endpoint = await listen(stripe_api, receiver.url)
    await stripe_api.stripe.advance(DAY)
    heard = len(receiver.bodies)
    await stripe_api.client().v1.webhook_endpoints.delete_async(endpoint.id)
    await stripe_api.stripe.advance(DAY)
    assert len(receiver.bodies) == heard > 0
    assert 1 < receiver.busiest <= 16  # Stripe's deliveries overlap, within bounds


async def test_while_a_roll_lasts_both_secrets_sign(stripe_api: RunningStripe, receiver: Receiver) -> None:
    endpoint = await listen(stripe_api, receiver.url)
    new = stripe_api.stripe.account().endpoints.roll(endpoint.id)
    await stripe_api.stripe.advance(DAY)
    for secret in (str(endpoint.secret), new):
        stripe_python.Webhook.construct_event(receiver.bodies[0], receiver.signatures[0], secret)
    stripe_api.stripe.account().endpoints.expire_secrets(endpoint.id)
    await stripe_api.stripe.advance(DAY)
    stamp, mark = receiver.signatures[-1].split(",")
    payload = f"{stamp[2:]}.".encode() + receiver.bodies[-1]
    assert mark == "v1=" + hmac.new(new.encode(), payload, hashlib.sha256).hexdigest()


async def test_an_endpoint_for_connected_accounts_hears_of_them_and_not_of_its_own(
    run_stripe: RunStripe, receiver: Receiver
) -> None:
    world = World(1, START, 30, 40, accounts=("default", "acct_1Shop"), until=START + DAY)
    running = await run_stripe(world)
    await running.client().v1.webhook_endpoints.create_async(
        {"url": receiver.url, "enabled_events": ["*"], "connect": True}
    )
    await running.stripe.advance(5 * DAY)
    assert {orjson.loads(body).get("account") for body in receiver.bodies} == {"acct_1Shop"}
    since = START + DAY
    theirs = [e.id for e in world.accounts["acct_1Shop"].events if since < e.created <= running.stripe.now()]
    assert sorted(receiver.ids) == sorted(theirs)


async def test_a_running_clock_delivers_by_itself(run_stripe: RunStripe, receiver: Receiver) -> None:
    from tests.conftest import eventually

    running = await run_stripe(World(1, START, 30, 20, until=START + DAY))
    await listen(running, receiver.url)
    async with running.stripe.running(speed=DAY * 10):
        await eventually(lambda: len(receiver.bodies) > 20)
    assert running.stripe.now() > START + DAY
