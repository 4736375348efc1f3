"""Creating Tillstream's topics, once, before any client asks for them."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas import topics
from schemas.errors import ConfigurationError, Unavailable
from schemas.topics import Topic

log = structlog.get_logger(__name__)

_SETTLE_SECONDS = 15.0
_SOURCE, _OF_TOPIC = 3, 1  # of an entry of a topic's configuration: where it comes from, and that it is the topic's own


async def ensure_topics(
    kafka: Mapping[str, Any], prefix: str = "", *, partitions: int | None = None, replication: int = 1
) -> list[str]:
    """Create every topic of `schemas.topics.ALL` that is missing; the full names of the new ones.

    Without `partitions` they get as many as `stripe.events` has, or the usual number. A topic that exists with another
    is left as it is, with a warning: keys would move otherwise.
    Raises Unavailable when the broker does not answer, ConfigurationError when it refuses.
    """
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=15_000)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        if partitions is None:
            partitions = (await counts(admin, prefix)).get(topics.STRIPE_EVENTS, topics.PARTITIONS)
        missing = [topic for topic in topics.ALL if topics.full_name(topic, prefix) not in there]
        response = await admin.create_topics(
            [
                NewTopic(
                    name=topics.full_name(topic, prefix),
                    num_partitions=partitions,
                    replication_factor=replication,
                    topic_configs=topic.config | topics.awaited(replication),
                )
                for topic in missing
            ]
        )
        created = []
        for name, code, *message in response.topic_errors:
            error = for_code(code)
            if code == 0:
                created.append(name)
            elif error is not TopicAlreadyExistsError:  # another starter was quicker: as good
                raise ConfigurationError(
                    f"Kafka won't create topic {name}: {message[0] if message and message[0] else error.__name__}",
                    remedy="check KAFKA_REPLICATION_FACTOR and the broker's permissions",
                )
        await _settled(admin, prefix, partitions)
        await _bounded(admin, prefix, there)
    except (KafkaError, OSError) as error:
        raise Unavailable(
            f"Kafka at {kafka.get('bootstrap_servers')} does not answer: {error}",
            remedy="check KAFKA_BOOTSTRAP_SERVERS and that the broker runs",
        ) from error
    else:
        return created
    finally:
        await admin.close()


async def _bounded(admin: AIOKafkaAdminClient, prefix: str, there: set[str]) -> None:
    """Give compacted topics of earlier versions the date by which Kafka lets go of what was written over."""
    compacted = [topics.full_name(topic, prefix) for topic in topics.ALL if topic.retention_ms is None]
    names = [*(name for name in compacted if name in there), *topics.changelogs(there, prefix)]
    if not names:
        return
    for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
        for resource in answer.resources:
            name, entries = resource[3], {entry[0]: entry for entry in resource[4]}
            if entries["max.compaction.lag.ms"][_SOURCE] == _OF_TOPIC:
                continue  # by us before, or by the operator
            own = {key: entry[1] for key, entry in entries.items() if entry[_SOURCE] == _OF_TOPIC}
            wanted = ConfigResource(ConfigResourceType.TOPIC, name, configs=topics.COMPACTED | own)
            try:
                await admin.alter_configs([wanted])
            except KafkaError as error:
                log.warning("a topic has no date by which it forgets", topic=name, cause=repr(error))


async def _settled(admin: AIOKafkaAdminClient, prefix: str, partitions: int) -> None:
    """Return once the broker shows every topic, and groups have a coordinator: both come a moment after creation."""
    names = [topics.full_name(topic, prefix) for topic in topics.ALL]
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        found = await counts(admin, prefix)
        missing = [name for topic, name in zip(topics.ALL, names, strict=True) if topic not in found]
        if not missing and await _has_coordinator(admin, f"{prefix}tillstream-sink"):
            break
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Kafka does not show {', '.join(missing) or 'a group coordinator'} after {_SETTLE_SECONDS:.0f} s",
                remedy="look at the broker's log",
            )
        await asyncio.sleep(0.05)
    for topic, count in found.items():
        if topic.grows and count != partitions:
            name = topics.full_name(topic, prefix)
            log.warning("topic has another partition count", topic=name, found=count, expected=partitions)


async def counts(admin: AIOKafkaAdminClient, prefix: str) -> dict[Topic, int]:
    """How many partitions each of our topics has that is there."""
    names = {topics.full_name(topic, prefix): topic for topic in topics.ALL}
    there = [name for name in await admin.list_topics() if name in names]
    found = await admin.describe_topics(there) if there else ()
    return {names[one["topic"]]: len(one["partitions"]) for one in found if one["partitions"]}


async def partitions_in_force(kafka: Mapping[str, Any], prefix: str) -> int:
    """How many partitions the stages work with. Raises ConfigurationError while they are being grown, Unavailable."""
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=15_000)
    try:
        await admin.start()
        found = await counts(admin, prefix)
    except (KafkaError, OSError) as error:
        raise Unavailable(
            f"Kafka at {kafka.get('bootstrap_servers')} does not answer: {error}",
            remedy="check KAFKA_BOOTSTRAP_SERVERS and that the broker runs",
        ) from error
    finally:
        await admin.close()
    if topics.STRIPE_EVENTS not in found:
        name = topics.full_name(topics.STRIPE_EVENTS, prefix)
        raise Unavailable(f"there is no topic {name}", remedy="tillstream topics")
    partitions = found[topics.STRIPE_EVENTS]
    if begun := [count for topic, count in found.items() if topic in topics.STAGE_INPUTS and count > partitions]:
        raise ConfigurationError(
            f"partitions are being grown from {partitions} to {max(begun)}",
            remedy=f"tillstream partitions grow {max(begun)}, which goes on where it stopped",
        )
    return partitions


async def _has_coordinator(admin: AIOKafkaAdminClient, group: str) -> bool:
    try:
        await admin.find_coordinator(group)
    except KafkaError:  # on a new broker its topic is only being made
        return False
    return True
