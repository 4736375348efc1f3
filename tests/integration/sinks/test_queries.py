"""The views are as quick as the tables below: conditions on time, metric and ids skip what can't match."""

import re
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from sinks.config import SinkConfig
from tests.conftest import ClickHouseServer
from tests.integration.sinks_support import rows
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate

ROWS = 400_000  # a year of them, so that a month is several granules
DOCS = Path(__file__).parents[3] / "docs" / "sql.md"

FILL = f"""
INSERT INTO metric_rows
    (metric, metric_id, occurred_at, email, account, livemode, customer_id, charge_id, invoice_id, currency,
     amount, amount_minor, version, properties, lines)
SELECT
    ['Failed Payment', 'Issued Invoice', 'Refunded Payment', 'Successfully Paid'][1 + number % 4],
    'm' || toString(number), toDateTime64('2025-01-01 00:00:00', 3, 'UTC') + number * 78,
    'p' || toString(intDiv(number, 8)) || '@example.com', ['us', 'default'][1 + number % 2], true,
    'cus_' || toString(intDiv(number, 8)), 'ch_' || toString(number), 'in_' || toString(number), 'usd',
    1.5, 150, 1, '{{"status": "open"}}', if(number % 4 = 1, [('il', 0, 'prod', '', '', 1, 'usd', 1.5, 150, NULL, NULL,
    map())], [])
FROM numbers({ROWS}) SETTINGS max_partitions_per_insert_block = 0
"""
MONTH = "occurred_at >= '2025-09-01' AND occurred_at < '2025-10-01'"
DAYS = "day BETWEEN '2025-09-01' AND '2025-09-30'"


@pytest.fixture
async def filled(clickhouse_server: ClickHouseServer, database: str) -> str:
    """A database with the schema and a year of rows."""
    zones = {"us": "America/New_York"}
    config = SinkConfig({}, Address(clickhouse_server.url, database=database), timezones=zones)
    async with Warehouse(config.warehouse) as connection:
        await migrate(connection, config.timezones, config.default_timezone)
        await connection.run(FILL)
    return database


def share_read(clickhouse: Client, database: str, query: str) -> float:
    """The largest part of the table's granules, 0 to 1, that a read of this query can't skip."""
    clickhouse.database = database
    plan = "\n".join(line for (line,) in rows(clickhouse, f"EXPLAIN indexes = 1 {query}"))
    shares = []
    for read in plan.split("ReadFromMergeTree")[1:]:
        steps = [(int(left), int(of)) for left, of in re.findall(r"Granules: (\d+)/(\d+)", read)]
        assert steps, plan
        shares.append(steps[-1][0] / max(of for _, of in steps))
    assert shares, plan
    return max(shares)


async def test_conditions_reach_the_index_through_every_view(clickhouse: Client, filled: str) -> None:
    whole = share_read(clickhouse, filled, "SELECT * FROM metrics")
    month = share_read(clickhouse, filled, f"SELECT * FROM metrics WHERE {MONTH}")
    metric = share_read(clickhouse, filled, f"SELECT * FROM metrics WHERE {MONTH} AND metric = 'Failed Payment'")
    assert whole == 1
    assert month < 0.15
    assert metric < month
    queries = {
        f"SELECT * FROM failed_payment WHERE {MONTH}": 0.1,
        f"SELECT * FROM line_items WHERE {MONTH}": 0.1,
        f"SELECT * FROM unlinked WHERE {MONTH}": 0.15,
        f"SELECT * FROM daily_metrics WHERE {DAYS}": 0.3,
        f"SELECT day, sum(count) FROM daily_metrics WHERE {DAYS} AND metric = 'Issued Invoice' GROUP BY day": 0.15,
        "SELECT * FROM metrics WHERE email = 'p77@example.com'": 0.3,
        "SELECT * FROM metrics WHERE customer_id = 'cus_77'": 0.3,
        "SELECT * FROM metrics WHERE metric_id = 'm4711'": 0.3,
        "SELECT * FROM successfully_paid WHERE charge_id = 'ch_4711'": 0.3,
        "SELECT * FROM line_items WHERE invoice_id = 'in_4711'": 0.3,
    }
    for query, bound in queries.items():
        assert share_read(clickhouse, filled, query) <= bound, query


async def test_the_queries_of_the_documentation_run(clickhouse: Client, filled: str) -> None:
    clickhouse.database = filled
    queries = re.findall(r"```sql\n(.*?)```", DOCS.read_text("utf-8"), flags=re.DOTALL)
    assert len(queries) >= 5
    for query in queries:
        clickhouse.query(query, parameters={"email": "p77@example.com"})


async def test_the_documentation_names_every_view_and_column(clickhouse: Client, filled: str) -> None:
    text = DOCS.read_text("utf-8")
    found = rows(
        clickhouse,
        f"""SELECT t.name, c.name FROM system.tables t
        JOIN system.columns c ON c.table = t.name AND c.database = t.database
        WHERE t.database = '{filled}' AND t.engine = 'View'""",
    )
    assert {view for view, _ in found} >= {"metrics", "line_items", "profiles", "daily_metrics", "unlinked"}
    for view, column in found:
        assert f"`{view}`" in text, view
        assert f"`{column}`" in text, f"{view}.{column}"


async def test_people_are_told_apart_as_their_emails_are(
    clickhouse: Client, clickhouse_server: ClickHouseServer, filled: str
) -> None:
    """In rows of every version, and in those that were there before they had a number for it."""
    same = f"""SELECT metric, uniqExactIf(person, person != 0) = uniqExactIf(email, email != ''),
            countIf((person = 0) != (email = '')), countIf(person = 0)
        FROM {filled}.metrics GROUP BY metric ORDER BY metric"""
    config = SinkConfig({}, Address(clickhouse_server.url, database=filled))
    clickhouse.command(f"DELETE FROM {filled}.schema_migrations WHERE name = '0008_people'")
    clickhouse.command(f"ALTER TABLE {filled}.metric_rows DROP COLUMN person")
    clickhouse.command(  # the newest version of some belongs to nobody, of others to somebody else
        f"""INSERT INTO {filled}.metric_rows (metric, metric_id, occurred_at, email, account, livemode, version)
        SELECT metric, metric_id, occurred_at, if(rowNumberInAllBlocks() % 2 = 0, '', 'other@example.com'), account,
            livemode, 2
        FROM {filled}.metric_rows WHERE {MONTH} AND sipHash64(metric_id) % 50 = 0"""
    )
    async with Warehouse(config.warehouse) as connection:
        await migrate(connection, config.timezones, config.default_timezone)
    before = rows(clickhouse, same)
    clickhouse.command(f"OPTIMIZE TABLE {filled}.metric_rows PARTITION 202509 FINAL")
    assert rows(clickhouse, same) == before
    assert [(equal, wrong) for _, equal, wrong, _ in before] == [(1, 0)] * 4
    unlinked = rows(clickhouse, f"SELECT metric, count() FROM {filled}.unlinked GROUP BY metric ORDER BY metric")
    assert unlinked == [(metric, nobody) for metric, _, _, nobody in before]
    assert all(nobody for _, nobody in unlinked)
