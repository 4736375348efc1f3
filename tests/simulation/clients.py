"""What roles reach by other ways than Faust: aiokafka's producer and consumer, ClickHouse, and whom flows send to."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import orjson
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    KafkaTimeoutError,
    UnknownMemberIdError,
)
from faust.types import TP

from engage.senders.outcome import Again, Outcome, Sent, Unknown
from schemas.errors import Unavailable
from streams.message import Headers
from streams.partitioner import partition_of
from streams.producer import Message
from tests.simulation.groups import Member
from tests.simulation.kafka import Kafka, Record
from tests.simulation.loop import here

_GIVE_UP = 20  # tries of a producer for one batch
_FULL = 8 * 1024  # bytes of a batch


class _Batch:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.offset: int | None = None  # once it is on the log: an idempotent producer's come there once
        self._size = 0

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Headers = ()) -> Any:
        if self.messages and self._size + len(value) > _FULL:
            return None
        self._size += len(value)
        self.messages.append((key, value, headers))
        return self

    def close(self) -> None: ...


class Producer:
    """An AIOKafkaProducer."""

    def __init__(self, **_: Any) -> None:
        machine: Any = here()
        self._kafka: Kafka = machine.kafka
        self.client = SimpleNamespace(force_metadata_update=self._alive, close=self.stop)

    async def start(self) -> None:
        await self._kafka.ask(lambda: None)

    async def stop(self) -> None: ...

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self._kafka.partitions))

    async def _alive(self) -> bool:
        try:
            await self._kafka.ask(lambda: None)
        except KafkaError:
            return False
        return True

    def create_batch(self) -> _Batch:
        return _Batch()

    async def send_batch(self, batch: _Batch, topic: str, partition: int) -> "asyncio.Future[Any]":
        return asyncio.ensure_future(self._deliver(batch, (topic, partition)))

    async def send(self, topic: str, value: bytes, key: bytes, **_: None) -> "asyncio.Future[Any]":
        batch = _Batch()
        batch.append(timestamp=None, key=key, value=value)
        return await self.send_batch(batch, topic, partition_of(key, self._kafka.partitions))

    async def _deliver(self, batch: _Batch, lane: tuple[str, int]) -> None:
        def once() -> None:
            if batch.offset is None:
                batch.offset = self._kafka.append(lane, batch.messages)

        for _ in range(_GIVE_UP):
            try:
                return await self._kafka.ask(once)
            except KafkaError:
                await asyncio.sleep(0.1)
        raise KafkaTimeoutError


class Consumer:
    """An AIOKafkaConsumer of a group."""

    def __init__(self, *, group_id: str, **_: Any) -> None:
        machine: Any = here()
        self._kafka: Kafka = machine.kafka
        self._member = Member(machine.kafka, group_id, machine.name)
        self._topics: list[str] = []
        self._positions: dict[TP, int] | None = None  # None while partitions are assigned
        self._listener: Any = None
        self._living: asyncio.Task[None] | None = None
        self._fetcher = SimpleNamespace()  # how long a fetch would wait

    async def start(self) -> None:
        await self._kafka.ask(lambda: None)

    async def stop(self) -> None:
        if self._living is not None:
            self._living.cancel()
            await self._member.leave()

    async def topics(self) -> set[str]:
        return await self._kafka.ask(lambda: set(self._kafka.topics))

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self._topics, self._listener = topics, listener
        self._living = asyncio.create_task(self._member.live(self._assigned, self._revoked))

    def assignment(self) -> set[TP]:
        return set(self._positions or ())

    def highwater(self, tp: TP) -> int:
        return self._kafka.log(tp).end

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TP, list[Record]]:
        positions = self._positions
        if not positions:
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        try:
            found = await self._kafka.ask(self._kafka.fetch, dict(positions), self._kafka.rng.randint(1, max_records))
        except KafkaError:
            return {}
        if self._positions is not positions:
            return {}
        for tp, records in found.items():
            positions[tp] = records[-1].offset + 1
        return found

    async def commit(self, offsets: Mapping[TP, int]) -> None:
        try:
            await self._member.commit({TP(*tp): offset for tp, offset in offsets.items()})
        except (IllegalGenerationError, UnknownMemberIdError) as error:
            raise CommitFailedError from error

    def seek(self, tp: TP, offset: int) -> None:
        self._positions = {**(self._positions or {}), tp: offset}  # not the dictionary that a fetch has begun with

    async def committed(self, tp: TP) -> int | None:
        return await self._member.insist(self._member.group.committed.get, tp)

    async def beginning_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        return await self._member.insist(lambda: {tp: self._kafka.log(tp).start for tp in tps})

    async def end_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        return await self._member.insist(self._kafka.ends, tps)

    async def _assigned(self, shares: list[int]) -> None:
        tps = [TP(topic, number) for topic in self._topics for number in shares]
        committed = await self._member.insist(lambda: dict(self._member.group.committed))
        self._positions = {tp: committed.get(tp, 0) for tp in tps}
        with suppress(Exception):  # aiokafka only logs it
            await self._listener.on_partitions_assigned(set(tps))

    async def _revoked(self) -> None:
        await self._listener.on_partitions_revoked(self.assignment())
        self._positions = None


class ClickHouse:
    """Takes rows, now and then without saying so, or says that it can't."""

    def __init__(self, _: Any) -> None:
        machine: Any = here()
        self._kafka: Kafka = machine.kafka

    async def __aenter__(self) -> "ClickHouse":
        return self

    async def __aexit__(self, *_: Any) -> None: ...

    async def insert(self, table: str, body: bytes) -> None:
        await self._ask(self._kafka.rows.setdefault(table, []).extend, body.split(b"\n"))

    async def run(self, _: str) -> str:
        """Only positions are asked for: the newest of each partition."""
        kept = await self._ask(lambda: list(self._kafka.rows.get("sink_position_rows", [])))
        newest = {(row["topic"], row["partition"]): row["position"] for row in map(orjson.loads, kept)}
        return "\n".join(f"{topic}\t{partition}\t{position}" for (topic, partition), position in newest.items())

    async def _ask(self, action: Any, *args: Any) -> Any:
        try:
            return await self._kafka.ask(action, *args)
        except KafkaError as error:  # it is as far away as the broker
            raise Unavailable("ClickHouse did not answer") from error


