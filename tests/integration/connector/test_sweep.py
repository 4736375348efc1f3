"""A sweep finds the deliveries that never came, knows what Stripe has forgotten, and repeats nothing that is here."""

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from clickhouse_connect.driver.client import Client

from connector.imports.progress import Progress, State
from connector.imports.resources import RESOURCES
from connector.publish import Publisher
from connector.state import StateLog
from connector.stripe_api import StripeApi
from connector.sweep import Sweeper, Swept
from ingest.admission import admit
from schemas.addresses import with_login
from schemas.envelope import read_envelope
from schemas.errors import Unavailable
from schemas.stripe_types import EVENT_TYPES
from simulator.rendering.objects import event_body
from simulator.world.history import World
from tests.conftest import MakeTopics
from tests.e2e.running import environment, tillstream_async
from tests.integration.connector_support import KEY, Stripe, error, published, simulated
from warehouse.address import Address
from warehouse.client import Warehouse

DAY = 86_400
LOST = 7  # one in so many


@pytest.fixture(scope="module")
def world() -> World:
    return World(8, int(time.time()) - 20 * DAY, 20, 40)


@pytest.fixture
async def stripe(world: World) -> AsyncIterator[Stripe]:
    async with simulated(world) as running:
        yield running


class Place:
    """Kafka, ClickHouse and Stripe for one test."""

    def __init__(self, bootstrap: str, prefix: str, warehouse: Address, stripe: Stripe) -> None:
        self.bootstrap, self.prefix, self.warehouse, self.stripe = bootstrap, prefix, warehouse, stripe
        self.kafka = {"bootstrap_servers": bootstrap}

    @asynccontextmanager
    async def sweeping(self) -> AsyncIterator[tuple[Sweeper, StripeApi]]:
        async with (
            StripeApi(self.stripe.access(patience=0.0)) as api,
            Publisher(self.kafka, self.prefix) as publisher,
            StateLog(self.kafka, self.prefix) as state,
            Warehouse(self.warehouse) as warehouse,
        ):
            yield Sweeper(publisher, state, warehouse), api

    async def sweep(self) -> Swept:
        async with self.sweeping() as (sweeper, api):
            return await sweeper.sweep(api)

    async def remember(self, key: str, value: dict[str, object]) -> None:
        async with StateLog(self.kafka, self.prefix) as state:
            await state.put(key, value)

    async def deliver(self, world: World) -> set[str]:
        """The webhooks arrive as far as they do; the ids of those that never came."""
        lost = {event.id for number, event in enumerate(world.events) if number % LOST == 0}
        rows = [
            read_envelope(*admit(event_body(event), "default", time.time())[1:]).model_dump(mode="json")
            for event in world.events
            if event.id not in lost
        ]
        async with Warehouse(self.warehouse) as warehouse:  # as the sink does
            await warehouse.insert("stripe_event_rows", rows)
        return lost


@pytest.fixture
async def place(
    kafka_bootstrap: str,
    topic_prefix: str,
    make_topics: MakeTopics,
    migrated: Address,
    stripe: Stripe,
) -> Place:
    await make_topics(topic_prefix)
    return Place(kafka_bootstrap, topic_prefix, migrated, stripe)


async def test_exactly_what_never_came_is_published_as_its_webhook_would_have_been(
    place: Place, world: World, clickhouse: Client
) -> None:
    lost = await place.deliver(world)
    await place.remember("sweep|default|live", {"swept_until": time.time() - 25 * DAY, "gap": None})
    swept = await place.sweep()
    assert (swept.state, swept.seen, swept.published) == ("complete", len(world.events), len(lost))
    found = await published(place.bootstrap, place.prefix)
    assert {one["event_id"] for one in found} == lost
    assert {one["source"] for one in found} == {"sweep"}
    assert {one["type"] for one in found} <= set(EVENT_TYPES)
    delivered = {event.id: event for event in world.events}
    for one in found:
        message = admit(event_body(delivered[one["event_id"]]), "default", time.time())
        webhook = read_envelope(message.value, message.headers).model_dump(mode="json")
        same = ("event_id", "type", "account", "livemode", "observed_at")
        assert [one[name] for name in same] == [webhook[name] for name in same]
    query = f"SELECT state, seen, published, gap_since FROM {place.warehouse.database}.sweeps"
    assert clickhouse.query(query).result_rows == [("complete", len(world.events), len(lost), None)]


async def test_what_the_first_sweep_finds_is_history_for_which_nothing_is_sent(place: Place, world: World) -> None:
    lost = await place.deliver(world)
    await place.sweep()
    found = await published(place.bootstrap, place.prefix)
    assert {(one["event_id"], one["source"]) for one in found} == {(identifier, "import") for identifier in lost}


