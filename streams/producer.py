"""Messages to Kafka in whole batches, each partition's in order, and under a fence where one is wanted.

aiokafka's own producer costs more CPU for one message than folding an event does, has one producer id for everything,
and needs a second one where some values are compressed, so that a small message can overtake a large one of its key.
Here a call makes the batches of all partitions itself, sends the first of each in one request a broker, then the next
ones, and returns when all are acknowledged.

Fence: Kafka gives each `InitProducerId` under one transactional id a higher epoch, and a partition that has seen the
higher one refuses the lower. Nothing here is a transaction: the id is only asked for, and batches are written under it.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    InvalidProducerEpoch,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorError,
    ProducerFenced,
    RequestTimedOutError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from schemas.errors import Unavailable
from streams.kafka import connected, ended
from streams.message import Headers
from streams.partitioner import partition_of

# A dead letter escapes its payload, and an invoice's row names all fields of each line: both grow beyond what came in.
# So values from `_LARGE` bytes on are compressed; the topics' limit of 16 MiB is for what then goes over the wire.
_LARGE = 1024 * 1024
_PACK = 256 * 1024  # bytes of JSON that are packed into one message
_BATCH = 256 * 1024  # bytes of a batch: with the 16 KiB that are usual a message costs four times as much
# What is written under a fence is one batch, since a log takes a batch whole or not at all: half of a checkpoint is no
# state. From `_HEAVY` bytes on it is compressed, for the topics' 16 MiB; beyond `_WHOLE` even that might not do.
_HEAVY, _WHOLE = 8 * 1024 * 1024, 64 * 1024 * 1024
_REQUEST = 32 * 1024 * 1024  # bytes of a request: a broker takes 100 MiB unless told otherwise
_GIVE_UP = 120.0  # seconds, as Kafka's own delivery.timeout.ms; then nobody knows what has arrived
_BACKOFF = 0.1  # seconds before a try again
_ACKNOWLEDGE_MS = 30_000
_TRANSACTION_MS = 60_000  # asked for with a fence; no transaction is ever begun
_GZIP = 1
_SEQUENCES = 2**31

_AGAIN = (  # what a coordinator says while it is being made
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    ConcurrentTransactions,
    NotCoordinatorError,
    NodeNotReadyError,
    RequestTimedOutError,
)

# Key, value and headers, if there are any; a value of None takes a changelog's record away.
Message = tuple[bytes | None, bytes | None] | tuple[bytes | None, bytes | None, Headers]
Lane = tuple[str, int]  # topic, partition


class Fenced(Unavailable):
    """Another worker has taken a partition over: what this one still holds of it must be dropped."""


@dataclass(slots=True)
class Writer:
    """Who writes, as Kafka knows it, and the number of the next message on each partition."""

    producer_id: int
    epoch: int
    sequences: dict[Lane, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True)
class _Batch:
    data: bytes
    count: int


class Producer:
    """One connection for all that a worker's stages write.

    `send` and `write` return when all is acknowledged, and raise KafkaError when anything is not: then nobody can know
    what arrived, and all of it has to be delivered again.
    On the topics `packed`, which only stages read, a partition's messages go as arrays without a key: Faust's cost is
    one a message, and it is larger than that of what a stage does with one.
    """

    def __init__(self, kafka: Mapping[str, Any], packed: Collection[str] = ()) -> None:
        self._kafka = kafka
        self._packed = packed
        self._client: AIOKafkaClient | None = None
        self._own = Writer(-1, -1)
        self._locks: dict[Lane, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self) -> None:
        """Raises Unavailable; nothing is left open then."""
        self._client = AIOKafkaClient(**self._kafka)
        try:
            await connected(self._begin(self._client), self.stop)
        except KafkaError as error:
            raise Unavailable(f"Kafka is not reachable: {error}", remedy="check KAFKA_BOOTSTRAP_SERVERS") from error

    async def _begin(self, client: AIOKafkaClient) -> None:
        await client.bootstrap()
        self._own = await self._init(None)

    async def stop(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await ended(self._client.close())

    async def send(self, messages: Iterable[tuple[str, bytes, bytes, Headers]]) -> None:
        """(topic, key, value, headers)s to the partitions of their keys, as Kafka's own partitioner has them."""
        counts: dict[str, int] = {}
        lanes: dict[Lane, list[Message]] = {}
        for topic, key, value, headers in messages:
            if topic not in counts:
                counts[topic] = len(await self._connected._wait_on_metadata(topic))
            lane = topic, partition_of(key, counts[topic])
            lanes.setdefault(lane, []).append((key, value, headers))
        for lane, waiting in lanes.items():
            if lane[0] in self._packed:
                lanes[lane] = [(None, array) for array in pack(message[1] or b"null" for message in waiting)]
        await self.write(lanes)

    async def settled(self, topic: str, partitions: int) -> None:
        """Return when the broker knows a leader of each partition: a topic that was just made is not there at once."""
        deadline = time.monotonic() + _GIVE_UP
        for partition in range(partitions):
            await self._leader((topic, partition), deadline)

    async def fence(self, name: str) -> Writer:
        """A writer under the transactional id `name`, whose first message on a partition shuts out all before it."""
        return await self._init(name)

    async def write(
        self, lanes: Mapping[Lane, list[Message]], writers: Mapping[Lane, Writer] | None = None
    ) -> dict[Lane, int]:
        """Messages by topic and partition, in order; the last offset of each. Raises Fenced.

        Those of a lane that is in `writers` are written under its fence, all of them or none.
        """
        wanted = sorted(lane for lane, messages in lanes.items() if messages)
        locks = [self._locks[lane] for lane in wanted]  # in one order everywhere, so that no two calls wait in a ring
        for number, lock in enumerate(locks):
            try:
                await lock.acquire()
            except BaseException:
                for held in locks[:number]:
                    held.release()
                raise
        try:
            fenced = writers or {}
            return await self._deliver(
                {
                    lane: deque(_batches(lane, lanes[lane], fenced.get(lane, self._own), whole=lane in fenced))
                    for lane in wanted
                }
            )
        finally:
            for lock in locks:
                lock.release()

    async def _deliver(self, waiting: dict[Lane, deque[_Batch]]) -> dict[Lane, int]:
        """One batch of each lane after the other; those that failed for a while once more, under the same numbers."""
        ends: dict[Lane, int] = {}
        deadline = time.monotonic() + _GIVE_UP
        while waiting:
            requests = await self._by_leader(waiting, deadline)
            answers = await asyncio.gather(*(self._request(node, batches) for node, batches in requests))
            failed: KafkaError | None = None
            for found in answers:
                for lane, outcome in found.items():
                    if isinstance(outcome, KafkaError):
                        failed = outcome
                        continue
                    ends[lane] = outcome + waiting[lane].popleft().count - 1
                    if not waiting[lane]:
                        del waiting[lane]
            if failed is not None:
                if time.monotonic() > deadline:
                    raise failed
                await asyncio.sleep(_BACKOFF)
                await self._connected.force_metadata_update()
        return ends

    async def _by_leader(
        self, waiting: Mapping[Lane, deque[_Batch]], deadline: float
    ) -> list[tuple[int, dict[Lane, bytes]]]:
        """The next batch of each lane, by the broker that leads it; what makes a request too large waits a round."""
        requests: dict[int, dict[Lane, bytes]] = defaultdict(dict)
        sizes: dict[int, int] = defaultdict(int)
        for lane, batches in waiting.items():
            leader = await self._leader(lane, deadline)
            size = len(batches[0].data)
            if sizes[leader] and sizes[leader] + size > _REQUEST:
                continue
            sizes[leader] += size
            requests[leader][lane] = batches[0].data
        return list(requests.items())

    async def _leader(self, lane: Lane, deadline: float) -> int:
        while True:
            await self._connected._wait_on_metadata(lane[0])
            leader = self._connected.cluster.leader_for_partition(TopicPartition(*lane))
            if leader is not None and leader >= 0:
                return int(leader)
            if time.monotonic() > deadline:
                raise Unavailable(f"partition {lane[1]} of {lane[0]} has no leader", remedy="look at the brokers")
            await asyncio.sleep(_BACKOFF)
            await self._connected.force_metadata_update()

    async def _request(self, node: int, batches: Mapping[Lane, bytes]) -> dict[Lane, int | KafkaError]:
        """First offsets by lane, or why to try again. Raises Fenced, and KafkaError for what no second try mends."""
        topics: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for (topic, partition), data in batches.items():
            topics[topic].append((partition, data))
        request = ProduceRequest(None, required_acks=-1, timeout=_ACKNOWLEDGE_MS, topics=list(topics.items()))
        try:
            response = await self._connected.send(node, request)
        except KafkaError as error:
            if not error.retriable:
                raise
            return dict.fromkeys(batches, error)
        found: dict[Lane, int | KafkaError] = {}
        for topic, partitions in response.topics:
            for partition, code, offset, *_ in partitions:
                refusal = for_code(code)()
                if not code:
                    found[topic, partition] = offset
                elif isinstance(refusal, InvalidProducerEpoch | ProducerFenced):
                    raise Fenced(f"partition {partition} of {topic} is another worker's now")
                elif refusal.retriable:
                    found[topic, partition] = refusal
                else:
                    raise refusal
        return found

    async def _init(self, name: str | None) -> Writer:
        deadline = time.monotonic() + _GIVE_UP
        while True:
            try:
                node = (
                    self._connected.get_random_node()
                    if name is None
                    else await self._connected.coordinator_lookup(CoordinationType.TRANSACTION, name)
                )
                answer = await self._connected.send(node, InitProducerIdRequest(name, _TRANSACTION_MS))
                if not answer.error_code:
                    return Writer(answer.producer_id, answer.producer_epoch)
                raise for_code(answer.error_code)()
            except _AGAIN:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_BACKOFF)
                await self._connected.force_metadata_update()

    @property
    def _connected(self) -> AIOKafkaClient:
        assert self._client is not None, "started"
        return self._client


