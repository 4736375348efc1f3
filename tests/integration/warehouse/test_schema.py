"""A schema of which something was dropped is whole again after the next start, and it is said what that cost."""

import re

import pytest
from clickhouse_connect.driver.client import Client
from structlog.testing import capture_logs

from sinks.config import SinkConfig
from tests.integration.sinks_support import config, fact, one
from warehouse.client import Warehouse
from warehouse.ddl import made, migrations
from warehouse.migrate import migrate
from warehouse.query import Query

__all__ = ["config"]  # a fixture


def names(clickhouse: Client, config: SinkConfig) -> set[str]:
    return {row[0] for row in clickhouse.query(f"SHOW TABLES FROM {config.warehouse.database}").result_rows}


@pytest.mark.parametrize(
    "dropped",
    [
        ["metric_rows"],
        ["metrics", "daily_metrics"],
        ["stripe_event_rows", "segment_sizes"],
        ["metric_history_feed"],
        [],
    ],
)
async def test_what_was_dropped_is_made_again(config: SinkConfig, clickhouse: Client, dropped: list[str]) -> None:
    async with Warehouse(config.warehouse) as connection:
        await migrate(connection)
        whole = names(clickhouse, config)
        assert made(migrations()) < whole
        for name in dropped:
            await connection.run(f"DROP TABLE {name} SYNC")
        with capture_logs() as logged:
            await migrate(connection)
        assert names(clickhouse, config) == whole
        told = {entry["name"]: entry["next"] for entry in logged if "was gone" in entry["event"]}
        assert told.keys() == set(dropped) - {"daily_metrics"}
        assert "tillstream replay --rebuild" in told.get("metric_rows", "tillstream replay --rebuild")
        assert "backup" in told.get("stripe_event_rows", "backup")
        await connection.insert("metric_rows", fact("m1").model_dump_json().encode())
        for view in ("metrics", "metric_versions", "daily_metrics"):
            assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.{view}") == 1


async def test_every_view_since_the_new_metrics_says_what_its_columns_hold(
    config: SinkConfig, clickhouse: Client
) -> None:
    async with Warehouse(config.warehouse) as connection:
        await migrate(connection)
        await migrate(connection)
        views = {
            name
            for migration in migrations()
            if migration.version >= 30
            for statement in migration.statements
            for name in re.findall(r"CREATE OR REPLACE VIEW (\w+)", statement)
        } - {"dead_letters"}  # which is older
        assert {"credit_note", "dispute", "trial_ending", "metric_versions", "closings"} <= views
        told = await connection.rows(
            Query(
                "SELECT table, name FROM system.columns "
                "WHERE database = {database:String} AND table IN {views:Array(String)} AND comment = ''",
                {"database": config.warehouse.database, "views": sorted(views)},
            )
        )
        assert told == []