async def test_the_next_sweep_overlaps_the_one_before_and_starts_no_earlier(place: Place, world: World) -> None:
    await place.deliver(world)
    first = await place.sweep()
    second = await place.sweep()
    assert first.since < second.since <= first.swept_until - 3600
    newest = [event for event in world.events if event.created >= second.since]
    assert second.seen == len(newest)
    assert all(f"created%5Bgte%5D={second.since}" in path for path in place.stripe.asked[-1:])


async def test_what_stripe_has_forgotten_is_a_gap_until_an_import_has_filled_it(
    place: Place, world: World, clickhouse: Client
) -> None:
    long_ago = time.time() - 45 * DAY
    await place.remember("sweep|default|live", {"swept_until": long_ago, "gap": None})
    swept = await place.sweep()
    assert swept.state == "gap"
    assert swept.gap is not None
    assert swept.gap[0] == int(long_ago)
    query = f"SELECT state, toUnixTimestamp(gap_since) FROM {place.warehouse.database}.sweeps"
    assert clickhouse.query(query).result_rows == [("gap", int(long_ago))]
    assert (await place.sweep()).gap == swept.gap  # a later one does not forget it
    for resource in RESOURCES:
        done = Progress("imp_1", "default", True, resource.name, int(long_ago), 0, time.time(), state=State.FINISHED)
        await place.remember(done.key, done.as_json())
    assert (await place.sweep()).state == "complete"
    assert clickhouse.query(query).result_rows[0][0] == "complete"


async def test_a_sweep_that_stripe_refuses_says_so_and_the_next_one_begins_where_it_began(
    place: Place, world: World, clickhouse: Client
) -> None:
    async def forbidden(request: web.Request) -> web.Response | None:
        return error(403, "No") if "starting_after" in request.query else None

    place.stripe.fault = forbidden
    swept = await place.sweep()
    assert (swept.state, swept.error) == (
        "failed",
        "the API key of account default may not read events (rak_event_read)",
    )
    query = f"SELECT state, error FROM {place.warehouse.database}.sweeps"
    assert clickhouse.query(query).result_rows == [("failed", swept.error)]
    place.stripe.fault = None
    again = await place.sweep()
    assert again.since <= swept.since + 60
    assert {one["event_id"] for one in await published(place.bootstrap, place.prefix)} == {
        one.id for one in world.events
    }


async def test_without_clickhouse_everything_is_published_rather_than_lost(place: Place, world: World) -> None:
    place.warehouse = Address("http://127.0.0.1:9")
    swept = await place.sweep()
    assert (swept.state, swept.published) == ("complete", len(world.events))


async def test_the_view_tells_of_it_also_when_the_tables_came_later(place: Place, clickhouse: Client) -> None:
    database = place.warehouse.database
    async with place.sweeping() as (sweeper, api):
        clickhouse.command(f"RENAME TABLE {database}.sweep_rows TO {database}.not_yet")
        await sweeper.sweep(api)
        with pytest.raises(Unavailable):
            await sweeper.tell()
        clickhouse.command(f"RENAME TABLE {database}.not_yet TO {database}.sweep_rows")
        await sweeper.tell()
    assert clickhouse.query(f"SELECT state FROM {database}.sweeps").result_rows == [("complete",)]


async def test_the_command_sweeps_and_its_exit_code_tells_of_a_gap(place: Place, world: World, tmp_path: Path) -> None:
    env = environment(
        KAFKA_BOOTSTRAP_SERVERS=place.bootstrap,
        TILLSTREAM_TOPIC_PREFIX=place.prefix,
        CLICKHOUSE_URL=with_login(place.warehouse.url, place.warehouse.user, place.warehouse.password),
        CLICKHOUSE_DATABASE=place.warehouse.database,
        STRIPE_API_KEY=KEY,
        STRIPE_API_BASE=place.stripe.url,
        TILLSTREAM_STRIPE_RATE="10000",
        PYTHONPATH=os.getcwd(),
    )
    lost = await place.deliver(world)
    done = await tillstream_async("sweep", "--json", "--data", tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)["sweeps"]
    assert (told["seen"], told["published"], told["state"]) == (len(world.events), len(lost), "complete")
    await place.remember("sweep|default|live", {"swept_until": time.time() - 45 * DAY, "gap": None})
    done = await tillstream_async("sweep", "--data", tmp_path, env=env)
    assert done.returncode == 1
    assert "Stripe has forgotten what happened" in done.stdout
    assert "next: tillstream import --since" in done.stdout
