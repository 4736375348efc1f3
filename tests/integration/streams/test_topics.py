"""Topics are made once, with the right partitions and settings, on a real broker."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

from schemas import topics
from schemas.errors import ConfigurationError, Unavailable
from streams.kafka import Admin
from streams.topics import Partitions, ensure_topics, partitions_in_force
from tests.conftest import eventually


async def test_every_topic_is_made_once_with_its_settings(kafka_bootstrap: str, topic_prefix: str) -> None:
    kafka = {"bootstrap_servers": kafka_bootstrap}
    names = {topics.full_name(topic, topic_prefix) for topic in topics.ALL}
    made = await asyncio.gather(ensure_topics(kafka, topic_prefix), ensure_topics(kafka, topic_prefix))
    assert sorted([*made[0], *made[1]]) == sorted(names)  # two starters at once: each topic by one of them
    assert await ensure_topics(kafka, topic_prefix) == []

    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    try:
        described = await admin.describe_topics(list(names))
        assert {len(topic["partitions"]) for topic in described} == {topics.PARTITIONS}
        profiles = ConfigResource(ConfigResourceType.TOPIC, topics.full_name(topics.PROFILES, topic_prefix))
        answer = await admin.describe_configs([profiles])
        config = {entry[0]: entry[1] for entry in answer[0].resources[0][4]}
        assert config["cleanup.policy"] == "compact"
        assert config["max.message.bytes"] == str(topics.PROFILES.max_message_bytes)
    finally:
        await admin.close()


async def test_another_partition_count_is_told_and_left(kafka_bootstrap: str, topic_prefix: str) -> None:
    kafka = {"bootstrap_servers": kafka_bootstrap}
    await ensure_topics(kafka, topic_prefix, partitions=2)
    with capture_logs() as logs:
        assert await ensure_topics(kafka, topic_prefix, partitions=3) == []
    told = [entry for entry in logs if entry["event"] == "topic has another partition count"]
    assert {(entry["found"], entry["expected"]) for entry in told} == {(2, 3)}
    assert len(told) == sum(topic.grows for topic in topics.ALL)


async def test_a_topic_of_a_newer_version_gets_as_many_partitions_as_there_are(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    kafka = {"bootstrap_servers": kafka_bootstrap}
    await ensure_topics(kafka, topic_prefix, partitions=3)
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    try:
        name = topics.full_name(topics.UNLINKED, topic_prefix)
        await admin.delete_topics([name])

        async def gone() -> bool:
            return name not in await admin.list_topics()

        await eventually(gone)
        with capture_logs() as logs:
            assert await ensure_topics(kafka, topic_prefix) == [name]
        assert not [entry for entry in logs if entry["event"] == "topic has another partition count"]
        (made,) = await admin.describe_topics([name])
        assert len(made["partitions"]) == 3
    finally:
        await admin.close()


async def test_a_broker_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:9 does not answer") as caught:
        await ensure_topics({"bootstrap_servers": "127.0.0.1:9"})
    assert "KAFKA_BOOTSTRAP_SERVERS" in caught.value.remedy


async def test_more_replicas_than_brokers_are_refused_with_the_setting_to_change(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    with pytest.raises(ConfigurationError, match="won't create topic") as caught:
        await ensure_topics({"bootstrap_servers": kafka_bootstrap}, topic_prefix, replication=3)
    assert "KAFKA_REPLICATION_FACTOR" in caught.value.remedy


_LEDGER, _NAMED = topics.changelog_name("tillstream", "ledger"), "tillstream-ledger-{}-changelog"


@pytest.mark.parametrize(
    ("first", "now", "state", "expected"),
    [
        (2, 2, {}, Partitions(2, 0)),
        (8, 8, {_LEDGER: 8}, Partitions(8, 0)),  # a directory of the time when eight were usual everywhere
        (2, 8, {_LEDGER: 2, _NAMED.format(8): 8}, Partitions(8, 8)),
        (2, 8, {_LEDGER: 2}, Partitions(8, 8)),  # its state is being made anew
        (2, 16, {_NAMED.format(8): 8, _NAMED.format(16): 16}, Partitions(16, 16)),
        (8, 8, {_LEDGER: 8, _NAMED.format(16): 16}, Partitions(8, 0)),  # a growth that was not finished
        (4, 4, {_NAMED.format(4): 4}, Partitions(4, 4)),  # earlier versions named all so that were not eight,
        (4, 8, {_LEDGER: 8}, Partitions(8, 0)),  # and none that were
    ],
)
async def test_how_many_partitions_there_were_at_first_is_told_by_what_is_there(
    kafka_bootstrap: str, topic_prefix: str, first: int, now: int, state: dict[str, int], expected: Partitions
) -> None:
    kafka = {"bootstrap_servers": kafka_bootstrap}
    await ensure_topics(kafka, topic_prefix, usual=first)
    async with Admin(kafka) as admin:
        if now > first:
            await admin.grow([topic_prefix + topic.name for topic in topics.ALL if topic.grows], now)
        for name, count in state.items():
            stage = name.removeprefix("tillstream-")
            await admin.create({f"{topic_prefix}tillstream-{topic_prefix}{stage}": {}}, count, 1)

        async def told() -> bool:
            return await partitions_in_force(kafka, topic_prefix) == expected

        await eventually(told)
