"""What everybody but the stages does with Kafka, by what `streams` has for that."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from processors.rules.placing import PeoplePlacing
from schemas.errors import Unavailable
from streams.batching import Batcher
from streams.growing import Table, starts
from streams.kafka import Admin, KafkaConnectionError, TopicPartition, partitions_of, partitions_there, unavailable
from streams.producer import Producer
from streams.publishing import Message, Publisher
from streams.reading import commit, member, read, reader

Kafka = dict[str, Any]


@pytest.fixture
def kafka(kafka_bootstrap: str) -> Kafka:
    return {"bootstrap_servers": kafka_bootstrap}


@pytest.fixture
async def topic(kafka: Kafka, topic_prefix: str) -> str:
    name = topic_prefix + "things"
    async with Admin(kafka) as admin:
        await admin.create({name: {}}, 2, 1)
    assert len(await partitions_there(kafka, name, 60)) == 2
    return name


async def put(kafka: Kafka, topic: str, partition: int, *values: bytes) -> None:
    async with Publisher(kafka) as publisher:
        await publisher.send([Message(topic, b"key", value, partition) for value in values])


async def values(kafka: Kafka, *args: Any) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    async with reader(kafka) as consumer:
        async for run in read(consumer, *args):
            found.setdefault(run[0].partition, []).extend(record.value for record in run)
    return found


async def test_a_topic_is_read_from_here_to_its_present_end(kafka: Kafka, topic: str) -> None:
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await put(kafka, topic, 0, b"a", b"b", b"c")
    await put(kafka, topic, 1, b"d")
    assert await values(kafka, {zero: 0, one: 0}) == {0: [b"a", b"b", b"c"], 1: [b"d"]}
    assert await values(kafka, {zero: 1}, {zero: 2}) == {0: [b"b"]}
    assert await values(kafka, {zero: 2, one: 1}, {zero: 9, one: 9}) == {0: [b"c"]}


async def test_what_comes_while_it_is_read_is_not_waited_for(kafka: Kafka, topic: str) -> None:
    place = TopicPartition(topic, 0)
    await put(kafka, topic, 0, b"a")
    async with reader(kafka) as consumer:
        async for run in read(consumer, {place: 0}):
            assert [record.value for record in run] == [b"a"]
            await put(kafka, topic, 0, b"late")


async def test_where_kafka_has_let_go_of_the_start_the_first_that_is_left_comes(kafka: Kafka, topic: str) -> None:
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await put(kafka, topic, 0, b"a", b"b", b"c")
    await put(kafka, topic, 1, b"d")
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    try:
        await admin.delete_records({zero: RecordsToDelete(before_offset=2), one: RecordsToDelete(before_offset=1)})
    finally:
        await admin.close()
    assert await values(kafka, {zero: 0, one: 0}) == {0: [b"c"]}


async def test_nothing_to_read_is_an_end_too(kafka: Kafka, topic: str) -> None:
    async with asyncio.timeout(60):
        assert await values(kafka, {TopicPartition(topic, 0): 0}) == {}
        assert await values(kafka, {}) == {}


async def test_the_partitions_of_a_topic_that_is_not_there_are_none(kafka: Kafka, topic: str) -> None:
    assert set(await partitions_of(kafka, topic, "no-such")) == {TopicPartition(topic, 0), TopicPartition(topic, 1)}
    assert await partitions_of(kafka) == []
    with pytest.raises(Unavailable, match="there is no topic no-such"):
        await partitions_there(kafka, "no-such", 0)


async def test_a_topic_is_made_once_and_deleted_for_good(kafka: Kafka, topic: str) -> None:
    async with Admin(kafka) as admin:
        created = await admin.create({topic: {}, topic + "-other": {"segment.ms": "60000"}, "a/b": {}}, 1, 1)
        assert (created[topic + "-other"], type(created["a/b"]).__name__) == (None, "InvalidTopicError")
        assert topic not in created
        await partitions_there(kafka, topic + "-other", 60)
        assert await admin.configs(topic + "-other", own=True) == {topic + "-other": {"segment.ms": "60000"}}
        assert await admin.delete([topic, topic + "-other", "no-such"]) == [topic, topic + "-other"]
        assert topic not in await admin.topics()


async def test_offsets_are_committed_by_whoever_has_the_partition(kafka: Kafka, topic: str) -> None:
    place = TopicPartition(topic, 0)
    async with member(kafka, topic) as consumer:
        consumer.assign([place])
        assert await commit(consumer, {place: 7})
        assert not await commit(consumer, {TopicPartition(topic, 1): 7})
    async with Admin(kafka) as admin:
        assert await admin.committed(topic) == {place: 7}
        assert (await admin.group(topic)).members == 0


async def test_single_messages_arrive_in_the_order_of_their_key(kafka: Kafka, topic: str) -> None:
    batcher = Batcher(kafka, topic)
    await batcher.start(60)
    try:
        await asyncio.gather(*(batcher.put(b"key", b"%d" % number) for number in range(1000)))
        assert await batcher.answers()
    finally:
        await batcher.close()
    (found,) = (await values(kafka, dict.fromkeys(await partitions_of(kafka, topic), 0))).values()
    assert found == [b"%d" % number for number in range(1000)]


@asynccontextmanager
async def producing(kafka: Kafka) -> AsyncIterator[None]:
    producer = Producer(kafka)
    await producer.start()
    yield
    await producer.stop()


@pytest.mark.parametrize("connect", [reader, Admin, Publisher, producing])
async def test_who_is_cancelled_while_connecting_leaves_no_connection(
    kafka: Kafka, connect: Callable[[Kafka], AbstractAsyncContextManager[object]]
) -> None:
    """Between the first two answers of a broker aiokafka forgets its connection when it is cancelled."""
    host, _, port = str(kafka["bootstrap_servers"]).rpartition(":")
    asked, answered, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def serve(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, onward = await asyncio.open_connection(host, int(port))

        async def answers() -> None:
            back.write(await far.read(65_536))
            second = await far.read(65_536)
            asked.set()
            await answered.wait()
            back.write(second)

        answering = asyncio.create_task(answers())
        while chunk := await near.read(65_536):
            onward.write(chunk)
        gone.set()
        await answering
        for writer in (back, onward):
            writer.close()

    async def connected(at: str) -> None:
        async with connect({**kafka, "bootstrap_servers": at}):
            pass

    gc.disable()  # it would close what was forgotten
    try:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            name = "{}:{}".format(*server.sockets[0].getsockname())
            connecting = asyncio.create_task(connected(name))
            await asyncio.wait_for(asked.wait(), 30)
            connecting.cancel()
            answered.set()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await asyncio.wait_for(gone.wait(), 60)
    finally:
        gc.enable()


async def test_an_absent_broker_is_unavailable(nobody: str) -> None:
    with pytest.raises(Unavailable, match="it is not read: KafkaConnectionError"), unavailable("it is not read"):
        async with reader({"bootstrap_servers": nobody}):
            pass
    with pytest.raises(KafkaConnectionError):
        async with Admin({"bootstrap_servers": nobody}):
            pass


async def test_a_new_table_of_which_nothing_is_written_yet_is_not_taken_for_whole(kafka: Kafka, topic: str) -> None:
    assert await starts(kafka, Table("old", topic, ("input",), PeoplePlacing()), 2) is None


@pytest.mark.parametrize("turns", range(12))
async def test_who_is_canceled_while_a_client_is_being_stopped_ends(kafka_bootstrap: str, turns: int) -> None:
    """aiokafka swallows a cancellation there: whoever looks at Kafka now and then would go on for ever."""
    kafka, leaving = {"bootstrap_servers": kafka_bootstrap}, asyncio.Event()

    async def look_and_wait() -> None:
        async with Admin(kafka), Publisher(kafka), reader(kafka):
            leaving.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(look_and_wait())
    await leaving.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)
    task.cancel()
    assert done
    assert task.cancelled()
