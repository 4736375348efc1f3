"""A checkpoint: many events' outputs and state made durable together, and only then the events acknowledged.

    1. outputs (rows, contributions, dead letters) to Kafka, all acknowledged
    2. state to the changelog, all acknowledged
    3. state to RocksDB
    4. the events acknowledged, so that Faust commits past them

A crash before 4 has the events delivered again; folding them again changes nothing. State never gets ahead of the
outputs (2 after 1), so that no row is lost. While a checkpoint is on its way, the next events are folded already; so
after one that failed there must be no other, whose state would hold what the failed one has not told.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import orjson
from faust import Table
from faust.types import EventT

from processors import telemetry
from processors.sending import Sender
from processors.store import PartitionBook
from schemas.dead_letter import DeadLetter
from schemas.errors import Unavailable

MAX_EVENTS = 500
MIN_AGE, MAX_AGE = 0.02, 0.2  # seconds that an event waits for company
SHARE = 5  # between checkpoints lies this many times what one takes, so that under load they are few and large


@dataclass(slots=True)
class Output:
    """A message to send: `kind` is for the counters."""

    kind: str
    topic: str
    key: bytes
    value: bytes


@dataclass(slots=True)
class Batch:
    """Events since the last checkpoint, and what is to be sent for them besides what the stage drains."""

    events: list[EventT] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    partitions: set[int] = field(default_factory=set)


class Checkpointer:
    """Collects the events of one stage and makes them durable, in order.

    `drain(partition)` gives the outputs that the stage's rules made for a partition since it was last asked.
    """

    def __init__(
        self,
        stage: str,
        table: Table,
        sender: Sender,
        drain: Callable[[int], Iterable[Output]],
    ) -> None:
        self._stage = stage
        self._table = table
        self._sender = sender
        self._drain = drain
        self._books: dict[int, PartitionBook] = {}
        self._batch = Batch()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._failed = False
        self._took = 0.0  # seconds, the last checkpoint

    def book(self, partition: int) -> PartitionBook:
        """The records of `partition`."""
        book = self._books.get(partition)
        if book is None:
            book = self._books[partition] = PartitionBook(self._table, partition)
        return book

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are another worker's now: what was not made durable is delivered to it."""
        gone = set(partitions)
        for partition in gone:
            self._books.pop(partition, None)
        self._batch.events = [event for event in self._batch.events if event.message.partition not in gone]
        self._batch.partitions -= gone

    def send(self, output: Output) -> None:
        """Have `output` sent with the next checkpoint."""
        self._batch.outputs.append(output)

    def touch(self, partition: int) -> None:
        """Records of `partition` were changed without an event: the next checkpoint keeps and tells that."""
        self._batch.partitions.add(partition)
        self._wake.set()

    async def took(self, event: EventT) -> None:
        """`event` has been folded; checkpoint when enough have come together."""
        self._batch.events.append(event)
        self._wake.set()
        if len(self._batch.events) >= MAX_EVENTS:
            await self.flush()

    async def run(self) -> None:
        """Checkpoint what has waited long enough, for as long as the stage lives."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(min(MAX_AGE, max(MIN_AGE, SHARE * self._took)))
            await self.flush()

    async def flush(self) -> None:
        """One checkpoint of all that has been folded. Raises KafkaError: then the process must be restarted."""
        async with self._lock:
            if self._failed:
                raise Unavailable(f"a checkpoint of the {self._stage} stage failed: nothing is kept until a restart")
            self._wake.clear()
            batch, self._batch = self._batch, Batch()
            if not (batch.events or batch.partitions):
                return
            started = time.perf_counter()
            try:
                await self._make_durable(batch)
            except BaseException:  # also when it was canceled half-way
                self._failed = True
                raise
            self._took = time.perf_counter() - started
            telemetry.CHECKPOINT.labels(self._stage).observe(self._took)
            telemetry.BATCH.labels(self._stage).observe(len(batch.events))

    async def _make_durable(self, batch: Batch) -> None:
        partitions = sorted(batch.partitions | {event.message.partition for event in batch.events})
        outputs = batch.outputs
        for partition in partitions:
            outputs += self._drain(partition)
        books = {partition: self.book(partition) for partition in partitions}
        states = {partition: book.take_dirty() for partition, book in books.items()}
        await self._sender.send((output.topic, output.key, output.value) for output in outputs)
        offsets = await self._sender.send_state(self._table.changelog_topic_name, states)
        for partition, offset in offsets.items():
            if self._books.get(partition) is books[partition]:  # else it has been another worker's meanwhile
                books[partition].write(states[partition], offset)
        for event in batch.events:
            event.ack()
        for kind, sent in Counter(output.kind for output in outputs).items():
            telemetry.SENT.labels(kind).inc(sent)
        telemetry.SENT.labels("state").inc(sum(map(len, states.values())))


def dead_letter_output(topic: str, letter: DeadLetter) -> Output:
    """The message on `dead_letters`."""
    return Output("dead_letter", topic, letter.key, orjson.dumps(letter.model_dump(mode="json")))