def _batches(lane: Lane, messages: list[Message], writer: Writer, *, whole: bool) -> Iterator[_Batch]:
    """The messages in batches that are numbered on from where the writer is on this lane; in one when `whole`."""
    builder, count = None, 0
    heavy = whole and sum(len(message[0] or b"") + len(message[1] or b"") for message in messages) >= _HEAVY

    def begin(compressed: bool) -> Any:
        return DefaultRecordBatchBuilder(
            2, _GZIP if compressed else 0, 0, writer.producer_id, writer.epoch, writer.sequences[lane],
            _WHOLE if whole else _BATCH,
        )  # fmt: skip

    def close(builder: Any, count: int) -> _Batch:
        writer.sequences[lane] = (writer.sequences[lane] + count) % _SEQUENCES
        return _Batch(bytes(builder.build()), count)

    for key, value, *rest in messages:
        headers: list[tuple[str, bytes]] = list(*rest)  # aiokafka takes nothing else
        large = not whole and value is not None and len(value) >= _LARGE
        if builder is not None and (large or builder.append(count, None, key, value, headers) is None):
            yield close(builder, count)
            builder, count = None, 0
        elif builder is not None:
            count += 1
            continue
        builder, count = begin(large or heavy), 1
        builder.append(0, None, key, value, headers)  # an empty one takes whatever comes
        if large:
            yield close(builder, count)
            builder, count = None, 0
    if builder is not None:
        yield close(builder, count)


def pack(values: Iterable[bytes]) -> Iterator[bytes]:
    """JSON arrays of the JSON `values`, in order, each array of some 256 KiB at most or of one value."""
    held: list[bytes] = []
    size = 0
    for value in values:
        if held and size + len(value) > _PACK:
            yield b"[%b]" % b",".join(held)
            held, size = [], 0
        held.append(value)
        size += len(value)
    if held:
        yield b"[%b]" % b",".join(held)
