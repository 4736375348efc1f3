"""A worker with one stage, for as long as a block lasts; and the two runtimes that it can be on.

`python -m tests.conformance.running BOOTSTRAP PREFIX DIRECTORY NAME` is one with `Counting`, that stops itself.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from embedded.child import die_with_parent
from streams.checkpoint import Checkpointer, Output, Pace
from streams.kafka import TopicPartition
from streams.message import Message
from streams.producer import Fenced, Producer
from streams.reading import reader
from streams.worker import Stage, Worker, WorkerConfig
from tests.conftest import eventually
from tests.simulation.disk import Disks
from tests.simulation.kafka import Kafka
from tests.simulation.loop import Loop
from tests.simulation.room import Machine, product

PARTITIONS = 4
PAUSE = b"pause"
_PACE = Pace(min_age=0.01, share=1.0)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Staged(Stage, Protocol):
    """What a worker here runs: `checkpoint` is set before anything is given to it."""

    checkpoint: Checkpointer


class Counting:
    """Counts what it is given of each partition, and says each count; the first `PAUSE` has it call `pause`."""

    checkpoint: Checkpointer

    def __init__(self, words: str, pause: Callable[[], None] = lambda: None) -> None:
        self._words, self._pause = words, pause

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        store = checkpoint.store(message.partition)
        count = b"%d" % (int(store.get(b"count") or 0) + 1)
        store.put(b"count", count)
        checkpoint.send_after(message.partition, Output(self._words, b"%d" % message.partition, count))
        if message.value == PAUSE:
            pause, self._pause = self._pause, lambda: None
            pause()

    def drain(self, _: int) -> Iterable[Output]:
        return ()

    def forget(self, _: Collection[int]) -> None: ...


@dataclass(frozen=True)
class Paused:
    """A process that has stopped itself; `ended` waits until it has, and says of what."""

    go_on: Callable[[], None]
    ended: Callable[[], Awaitable[str]]


@asynccontextmanager
async def worker(
    config: WorkerConfig,
    table: str,
    topic: str,
    stage: Staged,
    assigned: Callable[[set[int]], Awaitable[None]] | None = None,
    beside: Iterable[Coroutine[Any, Any, None]] = (),
    spawn: Spawn = asyncio.create_task,
) -> AsyncIterator["asyncio.Task[None]"]:
    """The task that runs it; it is ready when the block begins, and what it raises is raised at the end."""
    stop, made = asyncio.Event(), list[Worker]()

    async def work() -> None:
        mine = Worker(config, assigned)
        await mine.producer.start()
        try:
            stage.checkpoint = mine.stage("stage", table, [topic], stage, _PACE)
            made.append(mine)
            await mine.run(stop, beside)
        finally:
            await mine.producer.stop()

    running = spawn(work())
    try:
        await eventually(lambda: running.done() or (made and not made[0].ready()), deadline=60)
        yield running
    finally:
        stop.set()
        await running


class Runtime(Protocol):
    """Where workers of one group run that read `topic`."""

    topic: str

    def worker(self, name: str, stage: Staged, **more: Any) -> AbstractAsyncContextManager["asyncio.Task[None]"]:
        """A worker with a disk of its own."""

    def process(self, name: str) -> AbstractAsyncContextManager[Paused]:
        """A worker in a process of its own, `Counting`, that is paused by `PAUSE`."""

    async def publish(self, count: int, value: bytes = b"") -> None:
        """So many messages more, over all partitions."""

    async def behind(self) -> int:
        """Messages that the group has not committed."""

    async def usurp(self, changelog: str) -> None:
        """Take every partition of a changelog over, as a successor does that the worker has not heard of."""

    async def log(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """Keys and values of all partitions of a topic."""


class OnFaust:
    """On the real broker; each worker is a part of this process."""

    def __init__(self, bootstrap: str, prefix: str, directory: Path) -> None:
        self.topic = f"{prefix}input"
        self._kafka = {"bootstrap_servers": bootstrap}
        self._prefix, self._directory = prefix, directory
        self._sent = 0

    async def begin(self) -> "OnFaust":
        """Its topics are there."""
        admin = AIOKafkaAdminClient(**self._kafka)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (self.topic, self.topic + "-words")])
        finally:
            await admin.close()
        return self

    def worker(self, name: str, stage: Staged, **more: Any) -> AbstractAsyncContextManager["asyncio.Task[None]"]:
        config = WorkerConfig(f"{self._prefix}group", self._kafka, self._directory / name, PARTITIONS, 1)
        return worker(config, f"{self._prefix}kept", self.topic, stage, **more)

    @asynccontextmanager
    async def process(self, name: str) -> AsyncIterator[Paused]:
        asked = (self._kafka["bootstrap_servers"], self._prefix, str(self._directory), name)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.conformance.running", *asked),
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
        )

        async def ended() -> str:
            said = (await process.communicate())[0].decode().split()
            return said[-1]

        try:
            yield Paused(lambda: process.send_signal(signal.SIGCONT), ended)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def publish(self, count: int, value: bytes = b"") -> None:
        producer = Producer(self._kafka)
        await producer.start()
        try:
            each = [(None, value or b"%d" % number) for number in range(count // PARTITIONS)]
            await producer.write({(self.topic, number): each for number in range(PARTITIONS)})
        finally:
            await producer.stop()

    async def behind(self) -> int:
        partitions = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        async with reader(self._kafka, group_id=f"{self._prefix}group") as consumer:
            ends = await consumer.end_offsets(partitions)
            return sum(ends.values()) - sum([await consumer.committed(each) or 0 for each in partitions])

    async def usurp(self, changelog: str) -> None:
        await usurp(Producer(self._kafka), changelog)

    async def log(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        found = []
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        async with reader(self._kafka) as consumer:
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            for each in partitions:
                while await consumer.position(each) < ends[each]:
                    records = (await consumer.getmany(each, timeout_ms=500)).get(each, [])
                    found += [(record.key, record.value) for record in records]
        return found


class Simulated:
    """In memory and virtual time; each worker is a machine."""

    topic = "input"

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._kafka = Kafka(loop, Random(1), PARTITIONS, 0.0)
        self._kafka.topic(self.topic)

    def worker(self, name: str, stage: Staged, **more: Any) -> AbstractAsyncContextManager["asyncio.Task[None]"]:
        return self._on(Machine(name, Disks(), self._kafka), stage, **more)

    def _on(self, machine: Machine, stage: Staged, **more: Any) -> AbstractAsyncContextManager["asyncio.Task[None]"]:
        config = WorkerConfig("group", {}, Path("/nowhere"), PARTITIONS, 1)
        return worker(config, "kept", self.topic, stage, **more, spawn=lambda work: self._loop.spawn(machine, work))

    @asynccontextmanager
    async def process(self, name: str) -> AsyncIterator[Paused]:
        machine = Machine(name, Disks(), self._kafka)
        with suppress(Fenced):
            async with self._on(machine, Counting(f"{self.topic}-words", machine.pause)) as running:

                async def ended() -> str:
                    await asyncio.wait([running])
                    return type(running.exception()).__name__

                yield Paused(lambda: machine.resume(self._loop), ended)

    async def publish(self, count: int, value: bytes = b"") -> None:
        await asyncio.sleep(0.01)
        for number in range(PARTITIONS):
            messages = [(None, value or b"%d" % each) for each in range(count // PARTITIONS)]
            self._kafka.append((self.topic, number), messages)

    async def behind(self) -> int:
        committed = self._kafka.group("group").committed
        return sum(log.end - committed.get(log.lane, 0) for log in self._kafka.topic(self.topic))

    async def usurp(self, changelog: str) -> None:
        machine = Machine("usurper", Disks(), self._kafka)
        await self._loop.spawn(machine, usurp(Producer({}), changelog, machine))

    async def log(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        return [(record.key, record.value) for log in self._kafka.topic(topic) for record in log.records]


async def usurp(producer: Producer, changelog: str, *_: Machine) -> None:
    await producer.start()
    try:
        for number in range(PARTITIONS):
            lane = (changelog, number)
            fence = await producer.fence(f"{changelog}-{number}")
            await producer.write({lane: [(b"\x00fence", b"{}")]}, {lane: fence})
    finally:
        await producer.stop()


def simulated(scenario: Callable[[Runtime], Awaitable[None]]) -> None:
    """Run it in virtual time."""
    loop = Loop()

    async def run() -> None:
        await scenario(Simulated(loop))

    with product(loop, []):
        loop.run(run(), until=600.0)


async def _count(bootstrap: str, prefix: str, directory: str, name: str) -> None:
    """Until it is told that it is not the one any more."""
    runtime = OnFaust(bootstrap, prefix, Path(directory))
    stage = Counting(f"{runtime.topic}-words", lambda: os.kill(os.getpid(), signal.SIGSTOP))
    try:
        async with runtime.worker(name, stage) as running:
            await running
    except Fenced:
        sys.stdout.write("Fenced\n")
        sys.stdout.flush()
        os._exit(1)  # as roles end: what Faust has not closed by now may never be


if __name__ == "__main__":
    asyncio.run(_count(*sys.argv[1:]))
