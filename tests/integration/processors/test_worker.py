"""The processors on a real broker: from envelopes to rows and profiles, and nothing lost when they die."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from connector.publish import object_message
from embedded.child import die_with_parent
from ingest.admission import admit
from processors.worker import Processor, ProcessorConfig
from schemas.envelope import Source
from schemas.metrics import Metric
from schemas.times import rfc3339
from schemas.topics import DEAD_LETTERS, LOOKUPS, METRICS, PROFILES, STRIPE_EVENTS
from simulator.rendering.objects import event_body, object_json
from simulator.world.history import World
from streams.partitioner import partition_of
from tests.conftest import eventually

START = 1_767_225_600


@asynccontextmanager
async def processor(bootstrap: str, prefix: str, data: Path) -> AsyncIterator[Processor]:
    """A worker that runs for as long as the block does."""
    worker = Processor(
        ProcessorConfig(kafka={"bootstrap_servers": bootstrap}, data=data, topic_prefix=prefix, partitions=2)
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:  # a worker that fails ends the test at once
        group.create_task(worker.run(stop))
        try:
            yield worker
        finally:
            stop.set()


async def publish(bootstrap: str, topic: str, bodies: list[bytes], came_at: float = START) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5) as producer:
        for body in bodies:
            message = admit(body, "default", came_at)
            await producer.send(topic, value=message.value, key=message.key, headers=list(message.headers))


async def newest(bootstrap: str, topics: list[str], done: Any, deadline: float = 120) -> dict[str, dict[str, Any]]:
    """The newest version by key on `topics`, read until `done(newest)`."""
    known: dict[str, dict[str, Any]] = {}
    async with (
        AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer,
        asyncio.timeout(deadline),
    ):
        while not done(known):
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                for message in messages:
                    row = orjson.loads(message.value)
                    key = message.key.decode()
                    if key not in known or row.get("version", 0) >= known[key].get("version", 0):
                        known[key] = row
    return known


def alive(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows.values() if not row.get("withdrawn")]


async def test_a_month_of_events_becomes_the_true_metrics_and_profiles(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    world = World(seed=5, start=START, days=30, customers=30)
    await publish(
        kafka_bootstrap, topic_prefix + STRIPE_EVENTS.name, [event_body(e, "2020-03-02") for e in world.events]
    )
    facts = world.truth().facts
    truth = sorted((str(f.metric), f.charge_id, f.currency, f.amount_minor, f.email) for f in facts)
    people = {f.email for f in facts} - {""}
    names = [topic_prefix + topic.name for topic in METRICS.values()]
    async with processor(kafka_bootstrap, topic_prefix, tmp_path):

        def ours(rows: dict[str, dict[str, Any]]) -> list[tuple[Any, ...]]:
            return sorted(
                (r["metric"], r.get("charge_id", ""), r["currency"], r["amount_minor"], r["email"]) for r in alive(rows)
            )

        await newest(kafka_bootstrap, names, lambda rows: ours(rows) == truth)
        paid = Counter(f.email for f in facts if f.metric == Metric.SUCCESSFULLY_PAID and f.email)

        def counted(known: dict[str, dict[str, Any]]) -> Counter[str]:
            return Counter(
                {
                    person["email"]: summary["count"]
                    for person in alive(known)
                    for summary in person["metrics"]
                    if summary["metric"] == Metric.SUCCESSFULLY_PAID
                }
            )

        profiles = topic_prefix + PROFILES.name
        known = await newest(kafka_bootstrap, [profiles], lambda known: counted(known) == paid)
    assert {person["email"] for person in alive(known)} == people


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"id":"evt_1","type":"charge.succeeded","livemode":true,"created":1767225600,"data":{"object":{}}}', "data"),
        (
            b'{"id":"evt_2","type":"charge.succeeded","livemode":true,"created":1767225600,'
            b'"data":{"object":{"id":"ch_1","object":"charge","amount":-5,"currency":"usd"}}}',
            "data.object.amount",
        ),
        (
            b'{"id":"evt_3","type":"invoice.paid","livemode":true,"created":12,"data":{"object":{"id":"in_1"}}}',
            "created",
        ),
    ],
)
async def test_what_makes_no_sense_goes_whole_to_dead_letters_with_the_field(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path, body: bytes, path: str
) -> None:
    await make_topics(topic_prefix, partitions=2)
    await publish(kafka_bootstrap, topic_prefix + STRIPE_EVENTS.name, [body])
    async with processor(kafka_bootstrap, topic_prefix, tmp_path):
        letters = await newest(kafka_bootstrap, [topic_prefix + DEAD_LETTERS.name], lambda known: known)
    (letter,) = letters.values()
    assert letter["path"].startswith(path)
    assert letter["payload"].encode() == body
    assert letter["headers"]["ce_id"] == orjson.loads(body)["id"]


#: The role as `tillstream process` runs it, with a broker that refuses every write once it is ready.
FAILING = """
import asyncio, sys
from pathlib import Path
from aiokafka.errors import KafkaError
from processors.worker import Processor, ProcessorConfig
from settings.loading import load_settings
from tillstream.roles import run_role

async def refuse(messages):
    raise KafkaError("the broker refuses")

async def work(stop):
    config = ProcessorConfig(
        kafka={"bootstrap_servers": sys.argv[1]}, data=Path(sys.argv[2]), topic_prefix=sys.argv[3], partitions=2
    )
    worker = Processor(config)
    running = asyncio.create_task(worker.run(stop))
    while worker.ready():
        await asyncio.sleep(0.05)
    worker._worker.producer.send = refuse
    Path(sys.argv[2], "broken").touch()
    await running

