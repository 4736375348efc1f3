"""The processors where it hurts: two workers that change places and die, and messages that outgrow Kafka's limit."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from embedded.child import die_with_parent
from ingest.admission import admit
from schemas.topics import DEAD_LETTERS, METRICS, STRIPE_EVENTS
from simulator.rendering.objects import event_body
from simulator.world.history import World
from tests.conftest import eventually
from tests.integration.processors.test_worker import alive, newest, processor, publish

START = 1_767_225_600
WORKER = """
import asyncio, sys
from pathlib import Path
from processors.worker import Processor, ProcessorConfig
bootstrap, prefix, data = sys.argv[1:]
config = ProcessorConfig({"bootstrap_servers": bootstrap}, Path(data), topic_prefix=prefix, partitions=4)
asyncio.run(Processor(config).run(asyncio.Event()))
"""


@contextmanager
def worker(bootstrap: str, prefix: str, data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as a process of its own, killed at the end unless it has died before."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, bootstrap, prefix, str(data)], preexec_fn=die_with_parent)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def members(bootstrap: str, group: str) -> int:
    """How many workers the group has, all of them at work."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
        _, _, state, _, _, found, *_ = answer.groups[0]
        return len(found) if state == "Stable" else 0
    finally:
        await admin.close()


async def test_workers_that_come_and_are_killed_lose_and_double_nothing(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    """A second worker takes half of the partitions while events flow, the first is killed, and a third comes."""
    await make_topics(topic_prefix, partitions=4)
    world = World(seed=11, start=START, days=60, customers=120)
    bodies = [event_body(event, "2024-06-20") for event in world.events]
    truth = sorted((str(f.metric), f.charge_id, f.amount_minor, f.email) for f in world.truth().facts)
    group, events = f"{topic_prefix}tillstream", topic_prefix + STRIPE_EVENTS.name
    names = [topic_prefix + topic.name for topic in METRICS.values()]

    third_of_all = len(bodies) // 3 + 1

    async def flow(part: int) -> None:
        ours = bodies[part * third_of_all : (part + 1) * third_of_all]
        for begin in range(0, len(ours), 10):
            await publish(kafka_bootstrap, events, ours[begin : begin + 10])

    def joined(count: int) -> Any:
        async def check() -> bool:
            return await members(kafka_bootstrap, group) == count

        return eventually(check, deadline=120)

    with worker(kafka_bootstrap, topic_prefix, tmp_path / "a") as first:
        await joined(1)
        flowing = asyncio.create_task(flow(0))
        with worker(kafka_bootstrap, topic_prefix, tmp_path / "b") as second:
            await joined(2)
            await flowing
            flowing = asyncio.create_task(flow(1))
            first.send_signal(signal.SIGKILL)
            first.wait()
            with worker(kafka_bootstrap, topic_prefix, tmp_path / "c") as third:
                await flowing
                await flow(2)
                rows = await newest(
                    kafka_bootstrap,
                    names,
                    lambda rows: (
                        sorted(
                            (r["metric"], r.get("charge_id", ""), r["amount_minor"], r["email"]) for r in alive(rows)
                        )
                        == truth
                    ),
                )
                assert len(alive(rows)) == len(truth)
                assert (second.poll(), third.poll()) == (None, None)


async def publish_large(bootstrap: str, topic: str, body: bytes) -> None:
    message = admit(body, "default", START)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=16 * 1024**2) as producer:
        await producer.send_and_wait(topic, message.value, key=message.key, headers=list(message.headers))


async def read_one(bootstrap: str, topic: str) -> dict[str, Any]:
    async with (
        AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer,
        asyncio.timeout(120),
    ):
        message = await consumer.getone()
        value: dict[str, Any] = orjson.loads(message.value)
        return value


async def test_a_letter_larger_than_a_message_is_buried_all_the_same(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    """14 MiB of escaped quotes (the door's limit is a setting) are 28 in the dead letter."""
    await make_topics(topic_prefix, partitions=2)
    odd = '{"id":"evt_1","type":"charge.succeeded","data":{"object":{"id":"ch_1","x":"' + '\\"' * (14 * 1024**2 // 2)
    body = (odd + '"}}}').encode()
    await publish_large(kafka_bootstrap, topic_prefix + STRIPE_EVENTS.name, body)
    async with processor(kafka_bootstrap, topic_prefix, tmp_path):
        letter = await read_one(kafka_bootstrap, topic_prefix + DEAD_LETTERS.name)
    assert letter["event_id"] == "evt_1"
    assert letter["payload"].encode() == body


@pytest.mark.parametrize("lines", [10_000, 50_000])
async def test_an_invoice_with_very_many_lines_becomes_a_row_with_all_of_them(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path, lines: int
) -> None:
    await make_topics(topic_prefix, partitions=2)
    item = {"currency": "usd", "amount": 1, "description": "a seat"}
    invoice = {
        "id": "in_1",
        "object": "invoice",
        "customer": "cus_1",
        "customer_email": "ada@example.com",
        "currency": "usd",
        "status": "open",
        "amount_due": lines,
        "amount_paid": 0,
        "total": lines,
        "created": START,
        "status_transitions": {"finalized_at": START},
        "lines": {"object": "list", "data": [item] * lines},
    }
    event = {
        "id": "evt_1",
        "type": "invoice.finalized",
        "livemode": True,
        "created": START,
        "data": {"object": invoice},
    }
    await publish_large(kafka_bootstrap, topic_prefix + STRIPE_EVENTS.name, orjson.dumps(event))
    async with processor(kafka_bootstrap, topic_prefix, tmp_path):
        topic = next(topic for metric, topic in METRICS.items() if metric.slug == "issued_invoice")
        row = await read_one(kafka_bootstrap, topic_prefix + topic.name)
    assert len(row["lines"]) == lines