async def until_read(_: Any, group: str, topics: Iterable[str]) -> None:
    """As `streams.reading` has it; a broker that does not answer is asked again."""
    machine: Any = here()
    kafka: Kafka = machine.kafka
    member = Member(kafka, group, machine.name)
    lanes = [TP(topic, number) for topic in topics for number in range(kafka.partitions)]
    left = {tp: end for tp, end in (await member.insist(kafka.ends, lanes)).items() if end > kafka.log(tp).start}
    while left:
        committed = await member.insist(lambda: dict(member.group.committed))
        left = {tp: end for tp, end in left.items() if committed.get(tp, 0) < end}
        await asyncio.sleep(0.2)


class Post:
    """The mail server and whoever is called: takes, refuses for now, or breaks off when it has or has not taken."""

    def __init__(self, *_: Any) -> None:
        self._machine: Any = here()

    async def send(self, letter: Any) -> Outcome:
        kafka, name = self._machine.kafka, getattr(letter, "message_id", "") or letter.idempotency_key
        loop, rng, answer = kafka.loop, kafka.rng, kafka.loop.create_future()
        luck = rng.random()

        def arrives() -> None:
            if luck > 0.05:
                kafka.delivered[name] += 1
            loop.call_later(rng.expovariate(20), replies, context=loop.room)

        def replies() -> None:
            if not answer.done():
                answer.set_result(Unknown("it broke off") if luck < 0.1 else Sent())

        if luck > 0.95:
            await asyncio.sleep(0.1)
            return Again("come back later", unreachable=luck > 0.97)
        loop.call_later(rng.expovariate(20), arrives, context=loop.room)
        return await answer

    async def close(self) -> None: ...
