"""Workers that are paused and disks that go back in time, on real brokers: nothing is wrong afterwards."""

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import rocksdict
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from embedded.child import die_with_parent
from embedded.kafka import KafkaProcess
from schemas import topics
from schemas.topics import LEDGER_PEOPLE, METRICS, PROFILES, STRIPE_EVENTS
from simulator.rendering.objects import event_body, event_json
from simulator.world.history import World
from streams.losses import losses
from tests.conftest import eventually
from tests.integration.processors.test_worker import START, alive, newest, processor, publish
from tests.ledger_harness import run

#: The role as `tillstream process` runs it.
RUN = """
import sys
from pathlib import Path
from processors.worker import Processor, ProcessorConfig
from settings.loading import load_settings
from tillstream.roles import run_role

async def work(stop):
    kafka = {"bootstrap_servers": sys.argv[1]}
    config = ProcessorConfig(kafka=kafka, data=Path(sys.argv[2]), topic_prefix=sys.argv[3], partitions=2)
    await Processor(config).run(stop)

run_role("process", work, load_settings({}))
"""

Rows = dict[str, dict[str, Any]]


@asynccontextmanager
async def worker(bootstrap: str, data: Path, prefix: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker as a process of its own, that a test may pause and kill."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, bootstrap, str(data), prefix, preexec_fn=die_with_parent
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def kept(bootstrap: str, topic: str, partition: int) -> dict[bytes, bytes]:
    """What a new owner of the partition would make of its changelog."""
    records = {record.key: record.value for record in await records_of(bootstrap, topic, partition)}
    return {key: value for key, value in records.items() if not key.startswith(b"\x00fence")}


async def records_of(bootstrap: str, topic: str, partition: int, start: int = 0) -> list[Any]:
    """The partition's records from offset `start` on."""
    found: list[Any] = []
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        tp = TopicPartition(topic, partition)
        consumer.assign([tp])
        consumer.seek(tp, start)
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            found += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
    return found


def stored(data: Path, table: str, partition: int) -> dict[bytes, bytes]:
    """What the worker that has ended kept of the partition on its disk."""
    (path,) = data.glob(f"**/*{table}-{partition}.db")
    database = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))
    try:
        ours = dict(database.items())
    finally:
        database.close()
    return {key: value for key, value in ours.items() if not key.startswith((b"\x00fence", b"__faust"))}


def truth(world: World) -> list[tuple[Any, ...]]:
    return sorted((str(f.metric), f.charge_id, f.currency, f.amount_minor, f.email) for f in world.truth().facts)


def ours(rows: Rows) -> list[tuple[Any, ...]]:
    return sorted(
        (r["metric"], r.get("charge_id", ""), r["currency"], r["amount_minor"], r["email"]) for r in alive(rows)
    )


