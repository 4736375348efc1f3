"""Having the processors begin anew: their state is dropped, and they read `stripe.events` from its start.

Sound only while none of them runs. State rebuilt from nothing tells the same rows, since versions are made of what is
known and of no counter (`processors/rules/lattice.py`).
"""

import asyncio
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.errors import ConfigurationError, Unavailable
from schemas.times import rfc3339

_APP = "tillstream"  # the processors' group, and the start of their changelogs' names
_TABLES = ("ledger", "people")
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What will be read anew. `kept_since` (RFC 3339) is '' when Kafka still holds every event that there was."""

    events: int
    changelogs: tuple[str, ...]
    kept_since: str


async def look(kafka: Mapping[str, Any], prefix: str) -> Rebuild:
    """What `forget_state` would do. Raises ConfigurationError while the processors run, Unavailable without Kafka."""
    admin = AIOKafkaAdminClient(**kafka)
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False)
    try:
        await admin.start()
        await consumer.start()
        await _require_stopped(admin, prefix + _APP)
        changelogs = tuple(await _changelogs(admin, prefix))
        events = topics.full_name(topics.STRIPE_EVENTS, prefix)
        partitions = await _partitions(admin, events)
        starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        cut = [partition for partition in partitions if starts[partition]]
        since = max([await _first_time(consumer, tp, ends[tp]) for tp in cut], default=0.0)
    except KafkaError as error:
        raise _unavailable(kafka, error) from error
    finally:
        await consumer.stop()
        await admin.close()
    return Rebuild(sum(ends[tp] - starts[tp] for tp in partitions), changelogs, rfc3339(since) if since else "")


async def forget_state(kafka: Mapping[str, Any], prefix: str, state: Path) -> None:
    """Have the processors read `stripe.events` from its start, knowing nothing. Raises as `look` does.

    1. offsets: `stripe.events` to its start; what the stages tell each other to the end, since they tell it anew
    2. `state`, this machine's copy of the changelogs, deleted
    3. the changelogs deleted, the ledger's first

    Interrupted anywhere, the next start reads the events into what is still known, which changes nothing.
    """
    admin = AIOKafkaAdminClient(**kafka)
    consumer = AIOKafkaConsumer(**kafka, group_id=prefix + _APP, enable_auto_commit=False)
    try:
        await admin.start()
        await _require_stopped(admin, prefix + _APP)
        events = await _partitions(admin, topics.full_name(topics.STRIPE_EVENTS, prefix))
        between = [
            partition
            for topic in (topics.LEDGER_TRANSFERS, topics.LEDGER_PEOPLE)
            for partition in await _partitions(admin, topics.full_name(topic, prefix))
        ]
        await consumer.start()
        consumer.assign([*events, *between])
        places = await consumer.beginning_offsets(events) | await consumer.end_offsets(between)
        await consumer.commit(places)
        await asyncio.to_thread(_remove, state)
        for changelog in await _changelogs(admin, prefix):
            await admin.delete_topics([changelog])
            await _gone(admin, changelog)
    except KafkaError as error:
        raise _unavailable(kafka, error) from error
    finally:
        await consumer.stop()
        await admin.close()


async def _require_stopped(admin: AIOKafkaAdminClient, group: str) -> None:
    (answer,) = await admin.describe_consumer_groups([group])
    members = sum(len(found[5]) for found in answer.groups)
    if members:
        raise ConfigurationError(
            f"the processors are running (group {group} has {members} members), and would go on from what they know",
            remedy="stop `tillstream up`, or every `tillstream process`; a killed one is forgotten after 10 s",
        )


async def _partitions(admin: AIOKafkaAdminClient, name: str) -> list[TopicPartition]:
    (found,) = await admin.describe_topics([name])
    return [TopicPartition(name, partition["partition"]) for partition in found["partitions"]]


async def _first_time(consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> float:
    """Unix seconds of the oldest message of a partition that has lost some; now, when it has lost all."""
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    if await consumer.position(partition) >= end:
        return time.time()
    message = await asyncio.wait_for(consumer.getone(partition), _PATIENCE)
    return float(message.timestamp / 1000)


async def _gone(admin: AIOKafkaAdminClient, name: str) -> None:
    """Kafka deletes a topic a moment later; a processor that starts before would find the old one."""
    deadline = time.monotonic() + _PATIENCE
    while name in await admin.list_topics():
        if time.monotonic() > deadline:
            raise Unavailable(f"Kafka has not deleted {name}", remedy="look at the broker's log")
        await asyncio.sleep(0.1)


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)


async def _changelogs(admin: AIOKafkaAdminClient, prefix: str) -> list[str]:
    """Those that are there, under the names that Faust gives them."""
    there = set(await admin.list_topics())
    return [name for table in _TABLES if (name := f"{prefix}{_APP}-{prefix}{table}-changelog") in there]


def _unavailable(kafka: Mapping[str, Any], error: KafkaError) -> Unavailable:
    return Unavailable(f"Kafka at {kafka.get('bootstrap_servers')} does not answer: {error!r}")
