"""Every event that was taken in is folded and in ClickHouse, or is named: on the real broker and the real engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.client import Client

from connector.auditing.auditor import AuditConfig, Auditor
from connector.auditing.log import Log
from operations import rewriting
from operations.missing import named
from operations.rebuild import STATES, forget_state
from operations.replay import publisher
from operations.rewriting import Person
from processors.stages import LedgerStage
from processors.worker import Processor, ProcessorConfig
from schemas.erasures import Erasures, entry_message, new_key
from schemas.topics import METRICS, STRIPE_EVENTS
from simulator.rendering.objects import event_body
from simulator.world.history import World
from sinks.config import SinkConfig
from streams.checkpoint import Checkpointer
from streams.message import Message
from tests.conftest import MakeTopics, eventually
from tests.integration.processors.test_fenced import worker
from tests.integration.processors.test_worker import START, publish
from tests.integration.sinks_support import config, fact, one, rows, running
from warehouse.client import Warehouse
from warehouse.waiting import Warehouse as WholeWarehouse

__all__ = ["config"]  # a fixture

SECONDS = 1.0  # after which an event is missed
NEVER = 10.0  # for so long nobody may be named who is not missing: by then each tally was looked at more than twice


@dataclass
class Stack:
    """The parts that an event goes through, and the auditor beside them."""

    config: SinkConfig
    data: Path
    clickhouse: Client
    sent: int = 0

    @property
    def bootstrap(self) -> str:
        return str(self.config.kafka["bootstrap_servers"])

    @property
    def events(self) -> str:
        return self.config.topic_prefix + STRIPE_EVENTS.name

    @asynccontextmanager
    async def processor(self) -> AsyncIterator[None]:
        kafka, prefix = self.config.kafka, self.config.topic_prefix
        made = ProcessorConfig(kafka, self.data / "state", prefix, partitions=2, tally_seconds=SECONDS / 10)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(Processor(made).run(stop))
            try:
                yield
            finally:
                stop.set()

    @asynccontextmanager
    async def auditor(self) -> AsyncIterator[Auditor]:
        sink = self.config
        audit = AuditConfig(sink.kafka, sink.topic_prefix, SECONDS, sink_group="sink")
        async with Warehouse(sink.warehouse) as warehouse:
            auditor = Auditor(audit, warehouse)
            async with asyncio.TaskGroup() as group:  # one that fails ends the test at once
                task = group.create_task(auditor.run())
                try:
                    yield auditor
                finally:
                    task.cancel()

    @asynccontextmanager
    async def whole(self) -> AsyncIterator[Auditor]:
        """All of them."""
        async with self.processor(), running(self.config), self.auditor() as auditor:
            yield auditor

    async def send(self, bodies: list[bytes]) -> None:
        self.sent += len(bodies)
        await publish(self.bootstrap, self.events, bodies)

    async def looked(self, auditor: Auditor) -> None:
        """All that was sent has been told of and compared with ClickHouse."""

        def all_of_them() -> bool:
            known = [one for told in auditor._coverage.told.values() for one in told]
            ends = sum(one.tally.next for one in auditor._coverage.last().values())
            return ends == self.sent and all(one.looks for one in known)

        await eventually(all_of_them, 90)
        before = len(self.told())
        await eventually(lambda: len(self.told()) > before)

    def named(self) -> dict[str, str]:
        """What people are told: event id → what it is missing from."""
        return dict(
            rows(self.clickhouse, f"SELECT event_id, missing_from FROM {self.config.warehouse.database}.missing_events")
        )

    def told(self) -> list[int]:
        """How many events were missing, look by look."""
        query = f"SELECT missing_events FROM {self.config.warehouse.database}.conservation ORDER BY at"
        return [count for (count,) in rows(self.clickhouse, query)]


@pytest.fixture
async def stack(config: SinkConfig, make_topics: MakeTopics, clickhouse: Client, tmp_path: Path) -> Stack:
    await make_topics(config.topic_prefix)
    return Stack(config, tmp_path, clickhouse)


@pytest.fixture
def passing_over(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Ids that the ledger never gets to see, by a bug."""
    take, ids = LedgerStage.take, set[str]()

    def passes_over(self: LedgerStage, message: Message, checkpoint: Checkpointer) -> None:
        if dict(message.headers).get("ce_id", b"").decode() not in ids:
            take(self, message, checkpoint)

    monkeypatch.setattr(LedgerStage, "take", passes_over)
    return ids


def month(seed: int = 5) -> list[bytes]:
    return [event_body(event, "2020-03-02") for event in World(seed=seed, start=START, days=20, customers=12).events]


def ids(bodies: list[bytes]) -> list[str]:
    return [orjson.loads(body)["id"] for body in bodies]