@pytest.mark.timeout(600)
async def test_a_worker_that_was_paused_writes_nothing_over_its_successor_s_state(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    world = World(seed=5, start=START, days=30, customers=60)
    bodies = [event_body(event, "2020-03-02") for event in world.events]
    names = [topic_prefix + topic.name for topic in METRICS.values()]
    events = topic_prefix + STRIPE_EVENTS.name
    third = len(bodies) // 3
    async with (
        worker(kafka_bootstrap, tmp_path / "one", topic_prefix) as one,
        worker(kafka_bootstrap, tmp_path / "two", topic_prefix) as two,
    ):
        await publish(kafka_bootstrap, events, bodies[:third])
        await newest(kafka_bootstrap, names, lambda rows: len(rows) > third // 8)
        publishing = asyncio.create_task(publish(kafka_bootstrap, events, bodies[third : 2 * third]))
        ledger = f"{topic_prefix}tillstream-{topic_prefix}ledger-changelog"
        before = await _ends(kafka_bootstrap, ledger)
        await eventually(lambda: _moved(kafka_bootstrap, ledger, before), 60, 0.01)
        one.send_signal(signal.SIGSTOP)  # with what it has taken and not yet kept
        await publishing
        await publish(kafka_bootstrap, events, bodies[2 * third :])
        await newest(kafka_bootstrap, names, lambda rows: ours(rows) == truth(world), 120)
        one.send_signal(signal.SIGCONT)
        await asyncio.sleep(0)
        one.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(one.wait(), 120) in (0, 1)  # 1: it was told that its partitions are another's
        await publish(kafka_bootstrap, events, bodies[:20])  # again: nothing new, but all are read
        await newest(kafka_bootstrap, names, lambda rows: ours(rows) == truth(world), 60)
        two.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(two.wait(), 120) == 0
    for table in ("ledger", "people"):
        changelog = f"{topic_prefix}tillstream-{topic_prefix}{table}-changelog"
        for partition in (0, 1):
            found = await kept(kafka_bootstrap, changelog, partition)
            mine = stored(tmp_path / "two", f"{topic_prefix}{table}", partition)
            assert {key for key in found.keys() | mine.keys() if found.get(key) != mine.get(key)} == set()


@pytest.mark.timeout(600)
async def test_what_a_paused_worker_tells_late_and_again_changes_no_profile(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    world = World(seed=6, start=START, days=30, customers=40)
    bodies = [event_body(event, "2020-03-02") for event in world.events]
    history = [event_json(event, "2020-03-02") for event in world.events]
    third, expected = len(bodies) // 3, run(history).profiles()
    first = run(history[:third]).profiles()
    events, names = topic_prefix + STRIPE_EVENTS.name, [topic_prefix + PROFILES.name]
    people = f"{topic_prefix}tillstream-{topic_prefix}people-changelog"
    async with (
        worker(kafka_bootstrap, tmp_path / "one", topic_prefix) as one,
        worker(kafka_bootstrap, tmp_path / "two", topic_prefix) as two,
    ):
        await publish(kafka_bootstrap, events, bodies[:third])
        await newest(kafka_bootstrap, names, lambda found: shown(found) == first)
        before = await _ends(kafka_bootstrap, people)
        publishing = asyncio.create_task(publish(kafka_bootstrap, events, bodies[third : 2 * third]))
        await eventually(lambda: _moved(kafka_bootstrap, people, before), 60, 0.01)
        one.send_signal(signal.SIGSTOP)
        await publishing
        await publish(kafka_bootstrap, events, bodies[2 * third :])
        await newest(kafka_bootstrap, names, lambda found: shown(found) == expected, 120)
        one.send_signal(signal.SIGCONT)
        await asyncio.sleep(0)
        one.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(one.wait(), 120) in (0, 1)
        await _say_again(kafka_bootstrap, topic_prefix)
        two.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(two.wait(), 120) == 0
    told: dict[str, dict[int, Any]] = {}
    for partition in (0, 1):
        for record in await records_of(kafka_bootstrap, names[0], partition):
            profile = orjson.loads(record.value)
            same = told.setdefault(record.key.decode(), {}).setdefault(profile["version"], content(profile))
            assert same == content(profile), "one version is one content, whoever tells it"
    assert shown({key: versions[max(versions)] for key, versions in told.items()}) == expected


def content(profile: dict[str, Any]) -> dict[str, Any]:
    """The profile without what tells of the telling."""
    clock = {"first_seen", "last_seen"} if profile.get("withdrawn") else set()
    return {name: value for name, value in profile.items() if name not in clock} | {"updated_at": "", "version": 0}


def shown(found: Rows) -> Rows:
    return {key: content(profile) for key, profile in found.items() if not profile.get("withdrawn")}


async def _say_again(bootstrap: str, prefix: str) -> None:
    """All that the ledger ever told the people stage comes once more, the newest first, and is read."""
    topic, group = prefix + LEDGER_PEOPLE.name, f"{prefix}tillstream"
    partitions = [TopicPartition(topic, number) for number in (0, 1)]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for tp in partitions:
            for record in reversed(await records_of(bootstrap, topic, tp.partition)):
                again = orjson.dumps(orjson.loads(record.value)[::-1])
                await producer.send_and_wait(topic, again, partition=tp.partition)
    async with (
        AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer,
        AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as committed,
    ):
        ends = await consumer.end_offsets(partitions)

        async def read() -> bool:
            return all([(await committed.committed(tp) or 0) >= ends[tp] for tp in partitions])  # more may have come

        await eventually(read, 60)


async def _ends(bootstrap: str, topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets([TopicPartition(topic, number) for number in (0, 1)])).values())
    finally:
        await consumer.stop()


async def _moved(bootstrap: str, topic: str, before: int) -> bool:
    return await _ends(bootstrap, topic) > before


@pytest.mark.timeout(600)
async def test_a_broker_s_disk_that_went_back_in_time_costs_nothing_that_it_still_has(tmp_path: Path) -> None:
    """The workers' state is then ahead of everything: it is dropped, and made of what there is."""
    world = World(seed=5, start=START, days=20, customers=20)
    bodies = [event_body(event, "2020-03-02") for event in world.events]
    half, names = len(bodies) // 2, [topic.name for topic in METRICS.values()]
    data, state = tmp_path / "kafka", tmp_path / "state"
    async with KafkaProcess(data) as kafka:
        await _create(kafka.bootstrap)
        await publish(kafka.bootstrap, STRIPE_EVENTS.name, bodies[:half])
        async with processor(kafka.bootstrap, "", state):
            await newest(kafka.bootstrap, names, lambda rows: len(rows) > half // 8)
    shutil.copytree(data, tmp_path / "before")
    async with KafkaProcess(data) as kafka:
        await publish(kafka.bootstrap, STRIPE_EVENTS.name, bodies[half:])
        async with processor(kafka.bootstrap, "", state):
            await newest(kafka.bootstrap, names, lambda rows: ours(rows) == truth(world))
    shutil.rmtree(data)
    shutil.move(tmp_path / "before", data)
    async with KafkaProcess(data) as kafka:
        async with processor(kafka.bootstrap, "", state):
            await publish(kafka.bootstrap, STRIPE_EVENTS.name, bodies[half:])  # Stripe sends again, or a sweep does
            await newest(kafka.bootstrap, names, lambda rows: ours(rows) == truth(world))
            told = losses(state)
        assert "tillstream-ledger-changelog" in {loss.what for loss in told}
        assert all(loss.messages and not loss.pending for loss in told)
        async with processor(kafka.bootstrap, "", state):  # and it is known, and told, as long as nobody sees to it
            await newest(kafka.bootstrap, names, lambda rows: ours(rows) == truth(world))
            assert losses(state) == told


@pytest.mark.timeout(600)
async def test_a_changelog_that_is_gone_is_made_anew_from_the_events(tmp_path: Path) -> None:
    world = World(seed=5, start=START, days=20, customers=20)
    bodies = [event_body(event, "2020-03-02") for event in world.events]
    half, names = len(bodies) // 2, [topic.name for topic in METRICS.values()]
    async with KafkaProcess(tmp_path / "kafka") as kafka:
        await _create(kafka.bootstrap)
        await publish(kafka.bootstrap, STRIPE_EVENTS.name, bodies[:half])
        async with processor(kafka.bootstrap, "", tmp_path / "state"):
            await newest(kafka.bootstrap, names, lambda rows: len(rows) > half // 8)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            await admin.delete_topics(["tillstream-ledger-changelog"])
        finally:
            await admin.close()
        shutil.rmtree(tmp_path / "state")
        await publish(kafka.bootstrap, STRIPE_EVENTS.name, bodies[half:])
        async with processor(kafka.bootstrap, "", tmp_path / "state"):
            await newest(kafka.bootstrap, names, lambda rows: ours(rows) == truth(world))


async def _create(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(t.name, 2, 1, topic_configs=t.config) for t in topics.ALL])
    finally:
        await admin.close()
