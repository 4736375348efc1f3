"""Tables for a larger number of partitions: every record goes to the partition that its key has then.

1. read     a partition of the old changelog into a database of its own: the newest value of each key
2. place    the stage says under which key of its input each record belongs
3. write    all of it to a new changelog, and last how far its input has been read

The old changelog is only read. So interrupted anywhere it is begun anew, and until the topics have grown the old table
is the one in force. Sound only while no worker runs.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson
import rocksdict

from schemas.errors import ConfigurationError
from schemas.growing import Get, Placed
from streams.app import ensure_changelogs
from streams.kafka import Admin, TopicPartition
from streams.partitioner import partition_of
from streams.producer import Lane, Message, Producer
from streams.reading import read, reader
from streams.store import ERASURES, POSITIONS, TALLY, UNSENT, is_ours

_BYTES = 8 * 1024 * 1024  # written at once
_PATIENCE = 30.0  # seconds for the last record of a partition
_SLICE = 1000  # messages copied at once

Positions = Mapping[TopicPartition, int]


class Placing(Protocol):
    """What a stage says of its records."""

    def place(self, key: bytes, value: bytes, get: Get) -> Iterable[Placed]:
        """Where the record belongs; `get` gives others of its present partition. Nothing: it is needed no more."""

    def merge(self, key: bytes, one: bytes, other: bytes) -> bytes:
        """What two partitions' records under one key are together. Raises ValueError when they can't be."""


@dataclass(frozen=True, slots=True)
class Table:
    """A stage's table: its changelog now, the one to make, the topics that it reads, and what its records mean."""

    old: str
    new: str
    topics: tuple[str, ...]
    placing: Placing


async def regroup(
    kafka: Mapping[str, Any],
    table: Table,
    before: int,
    after: int,
    committed: Positions,
    scratch: Path,
    replication: int,
) -> None:
    """Make `table.new` with `after` partitions from `table.old`, which has `before`.

    `committed` are the offsets of the stage's group, `scratch` an empty directory. Raises KafkaError, and
    ConfigurationError when a record is not where it should be: then nothing that is in force has changed.
    """
    made = _open(scratch / "made")
    erasures: list[dict[str, int]] = []
    starts: dict[TopicPartition, int] = {}
    untold: list[tuple[str, int, bytes, bytes]] = []  # what stages have not told yet of the events that they took
    try:
        for partition in range(before):
            source = _open(scratch / f"{partition}")
            await _read(kafka, TopicPartition(table.old, partition), source)
            for topic in table.topics:
                tp = TopicPartition(topic, partition)
                starts[tp] = _start(source, topic, committed.get(tp, 0))
            erasures.append(orjson.loads(source.get(ERASURES) or b"{}"))
            kept = ((name, source.get(name)) for name in (TALLY, UNSENT))
            untold += [(table.new, partition, name, value) for name, value in kept if value is not None]
            new = regrouped(table.placing, source.items(), source.get, partition, before, after)
            for count, (number, key, value) in enumerate(new):
                place = struct.pack(">H", number) + key
                there = made.get(place)
                made.put(place, value if there is None else table.placing.merge(key, there, value))
                if count % 1000 == 0:
                    await asyncio.sleep(0)
            source.close()
        async with Admin(kafka) as admin:
            await admin.delete([table.new])  # what an earlier try has left
        await ensure_changelogs(kafka, [table.new], after, replication)
        await _write(kafka, table, after, made, _least(erasures), starts, untold)
    finally:
        made.close()


async def starts(kafka: Mapping[str, Any], table: Table, partitions: int) -> dict[TopicPartition, int] | None:
    """From where `table.new` has each of `partitions` of its input read; None when it is not there in whole."""
    found: dict[TopicPartition, int] = {}
    async with Admin(kafka) as admin:
        places = await admin.partitions(table.new) if table.new in await admin.topics() else []
    async with reader(kafka) as consumer:
        ends = await consumer.end_offsets(places)
        if not (places and all(ends.values())):
            return None
        async for (last,) in read(consumer, {place: end - 1 for place, end in ends.items()}, ends, _PATIENCE):
            if last.key != POSITIONS:
                return None
            if last.partition < partitions:
                positions = orjson.loads(last.value)
                found |= {TopicPartition(topic, last.partition): positions[topic] for topic in table.topics}
    return found


def _open(path: Path) -> Any:
    return rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True))


async def _read(kafka: Mapping[str, Any], place: TopicPartition, into: Any) -> None:
    async for key, value in records(kafka, place, 0):
        if value is None:
            into.delete(key)
        else:
            into.put(key, value)


