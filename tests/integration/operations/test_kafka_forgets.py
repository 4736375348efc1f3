"""Kafka lets go of a person by the dates that `tillstream forget` names, as the bytes of a broker's files show."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from embedded import kafka as embedded
from embedded.kafka import KafkaProcess
from operations.kept import kept
from schemas import topics
from settings.loading import load_settings
from streams.topics import ensure_topics
from tests.conftest import eventually

EMAIL = b"jenny.rosen@example.com"
SOON = {"segment.ms": "1000", "file.delete.delay.ms": "0", "max.message.bytes": "1048576"}
DELETED = SOON | {"cleanup.policy": "delete", "retention.ms": "2000"}
COMPACTED = SOON | {
    "cleanup.policy": "compact",
    "max.compaction.lag.ms": "1000",
    "min.cleanable.dirty.ratio": "1.0",  # so that only the bound on the lag has it cleaned
    "delete.retention.ms": "1000",
}


@pytest.fixture
async def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """One that looks every half second at what is old, instead of every five minutes."""
    usual = embedded.properties
    hasty = {"log.retention.check.interval.ms": "500", "log.cleaner.backoff.ms": "500"}
    monkeypatch.setattr(embedded, "properties", lambda *arguments: usual(*arguments) | hasty)
    async with KafkaProcess(tmp_path / "kafka") as own:
        yield own.bootstrap


def holds(data: Path, topic: str) -> bool:
    """Is the address in a file of this topic?"""
    files = [path for path in (data / "storage").glob(f"{topic}-*/*") if path.suffix in (".log", ".index", ".deleted")]
    assert files
    found = False
    for path in files:
        try:
            found |= EMAIL in path.read_bytes()
        except FileNotFoundError:
            found = True  # being deleted
    return found


async def test_each_topic_has_let_go_by_the_date_that_is_named(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = {"bootstrap_servers": broker}
    await ensure_topics(kafka, partitions=1)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker)
    settings = load_settings(tillstream_data=tmp_path / "none")
    usual = await kept(settings)
    assert topics.ERASURES.name not in usual
    assert all(usual.values()), usual
    async with AIOKafkaProducer(**kafka, acks="all") as producer:
        await producer.send_and_wait(topics.STRIPE_EVENTS.name, b'{"email": "%b"}' % EMAIL, b"cus_1")
        await producer.send_and_wait(topics.PROFILES.name, b'{"email": "%b"}' % EMAIL, EMAIL)
        await producer.send_and_wait(topics.PROFILES.name, None, EMAIL)
        data = tmp_path / "kafka"
        assert holds(data, topics.STRIPE_EVENTS.name)
        assert holds(data, topics.PROFILES.name)
        admin = AIOKafkaAdminClient(**kafka)
        await admin.start()
        try:
            for topic, config in ((topics.STRIPE_EVENTS, DELETED), (topics.PROFILES, COMPACTED)):
                await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=config)])
        finally:
            await admin.close()
        named = await kept(settings)
        assert named[topics.STRIPE_EVENTS.name] < usual[topics.STRIPE_EVENTS.name]
        await eventually(lambda: not holds(data, topics.STRIPE_EVENTS.name), deadline=90)

        async def another_profile() -> bool:
            """Kafka closes a segment when the next message comes: on a topic in use one does."""
            await producer.send_and_wait(topics.PROFILES.name, b"{}", b"ann@example.com")
            await asyncio.sleep(0.3)
            return not holds(data, topics.PROFILES.name)

        await eventually(another_profile, deadline=90)
    now = datetime.fromtimestamp(time.time(), UTC).isoformat()
    assert all(now < named[topic.name] for topic in (topics.STRIPE_EVENTS, topics.PROFILES))


async def test_topics_of_an_earlier_version_are_given_a_date(kafka_bootstrap: str, topic_prefix: str) -> None:
    kafka, name = {"bootstrap_servers": kafka_bootstrap}, topics.full_name(topics.PROFILES, topic_prefix)
    await ensure_topics(kafka, topic_prefix)
    old = {"cleanup.policy": "compact", "max.message.bytes": "1234567"}
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    admin = AIOKafkaAdminClient(**kafka)

    async def config() -> dict[str, str]:
        answer = await admin.describe_configs([resource])
        return {entry[0]: entry[1] for entry in answer[0].resources[0][4]}

    async def bound_is(lag: str) -> bool:
        return (await config())["max.compaction.lag.ms"] == lag

    bound = topics.COMPACTED["max.compaction.lag.ms"]
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=old)])
        await eventually(lambda: bound_is(str(2**63 - 1)))  # Kafka's own; a broker takes a change up a moment later
        await ensure_topics(kafka, topic_prefix)
        await eventually(lambda: bound_is(bound))
        kept = await config()
    finally:
        await admin.close()
    assert (kept["cleanup.policy"], kept["max.message.bytes"]) == ("compact", "1234567")
