"""A broker in memory: logs, producers' epochs and numbers as Kafka checks them; and the way there."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    OutOfOrderSequenceNumber,
    RequestTimedOutError,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record import MemoryRecords

from streams.message import Headers
from streams.producer import Message
from tests.simulation.groups import Group
from tests.simulation.loop import Loop, here

_PATIENCE = 2.0  # seconds after which a client takes an answer for lost
_POLL = 0.5  # seconds for which a fetch waits when nothing is there

Lane = tuple[str, int]


@dataclass(slots=True)
class Record:
    """As a consumer is given it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int  # ms
    timestamp_type: int = 0
    headers: Headers = ()


@dataclass(slots=True)
class _Batch:
    first: int  # offset
    count: int
    producer: int
    epoch: int
    sequence: int


@dataclass(slots=True)
class Log:
    """One partition. `start` is the first offset that retention has left."""

    lane: Lane
    records: list[Record] = field(default_factory=list)
    batches: list[_Batch] = field(default_factory=list)
    start: int = 0

    @property
    def end(self) -> int:
        return len(self.records)

    def append(self, messages: Iterable[Message], at: float, head: Any = None) -> int:
        """The first offset. `head` (a batch as it came) has what Kafka checks: raises KafkaError."""
        first = self.end
        if head is not None and head.producer_id >= 0:
            mine = [batch for batch in self.batches if batch.producer == head.producer_id]
            if mine and head.producer_epoch < mine[-1].epoch:
                raise InvalidProducerEpoch
            if mine and head.producer_epoch == mine[-1].epoch:
                for known in mine[-5:]:
                    if known.sequence == head.base_sequence and known.epoch == head.producer_epoch:
                        return known.first  # it was here before: only the answer was lost
                if head.base_sequence != mine[-1].sequence + mine[-1].count:
                    raise OutOfOrderSequenceNumber
            elif mine and head.base_sequence:
                raise OutOfOrderSequenceNumber
        self.records += [
            Record(*self.lane, first + place, key, value, int(at * 1000), headers=headers[0] if headers else ())
            for place, (key, value, *headers) in enumerate(messages)
        ]
        if head is not None:
            number = self.end - first
            self.batches.append(_Batch(first, number, head.producer_id, head.producer_epoch, head.base_sequence))
        return first

    def truncate(self, batches: int) -> int:
        """A machine has lost power before the newest `batches` were on its disk; how many records are gone."""
        gone = self.batches[max(0, len(self.batches) - batches) :]
        lost = self.end - gone[0].first if gone else 0
        del self.batches[len(self.batches) - len(gone) :]
        del self.records[self.end - lost :]
        return lost


