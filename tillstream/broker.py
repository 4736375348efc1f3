"""Reaching Kafka from the command line: that of a running `up`, of the settings, or the own one of a stopped `up`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from schemas.errors import ConfigurationError
from settings.runtime import running
from settings.table import Settings
from streams.kafka import unavailable
from tillstream.connections import kafka_arguments


def open_broker(settings: Settings) -> tuple[dict[str, Any], str]:
    """aiokafka's client arguments and the prefix of topics: of the running `up`, else of KAFKA_BOOTSTRAP_SERVERS.

    Raises ConfigurationError when there is neither.
    """
    arguments = kafka_arguments(settings)
    try:
        runtime = running(settings.tillstream_data)
    except ConfigurationError:
        if not settings.kafka_bootstrap_servers:
            raise
        return arguments, settings.tillstream_topic_prefix
    return arguments | {"bootstrap_servers": runtime.kafka_bootstrap}, runtime.topic_prefix


@asynccontextmanager
async def any_broker(settings: Settings) -> AsyncIterator[tuple[dict[str, Any], str]]:
    """The same, and when `up` is stopped its own broker, which runs for as long as the block does."""
    from embedded.kafka import KafkaProcess

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


def answering(kafka: Mapping[str, Any]) -> AbstractContextManager[None]:
    """What Kafka does not do in the block is Unavailable, with the address."""
    return unavailable(f"Kafka at {kafka.get('bootstrap_servers')} does not answer")
