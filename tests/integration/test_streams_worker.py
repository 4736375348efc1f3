"""What a stage may rely on, whoever joins, leaves or is slow: on Faust and the real broker."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.app import make_app
from streams.checkpoint import Checkpointer, Output, Pace
from streams.message import Message
from streams.worker import Worker, WorkerConfig
from tests.conftest import eventually

PARTITIONS = 4
PACE = Pace(min_age=0.01, share=1.0)


class Recorder:
    """A stage that keeps what it was given, and each partition's sum of it in its book."""

    def __init__(self) -> None:
        self.given: set[tuple[int, int]] = set()  # partition, offset
        self.tenures: dict[tuple[int, int], list[int]] = defaultdict(list)  # offsets by assignment and partition
        self.assignment = 0
        self.gone: set[int] = set()

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        assert message.partition not in self.gone, "a partition that was revoked"
        self.given.add((message.partition, message.offset))
        self.tenures[self.assignment, message.partition].append(message.offset)
        book = checkpoint.book(message.partition)
        book.put(b"count", b"%d" % (int(book.get(b"count") or 0) + 1))

    def drain(self, partition: int) -> Iterable[Output]:
        return ()

    def forget(self, partitions: Collection[int]) -> None:
        self.gone |= set(partitions)


class Group:
    """Workers of one group, each with a directory of its own."""

    def __init__(self, bootstrap: str, prefix: str, directory: Path) -> None:
        self.topic = f"{prefix}input"
        self._bootstrap, self._prefix, self._directory = bootstrap, prefix, directory

    def config(self, name: str) -> WorkerConfig:
        kafka = {"bootstrap_servers": self._bootstrap}
        return WorkerConfig(f"{self._prefix}group", kafka, self._directory / name, PARTITIONS, 1)

    @asynccontextmanager
    async def worker(self, name: str) -> AsyncIterator[Recorder]:
        stage, stop = Recorder(), asyncio.Event()

        async def assigned(partitions: set[int]) -> None:
            stage.gone = set(range(PARTITIONS)) - partitions
            stage.assignment += 1

        made = Worker(self.config(name), assigned)
        await made.producer.start()
        made.stage("stage", f"{self._prefix}sums", [self.topic], stage, PACE)
        running = asyncio.create_task(made.run(stop))
        try:
            await eventually(lambda: running.done() or not made.ready(), deadline=60)
            yield stage
        finally:
            stop.set()
            await running
            await made.producer.stop()

    async def publish(self, *values: bytes) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._bootstrap) as producer:
            for number, value in enumerate(values):
                await producer.send(self.topic, value, partition=number % PARTITIONS)

    async def behind(self) -> int:
        """Records that the group has not committed."""
        partitions = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=f"{self._prefix}group", enable_auto_commit=False
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(partitions)
            committed = [await consumer.committed(each) or 0 for each in partitions]
            return sum(ends.values()) - sum(committed)
        finally:
            await consumer.stop()


@pytest.fixture
async def group(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Group:
    made = Group(kafka_bootstrap, topic_prefix, tmp_path)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(made.topic, PARTITIONS, 1)])
    finally:
        await admin.close()
    return made


async def test_what_waits_for_an_agent_stays_when_the_agents_are_resumed(tmp_path: Path) -> None:
    """Faust resumes them after its seek, so that what was fetched in between would be lost."""
    app = make_app("name", {"bootstrap_servers": "127.0.0.1:1"}, tmp_path, PARTITIONS, 1)
    queue = app.FlowControlQueue(maxsize=8, clear_on_resume=True)  # as the agents' are made
    app.flow_control.suspend()
    queue.put_nowait("came after the seek")
    app.flow_control.resume()
    assert await asyncio.wait_for(queue.get(), 5) == "came after the seek"


async def test_each_partition_comes_in_order_and_without_gaps_to_whoever_has_it(group: Group) -> None:
    done = asyncio.Event()

    async def publish() -> int:
        sent = 0
        while not done.is_set():
            await group.publish(*(b"%d" % number for number in range(sent, sent + 200)))
            sent += 200
        return sent

    async with asyncio.TaskGroup() as running:
        publishing = running.create_task(publish())
        async with group.worker("one") as first:
            async with group.worker("two") as second:
                await eventually(lambda: len(second.given) > 300 and len(first.given) > 300, deadline=60)
            async with group.worker("three") as third:
                await eventually(lambda: len(third.given) > 300, deadline=60)
            done.set()
            sent = await publishing

            await eventually(lambda: len(first.given | second.given | third.given) == sent, deadline=60)
    for stage in (first, second, third):
        for offsets in stage.tenures.values():
            assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    assert await group.behind() == 0


async def test_a_run_that_a_rebalance_interrupts_holds_up_no_commit(group: Group) -> None:
    await group.publish(*(b"%d" % number for number in range(2000)))
    async with group.worker("one") as first, group.worker("two") as second:
        await group.publish(*(b"%d" % number for number in range(2000)))
        await eventually(lambda: len(first.given | second.given) == 4000, deadline=60)

        async def committed() -> bool:
            return await group.behind() == 0

        await eventually(committed)
