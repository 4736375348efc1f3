"""Until when Kafka may keep what was written by now, by topic: from the broker's own settings."""

import time
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.errors import Unavailable
from schemas.times import rfc3339
from tillstream.broker import open_broker
from tillstream.settings import Settings

#: Topics that name nobody.
_NOBODY: Final = frozenset({topics.ERASURES.name, topics.CONNECTOR_STATE.name, topics.TALLIES.name})
_CHECK_MS: Final = 15 * 60 * 1000  # the broker looks every five minutes, and deletes files a minute later
_FOREVER_MS: Final = 100 * 365 * topics.DAY_MS


async def kept(settings: Settings) -> dict[str, str]:
    """Topic → RFC 3339 time until which it may hold what it holds now, '' when its settings name none.

    Of a compacted one this holds for what was written over or taken away by now. Raises Unavailable.
    """
    kafka, prefix = open_broker(settings)
    names = [topics.full_name(topic, prefix) for topic in topics.ALL if topic.name not in _NOBODY]
    admin = AIOKafkaAdminClient(**kafka)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        names = [*(name for name in names if name in there), *topics.changelogs(there, prefix)]
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    except KafkaError as error:
        raise Unavailable(f"Kafka does not answer: {error!r}", remedy="tillstream status") from error
    finally:
        await admin.close()
    found = {}
    for answer in answers:
        for resource in answer.resources:
            longest = _longest({entry[0]: entry[1] for entry in resource[4]})
            found[resource[3]] = rfc3339(time.time() + longest / 1000) if longest < _FOREVER_MS else ""
    return dict(sorted(found.items()))


def _longest(config: Mapping[str, Any]) -> int:
    """Milliseconds: a segment is written, then kept; of compacted ones, tombstones go with the second compaction."""
    segment = int(config["segment.ms"])
    policy = str(config["cleanup.policy"])
    if "compact" in policy:
        lag = int(config["max.compaction.lag.ms"])
        return 2 * lag + int(config["delete.retention.ms"]) + _CHECK_MS
    retention = int(config["retention.ms"])
    return _FOREVER_MS if retention < 0 else retention + segment + _CHECK_MS
