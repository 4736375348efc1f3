"""Brings the database to the newest schema, whatever is missing of it. Several sinks may do so at once."""

from collections.abc import Mapping
from typing import Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from schemas.errors import ConfigurationError
from warehouse import ddl
from warehouse.client import Warehouse
from warehouse.errors import Missing, Refused, Rejected
from warehouse.query import identifier, literal
from warehouse.tables import BY_NAME, MESSAGES, SINK_POSITIONS

log = structlog.get_logger(__name__)

_STATEMENT: Final = (Rejected, Refused, Missing)  # what is wrong with the statement, not with the server
FILL_SECONDS: Final = 3600.0  # every fact once: about a minute for 20 million


async def migrate(
    warehouse: Warehouse,
    timezones: Mapping[str, str] | None = None,
    default_timezone: str = "UTC",
    archive_days: int = 365,
) -> None:
    """Creates the database, applies what is not recorded in `schema_migrations`, and re-creates `daily_metrics`.

    Tables and views that are recorded but gone are made again; which command brings a table's rows back is logged.

    Accounts that are not in `timezones` (account to IANA name) have `default_timezone`; the content of what was sent is
    kept for `archive_days`. Raises Unavailable when ClickHouse does not answer, and ConfigurationError when it refuses
    a statement.
    """
    view = ddl.daily_metrics(timezones or {}, default_timezone)
    # Two sinks that replace one view in the same instant can get in each other's way: then once more.
    busy = retry_if_exception_type(_STATEMENT)
    try:
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(4), wait=wait_random_exponential(0.2, max=2), retry=busy, reraise=True
        ):
            with attempt:
                await _apply(warehouse, view, archive_days)
    except _STATEMENT as error:
        database = warehouse.address.database
        raise ConfigurationError(f"ClickHouse refuses the schema of database {database}: {error}") from error


async def _keep_for(warehouse: Warehouse, days: int) -> None:
    """What was sent is kept for so many days. Only when that is new, for ClickHouse looks at every row then."""
    wanted = f"TTL toDateTime(at) + toIntervalDay({days})"
    made = await warehouse.run(
        f"SELECT create_table_query FROM system.tables WHERE table = '{MESSAGES.name}' AND database = currentDatabase()"
    )
    if wanted not in made:
        await warehouse.run(f"ALTER TABLE {MESSAGES.name} MODIFY COLUMN content String CODEC(ZSTD(3)) {wanted}")


async def _apply(warehouse: Warehouse, view: str, archive_days: int) -> None:
    database = warehouse.address.database
    await warehouse.run(f"CREATE DATABASE IF NOT EXISTS {identifier(database)}", in_database=False)
    await warehouse.run(ddl.LEDGER)
    applied = set((await warehouse.run("SELECT DISTINCT name FROM schema_migrations")).split())
    migrations = ddl.migrations()
    gone = await _gone(warehouse, [migration for migration in migrations if migration.name in applied])
    for migration in migrations:
        if migration.name in applied:
            for statement in migration.statements if gone else ():  # all of them: later ones build upon earlier ones
                await warehouse.run(statement)
            for statement in migration.fills(gone):
                await warehouse.run(statement, seconds=FILL_SECONDS)
            continue
        for statement in migration.statements:
            await warehouse.run(statement)
        for statement in migration.fills():
            await warehouse.run(statement, seconds=FILL_SECONDS)
        await warehouse.run(
            f"INSERT INTO schema_migrations (version, name) VALUES ({migration.version}, {literal(migration.name)})"
        )
        log.info("schema migrated", migration=migration.name, database=database)
    await warehouse.run(view)
    await _keep_for(warehouse, archive_days)
    tables = {name: BY_NAME[name] for name in gone if name in BY_NAME}
    if any(table.topics for table in tables.values()):  # with no positions, all that Kafka keeps is read again
        await warehouse.run(f"TRUNCATE TABLE {SINK_POSITIONS.name}")
    for name in sorted(gone):
        remedy = tables[name].back if name in tables else "nothing: a view has no rows of its own"
        log.warning("was gone, and is made again", name=name, database=database, next=remedy)


async def _gone(warehouse: Warehouse, applied: list[ddl.Migration]) -> set[str]:
    """The tables and views that somebody dropped."""
    there = set((await warehouse.run("SELECT name FROM system.tables WHERE database = currentDatabase()")).split())
    return ddl.made(applied) - there