async def records(
    kafka: Mapping[str, Any], place: TopicPartition, start: int
) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """Key and value of what is on a partition from `start` until where it ends now; what has no key is passed over."""
    async with reader(kafka) as consumer:
        async for run in read(consumer, {place: start}):
            for record in run:
                if record.key is not None:
                    yield record.key, record.value


def _start(source: Any, topic: str, committed: int) -> int:
    """From where a worker would read on: see `consuming`."""
    return int(min(committed, orjson.loads(source.get(POSITIONS) or b"{}").get(topic, 0)))


def regrouped(
    placing: Placing, found: Iterable[tuple[bytes, bytes]], get: Get, partition: int, before: int, after: int
) -> Iterator[tuple[int, bytes, bytes]]:
    """(partition of `after`, key, value) of the records `found` on `partition` of `before`.

    Raises ConfigurationError when one is not where it should be.
    """
    for key, value in found:
        for placed in () if is_ours(key) else placing.place(key, value, get):
            under = placed.under
            if under is None:
                for number in range(after):
                    yield number, placed.key, placed.value
                continue
            if placed.key == key and partition_of(under, before) != partition:
                raise ConfigurationError(
                    f"a record on partition {partition} belongs to another one: {key!r}",
                    remedy="tillstream replay --rebuild, start the roles, stop them when all is read, then once more",
                )
            number = partition_of(under, after)
            if placed.beside is None or partition_of(placed.beside, after) != number:
                yield number, placed.key, placed.value


def _least(erasures: list[dict[str, int]]) -> dict[str, int]:
    """What all partitions have taken up of the list of the erased."""
    common = set.intersection(*map(set, erasures)) if erasures else set()
    return {name: min(known[name] for known in erasures) for name in common}


async def _write(
    kafka: Mapping[str, Any],
    table: Table,
    partitions: int,
    made: Any,
    erasures: dict[str, int],
    starts: Positions,
    untold: Iterable[tuple[str, int, bytes, bytes]],
) -> None:
    producer = Producer(kafka)
    await producer.start()
    try:
        await producer.settled(table.new, partitions)
        await write(producer, ((table.new, *_split(place), value) for place, value in made.items()))
        ends = [*untold]
        for number in range(partitions):
            positions = {topic: starts.get(TopicPartition(topic, number), 0) for topic in table.topics}
            if erasures:
                ends.append((table.new, number, ERASURES, orjson.dumps(erasures)))
            ends.append((table.new, number, POSITIONS, orjson.dumps(positions)))
        await write(producer, ends)
    finally:
        await producer.stop()


def _split(place: bytes) -> tuple[int, bytes]:
    return struct.unpack_from(">H", place)[0], place[2:]


async def write(producer: Producer, messages: Iterable[tuple[str, int, bytes, bytes]]) -> int:
    """(topic, partition, key, value)s in order; returns how many when all are acknowledged."""
    lanes: dict[Lane, list[Message]] = {}
    size = count = 0
    for topic, partition, key, value in messages:
        lanes.setdefault((topic, partition), []).append((key, value))
        size, count = size + len(key) + len(value), count + 1
        if size >= _BYTES:
            await producer.write(lanes)
            lanes, size = {}, 0
    await producer.write(lanes)
    return count


async def move(
    kafka: Mapping[str, Any], topic: str, unread: Mapping[int, int], after: int, newest: Path | None = None
) -> int:
    """Copy what is unread on the partitions of a grown topic to where its keys belong now; how many.

    `unread` are the partitions that were there before, and from where they are. `newest`, an empty directory, is for a
    compacted topic: the newest value of each key, read or not.
    """
    producer = Producer(kafka)
    await producer.start()
    count = 0
    try:
        await producer.settled(topic, after)
        for partition, start in unread.items():
            place = TopicPartition(topic, partition)
            if newest is not None:
                source = _open(newest / str(partition))
                await _read(kafka, place, source)
                count += await write(producer, _moving(topic, partition, source.items(), after))
                source.close()
                continue
            waiting: list[tuple[bytes, bytes]] = []
            async for key, value in records(kafka, place, start):
                if value is not None:
                    waiting.append((key, value))
                if len(waiting) == _SLICE:
                    count += await write(producer, _moving(topic, partition, waiting, after))
                    waiting = []
            count += await write(producer, _moving(topic, partition, waiting, after))
    finally:
        await producer.stop()
    return count


def _moving(
    topic: str, partition: int, found: Iterable[tuple[bytes, bytes]], after: int
) -> Iterator[tuple[str, int, bytes, bytes]]:
    for key, value in found:
        if (number := partition_of(key, after)) != partition:
            yield topic, number, key, value