class Kafka:
    """All topics with `partitions` partitions each, and the network to them.

    `loss`: of 1, how many requests, and as many answers, are lost, late or come twice.
    """

    def __init__(
        self, loop: Loop, rng: Random, partitions: int, loss: float, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self.loop, self.rng, self.partitions, self.loss, self.note = loop, rng, partitions, loss, note
        self.topics: dict[str, list[Log]] = {}
        self.groups: dict[str, Group] = {}
        self.delivered: Counter[str] = Counter()  # outside: how often each message has gone out
        self.rows: dict[str, list[bytes]] = {}  # ClickHouse's, by table
        self.live = True  # outside: whether the flow is, by its file
        self._named: dict[str, list[int]] = {}  # transactional id: producer id, epoch
        self._producers = 0
        self._polls: list[tuple[Mapping[Any, int], int, asyncio.Future[Any]]] = []

    def topic(self, name: str) -> list[Log]:
        if name not in self.topics:
            self.topics[name] = [Log((name, number)) for number in range(self.partitions)]
        return self.topics[name]

    def log(self, lane: Lane) -> Log:
        return self.topic(lane[0])[lane[1]]

    def group(self, name: str) -> Group:
        if name not in self.groups:
            self.groups[name] = Group(self)
        return self.groups[name]

    async def ask(self, action: Callable[..., Any], *args: Any) -> Any:
        """What `action` gives at the broker, there and back again. Raises KafkaError."""
        loop, rng, process = self.loop, self.rng, here()
        answer: asyncio.Future[Any] = loop.create_future()
        trouble = rng.random() / self.loss if self.loss else 9.0
        numbered = action == self.produce  # what is not has an order of its own, on its connection
        there, back = rng.expovariate(400), rng.expovariate(400)

        def lost() -> None:
            if not answer.done():
                error = RequestTimedOutError if rng.random() < 0.5 else KafkaConnectionError
                answer.set_exception(error())

        def arrived(replies: bool) -> None:
            if process is not None and process.cut:
                loop.call_later(_PATIENCE, lost, context=loop.room)
                return
            try:
                found = action(*args)
            except KafkaError as error:
                found = error
            if not replies:
                return
            if isinstance(found, asyncio.Future):
                found.add_done_callback(lambda done: reply(done.result()), context=loop.room)
            else:
                reply(found)

        def reply(found: Any) -> None:
            loop.call_later(back, replied, found, context=loop.room)

        def replied(found: Any) -> None:
            if answer.done():
                return
            if process is not None and process.cut:
                loop.call_later(_PATIENCE, lost, context=loop.room)
            elif isinstance(found, KafkaError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        if trouble < 1:  # the request is lost
            loop.call_later(_PATIENCE, lost, context=loop.room)
            return await answer
        if trouble < 2:  # it arrives, at once or long after it was given up; the answer doesn't
            there += rng.choice((0.0, 0.0, rng.uniform(0, 2 * _PATIENCE))) if numbered else 0.0
            loop.call_later(there, arrived, False, context=loop.room)
            loop.call_later(_PATIENCE, lost, context=loop.room)
            return await answer
        if trouble < 3:
            back += rng.uniform(0, 0.9 * _PATIENCE)
        if trouble < 3.5 and numbered:
            loop.call_later(there + rng.expovariate(5), arrived, False, context=loop.room)  # once more
        loop.call_later(there, arrived, True, context=loop.room)
        return await answer

    # --- what a client asks

    def produce(self, request: ProduceRequest) -> Any:
        """Each partition's outcome, as in ProduceResponse."""
        topics = []
        for topic, partitions in request._topics:
            answers = []
            for partition, data in partitions:
                batch = MemoryRecords(bytes(data)).next_batch()
                messages = [(record.key, record.value, record.headers) for record in batch]
                try:
                    first = self.append((topic, partition), messages, batch)
                    answers.append((partition, 0, first))
                except KafkaError as error:
                    answers.append((partition, error.errno, -1))
            topics.append((topic, answers))
        return SimpleNamespace(topics=topics)

    def init_producer(self, name: str | None) -> Any:
        if name is None or name not in self._named:
            self._producers += 1
            found = [self._producers, 0]
            if name is not None:
                self._named[name] = found
        else:
            found = self._named[name]
            found[1] += 1
        return SimpleNamespace(error_code=0, producer_id=found[0], producer_epoch=found[1])

    def append(self, lane: Lane, messages: Iterable[Message], head: Any = None) -> int:
        """See `Log`; whoever waits for something to come is told."""
        first = self.log(lane).append(messages, self.loop.now, head)
        for poll in [poll for poll in self._polls if lane in poll[0]]:
            self._answer(poll)
        return first

    def fetch(self, positions: Mapping[Any, int], most: int) -> Any:
        """Up to `most` records of each partition from its position on; once there are some, or after a while."""
        found = self._read(positions, most)
        if found:
            return found
        answer: asyncio.Future[Any] = self.loop.create_future()
        poll = (positions, most, answer)
        self._polls.append(poll)
        self.loop.call_later(_POLL, self._answer, poll, context=self.loop.room)
        return answer

    def _answer(self, poll: tuple[Mapping[Any, int], int, asyncio.Future[Any]]) -> None:
        if not poll[2].done():
            self._polls.remove(poll)
            poll[2].set_result(self._read(*poll[:2]))

    def _read(self, positions: Mapping[Any, int], most: int) -> dict[Any, list[Record]]:
        found = {}
        for lane, position in positions.items():
            log = self.log(lane)
            if position > log.end or position < log.start:
                position = log.start  # auto_offset_reset
            if position < log.end:
                found[lane] = log.records[position : position + most]
        return found

    def ends(self, lanes: Iterable[Any]) -> dict[Any, int]:
        return {lane: self.log(lane).end for lane in lanes}


class Client:
    """What `Producer` needs of an AIOKafkaClient."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: 0)

    async def bootstrap(self) -> None: ...

    async def close(self) -> None: ...

    async def _wait_on_metadata(self, topic: str) -> range:
        self._kafka.topic(topic)
        return range(self._kafka.partitions)

    async def force_metadata_update(self) -> bool:
        await asyncio.sleep(0)
        return True

    def get_random_node(self) -> int:
        return 0

    async def coordinator_lookup(self, *_: Any) -> int:
        return 0

    async def send(self, _: int, request: Any) -> Any:
        if isinstance(request, ProduceRequest):
            return await self._kafka.ask(self._kafka.produce, request)
        return await self._kafka.ask(self._kafka.init_producer, request._transactional_id)
