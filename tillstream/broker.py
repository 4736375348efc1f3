"""Kafka for a command that needs no running `up`: what answers there already, else the own broker for a while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from embedded.kafka import KafkaProcess
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