run_role("process", work, load_settings({}))
"""


async def test_a_checkpoint_that_fails_ends_the_process_and_the_next_one_loses_nothing(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    world = World(seed=5, start=START, days=10, customers=10)
    bodies = [event_body(event, "2020-03-02") for event in world.events]
    arguments = (sys.executable, "-c", FAILING, kafka_bootstrap, str(tmp_path), topic_prefix)
    failing = await asyncio.create_subprocess_exec(*arguments, preexec_fn=die_with_parent)
    try:
        await eventually((tmp_path / "broken").exists)
        await publish(kafka_bootstrap, topic_prefix + STRIPE_EVENTS.name, bodies)
        assert await asyncio.wait_for(failing.wait(), 120) == 1
    finally:
        if failing.returncode is None:
            failing.kill()
            await failing.wait()
    names, facts = [topic_prefix + topic.name for topic in METRICS.values()], len(world.truth().facts)
    async with processor(kafka_bootstrap, topic_prefix, tmp_path):
        await newest(kafka_bootstrap, names, lambda known: len(alive(known)) == facts)


async def test_a_thin_event_asks_for_its_object_and_is_folded_when_it_comes(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    world = World(seed=5, start=START, days=10, customers=10)
    charge = next(c for c in world.accounts["default"].charges.values() if c.status == "succeeded" and c.captured)
    thin = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.charge.succeeded",
        "livemode": True,
        "created": "2026-01-05T10:00:00.000Z",
        "related_object": {"id": charge.id, "type": "charge", "url": f"/v1/charges/{charge.id}"},
    }
    events = topic_prefix + STRIPE_EVENTS.name
    came_at = time.time()
    await publish(kafka_bootstrap, events, [orjson.dumps(thin)], came_at)
    async with processor(kafka_bootstrap, topic_prefix, tmp_path):
        asked = await newest(
            kafka_bootstrap, [topic_prefix + LOOKUPS.name], lambda known: any(k == charge.id for k in known)
        )
        assert asked[charge.id] | {"reason": "thin event", "object": "charge", "livemode": True} == asked[charge.id]
        webhook_at = asked[charge.id]["webhook_at"]
        assert webhook_at == rfc3339(came_at)
        await answer(kafka_bootstrap, events, object_json(charge), webhook_at)
        rows = await newest(
            kafka_bootstrap,
            [topic_prefix + METRICS[Metric.SUCCESSFULLY_PAID].name],
            lambda known: any(row["charge_id"] == charge.id for row in known.values()),
        )
    (row,) = [row for row in rows.values() if row["charge_id"] == charge.id]
    assert (row["source"], row["amount_minor"]) == ("webhook", charge.amount_captured)
    assert row["properties"]["SucceededAt"] == thin["created"]


async def answer(bootstrap: str, topic: str, obj: dict[str, Any], webhook_at: str) -> None:
    """Publish what a look-up found, as the connector does."""
    at = START + 86_400 * 20
    message = object_message("default", True, obj, Source.LOOKUP, at, webhook_at=webhook_at)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, value=message.value, key=message.key, headers=list(message.headers))


async def test_state_survives_a_restart_and_a_lost_disk(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    """A refund's charge is known from the state: from RocksDB after a restart, from the changelog on a new disk."""
    await make_topics(topic_prefix, partitions=2)
    world = World(seed=8, start=START, days=30, customers=20)
    bodies = [event_body(e, "2024-06-20") for e in world.events]
    third = len(bodies) // 3
    facts = world.truth().facts
    truth = sorted((str(f.metric), f.charge_id, f.amount_minor, f.email) for f in facts)
    names = [topic_prefix + topic.name for topic in METRICS.values()]
    events = topic_prefix + STRIPE_EVENTS.name
    for bodies_now, disk in ((bodies[:third], "a"), (bodies[third : 2 * third], "a"), (bodies[2 * third :], "b")):
        await publish(kafka_bootstrap, events, bodies_now)
        async with processor(kafka_bootstrap, topic_prefix, tmp_path / disk):
            await _drained(kafka_bootstrap, f"{topic_prefix}tillstream", events)
    await newest(kafka_bootstrap, names, lambda known: told_of(known) == truth)


async def test_a_partition_that_was_never_read_is_read_whole_after_a_recovery(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    """Nothing was committed there when the worker died; what waits there comes while the others' state is made anew."""
    await make_topics(topic_prefix, partitions=2)
    world = World(seed=8, start=START, days=10, customers=20)
    lanes: tuple[list[bytes], list[bytes]] = [], []
    for event in world.events:
        body = event_body(event, "2024-06-20")
        lanes[partition_of(admit(body, "default", START).key, 2)].append(body)
    truth = sorted((str(f.metric), f.charge_id, f.amount_minor, f.email) for f in world.truth().facts)
    events = topic_prefix + STRIPE_EVENTS.name
    for disk, bodies in zip("ab", lanes, strict=True):
        await publish(kafka_bootstrap, events, bodies)
        async with processor(kafka_bootstrap, topic_prefix, tmp_path / disk):
            await _drained(kafka_bootstrap, f"{topic_prefix}tillstream", events)
    names = [topic_prefix + topic.name for topic in METRICS.values()]
    await newest(kafka_bootstrap, names, lambda known: told_of(known) == truth)


def told_of(known: dict[str, dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((r["metric"], r.get("charge_id", ""), r["amount_minor"], r["email"]) for r in alive(known))


async def _drained(bootstrap: str, group: str, topic: str) -> None:
    """Wait until the group has committed all of `topic`."""
    partitions = [TopicPartition(topic, number) for number in range(2)]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
            ends = await consumer.end_offsets(partitions)

            async def committed() -> bool:
                known = await admin.list_consumer_group_offsets(group)
                return all(tp in known and known[tp].offset >= ends[tp] for tp in partitions if ends[tp])

            await eventually(committed, deadline=120)
    finally:
        await admin.close()
