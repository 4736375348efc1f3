"""A worker that has lost a partition can write nothing there, on the real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.producer import Fenced, Producer, Writer, _batches

BIG = b"x" * 1_500_000


@pytest.fixture
async def topic(kafka_bootstrap: str, topic_prefix: str) -> str:
    """A topic of two partitions that takes large messages."""
    name = f"{topic_prefix}fenced"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"max.message.bytes": "16777216"})])
    finally:
        await admin.close()
    return name


@asynccontextmanager
async def producer(bootstrap: str, **options: Any) -> AsyncIterator[Producer]:
    made = Producer({"bootstrap_servers": bootstrap}, **options)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def values(bootstrap: str, topic: str, partition: int, count: int) -> list[bytes]:
    """The first `count` values of a partition, as a reader finds them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition)])
        found: list[bytes] = []
        async with asyncio.timeout(90):
            while len(found) < count:
                found += [
                    record.value for records in (await consumer.getmany(timeout_ms=200)).values() for record in records
                ]
        return found
    finally:
        await consumer.stop()


async def test_messages_of_a_key_keep_their_order_however_large_they_are(kafka_bootstrap: str, topic: str) -> None:
    async with producer(kafka_bootstrap) as made:
        for number in range(10):
            sent = [(topic, b"one key", b"%d a" % number + BIG, ()), (topic, b"one key", b"%d b" % number, ())]
            await made.send(sent)
        lane = {(topic, 0): [(b"k", b"small"), (b"k", BIG), (b"k", b"last")], (topic, 1): [(b"k", b"other")]}
        ends = await made.write(lane)
    partition = 0 if await _end(kafka_bootstrap, topic, 0) > 3 else 1
    found = await values(kafka_bootstrap, topic, partition, 20)
    assert [value[:3] for value in found[:20]] == [b"%d %b" % (n, part) for n in range(10) for part in (b"a", b"b")]
    assert abs(ends[topic, 0] - ends[topic, 1]) in (18, 22)  # 23 messages and 1, or 3 and 21


async def test_many_callers_share_a_partition_and_nothing_is_lost_or_doubled(kafka_bootstrap: str, topic: str) -> None:
    async with producer(kafka_bootstrap) as made:
        await asyncio.gather(*(made.send([(topic, b"k", b"%d" % n, ())] * 3) for n in range(60)))
    lanes = [partition for partition in (0, 1) if (await _end(kafka_bootstrap, topic, partition))]
    assert len(lanes) == 1
    found = await values(kafka_bootstrap, topic, lanes[0], 180)
    assert sorted(found) == sorted([b"%d" % n for n in range(60)] * 3)


async def _end(bootstrap: str, topic: str, partition: int) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        tp = TopicPartition(topic, partition)
        return int((await consumer.end_offsets([tp]))[tp])
    finally:
        await consumer.stop()


async def test_from_the_successor_s_first_record_on_the_old_one_is_refused(kafka_bootstrap: str, topic: str) -> None:
    lane = (topic, 0)
    async with producer(kafka_bootstrap) as old, producer(kafka_bootstrap) as new:
        before = await old.fence(f"{topic}-0")
        await old.write({lane: [(b"k", b"old")]}, {lane: before})
        after = await new.fence(f"{topic}-0")
        await new.write({lane: [(b"fence", b"mark")]}, {lane: after})
        with pytest.raises(Fenced):
            await old.write({lane: [(b"k", b"zombie")]}, {lane: before})
        await new.write({lane: [(b"k", b"new")]}, {lane: after})
        await old.write({(topic, 1): [(b"k", b"elsewhere")]})
    assert await values(kafka_bootstrap, topic, 0, 3) == [b"old", b"mark", b"new"]


async def test_what_is_written_under_a_fence_is_on_the_log_whole_or_not_at_all(
    kafka_bootstrap: str, topic: str
) -> None:
    """A log takes a batch whole: half of a checkpoint would count rows twice that were counted in the other half."""
    lane, records = (topic, 0), [(b"%d" % number, b'%d, "name": "value"' % number * 200) for number in range(4000)]
    records.insert(7, (b"big", BIG))
    assert [batch.count for batch in _batches(lane, records, Writer(1, 1), whole=True)] == [4001]
    async with producer(kafka_bootstrap) as made:
        fence = await made.fence(f"{topic}-0")
        assert await made.write({lane: records[:50]}, {lane: fence}) == {lane: 49}
        assert await made.write({lane: records}, {lane: fence}) == {lane: 4050}
    assert await values(kafka_bootstrap, topic, 0, 4051) == [value for _, value in [*records[:50], *records]]
