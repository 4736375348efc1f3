"""What Kafka says: topics as they should be, and what has not been read yet."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from doctor.facts import KafkaFacts, TopicFacts
from schemas import topics
from streams.kafka import Admin, KafkaConnectionError, KafkaError, TopicPartition
from streams.reading import reader
from warehouse.alive import GOES_ON

_TIMEOUT_MS = 5_000
_WITHIN = 15.0  # seconds for all of it
_FIRST_WITHIN = 2.0  # and for the first answer: one that takes connections and says nothing hangs


class _Hangs(Exception):
    """The broker does not answer the first question."""


async def kafka_facts(kafka: Mapping[str, Any], prefix: str) -> KafkaFacts:
    """Raises nothing: what goes wrong is the fact."""
    address = str(kafka["bootstrap_servers"])
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what goes wrong is told as a finding
    try:
        async with asyncio.timeout(_WITHIN):
            return await _ask(kafka, prefix, address)
    except KafkaConnectionError:
        return KafkaFacts(address, f"Kafka at {address} does not answer: no broker is there")
    except _Hangs:
        return KafkaFacts(address, f"Kafka at {address} hangs: it takes connections and does not answer", GOES_ON)
    except (KafkaError, OSError, TimeoutError) as error:
        return KafkaFacts(address, f"Kafka at {address} does not answer: {str(error) or type(error).__name__}")


async def _ask(kafka: Mapping[str, Any], prefix: str, address: str) -> KafkaFacts:
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(_FIRST_WITHIN):
                admin = await stack.enter_async_context(Admin(kafka, request_timeout_ms=_TIMEOUT_MS))
        except TimeoutError:
            raise _Hangs from None
        there = await admin.topics()
        names = {topics.full_name(topic, prefix): topic for topic in topics.ALL}
        present = [*(name for name in names if name in there), *topics.changelogs(there, prefix)]
        copies, configs = await admin.replicas(*present), await admin.configs(*present)
        usual = len(copies.get(topics.full_name(topics.STRIPE_EVENTS, prefix), ())) or topics.PARTITIONS
        told = [
            _topic(name, usual if topic.grows else 0, topic.config, copies.get(name, []), configs.get(name, {}))
            for name, topic in names.items()
        ]
        told += [  # what stages know is in them: only how safe it is there
            _topic(name, 0, {}, copies.get(name, []), configs.get(name, {})) for name in present if name not in names
        ]
        brokers = await admin.brokers()
        own = [group for group in await admin.groups() if group.startswith(f"{prefix}tillstream")]
        flows = f"{prefix}tillstream-engage"
        if flows in own and not (await admin.group(flows)).members:
            own.remove(flows)  # they sleep, and read on when one goes live; where the role is down that is told as such
        committed = {group: await admin.committed(group) for group in sorted(own)}
    return KafkaFacts(address, topics=tuple(told), lag=await _lag(kafka, committed, names), brokers=brokers)


def _topic(
    name: str, usual: int, wanted: Mapping[str, str], copies: list[int], config: Mapping[str, str]
) -> TopicFacts:
    """`usual` 0: whatever count of partitions it has is right."""
    return TopicFacts(
        name,
        len(copies),
        usual or len(copies),
        _drift(wanted, config),
        replicas=min(copies, default=1),
        min_insync=int(config.get("min.insync.replicas", 1)),
        flushed=config.get("flush.messages", "1") == "1",
    )


def _drift(wanted: Mapping[str, str], found: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {name: (value, found[name]) for name, value in wanted.items() if name in found and found[name] != value}


async def _lag(
    kafka: Mapping[str, Any], committed: Mapping[str, Mapping[TopicPartition, int]], ours: Iterable[str]
) -> dict[str, int]:
    """Messages of our topics that a group has not read, of those partitions that it reads."""
    names = set(ours)
    wanted = {partition for offsets in committed.values() for partition in offsets if partition.topic in names}
    if not wanted:
        return {}
    async with reader(kafka, request_timeout_ms=_TIMEOUT_MS) as consumer:
        ends = await consumer.end_offsets(list(wanted))
    return {
        group: sum(max(ends[partition] - offset, 0) for partition, offset in offsets.items() if partition in ends)
        for group, offsets in committed.items()
    }
