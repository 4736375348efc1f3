"""Where a command's Kafka and ClickHouse are: those of a running `up`, else of the settings."""

from dataclasses import dataclass
from typing import Any

from connector.warehouse import WarehouseConfig
from schemas.errors import ConfigurationError
from settings.runtime import running
from settings.table import Settings, plain
from streams.address import open_broker


@dataclass(frozen=True, slots=True)
class Places:
    """aiokafka's client arguments, the prefix of topics, and ClickHouse."""

    kafka: dict[str, Any]
    prefix: str
    warehouse: WarehouseConfig


def find_places(settings: Settings) -> Places:
    """Raises ConfigurationError when no Kafka is named and nothing runs in the data directory."""
    kafka, prefix = open_broker(settings)
    password = plain(settings.clickhouse_password)
    try:
        found = running(settings.tillstream_data)
    except ConfigurationError:
        return Places(kafka, prefix, settings_warehouse(settings))
    return Places(kafka, prefix, WarehouseConfig(found.clickhouse_url, found.clickhouse_user, password, found.database))


def settings_warehouse(settings: Settings) -> WarehouseConfig:
    """ClickHouse as the settings name it; a role has no other."""
    return WarehouseConfig(
        settings.clickhouse_url,
        settings.clickhouse_user,
        plain(settings.clickhouse_password),
        settings.clickhouse_database,
    )
