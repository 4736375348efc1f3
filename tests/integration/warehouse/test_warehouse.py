"""The client of ClickHouse, on the real engine: values arrive as they are, and what goes wrong has a name each."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from clickhouse_connect.driver.client import Client

from schemas.errors import ConfigurationError, Unavailable
from tests.conftest import ClickHouseServer
from warehouse.address import Address
from warehouse.client import Warehouse, reader
from warehouse.errors import READONLY, Failed, LoginRefused, Missing, Refused, Rejected, TooSlow
from warehouse.query import Query

NASTY = "it's \\ {x:String}\ta\nb ü ' \\' \\n \\N"
MOMENT = datetime(2026, 1, 5, 10, 0, 0, 250_000, tzinfo=UTC)

KINDS = """SELECT 'ü' AS text, toInt64(-5) AS whole, 1.5 AS part, true AS flag, toDecimal64('1.10', 2) AS exact,
    toDate('2026-01-05') AS day, toDateTime64('2026-01-05 10:00:00.250', 3, 'UTC') AS moment,
    toDateTime('2026-07-05 10:00:00', 'Europe/Berlin') AS there, now() - toIntervalSecond(now()) AS epoch,
    [(1, 'a')] AS pairs, map('a', 1) AS mapped, CAST(NULL, 'Nullable(String)') AS nothing,
    toLowCardinality('low') AS low, CAST('{"a": {"b": [1, "x"]}, "c": "plain"}', 'JSON') AS properties
