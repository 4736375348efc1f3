"""What the auditor asks Kafka: tallies, how far everybody is, and the ids of events. Open for one look at a time."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

from connector.auditing.coverage import Place, Span
from connector.auditing.facts import Fact, read_fact
from connector.auditing.rules import Event
from schemas import topics
from schemas.envelope import envelope_fields
from schemas.tally import Tally, identity, read_tally
from streams.kafka import Admin, TopicPartition
from streams.reading import read, reader

log = structlog.get_logger(__name__)

_STABLE = "Stable"

Offsets = dict[tuple[str, int], int]


class Log:
    """Remembers which tallies it has given. Raises KafkaError and OSError when Kafka is away."""

    def __init__(self, kafka: Mapping[str, Any], prefix: str) -> None:
        self._kafka = kafka
        self._tallies, self.events, self.letters = (
            topics.full_name(topic, prefix) for topic in (topics.TALLIES, topics.STRIPE_EVENTS, topics.DEAD_LETTERS)
        )
        self.metrics = frozenset(topics.full_name(topic, prefix) for topic in topics.METRICS.values())
        self._given: dict[TopicPartition, int] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connected while the block lasts: in between nobody keeps the broker busy."""
        async with Admin(self._kafka) as self._admin, reader(self._kafka) as self._consumer:
            yield

    async def tallies(self, since: float) -> list[tuple[Tally, float]]:
        """Those that came since the last call, with when they were told; the first time, since `since`."""
        partitions = await self._admin.partitions(self._tallies)
        if not self._given:
            self._given = await self._since(partitions, since)
        given: list[tuple[Tally, float]] = []
        async for run in read(self._consumer, {tp: self._given.get(tp, 0) for tp in partitions}):
            for record in run:
                self._given[TopicPartition(record.topic, record.partition)] = record.offset + 1
                try:
                    given.append((read_tally(record.value), record.timestamp / 1000))
                except (ValueError, KeyError, TypeError) as error:
                    log.warning("no tally", topic=record.topic, partition=record.partition, cause=repr(error))
        return given

    async def _since(self, partitions: Iterable[TopicPartition], since: float) -> dict[TopicPartition, int]:
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, int(since * 1000)))
        ends = await self._consumer.end_offsets(partitions)
        return {tp: one.offset if (one := found.get(tp)) else ends[tp] for tp in partitions}

    async def facts_since(self, since: float) -> Offsets:
        """The first row of each metric's topic that was told then (Unix seconds) or later."""
        found = await self._since(await self._admin.partitions(*self.metrics), since)
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def facts(self, starts: Offsets, ends: Offsets) -> AsyncIterator[Fact]:
        """The rows from `starts` until before `ends`, as far as Kafka has them."""
        first, after = ({TopicPartition(*place): offset for place, offset in some.items()} for some in (starts, ends))
        async for run in read(self._consumer, first, after):
            for record in run:
                with suppress(ValueError):
                    where = (record.topic, record.partition, record.offset)
                    yield read_fact(where, record.value or b"", record.timestamp / 1000)

    async def committed(self, group: str) -> Offsets:
        """By topic and partition, what the group has done with."""
        return {(tp.topic, tp.partition): offset for tp, offset in (await self._admin.committed(group)).items()}

    async def alive(self, group: str) -> bool:
        """Whether the group has members that have got their partitions."""
        return (await self._admin.group(group)).state == _STABLE

    async def outputs(self) -> Offsets:
        """The ends of the topics that the ledger and the sink write to, where anything is on them."""
        partitions = await self._admin.partitions(self.letters, *self.metrics)
        starts, ends = await self._consumer.beginning_offsets(partitions), await self._consumer.end_offsets(partitions)
        return {(tp.topic, tp.partition): ends[tp] for tp in partitions if starts[tp] < ends[tp]}

    async def kept(self) -> dict[int, Span]:
        """What Kafka has of `stripe.events`, by partition."""
        partitions = await self._admin.partitions(self.events)
        starts, ends = await self._consumer.beginning_offsets(partitions), await self._consumer.end_offsets(partitions)
        return {tp.partition: Span(tp.partition, starts[tp], ends[tp]) for tp in partitions}

    async def read(self, spans: Iterable[Span]) -> dict[Place, Event]:
        """The events in `spans`, which Kafka has."""
        found: dict[Place, Event] = {}
        for span in spans:
            tp = TopicPartition(self.events, span.partition)
            async for run in read(self._consumer, {tp: span.first}, {tp: span.next}):
                found.update(((span.partition, record.offset), _event(record)) for record in run)
        return found


def _event(record: Any) -> Event:
    try:
        envelope = envelope_fields(record.value, record.headers)
    except (ValueError, LookupError):
        envelope = None
    kind = envelope.get("type") if isinstance(envelope, dict) else ""
    return Event(identity(envelope), kind if isinstance(kind, str) else "")
