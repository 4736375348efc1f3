"""A checkpoint: the outputs and the state of many events and timers made durable together.

    1. outputs to Kafka, all acknowledged
    2. state to the changelog under the partition's fence, all acknowledged, with the positions up to which it is made;
       each partition's is one batch, so that a crash leaves all of it there or nothing
    3. state to RocksDB
    4. words to Kafka, all acknowledged
    5. the events acknowledged, so that Faust commits past them
    6. whoever waits for it (`durable`) goes on

A crash before 5 has the events delivered again. State never gets ahead of the outputs (2 after 1), but for words, which
it holds, so that nothing is lost. While a checkpoint is on its way, the next events are taken already; so after one
that failed there must be no other, whose state would hold what the failed one has not told.

Words are outputs of which a worker that dies, or has lost the partition, must not have said what its successor decides
otherwise, since inputs of two topics come in another order. So they are kept with the state, go out once that is
accepted under the fence, and are sent again by whoever takes the partition up and finds them there: once at least, and
never but by what is kept. `send_after` makes them, and with `after` all that `drain` gives are.

Fence: before a partition's changelog is read, `take_over` takes a higher epoch than whoever had the partition before
and writes one record under it. From then on Kafka refuses what a worker writes that was paused and does not know yet
that the partition is gone; that one ends with `Fenced`, and whoever waits for its `durable` is never told to go on.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import orjson
from faust import Table
from faust.types import EventT

from schemas.errors import Unavailable
from streams import telemetry
from streams.message import Headers
from streams.producer import Lane, Message, Producer, Writer
from streams.store import FENCE, UNSENT, PartitionStore

MAX_EVENTS = 500
MAX_AGE = 0.2  # seconds that an event waits for company at most
_KEPT = 4 * 1024 * 1024  # bytes of a partition's words: more than that are sent before the state, and not kept twice


@dataclass(slots=True)
class Output:
    """A message to send: `kind` is for the counters."""

    topic: str
    key: bytes
    value: bytes
    kind: str = "message"
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How long an event waits for company: `min_age` seconds at least, and `share` times what a checkpoint takes.

    So under load checkpoints are few and large.
    """

    min_age: float
    share: float


@dataclass(slots=True)
class Batch:
    """What has come together since the last checkpoint; an event of Faust's is a run of `records`."""

    events: list[EventT] = field(default_factory=list)
    records: int = 0
    outputs: list[Output] = field(default_factory=list)
    words: dict[int, list[Output]] = field(default_factory=dict)
    partitions: set[int] = field(default_factory=set)
    done: asyncio.Event = field(default_factory=asyncio.Event)


_words = msgspec.msgpack.Decoder(list[tuple[str, bytes, bytes]])


def _nothing(_: int) -> Iterable[Output]:
    return ()


