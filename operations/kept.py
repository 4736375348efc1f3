"""Until when Kafka may keep what was written by now, by topic: from the broker's own settings."""

import time
from collections.abc import Mapping
from typing import Any, Final

from schemas import topics
from schemas.times import rfc3339
from settings.table import Settings
from streams.address import answering, open_broker
from streams.kafka import Admin

#: Topics that name nobody (but whom an operator wrote into a segment: see docs/privacy.md).
_NOBODY: Final = frozenset(
    {topics.ERASURES.name, topics.CONNECTOR_STATE.name, topics.TALLIES.name, topics.DEFINITIONS.name}
)
_CHECK_MS: Final = 15 * 60 * 1000  # the broker looks every five minutes, and deletes files a minute later
_FOREVER_MS: Final = 100 * 365 * topics.DAY_MS


async def kept(settings: Settings) -> dict[str, str]:
    """Topic → RFC 3339 time until which it may hold what it holds now, '' when its settings name none.

    Of a compacted one this holds for what was written over or taken away by now. Raises Unavailable.
    """
    kafka, prefix = open_broker(settings)
    names = [topics.full_name(topic, prefix) for topic in topics.ALL if topic.name not in _NOBODY]
    with answering(kafka):
        async with Admin(kafka) as admin:
            there = await admin.topics()
            names = [*(name for name in names if name in there), *topics.changelogs(there, prefix)]
            configs = await admin.configs(*names)
    longest = {name: _longest(config) for name, config in sorted(configs.items())}
    return {name: rfc3339(time.time() + ms / 1000) if ms < _FOREVER_MS else "" for name, ms in longest.items()}


def _longest(config: Mapping[str, Any]) -> int:
    """Milliseconds: a segment is written, then kept; of compacted ones, tombstones go with the second compaction."""
    segment = int(config["segment.ms"])
    policy = str(config["cleanup.policy"])
    if "compact" in policy:
        lag = int(config["max.compaction.lag.ms"])
        return 2 * lag + int(config["delete.retention.ms"]) + _CHECK_MS
    retention = int(config["retention.ms"])
    return _FOREVER_MS if retention < 0 else retention + segment + _CHECK_MS
