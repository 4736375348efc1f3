"""Where a command's Kafka and ClickHouse are: those of a running `up`, else of the settings."""

from dataclasses import dataclass
from typing import Any

from schemas.errors import ConfigurationError
from settings.table import Settings
from streams.address import open_broker
from warehouse.address import Address, find_address

GROUP = "tillstream-connector"  # of consumers, behind the topics' prefix: whoever has the role is in it


@dataclass(frozen=True, slots=True)
class Places:
    """aiokafka's client arguments, the prefix of topics, and ClickHouse."""

    kafka: dict[str, Any]
    prefix: str
    warehouse: Address


def find_places(settings: Settings) -> Places:
    """Raises ConfigurationError when no Kafka is named and nothing runs in the data directory."""
    kafka, prefix = open_broker(settings)
    try:
        return Places(kafka, prefix, find_address(settings))
    except ConfigurationError:  # work that does without
        return Places(kafka, prefix, Address())
