"""ClickHouse whose disk goes back in time: what Kafka still has of the rows comes back by itself."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from operations.rebuild import STATES, forget_state, look
from schemas import topics
from sinks.config import SinkConfig
from tests.conftest import eventually, start_clickhouse, stop
from tests.integration.sinks_support import Publisher, config, fact, kafka, running
from warehouse.address import Address
from warehouse.client import Warehouse

__all__ = ["config", "kafka"]  # fixtures

Own = Callable[[], AbstractAsyncContextManager[SinkConfig]]


@pytest.fixture
def own(config: SinkConfig, tmp_path: Path) -> Own:
    """`async with own() as config`: an engine on a disk of its own, and the sink's settings for it."""

    @asynccontextmanager
    async def run() -> AsyncIterator[SinkConfig]:
        server = await start_clickhouse(tmp_path / "disk")
        try:
            yield replace(config, warehouse=Address(server.url, database=config.warehouse.database))
        finally:
            stop(server)

    return run


async def metrics(config: SinkConfig) -> list[str]:
    async with Warehouse(config.warehouse) as connection:
        return (await connection.run("SELECT metric_id FROM metrics ORDER BY metric_id")).split()


async def holds(config: SinkConfig, *expected: str) -> bool:
    return await metrics(config) == list(expected)


async def test_rows_that_an_older_disk_lacks_are_read_from_kafka_again(
    kafka: Publisher, own: Own, tmp_path: Path
) -> None:
    async with own() as config, running(config):
        await kafka.facts(fact("m1"), partition=0)
        await eventually(lambda: holds(config, "m1"))
    shutil.copytree(tmp_path / "disk", tmp_path / "older", symlinks=True)
    async with own() as config, running(config):
        await kafka.facts(fact("m2"), partition=0)
        await kafka.facts(fact("m3"), partition=1)
        await eventually(lambda: holds(config, "m1", "m2", "m3"))
    shutil.rmtree(tmp_path / "disk")
    (tmp_path / "older").rename(tmp_path / "disk")
    with capture_logs() as logged:
        async with own() as config, running(config):
            await eventually(lambda: holds(config, "m1", "m2", "m3"))
    (told,) = (entry for entry in logged if "ClickHouse lacks rows" in entry["event"])
    assert told["messages"] == {config.topic_prefix + topics.METRICS[fact().metric].name: 2}


async def test_an_engine_that_begins_with_nothing_is_filled_from_kafka(
    kafka: Publisher, own: Own, tmp_path: Path
) -> None:
    async with own() as config, running(config):
        await kafka.facts(fact("m1"), fact("m2"))
        await eventually(lambda: holds(config, "m1", "m2"))
    shutil.rmtree(tmp_path / "disk")
    async with own() as config, running(config):
        await eventually(lambda: holds(config, "m1", "m2"))


async def test_rows_that_were_taken_away_come_back_when_sinks_are_set_back(kafka: Publisher, own: Own) -> None:
    async with own() as config:
        async with running(config):
            await kafka.facts(fact("m1"), fact("m2"))
            await eventually(lambda: holds(config, "m1", "m2"))
        async with Warehouse(config.warehouse) as connection:
            await connection.run("TRUNCATE TABLE metric_rows")
        state = replace(STATES["sink"], app="sink")
        found = await look(config.kafka, config.topic_prefix, state)
        await forget_state(config.kafka, config.topic_prefix, state, Path("nowhere"))
        assert (found.events, found.changelogs) == (2, ())
        async with running(config):
            await eventually(lambda: holds(config, "m1", "m2"))


async def test_a_table_that_somebody_dropped_is_filled_from_kafka(kafka: Publisher, own: Own) -> None:
    async with own() as config:
        async with running(config):
            await kafka.facts(fact("m1"), fact("m2"))
            await eventually(lambda: holds(config, "m1", "m2"))
        async with Warehouse(config.warehouse) as connection:
            await connection.run("DROP TABLE metric_rows SYNC")
        async with running(config):
            await eventually(lambda: holds(config, "m1", "m2"))


async def test_a_clean_end_leaves_nothing_to_be_read_again(kafka: Publisher, own: Own) -> None:
    async with own() as config:
        async with running(config):
            await kafka.facts(fact("m1"))
            await eventually(lambda: holds(config, "m1"))
        with capture_logs() as logged:
            async with running(config):
                await kafka.facts(fact("m2"))
                await eventually(lambda: holds(config, "m1", "m2"))
    assert not [entry for entry in logged if "ClickHouse lacks" in entry["event"]]
