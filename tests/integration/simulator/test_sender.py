"""Webhooks are signed as Stripe signs them, retried until accepted, and faulty only as asked."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import stripe
from aiohttp import web
from aiohttp.test_utils import TestServer

from schemas.errors import ConfigurationError
from simulator.delivery.sender import Faults, send
from simulator.world.history import World
from simulator.world.objects import Event
from tests.conftest import soon

SECRET = "whsec_a_secret_of_the_tests"


@dataclass
class Door:
    """An endpoint that checks signatures with stripe-python, and answers as `answer` says."""

    url: str = ""
    answer: Callable[[int], int] = lambda number: 200
    calls: int = 0
    received: list[tuple[str, stripe.Event]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.calls += 1
        status = self.answer(self.calls)
        if status == 200:
            event = stripe.Webhook.construct_event(
                await request.read(), request.headers["Stripe-Signature"], SECRET, tolerance=60
            )
            self.received.append((request.path, event))
        return web.Response(status=status)

    @property
    def ids(self) -> Counter[str]:
        return Counter(event.id for _, event in self.received)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    app = web.Application()
    app.router.add_post("/webhooks/stripe", door.handle)
    app.router.add_post("/webhooks/stripe/{account}", door.handle)
    async with TestServer(app) as server:
        door.url = f"http://127.0.0.1:{server.port}"
        yield door


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return World(1, 1_767_225_600, 30, 20).events


async def test_every_event_arrives_signed_and_once(door: Door, events: list[Event]) -> None:
    seen: list[int] = []
    report = await send(events, door.url, SECRET, on_progress=lambda done, total: seen.append(done))
    assert door.ids == Counter(event.id for event in events)
    assert (report.sent, report.accepted, report.failures) == (len(events), len(events), 0)
    assert seen == list(range(1, len(events) + 1))
    assert report.seconds > 0


async def test_one_connection_keeps_the_order(door: Door, events: list[Event]) -> None:
    await send(events, f"{door.url}/webhooks/stripe", SECRET, concurrency=1)
    assert [event.id for _, event in door.received] == [event.id for event in events]


async def test_faults_duplicate_drop_reorder_and_mix_versions(door: Door, events: list[Event]) -> None:
    versions = ("2020-03-02", "2026-09-30.endive")
    faults = Faults(duplicate=0.3, shuffle_window=30, drop=0.1, delay=0.05, versions=versions)
    report = await send(events, door.url, SECRET, concurrency=1, faults=faults, seed=5)
    ids = door.ids
    assert set(ids) | set(report.dropped) == {event.id for event in events}
    assert not set(ids) & set(report.dropped)
    assert sum(count == 2 for count in ids.values()) == report.duplicates > 0
    assert {event.api_version for _, event in door.received} == set(versions)
    times = [event.created for _, event in door.received]
    assert times != sorted(times)


async def test_a_door_that_fails_at_first_gets_everything_in_the_end(door: Door, events: list[Event]) -> None:
    door.answer = lambda number: 503 if number % 3 == 0 else 200
    report = await send(events, door.url, SECRET)
    assert door.ids == Counter(event.id for event in events)
    assert report.accepted == len(events)
    assert report.retries == door.calls - len(events) > 0


async def test_a_refused_event_is_a_failure_that_is_named(door: Door, events: list[Event]) -> None:
    door.answer = lambda number: 400
    report = await send(events[:3], door.url, SECRET)
    assert report.failures == 3
    assert report.failed == dict.fromkeys((event.id for event in events[:3]), "HTTP 400")


async def test_sending_ends_when_nobody_answers(events: list[Event], nobody: str) -> None:
    async with soon(10):
        report = await send(events[:40], f"http://{nobody}", SECRET, give_up_seconds=0.3)
    assert report.failures == 40


async def test_the_rate_is_kept(door: Door, events: list[Event]) -> None:
    async with soon(5):
        report = await send(events[:30], door.url, SECRET, rate=60)
    assert report.seconds >= 0.45


async def test_accounts_have_endpoints_of_their_own_and_connected_ones_share_one(door: Door) -> None:
    world = World(1, 1_767_225_600, 5, 8, accounts=("default", "shop_two", "acct_1Shop"))
    await send(world.events, door.url, SECRET)
    paths = {(path, getattr(event, "account", None)) for path, event in door.received}
    assert paths == {
        ("/webhooks/stripe", None),
        ("/webhooks/stripe/shop_two", None),
        ("/webhooks/stripe", "acct_1Shop"),
    }


async def test_only_this_machine_is_sent_to(events: list[Event]) -> None:
    for url in ("http://192.0.2.1/webhooks/stripe", "https://example.com"):
        with pytest.raises(ConfigurationError, match="not this machine"):
            await send(events[:1], url, SECRET)