async def test_what_is_complete_is_said_to_be_however_often_it_came(stack: Stack) -> None:
    bodies = month()
    async with stack.whole() as auditor:
        await stack.send(bodies)
        await stack.send(bodies[::2])
        await stack.looked(auditor)
        counts = f"SELECT events, counts FROM {stack.config.warehouse.database}.conservation ORDER BY at DESC LIMIT 1"
        await eventually(lambda: rows(stack.clickhouse, counts)[0][0] == stack.sent)
        events, by_outcome = rows(stack.clickhouse, counts)[0]
    assert sum(by_outcome.values()) == events
    assert by_outcome["duplicate"] >= len(bodies[::2])
    assert set(stack.told()) == {0}


async def test_what_the_ledger_passes_over_is_named_until_it_is_published_again(
    stack: Stack, passing_over: set[str]
) -> None:
    bodies = month()
    lost = bodies[len(bodies) // 3]
    last = orjson.dumps(orjson.loads(lost) | {"id": "evt_last"})  # of its partition, and nothing comes after it
    passing_over |= {*ids([lost]), "evt_last"}
    async with stack.whole() as auditor:
        await stack.send([*bodies, last])
        await eventually(lambda: stack.named() == dict.fromkeys(passing_over, "ledger"), 90)
        assert auditor.missing is not None
        for partition, offset in auditor.missing:
            place = f"partition = {partition} AND offset = {offset}"
            events = f"SELECT event_id FROM {stack.config.warehouse.database}.stripe_events WHERE {place}"
            assert one(stack.clickhouse, events) in passing_over
        passing_over.clear()
        await stack.send([lost, last])
        await eventually(lambda: not stack.named(), 90)


async def test_what_is_gone_from_clickhouse_is_named_until_it_is_published_again(stack: Stack) -> None:
    bodies = month()
    gone = ids(bodies[10:12])
    async with stack.whole() as auditor:
        await stack.send(bodies)
        await stack.looked(auditor)
        assert stack.named() == {}
        table = f"{stack.config.warehouse.database}.stripe_event_rows"
        stack.clickhouse.command(f"DELETE FROM {table} WHERE event_id IN ({gone!r})".replace("[", "").replace("]", ""))
        await eventually(lambda: stack.named() == dict.fromkeys(gone, "stripe_events"), 90)
    async with stack.whole():  # what is missing is still known after a restart
        assert stack.named() == dict.fromkeys(gone, "stripe_events")
        await stack.send(bodies[10:12])
        await eventually(lambda: not stack.named(), 90)


async def test_a_row_s_version_that_is_gone_from_clickhouse_is_named_until_its_message_is_published_again(
    stack: Stack,
) -> None:
    database = stack.config.warehouse.database
    table, held = f"{database}.metric_rows", f"SELECT count() FROM {database}.metrics"
    async with stack.whole():
        await stack.send(month())
        await eventually(lambda: one(stack.clickhouse, held) > 0 and stack.told(), 90)
        newest = f"SELECT metric_id, max(version) FROM {table} GROUP BY metric_id ORDER BY metric_id LIMIT 2"
        (gone, _), (older, version) = rows(stack.clickhouse, newest)
        stack.clickhouse.command(
            f"INSERT INTO {table} SELECT * REPLACE(version - 1 AS version) FROM {table} "
            f"WHERE metric_id = '{older}' AND version = {version}"
        )
        which = f"metric_id = '{gone}' OR metric_id = '{older}' AND version = {version}"
        stack.clickhouse.command(f"DELETE FROM {table} WHERE {which}")
        await eventually(lambda: stack.named() == dict.fromkeys([gone, older], "metrics"), 90)
        told = f"SELECT type, topic, partition, offset FROM {database}.missing_events WHERE event_id = '{older}'"
        assert rows(stack.clickhouse, told)[0][0].endswith(f", version {version}")
    async with stack.whole():  # what is missing is still known after a restart
        assert stack.named() == dict.fromkeys([gone, older], "metrics")
        kafka = dict(stack.config.kafka)
        found = await named(WholeWarehouse(stack.config.warehouse), kafka, stack.events)
        assert found.events == []
        async with publisher(kafka) as publish:
            await publish(found.rows)
        await eventually(lambda: not stack.named(), 90)
    assert one(stack.clickhouse, f"SELECT max(version) FROM {table} WHERE metric_id = '{older}'") == version


async def test_a_row_that_clickhouse_refused_is_a_dead_letter_and_not_missing(stack: Stack) -> None:
    good = fact("m1")
    bad = good.model_dump_json().replace('"amount_minor":1234', '"amount_minor":"much"').encode()
    async with stack.whole() as auditor, AIOKafkaProducer(bootstrap_servers=stack.bootstrap) as producer:
        topic = stack.config.topic_prefix + METRICS[good.metric].name
        for value in (bad.replace(b'"m1"', b'"m2"'), b"nonsense", good.model_dump_json().encode()):
            await producer.send_and_wait(topic, value, key=b"k", partition=0)

        def looked() -> bool:
            return any(done.ends.get((topic, 0)) == 3 for done in auditor.facts._looked)

        await eventually(looked, 90)
        assert auditor.facts.missing == {}


@pytest.mark.slow
async def test_nobody_who_is_slow_or_stopped_makes_an_event_missing(stack: Stack) -> None:
    bodies = month()
    third = len(bodies) // 3
    async with stack.auditor() as auditor:
        async with stack.processor(), running(stack.config):
            await stack.send(bodies[:third])
            await stack.looked(auditor)
        async with stack.processor():  # and no sink
            await stack.send(bodies[third : 2 * third])
            await asyncio.sleep(NEVER / 2)
        await stack.send(bodies[2 * third :])
        async with running(stack.config):  # and no processor
            await asyncio.sleep(NEVER / 2)
        async with stack.processor(), running(stack.config):
            await stack.looked(auditor)
        assert auditor.missing == {}
        assert auditor.facts.missing == {}
    assert set(stack.told()) == {0}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_workers_that_die_and_share_their_work_make_none_missing(stack: Stack) -> None:
    bodies, prefix = month(), stack.config.topic_prefix
    quarter = len(bodies) // 4
    async with running(stack.config), stack.auditor() as auditor:
        for number in range(4):
            async with (
                worker(stack.bootstrap, stack.data / "one", prefix) as dying,
                worker(stack.bootstrap, stack.data / "two", prefix),
            ):
                await stack.send(bodies[number * quarter : (number + 1) * quarter])
                await eventually(stack.told, 60)
                dying.kill()
                await stack.send(bodies[: number * 3])
        async with stack.processor():
            await stack.looked(auditor)
        assert auditor.missing == {}
    assert set(stack.told()) == {0}


async def test_what_makes_no_sense_is_a_dead_letter_and_not_missing(stack: Stack) -> None:
    bodies = month()
    async with stack.whole() as auditor:
        async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap) as producer:
            for value in (b"", b"no JSON", b"[]", b'{"event_id":"evt_1","account":"default","body":7}'):
                await producer.send_and_wait(stack.events, value, key=b"k")
                stack.sent += 1
        await stack.send([*bodies, orjson.dumps({"id": "evt_2", "type": "charge.failed", "livemode": True})])
        await stack.send([orjson.dumps({"id": "evt_3", "type": "payout.paid", "livemode": True, "created": START})])
        await stack.looked(auditor)
        assert auditor.missing == {}
    assert set(stack.told()) == {0}