FROM numbers(2)"""


@pytest.fixture
async def warehouse(clickhouse_server: ClickHouseServer, database: str) -> AsyncIterator[Warehouse]:
    async with Warehouse(Address(clickhouse_server.url, database=database)) as found:
        yield found


async def test_values_are_those_that_clickhouse_connect_gives(warehouse: Warehouse, clickhouse: Client) -> None:
    theirs = clickhouse.query(KINDS)
    assert await warehouse.table(KINDS) == (theirs.column_names, theirs.result_rows)
    (row, _) = await warehouse.rows(KINDS)
    assert row["moment"] == MOMENT.replace(tzinfo=None)
    assert row["properties"] == {"a": {"b": [1, "x"]}, "c": "plain"}
    assert (row["exact"], row["day"], row["nothing"]) == (Decimal("1.10"), date(2026, 1, 5), None)
    assert await warehouse.rows("SELECT 1 AS one WHERE 0") == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (NASTY, "String"),
        ([NASTY, "b", ""], "Array(String)"),
        (True, "Bool"),
        (2**63, "UInt64"),
        (None, "Nullable(String)"),
        (MOMENT, "DateTime64(3, 'UTC')"),
        ([MOMENT], "Array(DateTime64(3, 'UTC'))"),
        (MOMENT.replace(microsecond=0), "DateTime('UTC')"),
        (date(2026, 1, 5), "Date"),
        ([date(2026, 1, 5)], "Array(Date)"),
        ([1, 2], "Array(Int64)"),
        (Decimal("1.10"), "Decimal(18, 2)"),
    ],
)
async def test_a_parameter_arrives_as_it_is(warehouse: Warehouse, value: Any, kind: str) -> None:
    (row,) = await warehouse.rows(Query(f"SELECT {{value:{kind}}} AS value", {"value": value}))
    naive = value.replace(tzinfo=None) if isinstance(value, datetime) else value
    assert row["value"] == ([MOMENT.replace(tzinfo=None)] if value == [MOMENT] else naive)


async def test_rows_go_in_and_come_out_as_on_the_topics(warehouse: Warehouse) -> None:
    await warehouse.run(
        "CREATE TABLE t (at DateTime64(3, 'UTC'), amount Decimal(38, 3), big Int64, note String, p JSON) "
        "ENGINE = MergeTree ORDER BY at"
    )
    row = {
        "at": "2026-01-05T10:00:00.250Z",
        "amount": "12345678901234567890.123",
        "big": 2**62,
        "note": NASTY + "\r\x0b\u2028",
        "p": {"looks": "2026-01-05T10:00:00+05:30", "like": "1"},
    }
    await warehouse.insert("t", [row])
    await warehouse.insert("t", [])
    assert await warehouse.json_rows("SELECT * FROM t") == [row]
    assert (
        await warehouse.run(Query("SELECT count() FROM t WHERE note = {note:String}", {"note": row["note"]})) == "1\n"
    )
    assert await warehouse.raw("SELECT big FROM t", "CSVWithNames") == b'"big"\n4611686018427387904\n'


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO t VALUES (1)", "INSERT INTO t SELECT 1 -- one", "SET max_threads = 1", "OPTIMIZE TABLE t"],
)
async def test_a_statement_of_any_kind_may_be_asked(warehouse: Warehouse, statement: str) -> None:
    await warehouse.run("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    assert await warehouse.rows(statement) == []
    assert await warehouse.rows("SELECT count() AS n FROM t") == [{"n": int("INSERT" in statement)}]


async def test_what_is_not_there_too_slow_or_wrong_has_a_name_each(
    warehouse: Warehouse, clickhouse_server: ClickHouseServer
) -> None:
    with pytest.raises(Missing, match=f"no tables in database {warehouse.address.database} yet") as missing:
        await warehouse.rows("SELECT * FROM nowhere")
    assert missing.value.code == 60
    assert "nowhere" in missing.value.told
    async with Warehouse(Address(clickhouse_server.url, database="no_such")) as elsewhere:
        with pytest.raises(Missing):
            await elsewhere.json_rows("SELECT 1 FROM t")
    with pytest.raises(Rejected, match="ClickHouse says: Syntax error"):
        await warehouse.run("SELEC 1")
    with pytest.raises(TooSlow):
        await warehouse.rows("SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_execution_time = 1")
    halfway = "SELECT throwIf(number = 900000) AS x FROM numbers(1000000)"
    with pytest.raises(Failed):
        await warehouse.rows(halfway)
    with pytest.raises(Failed):
        await warehouse.json_rows(halfway)


async def test_rows_that_can_not_be_taken_are_refused_in_clickhouses_own_words(warehouse: Warehouse) -> None:
    await warehouse.run("CREATE TABLE t (n UInt8, CONSTRAINT small CHECK n < 10) ENGINE = MergeTree ORDER BY n")
    with pytest.raises(Refused, match="while reading the value of key n"):
        await warehouse.insert("t", b'{"n": "many"}')
    with pytest.raises(Refused, match="small"):
        await warehouse.insert("t", [{"n": 11}])
    with pytest.raises(Missing):
        await warehouse.insert("gone", [{"n": 1}])


async def test_a_reader_changes_nothing(clickhouse_server: ClickHouseServer, database: str) -> None:
    async with reader(Address(clickhouse_server.url, database=database)) as warehouse:
        assert await warehouse.rows("SELECT 1 AS one") == [{"one": 1}]
        with pytest.raises(Failed) as refused:
            await warehouse.run("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
        assert refused.value.code == READONLY


async def test_a_wrong_password_is_a_setting_to_mend_and_is_shown_nowhere(clickhouse_server: ClickHouseServer) -> None:
    at = Address(f"http://default:hunter2@{clickhouse_server.host}:{clickhouse_server.port}")
    async with Warehouse(at) as warehouse:
        with pytest.raises(LoginRefused, match="does not let 'default' in") as refused:
            await warehouse.rows("SELECT 1")
    assert isinstance(refused.value, ConfigurationError)
    assert isinstance(refused.value, Unavailable)  # who waits for ClickHouse may wait for this too
    assert "hunter2" not in f"{refused.value}{refused.value.told}{refused.value.remedy}{at}"


async def test_nobody_there_is_said_in_plain_words(nobody: str) -> None:
    at = Address(f"http://{nobody}")
    async with Warehouse(at) as warehouse, reader(at) as watchful:
        for one in (warehouse, watchful):
            with pytest.raises(Unavailable, match=rf"^ClickHouse at {at.url} does not answer: connection refused$"):
                await one.rows("SELECT 1")
    with pytest.raises(Unavailable, match="no ClickHouse is named"):
        await Warehouse(Address()).rows("SELECT 1")
    async with Warehouse(Address("no address")) as warehouse:
        with pytest.raises(Unavailable, match="no address"):
            await warehouse.rows("SELECT 1")


@pytest.mark.parametrize("code", ["not a number", "-1", "60, 60", ""])
async def test_what_is_no_clickhouse_is_unavailable_whatever_it_says(code: str) -> None:
    async def anything(_: web.Request) -> web.Response:
        return web.Response(
            status=200 if not code else 500, body=b"\x03hello", headers={"X-ClickHouse-Exception-Code": code}
        )

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", anything)
    async with TestServer(app) as server, Warehouse(Address(f"http://127.0.0.1:{server.port}")) as warehouse:
        for question in (warehouse.rows, warehouse.json_rows):
            with pytest.raises(Unavailable):
                await question("SELECT 1")
