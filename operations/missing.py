"""Which events are missing: ClickHouse keeps them and Kafka no longer has them, or Kafka has them and nobody else.

And which rows: the ledger told them, and ClickHouse lacks them.

The first because the disk of a broker is an older one than it was; what Kafka has let go of by its own dates is not
missing. The others, and the rows, are those that the auditor names (`connector/auditing/`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from operations.replay import HOUR_MS, MATCHES, Selection, Window, windows
from schemas.envelope import Envelope, envelope_fields, read_envelope
from streams.kafka import Admin, TopicPartition, unavailable
from streams.publishing import Message
from streams.reading import Consumer, read, reader
from warehouse.waiting import Warehouse

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
    with unavailable(f"the topic {topic} can't be read", "tillstream status"):
        async with Admin(kafka) as admin:
            partitions = await admin.partitions(topic)
            retention = int((await admin.configs(topic))[topic]["retention.ms"])  # below 0: for ever
        async with reader(kafka, max_partition_fetch_bytes=_FETCH_BYTES) as consumer:
            firsts = await consumer.beginning_offsets(partitions)
            ends = await _read(consumer, firsts, known, on_progress)
            expired = retention >= 0 and any(firsts.values())
            kept = int(time.time() * 1000) - retention if expired else 0
            found = await asyncio.to_thread(_lacking, warehouse, selection, kept, known)
            await _read(consumer, ends, known, lambda read, all_: None)  # what has come meanwhile is not missing
    hours: dict[int, int] = {}
    ids: Ids = set()
    for identifier, at in found.items():
        if identifier not in known:
            ids.add(identifier)
            hour = at - at % HOUR_MS
            hours[hour] = hours.get(hour, 0) + 1
    return Missing([(hour, hour + HOUR_MS, count) for hour, count in sorted(hours.items())], ids)


@dataclass(frozen=True, slots=True)
class Named:
    """What the auditor names: events, and the messages of rows as they were told."""

    events: list[Envelope]
    rows: list[Message]

    def __len__(self) -> int:
        return len(self.events) + len(self.rows)


async def named(warehouse: Warehouse, kafka: Mapping[str, Any], topic: str) -> Named:
    """As Kafka has it, the events from `topic`. Raises as `missing` does."""
    rows = await asyncio.to_thread(warehouse.rows, "SELECT topic, partition, offset FROM missing_events")
    found = Named([], [])
    if not rows:
        return found
    with unavailable("the topics of what is missing can't be read", "tillstream status"):
        async with reader(kafka) as consumer:
            for row in rows:
                place, offset = TopicPartition(row["topic"], row["partition"]), row["offset"]
                async for run in read(consumer, {place: offset}, {place: offset + 1}, _PATIENCE):  # if it is not gone
                    if place.topic != topic:
                        found.rows.append(Message(place.topic, run[0].key, run[0].value))
                        continue
                    with suppress(ValueError):  # what is no event can't be folded
                        found.events.append(read_envelope(run[0].value, run[0].headers))
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


async def _read(
    consumer: Consumer, starts: Mapping[TopicPartition, int], known: Ids, on_progress: OnProgress
) -> dict[TopicPartition, int]:
    """Add the ids from `starts` up to the present ends; these."""
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(starts))
    everything, count = sum(ends.values()) - sum(starts.values()), 0
    async for run in read(consumer, starts, ends, _PATIENCE):
        count += len(run)
        known.update(filter(None, map(_identifier, run)))
        on_progress(min(count, everything), everything)
    return ends


def _identifier(record: Any) -> int | None:
    """None for a message that names no event."""
    try:
        told = envelope_fields(record.value, record.headers)
        return hash((told["account"], told["event_id"]))
    except (ValueError, LookupError, TypeError):
        return None
