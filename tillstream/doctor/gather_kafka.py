"""What Kafka says: topics as they should be, and what has not been read yet."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError

from console.alive import GOES_ON
from schemas import topics
from tillstream.doctor.facts import KafkaFacts, TopicFacts

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
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=_TIMEOUT_MS)
    try:
        try:
            async with asyncio.timeout(_FIRST_WITHIN):
                await admin.start()
        except TimeoutError:
            raise _Hangs from None
        there = set(await admin.list_topics())
        names = {topics.full_name(topic, prefix): topic for topic in topics.ALL}
        present = [*(name for name in names if name in there), *topics.changelogs(there, prefix)]
        described = await admin.describe_topics(present) if present else []
        copies = {one["topic"]: [len(each["replicas"]) for each in one["partitions"]] for one in described}
        configs = await _configs(admin, present)
        usual = len(copies.get(topics.full_name(topics.STRIPE_EVENTS, prefix), ())) or topics.PARTITIONS
        told = [
            _topic(name, usual if topic.grows else 0, topic.config, copies.get(name, []), configs.get(name, {}))
            for name, topic in names.items()
        ]
        told += [  # what stages know is in them: only how safe it is there
            _topic(name, 0, {}, copies[name], configs[name]) for name in present if name not in names
        ]
        brokers = len((await admin.describe_cluster())["brokers"])
        groups = [group[0] for group in await admin.list_consumer_groups()]
        own = [group for group in groups if group.startswith(f"{prefix}tillstream")]
        committed = {group: await admin.list_consumer_group_offsets(group) for group in sorted(own)}
    finally:
        await admin.close()
    return KafkaFacts(address, topics=tuple(told), lag=await _lag(kafka, committed, names), brokers=brokers)


async def _configs(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(resources) if resources else ():
        for resource in answer.resources:
            name, entries = resource[3], resource[4]
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


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
    kafka: Mapping[str, Any], committed: Mapping[str, Mapping[TopicPartition, Any]], ours: Iterable[str]
) -> dict[str, int]:
    """Messages of our topics that a group has not read, of those partitions that it reads."""
    names = set(ours)
    wanted = {partition for offsets in committed.values() for partition in offsets if partition.topic in names}
    if not wanted:
        return {}
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False, request_timeout_ms=_TIMEOUT_MS)
    async with consumer:
        ends = await consumer.end_offsets(list(wanted))
    return {
        group: sum(
            max(ends[partition] - max(offset.offset, 0), 0)
            for partition, offset in offsets.items()
            if partition in ends
        )
        for group, offsets in committed.items()
    }
