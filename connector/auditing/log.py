"""What the auditor asks Kafka: tallies, how far everybody is, and the ids of events. Open for one look at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from connector.auditing.coverage import Place, Span
from connector.auditing.rules import Event
from schemas import topics
from schemas.tally import Tally, identity, read_tally

log = structlog.get_logger(__name__)

_POLL_MS = 500
_STABLE = "Stable"

Offsets = dict[tuple[str, int], int]


class Log:
    """Remembers which tallies it has given. Raises KafkaError and OSError when Kafka is away."""

    def __init__(self, kafka: Mapping[str, Any], prefix: str) -> None:
        self._kafka = kafka
        self._tallies, self.events, self.letters = (
            topics.full_name(topic, prefix) for topic in (topics.TALLIES, topics.STRIPE_EVENTS, topics.DEAD_LETTERS)
        )
        self._outputs = (self.letters, *(topics.full_name(topic, prefix) for topic in topics.METRICS.values()))
        self._given: dict[TopicPartition, int] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connected while the block lasts: in between nobody keeps the broker busy."""
        self._admin = AIOKafkaAdminClient(**self._kafka)
        self._consumer = AIOKafkaConsumer(**self._kafka, enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            await self._admin.start()
            await self._consumer.start()
            await asyncio.sleep(0)  # stopped before its tasks have had a turn, it cancels whoever stops it
            yield
        finally:
            await self._consumer.stop()
            await self._admin.close()

    async def tallies(self, since: float) -> list[tuple[Tally, float]]:
        """Those that came since the last call, with when they were told; the first time, since `since`."""
        partitions = await self._partitions(self._tallies)
        if not self._given:
            found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, int(since * 1000)))
            ends = await self._consumer.end_offsets(partitions)
            self._given = {tp: one.offset if (one := found.get(tp)) else ends[tp] for tp in partitions}
        given: list[tuple[Tally, float]] = []
        for tp in partitions:
            async for record in self._read(tp, self._given.get(tp, 0), None):
                self._given[tp] = record.offset + 1
                try:
                    given.append((read_tally(record.value), record.timestamp / 1000))
                except (ValueError, KeyError, TypeError) as error:
                    log.warning("no tally", topic=tp.topic, partition=tp.partition, cause=repr(error))
        return given

    async def committed(self, group: str) -> Offsets:
        """By topic and partition, what the group has done with."""
        offsets = await self._admin.list_consumer_group_offsets(group)
        return {(tp.topic, tp.partition): max(one.offset, 0) for tp, one in offsets.items()}

    async def alive(self, group: str) -> bool:
        """Whether the group has members that have got their partitions."""
        (answer,) = await self._admin.describe_consumer_groups([group])
        _, _, state, *_ = answer.groups[0]
        return bool(state == _STABLE)

    async def outputs(self) -> Offsets:
        """The ends of the topics that the ledger and the sink write to, where anything is on them."""
        partitions = [tp for topic in self._outputs for tp in await self._partitions(topic)]
        starts, ends = await self._consumer.beginning_offsets(partitions), await self._consumer.end_offsets(partitions)
        return {(tp.topic, tp.partition): ends[tp] for tp in partitions if starts[tp] < ends[tp]}

    async def kept(self) -> dict[int, Span]:
        """What Kafka has of `stripe.events`, by partition."""
        partitions = await self._partitions(self.events)
        starts, ends = await self._consumer.beginning_offsets(partitions), await self._consumer.end_offsets(partitions)
        return {tp.partition: Span(tp.partition, starts[tp], ends[tp]) for tp in partitions}

    async def read(self, spans: Iterable[Span]) -> dict[Place, Event]:
        """The events in `spans`, which Kafka has."""
        found: dict[Place, Event] = {}
        for span in spans:
            async for record in self._read(TopicPartition(self.events, span.partition), span.first, span.next):
                found[span.partition, record.offset] = _event(record.value)
        return found

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        (told,) = await self._admin.describe_topics([topic])
        return [TopicPartition(topic, one["partition"]) for one in told["partitions"]]

    async def _read(self, tp: TopicPartition, first: int, end: int | None) -> AsyncIterator[Any]:
        """Records from `first` (the earliest, where that is gone) until before `end`, or what is there by now."""
        self._consumer.assign([tp])
        stop = (await self._consumer.end_offsets([tp]))[tp]
        stop = stop if end is None else min(stop, end)
        if first >= stop:
            return
        self._consumer.seek(tp, first)
        while await self._consumer.position(tp) < stop:
            for record in (await self._consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
                if record.offset < stop:
                    yield record


def _event(value: bytes | None) -> Event:
    try:
        envelope = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        envelope = None
    kind = envelope.get("type") if isinstance(envelope, dict) else ""
    return Event(identity(envelope), kind if isinstance(kind, str) else "")