async def test_who_is_forgotten_is_not_missing(stack: Stack) -> None:
    async with stack.whole() as auditor:
        await stack.send(month())
        await stack.looked(auditor)
        sink = stack.config
        people = rows(
            stack.clickhouse, f"SELECT DISTINCT email FROM {sink.warehouse.database}.metrics WHERE email != '' LIMIT 3"
        )
        warehouse = WholeWarehouse(sink.warehouse)
        for (email,) in people:
            erasures = Erasures()
            erasures.take(0, 0, *entry_message(email, 2 * START, new_key()))
            rewritten = await asyncio.to_thread(rewriting.rewrite, warehouse, Person(email), erasures)
            assert rewritten["stripe_event_rows"]
        await stack.looked(auditor)
        for known in auditor._coverage.told.values():
            for told in known:
                told.looks = 0
        await stack.looked(auditor)
        assert auditor.missing == {}


async def test_what_kafka_no_longer_keeps_is_not_missing(stack: Stack, passing_over: set[str]) -> None:
    bodies = month()
    passing_over |= set(ids(bodies[:20]))
    async with stack.processor(), running(stack.config):
        await stack.send(bodies)
        count = f"SELECT count() FROM {stack.config.warehouse.database}.stripe_events"
        await eventually(lambda: one(stack.clickhouse, count) == len(bodies), 60)
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap)
        await admin.start()
        everything = {TopicPartition(stack.events, number): RecordsToDelete(-1) for number in (0, 1)}
        await admin.delete_records(everything)
        await admin.close()
        async with stack.auditor() as auditor:
            await eventually(lambda: stack.told(), 60)
            assert auditor.missing == {}


async def test_state_that_is_made_anew_makes_none_missing(stack: Stack) -> None:
    bodies = month()
    async with stack.auditor() as auditor:
        async with stack.processor(), running(stack.config):
            await stack.send(bodies)
            await stack.looked(auditor)
        await eventually(lambda: _stopped(stack), 90)
        await forget_state(dict(stack.config.kafka), stack.config.topic_prefix, STATES["process"], stack.data)
        async with stack.processor(), running(stack.config):
            await stack.send(bodies[:10])
            await stack.looked(auditor)
        assert auditor.missing == {}
    assert set(stack.told()) == {0}


async def _stopped(stack: Stack) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([f"{stack.config.topic_prefix}tillstream"])
        return not answer.groups[0][5]
    finally:
        await admin.close()


async def test_a_look_that_kafka_refuses_does_not_end_whoever_looks(stack: Stack) -> None:
    log = Log(stack.config.kafka, stack.config.topic_prefix)
    with pytest.raises(KafkaError):
        async with log.open():
            raise KafkaError("before anything was asked")
