"""An import is a job of the connector: killed, paused or doubled, it is done once, and who asks sees how it goes."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from connector.imports.board import Board
from connector.imports.jobs import Job, Stage, new_id
from connector.imports.lease import Fenced, Lease
from connector.imports.progress import Progress, State
from connector.imports.ranges import FOUNDED
from connector.state import StateLog
from connector.worker import Connector, ConnectorConfig
from schemas.errors import Unavailable
from schemas.lookup import Lookup
from schemas.topics import JOBS, LOOKUPS
from simulator.world.history import World
from streams.publishing import Message, Publisher
from tests.conftest import MakeTopics, eventually
from tests.e2e.running import environment
from tests.integration.connector_support import KEY, START, Stripe, error, listed, no_events, published, simulated
from warehouse.address import Address

KINDS = ("customers", "invoice_payments", "subscriptions", "invoices", "charges", "refunds")
KILLS = 10
# A lease of 1.5 s in place of five, so that ten kills don't take minutes.
# Ctrl-C counts also where the tests run in the background of a shell, which has it ignored.
QUICK = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from connector.imports import board, lease; board.LEASE, lease.BEAT = 1.5, 0.3; "
    "from tillstream.__main__ import main; main()"
)


@pytest.fixture(scope="module")
def world() -> World:
    return World(4, START, 60, 120)


@pytest.fixture
async def stripe(world: World) -> AsyncIterator[Stripe]:
    async with simulated(world) as running:
        running.fault = no_events
        yield running


@dataclass
class Place:
    """Kafka, ClickHouse and Stripe for one test."""

    kafka: dict[str, Any]
    prefix: str
    warehouse: Address
    stripe: Stripe
    env: dict[str, str]
    data: Path

    @asynccontextmanager
    async def connector(self, **access: Any) -> AsyncIterator[Connector]:
        accesses = (self.stripe.access(**access),)
        role, stop = Connector(ConnectorConfig(self.kafka, self.warehouse, accesses, self.prefix)), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(role.run(stop))
            try:
                await eventually(lambda: not role.ready(), deadline=60)
                yield role
            finally:
                stop.set()

    @asynccontextmanager
    async def started(self, *arguments: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command as a process of its own."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", QUICK, *arguments, "--data", str(self.data)),
            env=self.env | env | {"PYTHONPATH": os.getcwd()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    def board(self) -> Board:
        return Board(self.kafka, self.prefix, progress=True)

    async def ask(self, *resources: str) -> Job:
        async with self.board() as board:
            return await board.ask(Job(new_id(0), "default", True, FOUNDED, resources or KINDS))

    async def ended(self, job: Job) -> tuple[Stage, str]:
        """How the job ended."""
        async with self.board() as board, asyncio.timeout(120):
            while board.open("default"):
                await board.look(0.2)
            held = board.held["default"]
            assert held.job == job.id
            return held.stage, held.error

    async def ids(self) -> Counter[str]:
        """How often each object was published."""
        prefix, bootstrap = self.prefix, self.kafka["bootstrap_servers"]
        return Counter(orjson.loads(one["body"])["id"] for one in await published(bootstrap, prefix))

    def hold(self, path: str) -> asyncio.Event:
        """Stripe gives no answer to `path` until the event is set."""
        released = asyncio.Event()

        async def fault(request: web.Request) -> web.Response | None:
            if request.path == path:
                await released.wait()
            return await no_events(request)

        self.stripe.fault = fault
        return released

    def pages(self) -> int:
        """How often a list was asked for."""
        return sum(self.stripe.count(f"/v1/{name}") for name in KINDS)

    async def asked(self, more: int, before: int | None = None) -> None:
        """Return when so many more pages were asked for."""
        target = (self.pages() if before is None else before) + more
        await eventually(lambda: self.pages() >= target, deadline=120, interval=0.002)


@pytest.fixture
async def place(
    kafka_bootstrap: str,
    topic_prefix: str,
    make_topics: MakeTopics,
    migrated: Address,
    stripe: Stripe,
    tmp_path: Path,
) -> Place:
    await make_topics(topic_prefix)
    env = environment(
        KAFKA_BOOTSTRAP_SERVERS=kafka_bootstrap,
        TILLSTREAM_TOPIC_PREFIX=topic_prefix,
        CLICKHOUSE_URL=migrated.url,
        CLICKHOUSE_DATABASE=migrated.database,
        STRIPE_API_KEY=KEY,
        STRIPE_API_BASE=stripe.url,
        TILLSTREAM_STRIPE_RATE="10000",
        TILLSTREAM_RECONCILE_AT="",
    )
    kafka = {"bootstrap_servers": kafka_bootstrap}
    return Place(kafka, topic_prefix, migrated, stripe, env, tmp_path)


def everything(world: World) -> dict[str, int]:
    """The id of every object that Stripe lists."""
    return {one.id: 1 for objects in listed(world.accounts["default"]).values() for one in objects}


async def test_two_connectors_do_one_job_once(place: Place, world: World) -> None:
    async with place.connector(), place.connector():
        job = await place.ask()
        assert await place.ended(job) == (Stage.FINISHED, "")
    assert await place.ids() == everything(world)
    async with place.connector():  # a job that has ended is none
        again = await place.ask("charges")
        assert await place.ended(again) == (Stage.FINISHED, "")
    assert await place.ids() == everything(world)


async def test_a_connector_that_is_stopped_lets_go_of_its_job_at_once(place: Place, world: World) -> None:
    job = await place.ask()
    async with asyncio.timeout(60):
        async with place.connector(rate=15.0):
            await place.asked(20)
        async with place.board() as board:
            assert board.held["default"].stage is Stage.RELEASED
        async with place.connector():
            assert await place.ended(job) == (Stage.FINISHED, "")
    assert set(await place.ids()) == set(everything(world))


async def test_a_connector_that_is_killed_ten_times_ends_as_if_it_had_run_through(place: Place, world: World) -> None:
    rng = random.Random(1)
    job = await place.ask()
    for _ in range(KILLS):
        before = place.pages()
        async with place.started("connector", TILLSTREAM_STRIPE_RATE="60") as process:
            await place.asked(rng.randint(2, 12), before)
            process.send_signal(signal.SIGKILL)
            await process.communicate()
    async with place.started("connector"):
        assert await place.ended(job) == (Stage.FINISHED, "")
        async with place.board() as board:
            counts = {one.resource: one.objects for one in board.progress.values()}
    assert counts == {name: len(every) for name, every in listed(world.accounts["default"]).items()}
    found = await place.ids()
    assert set(found) == set(everything(world))
    assert max(found.values()) <= KILLS + 1  # no page again and again
    assert sum(found.values()) - len(found) < len(found)  # of some thousand: a page a worker at a kill


async def test_a_connector_that_was_paused_changes_nothing_after_another_has_taken_its_job(
    place: Place, world: World
) -> None:
    job = await place.ask()
    async with place.started("connector", TILLSTREAM_STRIPE_RATE="20") as paused:
        await place.asked(8)
        paused.send_signal(signal.SIGSTOP)
        async with place.started("connector"):
            assert await place.ended(job) == (Stage.FINISHED, "")
            before = await recorded(place)
            paused.send_signal(signal.SIGCONT)
            paused.terminate()  # it wakes, finds that the job is another's, and ends
            await asyncio.wait_for(paused.communicate(), 60)
            assert await recorded(place) == before
            assert await place.ended(job) == (Stage.FINISHED, "")
    assert {one.state for one in before.values()} == {State.FINISHED}
    assert set(await place.ids()) == set(everything(world))


async def recorded(place: Place) -> dict[str, Progress]:
    async with place.board() as board:
        return dict(board.progress)


async def test_a_holder_is_refused_from_the_moment_another_takes_the_job(place: Place) -> None:
    job = Job(new_id(0), "default", True, FOUNDED, KINDS)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Lease(place.kafka, place.prefix, job, "one"))
        for name in KINDS:  # on several partitions
            await first.put(f"import|{name}", {"by": "one"})
        second = await stack.enter_async_context(Lease(place.kafka, place.prefix, job, "two"))
        for name in KINDS:
            with pytest.raises(Fenced):
                await first.put(f"import|{name}", {"by": "one again"})
        with pytest.raises(Fenced):
            await first.tell(Stage.FINISHED)
        await second.put("import|charges", {"by": "two"})
        assert (await second.read("import|"))["import|charges"] == {"by": "two"}
        assert (await second.read("import|"))["import|refunds"] == {"by": "one"}
        with pytest.raises(asyncio.CancelledError):  # who stops waiting for a record leaves no gap behind
            await asyncio.gather(*(canceled(second, name) for name in KINDS))
        await second.tell(Stage.RELEASED)


async def canceled(lease: Lease, name: str) -> None:
    task = asyncio.create_task(lease.put(f"import|{name}", {"by": "nobody"}))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def test_why_an_import_failed_is_kept_and_it_is_not_begun_again_by_itself(place: Place) -> None:
    async def forbidden(request: web.Request) -> web.Response | None:
        return error(403, "Having the 'rak_charge_read' permission …") if request.path == "/v1/charges" else None

    place.stripe.fault = forbidden
    reason = "charges: the API key of account default may not read charges (rak_charge_read)"
    async with place.connector():
        job = await place.ask()
        assert await place.ended(job) == (Stage.FAILED, reason)
    pages = place.pages()
    async with place.connector(), place.started("import", "--only", ",".join(KINDS[:2]), "--json") as command:
        out, err = await command.communicate()  # what is in already is not asked for again either
        assert (command.returncode, json.loads(out)["complete"]) == (0, True), err.decode()
        assert "imported already" in err.decode()
    assert place.pages() == pages


async def test_a_job_that_makes_no_sense_fails_by_name_and_hostile_records_harm_nothing(place: Place) -> None:
    async with Publisher(place.kafka) as publisher:
        for key, value in ((b"default", b"{"), (b"default|holder", b"[1]"), (b"\xff", b'{"id": 3}'), (b"x", None)):
            await publisher.send([Message(place.prefix + JOBS.name, key, value)])
    async with place.connector():
        job = await place.ask("nonsense")
        stage, why = await place.ended(job)
        assert (stage, "there is nothing called nonsense to import" in why) == (Stage.FAILED, True)
        assert await place.ended(await place.ask("customers")) == (Stage.FINISHED, "")


async def test_the_command_beside_a_connector_shows_the_job_and_its_end_is_not_the_jobs(
    place: Place, world: World
) -> None:
    rest = place.hold("/v1/refunds")
    async with place.connector():
        async with place.started("import", "--only", ",".join(KINDS)) as command:
            await said(command, "done by the connector")
            command.send_signal(signal.SIGINT)
            _, err = await command.communicate()
        assert command.returncode == 130, err.decode()
        assert "the connector goes on with it" in err.decode()
        async with place.started("import", "--only", ",".join(KINDS), "--json") as command:
            await said(command, "going on with the import")
            rest.set()
            out, err = await command.communicate()
        assert command.returncode == 0, err.decode()
    told = {one["resource"]: (one["state"], one["objects"]) for one in json.loads(out)["imports"]}
    lists = listed(world.accounts["default"])
    assert told == {name: ("finished", len(every)) for name, every in lists.items()}
    assert await place.ids() == everything(world)


async def test_an_import_is_canceled_by_anybody_and_goes_on_when_it_is_asked_for_again(
    place: Place, world: World
) -> None:
    rest = place.hold("/v1/refunds")
    async with place.connector():
        job = await place.ask()
        await eventually(lambda: place.stripe.count("/v1/refunds"), deadline=60)
        async with place.started("import", "--cancel") as command:
            _, err = await command.communicate()
            assert (command.returncode, "the import is canceled" in err.decode()) == (0, True), err.decode()
        assert await place.ended(job) == (Stage.CANCELED, "")
        states = {one.resource: one.state for one in (await recorded(place)).values()}
        assert (states["customers"], states["refunds"]) == (State.FINISHED, State.CANCELED)
        rest.set()
        assert await place.ended(await place.ask()) == (Stage.FINISHED, "")
    assert await place.ids() == everything(world)
    async with place.started("import", "--cancel") as command:  # also where no connector runs
        _, err = await command.communicate()
    assert (command.returncode, "no import is under way" in err.decode()) == (0, True)


async def said(command: asyncio.subprocess.Process, words: str) -> None:
    """Return when the command has said so on standard error."""
    assert command.stderr is not None
    async with asyncio.timeout(60):
        while words not in (line := (await command.stderr.readline()).decode()):
            assert line, f"it ended without saying: {words}"


async def test_what_a_row_waits_for_is_asked_before_the_import_and_all_is_slowed_by_a_refusal(
    place: Place, world: World
) -> None:
    customer = next(iter(world.accounts["default"].customers))
    refused = 0

    async def limited(request: web.Request) -> web.Response | None:
        nonlocal refused
        if request.path == "/v1/events":
            return await no_events(request)
        refused += 1
        return error(429, "Too many requests", code="rate_limit", retry_after="0.1") if refused == 5 else None

    place.stripe.fault = limited
    async with place.connector(rate=10.0):
        job = await place.ask()
        await place.asked(6)
        before = len(place.stripe.asked)
        question = Lookup(account="default", livemode=True, object="customer", id=customer, reason="test", at=0)
        async with Publisher(place.kafka) as publisher:
            value = question.model_dump_json().encode()
            await publisher.send([Message(place.prefix + LOOKUPS.name, customer.encode(), value)])
        await eventually(lambda: place.stripe.count(f"/v1/customers/{customer}"), deadline=60, interval=0.01)
        after = place.stripe.asked[before:]
        assert len(after) <= 12  # what was under way, and a second of the pace for the question to arrive
        assert await place.ended(job) == (Stage.FINISHED, "")
    assert await place.ids() == Counter(everything(world)) + Counter([customer])


async def test_progress_of_an_import_before_there_were_jobs_is_gone_on_with(place: Place, world: World) -> None:
    async with StateLog(place.kafka, place.prefix) as state:
        now = 1_800_000_000
        done = Progress("imp_old", "default", True, "charges", FOUNDED, now, now, state=State.FINISHED, objects=7)
        await state.put(done.key, done.as_json())
    async with place.connector():
        assert await place.ended(await place.ask("charges", "refunds")) == (Stage.FINISHED, "")
    assert set(await place.ids()) == set(world.accounts["default"].refunds)


async def test_without_kafka_nothing_is_asked_for(place: Place) -> None:
    with pytest.raises(Unavailable):
        async with Board({"bootstrap_servers": "127.0.0.1:1", "request_timeout_ms": 500}, place.prefix):
            pass
