"""What the ledger asks is answered once, for all who wait; what can't be answered has a name and is asked later."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from clickhouse_connect.driver.client import Client

from connector.stripe_api import StripeAccess
from connector.worker import Connector, ConnectorConfig
from schemas.lookup import Lookup
from schemas.times import rfc3339
from schemas.topics import LOOKUPS
from simulator.rendering.thin import thin_id, thin_json
from simulator.world.history import World
from simulator.world.objects import Event
from tests.conftest import MakeTopics, eventually
from tests.integration.connector_support import START, Stripe, error, no_events, published, simulated
from warehouse.address import Address
from warehouse.client import Warehouse


@pytest.fixture(scope="module")
def world() -> World:
    return World(5, START, 30, 60)


@pytest.fixture
async def stripe(world: World) -> AsyncIterator[Stripe]:
    async with simulated(world) as running:
        running.fault = no_events
        yield running


@dataclass
class Place:
    """Kafka and ClickHouse for one test."""

    bootstrap: str
    prefix: str
    warehouse: Address
    clickhouse: Client

    @asynccontextmanager
    async def connector(self, *accesses: StripeAccess) -> AsyncIterator[Connector]:
        kafka = {"bootstrap_servers": self.bootstrap}
        role, stop = Connector(ConnectorConfig(kafka, self.warehouse, accesses, self.prefix)), asyncio.Event()
        async with asyncio.TaskGroup() as group:  # a role that fails ends the test at once
            group.create_task(role.run(stop))
            try:
                await eventually(lambda: not role.ready(), deadline=60)
                yield role
            finally:
                stop.set()

    async def ask(self, *questions: Lookup) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            for one in questions:
                await producer.send_and_wait(
                    self.prefix + LOOKUPS.name, one.model_dump_json().encode(), key=one.id.encode()
                )

    async def answers(self) -> list[dict[str, Any]]:
        found = await published(self.bootstrap, self.prefix)
        assert {(one["source"], one["type"]) for one in found} <= {("lookup", "")}
        return [orjson.loads(one["body"]) for one in found]

    async def answered(self, number: int) -> list[dict[str, Any]]:
        """The answers, as soon as there are so many."""

        async def enough() -> list[dict[str, Any]] | None:
            found = await self.answers()
            return found if len(found) >= number else None

        return await eventually(enough, deadline=60, interval=0.2)  # type: ignore[return-value]

    def parked(self) -> list[tuple[Any, ...]]:
        query = f"SELECT object, id, state FROM {self.warehouse.database}.lookups ORDER BY id"
        return [tuple(row) for row in self.clickhouse.query(query).result_rows]

    async def done(self) -> None:
        """Return when every question is committed: nothing is open any more."""
        group = f"{self.prefix}tillstream-connector"
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()

        async def all_committed() -> bool:
            offsets = await admin.list_consumer_group_offsets(group)
            return sum(max(one.offset, 0) for one in offsets.values()) == len(
                await published(self.bootstrap, self.prefix, LOOKUPS)
            )

        try:
            await eventually(all_committed, deadline=60, interval=0.2)
        finally:
            await admin.close()


@pytest.fixture
async def place(
    kafka_bootstrap: str,
    topic_prefix: str,
    make_topics: MakeTopics,
    clickhouse: Client,
    migrated: Address,
) -> Place:
    await make_topics(topic_prefix)
    return Place(kafka_bootstrap, topic_prefix, migrated, clickhouse)


def about(identifier: str, kind: str = "customer", *, account: str = "default", at: float = 0) -> Lookup:
    return Lookup(account=account, livemode=True, object=kind, id=identifier, at=at, reason="customer unknown")


def customers(world: World, number: int) -> list[str]:
    return list(world.accounts["default"].customers)[:number]


async def test_one_request_for_many_who_wait(place: Place, stripe: Stripe, world: World) -> None:
    wanted = customers(world, 20)
    await place.ask(*(about(identifier) for _ in range(10) for identifier in wanted))
    async with place.connector(stripe.access()):
        answers = await place.answered(20)
        await place.done()
        await place.ask(*map(about, wanted))  # a moment later it is still known
        await place.done()
    assert sorted(one["id"] for one in answers) == sorted(wanted)
    assert len([path for path in stripe.asked if path.startswith("/v1/customers/")]) == 20
    assert len(await place.answers()) == 20


async def test_an_invoice_comes_with_its_payments_and_all_of_its_lines(
    place: Place, stripe: Stripe, world: World
) -> None:
    books = world.accounts["default"]
    invoice = max(
        (books.invoices[paid.invoice] for paid in books.invoice_payments.values()), key=lambda one: len(one.lines)
    )
    async with place.connector(stripe.access()):
        await place.ask(about(invoice.id, "invoice"))
        [answer] = await place.answered(1)
    assert len(answer["lines"]["data"]) == len(invoice.lines)
    assert answer["payments"]["data"][0]["invoice"] == invoice.id


async def thin_answer(place: Place, stripe: Stripe, kind: str, event: Event) -> dict[str, Any]:
    """What is published when the event of a notice is asked for."""

    async def come() -> dict[str, Any] | None:
        found = await published(place.bootstrap, place.prefix)
        return found[0] if found else None

    async with place.connector(stripe.access()):
        await place.ask(about(thin_id(event), kind, at=event.created))
        answer = await eventually(come, deadline=60, interval=0.2)
        await place.done()
    assert answer["event_id"].startswith(f"{thin_id(event)}@")  # by which a replay finds it
    assert answer["source"] == "lookup"
    return answer  # type: ignore[no-any-return]


def last(world: World, type_: str) -> Event:
    return [event for event in world.events if event.type == type_][-1]


async def test_what_only_an_event_tells_is_read_from_the_snapshot_event(
    place: Place, stripe: Stripe, world: World
) -> None:
    event, fault = last(world, "invoice.payment_failed"), stripe.fault
    stripe.fault = None
    answer = await thin_answer(place, stripe, "event", event)
    stripe.fault = fault
    body = orjson.loads(answer["body"])
    assert (answer["type"], body["id"], body["type"]) == (event.type, event.id, event.type)
    assert body["data"]["object"]["attempt_count"] == event.object.attempt_count  # type: ignore[union-attr]


async def test_an_upcoming_invoice_without_a_snapshot_event_is_previewed(
    place: Place, stripe: Stripe, world: World
) -> None:
    event = last(world, "invoice.upcoming")

    async def without(request: web.Request) -> web.Response | None:
        if request.path.startswith("/v2/core/events/"):
            return web.json_response(thin_json(event) | {"snapshot_event": None})
        return await no_events(request)

    stripe.fault = without
    answer = await thin_answer(place, stripe, "upcoming", event)
    body = orjson.loads(answer["body"])
    assert (answer["type"], answer["observed_at"]) == ("invoice.upcoming", rfc3339(event.created))
    assert (body["object"], body["customer"]) == ("invoice", event.object.customer)  # type: ignore[union-attr]


async def test_an_event_that_stripe_no_longer_keeps_is_an_answer_too(
    place: Place, stripe: Stripe, world: World
) -> None:
    async def gone(request: web.Request) -> web.Response | None:
        return error(404, "No such event") if "/core/events/" in request.path else await no_events(request)

    stripe.fault = gone
    answer = await thin_answer(place, stripe, "event", last(world, "invoice.payment_failed"))
    assert orjson.loads(answer["body"])["missing"] is True
    assert answer["type"] == ""


async def test_why_an_attempt_made_no_charge_is_on_its_payment_intent(place: Place, world: World) -> None:
    invoices = world.accounts["default"].invoices.values()
    refused = next(one.id for one in invoices if one.failure)
    told = [event for event in world.events if event.type == "invoice.payment_failed" and event.object.id == refused]
    then = World(5, START, 30, 60, until=told[-1].created + 5)
    invoice = then.accounts["default"].invoices[refused]
    async with simulated(then) as stripe, place.connector(stripe.access()):
        await place.ask(about(invoice.payment_intent or "", "payment_intent"))

        async def come() -> list[dict[str, Any]]:
            return [one for one in await published(place.bootstrap, place.prefix) if one["source"] == "lookup"]

        [message] = await eventually(come, deadline=60, interval=0.2)
    answer = orjson.loads(message["body"])
    assert (answer["id"], answer["customer"]) == (invoice.payment_intent, invoice.customer)
    assert answer["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert "charge" not in answer["last_payment_error"]


async def test_that_there_is_none_is_an_answer_too(place: Place, stripe: Stripe) -> None:
    async with place.connector(stripe.access()):
        await place.ask(about("cus_nobody"))
        assert await place.answered(1) == [{"id": "cus_nobody", "object": "customer", "missing": True}]
        await place.done()
    assert place.parked() == []


async def test_what_was_answered_before_is_not_asked_again_in_a_replay(
    place: Place, stripe: Stripe, world: World
) -> None:
    wanted = [*customers(world, 3), "cus_nobody"]
    async with place.connector(stripe.access()):
        await place.ask(*map(about, wanted))
        await place.answered(4)
    asked = len(stripe.asked)
    async with Warehouse(place.warehouse) as warehouse:  # as the sink does
        await warehouse.insert("stripe_event_rows", await published(place.bootstrap, place.prefix))
    async with place.connector(stripe.access()):
        await place.ask(*map(about, wanted))
        assert len(await place.answered(8)) == 8  # told once more: Kafka may have forgotten it
        await place.ask(about(wanted[0], at=time.time()))  # something newer is asked for
        await place.answered(9)
    assert [path for path in stripe.asked[asked:] if "/events" not in path] == [f"/v1/customers/{wanted[0]}"]
    everything = await published(place.bootstrap, place.prefix)
    told = Counter((one["event_id"], one["observed_at"], one["body"]) for one in everything)
    assert Counter(told.values()) == {2: 4, 1: 1}


async def test_without_a_key_questions_wait_until_there_is_one(place: Place, stripe: Stripe, world: World) -> None:
    wanted = sorted(customers(world, 5))
    async with place.connector():
        await place.ask(*map(about, wanted))
        await eventually(lambda: place.parked() == [("customer", one, "no API key") for one in wanted])
        await place.done()
    async with place.connector(stripe.access()):
        answers = await place.answered(5)
        await eventually(lambda: not place.parked())
    assert sorted(one["id"] for one in answers) == wanted


async def test_what_a_webhook_asks_is_told_as_its_fact_also_when_it_had_to_wait(
    place: Place, stripe: Stripe, world: World
) -> None:
    """So that flows act on it. What is looked up for the ledger's own sake is nobody's news, whoever asks first."""
    charge = next(iter(world.accounts["default"].charges))
    ours = about(charge, "charge", at=START)
    theirs = ours.model_copy(update={"reason": "thin event", "webhook_at": "2026-01-05T10:00:03.000Z"})

    async def told(number: int) -> list[str]:
        await place.answered(number)
        return sorted(one["webhook_at"] for one in await published(place.bootstrap, place.prefix))

    async with place.connector():
        await place.ask(theirs)
        await eventually(lambda: place.parked() == [("charge", charge, "no API key")])
        await place.done()
    async with place.connector(stripe.access()):
        assert await told(1) == [theirs.webhook_at]
        await place.ask(ours, theirs)  # both are known by now
        await place.done()
    async with place.connector(stripe.access()):  # which remembers nothing
        await place.ask(ours)
        assert await told(2) == ["", theirs.webhook_at]
        await place.ask(theirs)
        assert await told(3) == ["", theirs.webhook_at, theirs.webhook_at]


async def test_a_missing_permission_is_named_and_asked_again_when_it_is_given(place: Place, stripe: Stripe) -> None:
    async def forbidden(request: web.Request) -> web.Response | None:
        return error(403, "No") if request.path.startswith("/v1/invoices") else await no_events(request)

    stripe.fault = forbidden
    async with place.connector(stripe.access()):
        await place.ask(about("in_1", "invoice"), about("cus_nobody"))
        await place.answered(1)  # customers are not held up
        await eventually(lambda: place.parked() == [("invoice", "in_1", "permission missing")])
    stripe.fault = no_events
    async with place.connector(stripe.access()):
        await place.answered(2)
        await eventually(lambda: not place.parked())


async def test_an_account_that_does_not_answer_holds_up_no_other(place: Place, stripe: Stripe, world: World) -> None:
    async with simulated(world) as slow:

        async def hanging(_: web.Request) -> web.Response | None:
            await asyncio.sleep(3600)
            return None

        slow.fault = hanging
        async with place.connector(stripe.access(), slow.access(account="slow")):
            await place.ask(*(about(one, account="slow") for one in customers(world, 50)))
            await place.ask(*map(about, customers(world, 50)))
            answers = await place.answered(50)
    assert {one["id"] for one in answers} == set(customers(world, 50))


async def test_given_up_after_some_attempts_and_asked_again_later(place: Place, stripe: Stripe, world: World) -> None:
    [wanted] = customers(world, 1)
    up = asyncio.Event()

    async def away(request: web.Request) -> web.Response | None:
        if request.path == "/v1/events":
            await up.wait()  # what is parked is asked again after a sweep
        return error(500, "Oh no") if not up.is_set() and "/customers/" in request.path else await no_events(request)

    stripe.fault = away
    async with place.connector(stripe.access(patience=0.0)):
        await place.ask(about(wanted))
        await eventually(lambda: place.parked() == [("customer", wanted, "given up")])
    assert len([path for path in stripe.asked if "/customers/" in path]) == 4
    up.set()
    async with place.connector(stripe.access()):
        await place.answered(1)
        await eventually(lambda: not place.parked())


async def test_a_storm_of_429_loses_no_question(place: Place, stripe: Stripe, world: World) -> None:
    async def storm(request: web.Request) -> web.Response | None:
        if "/customers/" in request.path and len(stripe.asked) % 2:
            return error(429, "Too many requests", retry_after="0.01")
        return await no_events(request)

    stripe.fault = storm
    wanted = customers(world, 30)
    async with place.connector(stripe.access()):
        await place.ask(*map(about, wanted))
        answers = await place.answered(30)
    assert {one["id"] for one in answers} == set(wanted)
    assert place.parked() == []


async def test_a_connected_account_is_asked_through_the_platforms_key(place: Place) -> None:
    world = World(6, START, 5, 10, accounts=("default", "acct_1Shop"))
    identifier = next(iter(world.accounts["acct_1Shop"].customers))
    async with simulated(world) as platform:
        platform.fault = no_events
        async with place.connector(platform.access()):
            await place.ask(about(identifier, account="acct_1Shop"))
            [answer] = await place.answered(1)
    assert (answer["id"], "email" in answer) == (identifier, True)


async def test_nonsense_on_the_topic_is_passed_by(place: Place, stripe: Stripe) -> None:
    async with AIOKafkaProducer(bootstrap_servers=place.bootstrap) as producer:
        await producer.send_and_wait(place.prefix + LOOKUPS.name, b"{}", key=b"x")
    async with place.connector(stripe.access()):
        await place.ask(about("cus_nobody"), about("x_1", "unheard_of"))
        await place.answered(1)
        await eventually(lambda: place.parked() == [("unheard_of", "x_1", "given up")])
        await place.done()
