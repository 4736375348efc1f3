"""A checkpoint: the outputs and the state of many events and timers made durable together.

    1. outputs to Kafka, all acknowledged
    2. state to the changelog, all acknowledged
    3. state to RocksDB
    4. the events acknowledged, so that Faust commits past them
    5. whoever waits for it (`durable`) goes on

A crash before 4 has the events delivered again. State never gets ahead of the outputs (2 after 1). While a checkpoint
is on its way, the next events are taken already; so after one that failed there must be no other.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from faust import Table
from faust.types import EventT

from engage import telemetry
from engage.runtime.publishing import Publisher
from engage.runtime.store import Book
from schemas.errors import Unavailable

MAX_EVENTS = 500
MIN_AGE, MAX_AGE = 0.01, 0.2  # seconds an event waits for company: a mail waits for three checkpoints
SHARE = 3  # between checkpoints lies this many times what one takes, so that under load they are few and large


@dataclass(slots=True)
class Output:
    """A message to send."""

    topic: str
    key: bytes
    value: bytes


@dataclass(slots=True)
class Batch:
    """What has come together since the last checkpoint."""

    events: list[EventT] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    partitions: set[int] = field(default_factory=set)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Checkpointer:
    """Collects what one stage does and makes it durable, in order."""

    def __init__(self, stage: str, table: Table, publisher: Publisher) -> None:
        self._stage = stage
        self._table = table
        self._publisher = publisher
        self._books: dict[int, Book] = {}
        self._batch = Batch()
        self._lock = asyncio.Lock()
        self._wake, self._hurry = asyncio.Event(), asyncio.Event()
        self._took = 0.0  # seconds, the last checkpoint
        self._failed = False

    def book(self, partition: int) -> Book:
        """The records of `partition`. Whoever changes some of them has to `touch` the partition."""
        book = self._books.get(partition)
        if book is None:
            book = self._books[partition] = Book(self._table, partition)
        return book

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are another worker's now: what was not made durable is delivered to it."""
        gone = set(partitions)
        for partition in gone:
            self._books.pop(partition, None)
        self._batch.partitions -= gone
        self._batch.events = [event for event in self._batch.events if event.message.partition not in gone]

    def send(self, output: Output) -> None:
        """Have `output` sent with the next checkpoint."""
        self._batch.outputs.append(output)
        self._wake.set()

    def touch(self, partition: int) -> None:
        """Records of `partition` have changed."""
        self._batch.partitions.add(partition)
        self._wake.set()

    async def durable(self) -> None:
        """Return when all that was done so far is durable, which is soon."""
        self._wake.set()
        self._hurry.set()
        await self._batch.done.wait()

    async def took(self, event: EventT) -> None:
        """`event` has been dealt with; checkpoint when enough have come together."""
        self._batch.events.append(event)
        self.touch(event.message.partition)
        if len(self._batch.events) >= MAX_EVENTS:
            await self.flush()

    async def run(self) -> None:
        """Checkpoint what has waited long enough, for as long as the stage lives."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(MIN_AGE)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), min(SHARE * self._took, MAX_AGE))
            await self.flush()

    async def flush(self) -> None:
        """One checkpoint of all that was done. Raises KafkaError: then the process must be restarted."""
        async with self._lock:
            if self._failed:
                raise Unavailable(f"a checkpoint of the {self._stage} stage failed: nothing is kept until a restart")
            self._wake.clear()
            self._hurry.clear()
            batch, self._batch = self._batch, Batch()
            started = time.perf_counter()
            try:
                await self._make_durable(batch)
            except BaseException:  # also when it was canceled half-way
                self._failed = True
                raise
            batch.done.set()
            self._took = time.perf_counter() - started
            telemetry.CHECKPOINT.labels(self._stage).observe(self._took)

    async def _make_durable(self, batch: Batch) -> None:
        books = {partition: self.book(partition) for partition in sorted(batch.partitions)}
        states = {partition: book.take_dirty() for partition, book in books.items()}
        await self._publisher.send((output.topic, output.key, output.value) for output in batch.outputs)
        offsets = await self._publisher.send_state(self._table.changelog_topic_name, states)
        for partition, offset in offsets.items():
            if self._books.get(partition) is books[partition]:  # else it has been another worker's meanwhile
                books[partition].write(states[partition], offset)
        for event in batch.events:
            event.ack()
