"""Brings the database to the newest schema. Several sinks may do so at once."""

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from schemas.errors import ConfigurationError
from sinks import ddl
from sinks.clickhouse import ClickHouse
from sinks.config import SinkConfig
from sinks.errors import Refused, Rejected

log = structlog.get_logger(__name__)


async def migrate(clickhouse: ClickHouse, config: SinkConfig) -> None:
    """Creates the database, applies what is not recorded in `schema_migrations`, and re-creates `daily_metrics`.

    Raises Unavailable when ClickHouse does not answer, and ConfigurationError when it refuses a statement.
    """
    view = ddl.daily_metrics(config.timezones, config.default_timezone)
    # Two sinks that replace one view in the same instant can get in each other's way: then once more.
    busy = retry_if_exception_type((Rejected, Refused))
    try:
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(4), wait=wait_random_exponential(0.2, max=2), retry=busy, reraise=True
        ):
            with attempt:
                await _apply(clickhouse, config.database, view)
    except (Rejected, Refused) as error:
        raise ConfigurationError(f"ClickHouse refuses the schema of database {config.database}: {error}") from error


async def _apply(clickhouse: ClickHouse, database: str, view: str) -> None:
    await clickhouse.run(f"CREATE DATABASE IF NOT EXISTS {ddl.identifier(database)}", in_database=False)
    await clickhouse.run(ddl.LEDGER)
    applied = set((await clickhouse.run("SELECT DISTINCT name FROM schema_migrations")).split())
    for migration in ddl.migrations():
        if migration.name in applied:
            continue
        for statement in migration.statements:
            await clickhouse.run(statement)
        await clickhouse.run(
            f"INSERT INTO schema_migrations (version, name) VALUES ({migration.version}, {ddl.literal(migration.name)})"
        )
        log.info("schema migrated", migration=migration.name, database=database)
    await clickhouse.run(view)
