"""Which events are missing: ClickHouse keeps them and Kafka no longer has them, or Kafka has them and nobody else.

The first because the disk of a broker is an older one than it was; what Kafka has let go of by its own dates is not
missing. The others are those that the auditor names (`connector/auditing/`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas.envelope import Envelope
from schemas.errors import Unavailable
from tillstream.replay import HOUR_MS, MATCHES, Selection, Window, windows
from tillstream.warehouse import Warehouse

_AT_ONCE = 200_000  # ids asked of ClickHouse at once
_FETCH_BYTES = 4 * 1024 * 1024
_PATIENCE = 30.0  # seconds without any message, while there should be some
_IDS = (
    "SELECT account, event_id, toUnixTimestamp64Milli(min(observed_at)) AS at FROM stripe_events "
    f"WHERE {MATCHES} GROUP BY account, event_id "
    "HAVING toUnixTimestamp64Milli(max(received_at)) >= {kept:Int64}"
)

Ids = set[int]  # hashes of (account, event id): ten million take 0.7 GB
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Missing:
    """Windows of time that hold missing events, and how many; whether an event is one of them."""

    windows: list[Window]
    ids: Ids

    def has(self, envelope: Envelope) -> bool:
        """Is this one missing?"""
        return hash((envelope.account, envelope.event_id)) in self.ids


async def missing(
    warehouse: Warehouse,
    kafka: Mapping[str, Any],
    topic: str,
    selection: Selection,
    on_progress: OnProgress = lambda read, all_: None,
) -> Missing:
    """The events of `selection` that `topic` lacks. `on_progress(read, all)` tells of Kafka's messages.

    Raises Unavailable, and ConfigurationError without the tables.
    """
    known: Ids = set()
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False, max_partition_fetch_bytes=_FETCH_BYTES)
    try:
        partitions, retention = await _laid_out(kafka, topic)
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        firsts = await consumer.beginning_offsets(partitions)
        await _read(consumer, known, on_progress)
        expired = retention >= 0 and any(firsts.values())
        kept = int(time.time() * 1000) - retention if expired else 0
        found = await asyncio.to_thread(_lacking, warehouse, selection, kept, known)
        await _read(consumer, known, lambda read, all_: None)  # what has come meanwhile is not missing
    except (KafkaError, TimeoutError) as error:
        raise Unavailable(f"the topic {topic} can't be read: {error!r}", remedy="tillstream status") from error
    finally:
        await consumer.stop()
    hours: dict[int, int] = {}
    ids: Ids = set()
    for identifier, at in found.items():
        if identifier not in known:
            ids.add(identifier)
            hour = at - at % HOUR_MS
            hours[hour] = hours.get(hour, 0) + 1
    return Missing([(hour, hour + HOUR_MS, count) for hour, count in sorted(hours.items())], ids)


async def named(warehouse: Warehouse, kafka: Mapping[str, Any], topic: str) -> list[Envelope]:
    """The events that the auditor names, as `topic` has them. Raises as `missing` does."""
    rows = await asyncio.to_thread(warehouse.rows, "SELECT partition, offset FROM missing_events")
    found: list[Envelope] = []
    if not rows:
        return found  # a consumer that is stopped before it was asked for anything cancels whoever stops it
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False)
    try:
        await consumer.start()
        for row in rows:
            place, offset = TopicPartition(topic, row["partition"]), row["offset"]
            consumer.assign([place])
            starts, ends = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
            if not starts[place] <= offset < ends[place]:
                continue  # gone by its date
            consumer.seek(place, offset)
            async with asyncio.timeout(_PATIENCE):
                record = await consumer.getone(place)
            with suppress(ValueError):  # what is no event can't be folded
                found.append(Envelope.model_validate_json(record.value or b""))
    except (KafkaError, TimeoutError) as error:
        raise Unavailable(f"the topic {topic} can't be read: {error!r}", remedy="tillstream status") from error
    finally:
        await consumer.stop()
    return found


def _lacking(warehouse: Warehouse, selection: Selection, kept: int, known: Ids) -> dict[int, int]:
    """Hash of an event that is not among `known` → when it was observed, in Unix milliseconds."""
    found: dict[int, int] = {}
    for start, end, _ in windows(warehouse, selection, _AT_ONCE):
        part = selection.within(start, end)
        for account, event_id, at in warehouse.table(_IDS, part.parameters() | {"kept": kept})[1]:
            if (identifier := hash((account, event_id))) not in known:
                found[identifier] = at
    return found


async def _laid_out(kafka: Mapping[str, Any], topic: str) -> tuple[list[TopicPartition], int]:
    """The topic's partitions, and for how many milliseconds it keeps messages (below 0: for ever)."""
    admin = AIOKafkaAdminClient(**kafka)
    try:
        await admin.start()
        (described,) = await admin.describe_topics([topic])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    return [TopicPartition(topic, one["partition"]) for one in described["partitions"]], int(config["retention.ms"])


async def _read(consumer: AIOKafkaConsumer, known: Ids, on_progress: OnProgress) -> None:
    """Add the ids of what has not been read yet, up to the present end."""
    partitions = consumer.assignment()
    ends = await consumer.end_offsets(partitions)
    left = sum([ends[tp] - await consumer.position(tp) for tp in partitions])
    everything, read = left, 0
    while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
        async with asyncio.timeout(_PATIENCE):
            found: dict[TopicPartition, list[Any]] = {}
            while not found:
                found = await consumer.getmany(timeout_ms=500)
        for records in found.values():
            read += len(records)
            known.update(filter(None, (_identifier(record.value) for record in records)))
        on_progress(min(read, everything), everything)


def _identifier(value: bytes | None) -> int | None:
    """None for a message that names no event."""
    try:
        told = orjson.loads(value or b"")
        return hash((told["account"], told["event_id"]))
    except (ValueError, LookupError, TypeError):
        return None
