"""An import brings every object of an account into Kafka, whatever Stripe does meanwhile, and says how it went."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from clickhouse_connect.driver.client import Client

from connector.imports.account import AccountImport
from connector.imports.progress import State
from connector.imports.records import record_again
from connector.imports.resources import chosen
from connector.publish import Publisher, object_message
from connector.state import StateLog
from connector.stripe_api import StripeApi
from schemas.envelope import Envelope, Source
from simulator.world.history import World
from tests.conftest import MakeTopics, eventually
from tests.integration.connector_support import KEY, START, Stripe, error, listed, published, simulated
from warehouse.address import Address
from warehouse.client import Warehouse

KINDS = "customers,invoice_payments,subscriptions,invoices,charges,refunds"


@pytest.fixture(scope="module")
def world() -> World:
    return World(3, START, 60, 200)


@pytest.fixture
async def stripe(world: World) -> AsyncIterator[Stripe]:
    async with simulated(world) as running:
        yield running


class Place:
    """Kafka, ClickHouse and Stripe for one test."""

    def __init__(self, bootstrap: str, prefix: str, warehouse: Address, stripe: Stripe) -> None:
        self.bootstrap, self.prefix, self.warehouse, self.stripe = bootstrap, prefix, warehouse, stripe

    @asynccontextmanager
    async def importing(self, only: str = KINDS, **access: Any) -> AsyncIterator[AccountImport]:
        kafka = {"bootstrap_servers": self.bootstrap}
        async with AsyncExitStack() as stack:
            yield AccountImport(
                api=await stack.enter_async_context(StripeApi(self.stripe.access(**access))),
                resources=chosen(only),
                publisher=await stack.enter_async_context(Publisher(kafka, self.prefix)),
                state=await stack.enter_async_context(StateLog(kafka, self.prefix)),
                warehouse=await stack.enter_async_context(Warehouse(self.warehouse)),
            )

    async def ids(self) -> Counter[str]:
        """How often each object was published."""
        return Counter(
            orjson.loads(envelope["body"])["id"] for envelope in await published(self.bootstrap, self.prefix)
        )


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


def everything(world: World) -> dict[str, int]:
    """The id of every object that Stripe lists."""
    return {one.id: 1 for objects in listed(world.accounts["default"]).values() for one in objects}


async def test_every_object_is_published_once_as_stripe_gave_it(place: Place, world: World, clickhouse: Client) -> None:
    async with place.importing() as account:
        assert await account.prepare(None)
        await account.run()
        assert [progress.state for progress in account.progress] == [State.FINISHED] * 6
    assert await place.ids() == everything(world)
    envelopes = [Envelope(**one) for one in await published(place.bootstrap, place.prefix)]
    assert {one.source for one in envelopes} == {Source.IMPORT}
    assert {(one.type, one.livemode, one.account) for one in envelopes} == {("", True, "default")}
    counts = {name: len(objects) for name, objects in listed(world.accounts["default"]).items()}
    query = f"SELECT resource, objects, state, error FROM {place.warehouse.database}.imports"
    assert sorted(clickhouse.query(query).result_rows) == sorted((n, c, "finished", "") for n, c in counts.items())


async def test_what_a_test_clock_made_months_ahead_is_imported(place: Place, world: World) -> None:
    ahead = World(4, int(time.time()) + 200 * 86_400, 30, 30, livemode=False)
    async with simulated(ahead) as stripe:
        place.stripe = stripe
        async with place.importing(api_key="sk_test_simulated") as account:
            await account.prepare(None)
            await account.run()
            assert all(progress.covered == progress.until - progress.begins + 1 for progress in account.progress)
    assert await place.ids() == everything(ahead)


async def test_an_invoice_comes_with_all_of_its_lines(place: Place, world: World) -> None:
    async def cut(request: web.Request) -> web.Response | None:
        """The list shows one line of each invoice, as Stripe shows ten."""
        if request.path != "/v1/invoices" or "cut" in request.headers:
            return None
        answer = await fetch(place.stripe, request.path_qs, {"cut": "1"})
        for invoice in answer["data"]:
            invoice["lines"] |= {"data": invoice["lines"]["data"][:1], "has_more": len(invoice["lines"]["data"]) > 1}
        return web.json_response(answer)

    place.stripe.fault = cut
    async with place.importing("invoices") as account:
        await account.prepare(None)
        await account.run()
    found = [orjson.loads(one["body"]) for one in await published(place.bootstrap, place.prefix)]
    invoices = world.accounts["default"].invoices
    assert max(len(one["lines"]["data"]) for one in found) > 1
    assert {one["id"]: len(one["lines"]["data"]) for one in found} == {
        one.id: len(one.lines) for one in invoices.values() if one.status != "deleted"
    }
    assert not any(one["lines"]["has_more"] for one in found)


@pytest.mark.parametrize("undated", ["the last of each page", "all"])
async def test_an_object_that_does_not_tell_when_it_was_created_is_named_and_nothing_is_lost(
    place: Place, world: World, undated: str, clickhouse: Client
) -> None:
    async def without(request: web.Request) -> web.Response | None:
        if request.path not in ("/v1/charges", "/v1/customers") or "without" in request.headers:
            return None
        answer = await fetch(place.stripe, request.path_qs, {"without": "1"})
        for one in answer["data"][-1:] if undated == "the last of each page" else answer["data"]:
            del one["created"]
        return web.json_response(answer)

    place.stripe.fault = without
    async with place.importing() as account:
        await account.prepare(None)
        await account.run()
        assert [progress.state for progress in account.progress] == [State.FINISHED] * 6
        told = {progress.resource: progress.error for progress in account.progress}
    assert set(await place.ids()) == set(everything(world))
    assert told["charges"].startswith("without the time at which it was created: ")
    assert "tillstream deadletters" in told["charges"]
    assert told["invoices"] == ""
    query = f"SELECT error FROM {place.warehouse.database}.imports WHERE resource = 'charges'"
    assert clickhouse.query(query).result_rows == [(told["charges"],)]


async def test_an_object_without_an_id_ends_its_list_by_name_and_no_other(place: Place, world: World) -> None:
    async def nameless(request: web.Request) -> web.Response | None:
        return web.json_response({"data": [{"object": "charge"}]}) if request.path == "/v1/charges" else None

    place.stripe.fault = nameless
    async with place.importing() as account:
        await account.prepare(None)
        await account.run()
        [failed] = [progress for progress in account.progress if progress.state is State.FAILED]
    assert (failed.resource, failed.error) == ("charges", "Stripe's list /v1/charges gives an object without an id")
    place.stripe.fault = None
    async with place.importing() as account:
        assert await account.prepare(None)
        await account.run()
    assert await place.ids() == everything(world)


async def fetch(stripe: Stripe, path: str, headers: dict[str, str]) -> Any:
    """Stripe's own answer, past the fault."""
    headers = headers | {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession() as session, session.get(stripe.url + path, headers=headers) as response:
        return await response.json()


async def test_since_bounds_it_and_a_second_run_says_that_it_is_done(place: Place, world: World) -> None:
    since = START + 30 * 86_400
    expected = {one.id for one in world.accounts["default"].charges.values() if one.created >= since}
    async with place.importing("charges") as account:
        assert await account.prepare(since)
        await account.run()
    assert set(await place.ids()) == expected
    asked = len(place.stripe.asked)
    for wanted, left in ((since, False), (since + 1, False), (since - 1, True)):
        async with place.importing("charges") as account:
            assert await account.prepare(wanted) == left
    async with place.importing("charges") as account:
        assert await account.prepare(since, again=True)
    assert len(place.stripe.asked) == asked


async def test_a_resource_without_permission_is_named_and_the_others_finish(place: Place, world: World) -> None:
    async def forbidden(request: web.Request) -> web.Response | None:
        return error(403, "Having the 'rak_charge_read' permission …") if request.path == "/v1/charges" else None

    place.stripe.fault = forbidden
    async with place.importing() as account:
        await account.prepare(None)
        await account.run()
        states = {progress.resource: progress.state for progress in account.progress}
        [failed] = [progress for progress in account.progress if progress.state is State.FAILED]
    assert states == dict.fromkeys(states, State.FINISHED) | {"charges": State.FAILED}
    assert failed.error == "the API key of account default may not read charges (rak_charge_read)"
    place.stripe.fault = None
    async with place.importing() as account:  # with the permission given, the rest follows
        assert await account.prepare(None)
        await account.run()
    assert await place.ids() == everything(world)


async def test_a_key_that_is_revoked_in_the_middle_ends_it_and_nothing_is_repeated_afterwards(
    place: Place, world: World
) -> None:
    async def revoked(_: web.Request) -> web.Response | None:
        return error(401, "Expired API Key provided") if len(place.stripe.asked) > 20 else None

    place.stripe.fault = revoked
    async with place.importing() as account:
        await account.prepare(None)
        await account.run()
        failed = [progress for progress in account.progress if progress.state is State.FAILED]
    assert failed
    assert all("Stripe refuses the API key of account default" in progress.error for progress in failed)
    place.stripe.fault = None
    async with place.importing() as account:
        assert await account.prepare(None)
        await account.run()
        assert all(progress.state is State.FINISHED for progress in account.progress)
    assert await place.ids() == everything(world)


async def test_stripe_away_is_waited_for_and_shown(place: Place, world: World, clickhouse: Client) -> None:
    away = False

    async def outage(_: web.Request) -> web.Response | None:
        return error(503, "Stripe is down") if away else None

    place.stripe.fault = outage
    async with place.importing("charges", patience=3600.0) as account:
        await account.prepare(None)
        away = True
        running = asyncio.create_task(account.run())
        query = f"SELECT state, error FROM {place.warehouse.database}.imports"
        state, why = (await eventually(lambda: waiting(clickhouse, query)))[0]
        assert (state, "Stripe is down" in why) == ("waiting", True)
        away = False
        await running
    assert set(await place.ids()) == set(world.accounts["default"].charges)
    assert clickhouse.query(query).result_rows == [("finished", "")]


def waiting(clickhouse: Client, query: str) -> Any:
    rows = clickhouse.query(query).result_rows
    return rows if rows and rows[0][0] == "waiting" else None


async def test_the_view_tells_of_it_also_when_the_tables_came_later(place: Place, clickhouse: Client) -> None:
    database = place.warehouse.database
    ended = f"SELECT resource, state FROM {database}.imports ORDER BY resource"
    clickhouse.command(f"RENAME TABLE {database}.import_rows TO {database}.not_yet")
    async with place.importing("charges,refunds") as account:
        await account.prepare(None)
        running = asyncio.create_task(account.run())
        await eventually(lambda: account.unrecorded and all(one.finished_at for one in account.progress), deadline=60)
        clickhouse.command(f"RENAME TABLE {database}.not_yet TO {database}.import_rows")
        await asyncio.wait_for(running, 60)
        assert not account.unrecorded
        rows = clickhouse.query(ended).result_rows
        assert rows == [("charges", "finished"), ("refunds", "finished")]

        clickhouse.command(f"TRUNCATE TABLE {database}.import_rows")  # the command ended before they came
        for _ in range(2):
            await record_again(account.state, account.warehouse)
            assert clickhouse.query(ended).result_rows == rows


async def test_an_empty_account_is_finished_at_once(place: Place) -> None:
    async with simulated(World(1, START, 1, 0)) as empty:
        place.stripe = empty
        async with place.importing() as account:
            await account.prepare(None)
            await account.run()
            assert all(progress.state is State.FINISHED and not progress.objects for progress in account.progress)
    assert not await place.ids()


async def test_live_and_test_mode_are_imports_of_their_own(place: Place, world: World) -> None:
    async with place.importing("customers") as account:
        await account.prepare(None)
        await account.run()
    async with (
        simulated(World(1, START, 1, 5, livemode=False)) as place.stripe,
        place.importing("customers", api_key="sk_test_simulated") as account,
    ):
        assert await account.prepare(None)
        await account.run()
    modes = Counter(one["livemode"] for one in await published(place.bootstrap, place.prefix))
    assert modes == {True: len(world.accounts["default"].customers), False: 5}


async def test_objects_of_any_size_arrive_and_those_beyond_kafkas_limit_are_named(place: Place) -> None:
    sizes = [100, 300_000, 5_000_000, 17_000_000, 100]
    messages = [
        object_message(
            "default", True, {"id": f"ch_{number}", "object": "charge", "x": "x" * size}, Source.IMPORT, START
        )
        for number, size in enumerate(sizes)
    ]
    async with Publisher({"bootstrap_servers": place.bootstrap}, place.prefix) as publisher:
        assert await publisher.publish(messages) == [b"ch_3"]
        await asyncio.gather(*(publisher.publish(messages[:2]) for _ in range(50)))  # many at once
    counts = await place.ids()
    assert counts == {"ch_0": 51, "ch_1": 51, "ch_2": 1, "ch_4": 1}