class Checkpointer:
    """Collects what one stage does and makes it durable, in order.

    `drain(partition)` has the stage put what it still holds of a partition into its store, and gives the outputs that
    its rules made there since it was last asked; with `after` these are words.
    """

    def __init__(
        self,
        stage: str,
        table: Table,
        producer: Producer,
        pace: Pace,
        drain: Callable[[int], Iterable[Output]] = _nothing,
        *,
        after: bool = False,
    ) -> None:
        self._stage = stage
        self._table = table
        self._producer = producer
        self._pace = pace
        self._drain = drain
        self._after = after
        self._stores: dict[int, PartitionStore] = {}
        self._writers: dict[int, Writer] = {}
        self.went_back: set[int] = set()  # partitions whose state is older than it had been, until they are taken up
        self._batch = Batch()
        self._lock = asyncio.Lock()
        self._wake, self._hurry = asyncio.Event(), asyncio.Event()
        self._took = 0.0  # seconds, the last checkpoint
        self._failed = False

    @property
    def changelog(self) -> str:
        """The topic that the state can be made from anew."""
        return str(self._table.changelog_topic_name)

    def store(self, partition: int) -> PartitionStore:
        """The records of `partition`. Whoever changes some of them has to `touch` the partition."""
        store = self._stores.get(partition)
        if store is None:
            store = self._stores[partition] = PartitionStore(self._table, partition)
        return store

    async def take_over(self, partitions: Iterable[int]) -> None:
        """Shut out whoever wrote these partitions before, this worker's own past included."""
        async with self._lock:
            wanted = sorted(partitions)
            names = [f"{self.changelog}-{partition}" for partition in wanted]
            taken = dict(zip(wanted, await asyncio.gather(*map(self._producer.fence, names)), strict=True))
            marks: dict[Lane, list[Message]] = {
                (self.changelog, partition): [(FENCE, orjson.dumps({"epoch": writer.epoch}))]
                for partition, writer in taken.items()
            }
            await self._producer.write(marks, {lane: taken[lane[1]] for lane in marks})
            self._writers |= taken

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are another worker's now: what was not made durable is delivered to it."""
        gone = set(partitions)
        for partition in gone:
            self._stores.pop(partition, None)
            self._batch.words.pop(partition, None)
        self._batch.partitions -= gone
        self._batch.events = [event for event in self._batch.events if event.message.partition not in gone]

    def send(self, output: Output) -> None:
        """Have `output` sent with the next checkpoint."""
        self._batch.outputs.append(output)
        self._wake.set()

    def send_after(self, partition: int, output: Output) -> None:
        """Have `output` sent once the state of `partition` that says so is kept."""
        self._batch.words.setdefault(partition, []).append(output)
        self.touch(partition)

    async def send_again(self, partitions: Iterable[int]) -> None:
        """Send the words of these partitions of which nobody knows whether they were, before anything else happens.

        Not those of state that went back in time: they have been sent, and what they led to as well.
        """
        async with self._lock:
            found = {partition: self.store(partition) for partition in sorted(partitions)}
            found = {partition: store for partition, store in found.items() if store.get(UNSENT) is not None}
            kept = [store.get(UNSENT) or b"" for partition, store in found.items() if partition not in self.went_back]
            await self._producer.send((*word, ()) for words in kept for word in _words.decode(words))
            self._sent(found)

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
        """The records of `event` have been dealt with; checkpoint when enough have come together."""
        self._batch.events.append(event)
        self._batch.records += len(event.message.records)
        self.touch(event.message.partition)
        if self._batch.records >= MAX_EVENTS:
            await self.flush()

    async def run(self) -> None:
        """Checkpoint what has waited long enough, for as long as the stage lives."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._pace.min_age)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), min(self._pace.share * self._took, MAX_AGE))
            await self.flush()

    async def flush(self) -> None:
        """One checkpoint of all that was done. Raises KafkaError or Fenced: then the process must be restarted."""
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
            if batch.events:
                telemetry.BATCH.labels(self._stage).observe(batch.records)

    async def settle(self) -> None:
        """A checkpoint of all that was done, and one that forgets the words which that one has sent."""
        await self.flush()
        await self.flush()

    async def _make_durable(self, batch: Batch) -> None:
        outputs, partitions = batch.outputs, sorted(batch.partitions)
        words = {partition: [*batch.words.get(partition, ())] for partition in partitions}
        for partition in partitions:
            (words[partition] if self._after else outputs).extend(self._drain(partition))
            if sum(len(word.value) for word in words[partition]) > _KEPT:
                outputs += words.pop(partition)
        stores = {partition: self.store(partition) for partition in partitions}
        for partition, positions in _positions(batch.events).items():
            stores[partition].reached(positions)
        for partition, told in words.items():
            if told:
                kept = [(word.topic, word.key, word.value) for word in told]
                stores[partition].put(UNSENT, msgspec.msgpack.encode(kept))
        states = {partition: store.take_dirty() for partition, store in stores.items()}
        lanes: dict[Lane, list[Message]] = {
            (self.changelog, partition): list(records.items()) for partition, records in states.items() if records
        }
        await self._producer.send((output.topic, output.key, output.value, output.headers) for output in outputs)
        fences = {lane: self._writers[lane[1]] for lane in lanes}  # nothing is written but under one
        ends = await self._producer.write(lanes, fences)
        for (_, partition), offset in ends.items():
            if self._stores.get(partition) is stores[partition]:  # else it has been another worker's meanwhile
                stores[partition].write(states[partition], offset)
        late = [word for told in words.values() for word in told]
        if late:
            await self._producer.send((word.topic, word.key, word.value, ()) for word in late)
            self._sent({partition: stores[partition] for partition, told in words.items() if told})
            outputs += late
        for event in batch.events:
            event.ack()
        for kind, sent in Counter(output.kind for output in outputs).items():
            telemetry.SENT.labels(self._stage, kind).inc(sent)
        telemetry.SENT.labels(self._stage, "state").inc(sum(map(len, states.values())))

    def _sent(self, stores: Mapping[int, PartitionStore]) -> None:
        """The next checkpoint forgets the words that have been sent; soon, unless they may well be sent again."""
        for partition, store in stores.items():
            if self._stores.get(partition) is store:
                store.delete(UNSENT)
                self._batch.partitions.add(partition)
                if not self._after:
                    self._wake.set()


def _positions(events: Iterable[EventT]) -> dict[int, dict[str, int]]:
    """By partition and topic, the offset after the last of `events`."""
    found: dict[int, dict[str, int]] = {}
    for event in events:
        message = event.message
        topics = found.setdefault(message.partition, {})
        topics[message.topic] = max(topics.get(message.topic, 0), message.offset + 1)
    return found
