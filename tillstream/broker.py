"""The own broker for commands: started for a while when no `up` runs, and what it needs of this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from doctor.facts import OwnBroker
from embedded.fetch import jars_directory
from embedded.kafka import KafkaProcess, java_version
from schemas.errors import ConfigurationError
from settings.table import Settings
from streams.address import kafka_arguments, open_broker


@asynccontextmanager
async def any_broker(settings: Settings) -> AsyncIterator[tuple[dict[str, Any], str]]:
    """As `open_broker`; while `up` is stopped, its own broker, which runs for as long as the block does."""
    try:
        found = open_broker(settings)
    except ConfigurationError:
        data = settings.tillstream_data / "kafka"
        if not data.exists():
            raise
        async with KafkaProcess(data) as own:
            yield kafka_arguments(settings) | {"bootstrap_servers": own.bootstrap}, settings.tillstream_topic_prefix
    else:
        yield found


def own_broker() -> OwnBroker:
    """For `doctor` and `status`, which know nothing of how the broker is started."""
    return OwnBroker(java_version(), jars_directory().is_dir())
