"""How each row came to be is kept for good: since when it is known, and which event told it."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from schemas.metrics import Metric, MetricEvent
from sinks.config import SinkConfig
from tests.integration.sinks_support import config, fact, rows
from warehouse.client import Warehouse
from warehouse.ddl import migrations
from warehouse.migrate import migrate

__all__ = ["config"]  # a fixture

FIRST, AGAIN = "2026-02-01T09:00:00.000Z", "2026-03-01T09:00:00.000Z"


@pytest.fixture
async def warehouse(config: SinkConfig, clickhouse: Client) -> AsyncIterator[Warehouse]:
    clickhouse.database = config.warehouse.database
    async with Warehouse(config.warehouse) as connection:
        yield connection


async def write(warehouse: Warehouse, facts: Iterable[MetricEvent], at: str = "") -> None:
    """As the sink does, at a moment of one's choice."""
    written: dict[str, Any] = {"written_at": at} if at else {}
    await warehouse.insert("metric_rows", [one.model_dump(mode="json") | written for one in facts])


@pytest.mark.parametrize("merged", [False, True])
async def test_what_is_told_once_more_is_known_since_it_first_was(
    warehouse: Warehouse, clickhouse: Client, merged: bool
) -> None:
    await migrate(warehouse)
    await write(
        warehouse, [fact("m1", version=1, event_id="evt_made"), fact("m1", version=5, event_id="evt_more")], FIRST
    )
    await write(
        warehouse, [fact("m1", version=1, event_id="evt_replayed"), fact("m1", version=3, event_id="evt_3")], AGAIN
    )
    if merged:
        clickhouse.command("OPTIMIZE TABLE metric_history_rows FINAL")
    told = "SELECT version, formatDateTime(known_at, '%F'), event_id FROM metric_versions ORDER BY version"
    assert rows(clickhouse, told) == [
        (1, "2026-02-01", "evt_made"),
        (3, "2026-03-01", "evt_3"),
        (5, "2026-02-01", "evt_more"),
    ]


async def test_versions_of_before_come_along_and_count_as_known_from_the_upgrade_on(
    warehouse: Warehouse, clickhouse: Client
) -> None:
    database = warehouse.address.database
    await warehouse.run(f"CREATE DATABASE IF NOT EXISTS {database}", in_database=False)
    for migration in migrations():
        if migration.version < 65:
            for statement in migration.statements:
                await warehouse.run(statement)
    old = [
        fact("default:live:paid:ch_1", version=1, currency="jpy", amount="1234", amount_minor=1234),
        fact("default:live:paid:ch_1", version=2, currency="jpy", amount="900", amount_minor=900, email=""),
        fact("default:live:subscription_changed:sub_1", Metric.SUBSCRIPTION_CHANGED, version=1),
        fact(
            "default:live:failed:ch_2",
            Metric.FAILED_PAYMENT,
            version=4,
            currency="kwd",
            amount="1.234",
            amount_minor=1234,
        ),
    ]
    without = [one.model_dump(mode="json", exclude={"event_id"}) for one in old]
    await warehouse.insert("metric_rows", [without[0]])
    await warehouse.insert("metric_rows", without[1:])
    clickhouse.command("OPTIMIZE TABLE metric_rows FINAL")  # the first version is in the history alone
    await migrate(warehouse)
    await migrate(warehouse)
    told = "SELECT metric_id, version, metric, amount_minor, email FROM metric_versions ORDER BY ALL"
    expected = [(one.metric_id, one.version, one.metric.value, one.amount_minor, one.email) for one in old]
    assert rows(clickhouse, told) == sorted(expected)
    (begin,) = rows(clickhouse, "SELECT min(known_at) FROM metric_history_rows WHERE metric_id = ''")
    (first,) = rows(clickhouse, "SELECT min(known_at) FROM metric_versions WHERE version = 1 AND currency = 'jpy'")
    assert first >= begin  # of a version that was superseded nobody had kept since when it was known
