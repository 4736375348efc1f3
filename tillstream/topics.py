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
from tillstream.kept import changelogs

log = structlog.get_logger(__name__)

_SETTLE_SECONDS = 15.0
_SOURCE, _OF_TOPIC = 3, 1  # of an entry of a topic's configuration: where it comes from, and that it is the topic's own


async def ensure_topics(
    kafka: Mapping[str, Any], prefix: str = "", *, partitions: int = topics.PARTITIONS, replication: int = 1
) -> list[str]:
    """Create every topic of `schemas.topics.ALL` that is missing; the full names of the new ones.

    A topic that exists with another partition count is left as it is, with a warning: keys would move otherwise.
    Raises Unavailable when the broker does not answer, ConfigurationError when it refuses.
    """
    admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=15_000)
    try:
        await admin.start()
        there = set(await admin.list_topics())
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
    names = [name for name in [*compacted, *changelogs(prefix)] if name in there]
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
        counts = {found["topic"]: len(found["partitions"]) for found in await admin.describe_topics(names)}
        missing = [name for name in names if not counts.get(name)]
        if not missing and await _has_coordinator(admin, f"{prefix}tillstream-sink"):
            break
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Kafka does not show {', '.join(missing) or 'a group coordinator'} after {_SETTLE_SECONDS:.0f} s",
                remedy="look at the broker's log",
            )
        await asyncio.sleep(0.05)
    for name, count in counts.items():
        if count != partitions:
            log.warning("topic has another partition count", topic=name, found=count, expected=partitions)


async def _has_coordinator(admin: AIOKafkaAdminClient, group: str) -> bool:
    try:
        await admin.find_coordinator(group)
    except KafkaError:  # on a new broker its topic is only being made
        return False
    return True
