"""An insert that is acknowledged is in; one that isn't in is refused, with the engine's own code."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import lz4.frame
import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard
from aiohttp import ClientSession, ClientTimeout

from embedded.clickhouse.engine import Engine
from schemas.errors import ConfigurationError
from tests.conftest import ClickHouseServer, eventually, start_clickhouse, stop

TABLE = "CREATE TABLE t (a Int64, b String) ENGINE = MergeTree ORDER BY a"
Insert = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def http(clickhouse_server: ClickHouseServer) -> AsyncIterator[ClientSession]:
    async with ClientSession(clickhouse_server.url) as session:
        yield session


async def ask(http: ClientSession, sql: str, **params: str) -> str:
    async with http.post("/", params=params, data=sql) as answer:
        body = await answer.text()
        assert answer.status == 200, body
        return body


@pytest.fixture
def insert(http: ClientSession, database: str) -> Insert:
    """Status, exception code ('' for none) and text of an insert into `t`."""

    async def insert(format: str, body: bytes, coding: str = "", **params: str) -> tuple[int, str, str]:
        params = {"database": database, "query": f"INSERT INTO t FORMAT {format}", **params}
        headers = {"Content-Encoding": coding} if coding else {}
        async with http.post("/", params=params, data=io.BytesIO(body), headers=headers) as answer:
            return answer.status, answer.headers.get("X-ClickHouse-Exception-Code", ""), await answer.text()

    return insert


async def count(http: ClientSession, database: str) -> int:
    return int(await ask(http, "SELECT count() FROM t", database=database))


@pytest.mark.parametrize(
    ("table", "format", "body", "code"),
    [
        (f"{TABLE[:33]}, CONSTRAINT positive CHECK a > 0) ENGINE = Memory", "CSV", b"1,x\n2,y\n-1,z\n", "469"),
        ("CREATE TABLE t (a Int64, b Int64 MATERIALIZED throwIf(a = 2)) ENGINE = Memory", "CSV", b"1\n2\n", "395"),
        (f"{TABLE} PARTITION BY a", "CSV", b"".join(b"%d,x\n" % number for number in range(200)), "252"),
        (f"{TABLE} SETTINGS table_readonly = 1", "CSV", b"1,x\n", "774"),
        ("CREATE TABLE other (a Int64) ENGINE = Memory", "CSV", b"1,x\n", "60"),
        (TABLE, "CSV", b"1,x\n2,y\nnope,z\n", "27"),
        (TABLE, "JSONEachRow", b'{"a":1,"b":"x"}\n{"a":2,"b":', "26"),
        (TABLE, "RowBinary", b"\1" + bytes(7) + b"\1x\2\0", "33"),
        (TABLE, "Values", b"(1, 'x'), (throwIf(1), 'y')", "395"),
        ("CREATE TABLE t (a Decimal(5, 2)) ENGINE = Memory", "CSV", b"1\n123456789\n", "69"),
        ("CREATE TABLE t (a Enum('x' = 1)) ENGINE = Memory", "CSV", b"x\nnope\n", "691"),
    ],
)
async def test_rows_that_the_table_refuses_are_not_acknowledged(
    http: ClientSession, insert: Insert, database: str, table: str, format: str, body: bytes, code: str
) -> None:
    await ask(http, table, database=database)
    status, found, text = await insert(format, body)
    assert (status >= 400, found) == (True, code)
    assert text.startswith(f"Code: {code}. DB::Exception: ")
    assert text.count("DB::Exception: Code:") == 0
    assert "/inserts/" not in text  # where the data were kept is nobody's business
    if "TABLE t" in table:
        assert await count(http, database) == 0


async def test_a_refusal_far_into_the_data_is_told(http: ClientSession, insert: Insert, database: str) -> None:
    await ask(
        http, "CREATE TABLE t (a Int64, CONSTRAINT p CHECK a > 0) ENGINE = MergeTree ORDER BY a", database=database
    )
    assert (await insert("CSV", b"1\n" * 1_500_000 + b"-1\n"))[1] == "469"
    assert (await insert("CSV", b"1\n" * 1_500_000 + b"nope\n"))[1] == "117"


async def test_a_materialized_view_that_fails_is_told(http: ClientSession, insert: Insert, database: str) -> None:
    await ask(http, TABLE, database=database)
    view = "CREATE MATERIALIZED VIEW v ENGINE = MergeTree ORDER BY a AS SELECT a, throwIf(a = 2) AS x FROM t"
    await ask(http, view, database=database)
    assert (await insert("CSV", b"1,x\n2,y\n"))[:2] == (500, "395")
    assert (await insert("CSV", b"1,x\n"))[:2] == (200, "")


async def test_a_limit_of_memory_is_told(http: ClientSession, insert: Insert, database: str) -> None:
    await ask(http, TABLE, database=database)
    row = b"1," + b"x" * 1000 + b"\n"
    assert (await insert("CSV", row * 20_000, max_memory_usage="2000000"))[1] == "241"
    assert await count(http, database) == 0


def arrow_stream(rows: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=1000)
    return out.getvalue()


def parquet(rows: pa.Table) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(rows, out)
    return out.getvalue()


@pytest.mark.parametrize(("format", "code"), [("ArrowStream", "33"), ("Parquet", "117"), ("Native", "33")])
async def test_a_binary_body_that_is_cut_off_leaves_nothing(
    http: ClientSession, insert: Insert, database: str, format: str, code: str
) -> None:
    await ask(http, TABLE, database=database)
    rows = pa.table({"a": pa.array(range(10_000), pa.int64()), "b": ["x" * 20] * 10_000})
    native = "SELECT toInt64(number) AS a, 'x' AS b FROM numbers(10000) FORMAT Native"
    async with http.post("/", data=native) as answer:
        bodies = {"ArrowStream": arrow_stream(rows), "Parquet": parquet(rows), "Native": await answer.read()}
    assert (await insert(format, bodies[format][:-2000]))[1] == code
    assert await count(http, database) == 0
    assert (await insert(format, bodies[format]))[0] == 200
    assert await count(http, database) == 10_000


@pytest.mark.parametrize("coding", ["gzip", "zstd", "lz4"])
async def test_a_packed_body_that_is_cut_off_leaves_nothing(
    http: ClientSession, insert: Insert, database: str, coding: str
) -> None:
    await ask(http, TABLE, database=database)
    pack = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress, "lz4": lz4.frame.compress}
    packed = pack[coding](b"".join(b"%d,x\n" % number for number in range(500_000)))
    for cut in (len(packed) // 2, len(packed) - 3):
        assert (await insert("CSV", packed[:cut], coding))[:2] == (500, "271")
    assert await count(http, database) == 0


async def test_a_client_that_leaves_in_the_middle_inserts_nothing(
    http: ClientSession, clickhouse_server: ClickHouseServer, database: str
) -> None:
    await ask(http, TABLE, database=database)
    _, writer = await asyncio.open_connection(clickhouse_server.host, clickhouse_server.port)
    path = f"/?database={database}&query=INSERT+INTO+t+FORMAT+CSV"
    headers = f"Host: localhost\r\nX-ClickHouse-Key: {clickhouse_server.logins.password}\r\nContent-Length: 9000000"
    writer.write(f"POST {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + b"1,x\n" * 500_000)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await ask(http, "INSERT INTO t FORMAT CSV\n1,x\n", database=database)
    assert await count(http, database) == 1


async def test_settings_parameters_and_columns_are_kept(http: ClientSession, insert: Insert, database: str) -> None:
    await ask(http, "CREATE TABLE t (a Int64, b String, c Int64 DEFAULT a + 1) ENGINE = Memory", database=database)
    query = "INSERT INTO {name:Identifier} (a, b) SETTINGS format_csv_delimiter = ';' FORMAT CSV"
    assert (await insert("", b"1;x\n", query=query, param_name="t"))[0] == 200
    assert (await insert("", b"2,it''s\n", query="INSERT INTO t (a, b) -- all\nFORMAT CSV"))[0] == 200
    assert (await insert("", b"(3, 'z', 9)", query="INSERT INTO t"))[0] == 200
    assert (await insert("JSONEachRow", b'{"a":4}', async_insert="1"))[0] == 200
    rows = await ask(http, "SELECT a, b, c FROM t ORDER BY a FORMAT TSVRaw", database=database)
    assert rows == "1\tx\t2\n2\tit''s\t3\n3\tz\t9\n4\t\t5\n"


async def test_an_error_that_quotes_bytes_has_its_code(http: ClientSession, insert: Insert, database: str) -> None:
    await ask(http, TABLE, database=database)
    status, code, text = await insert("CSV", b"1,x\nq\xff\xfe,y\n")
    assert (status, code) == (400, "27")
    assert "q\ufffd\ufffd,y" in text
    sql = "SELECT throwIf(1, 'a\\xc3')"
    async with http.post("/", data=sql) as answer:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "395"


async def test_a_body_that_unpacks_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    server = await start_clickhouse(tmp_path, "--max-body", "3000000")
    try:
        async with ClientSession(server.url) as http:
            await ask(http, TABLE)
            for body, coding in ((gzip.compress(b"1,x\n" * 1_000_000), "gzip"), (b"1,x\n" * 1_000_000, "identity")):
                params, headers = {"query": "INSERT INTO t FORMAT CSV"}, {"Content-Encoding": coding}
                async with http.post("/", params=params, data=io.BytesIO(body), headers=headers) as answer:
                    assert answer.status == 413
                    assert answer.headers["X-ClickHouse-Exception-Code"] == "229"
            assert await ask(http, "SELECT count() FROM t") == "0\n"
            await ask(http, "INSERT INTO t FORMAT CSV\n" + "1,x\n" * 200_000)
            assert await ask(http, "SELECT count() FROM t") == "200000\n"
    finally:
        stop(server)
    assert not list((tmp_path / "inserts").iterdir())


@pytest.mark.parametrize("format", ["JSON", "TSV"])
@pytest.mark.parametrize("session", ["", "s"])
async def test_a_query_ends_when_its_client_leaves(http: ClientSession, format: str, session: str) -> None:
    name = f"left {format} {session}"
    sql = f"SELECT '{name}', sum(sleepEachRow(0.5)) FROM numbers(600) SETTINGS max_block_size = 1 FORMAT {format}"
    params = {"session_id": f"{format}{session}"} if session else {}

    async def running() -> bool:
        found = await ask(http, f"SELECT count() FROM system.processes WHERE query LIKE '%''{name}''%sleepEach%'")
        return int(found) > 1  # the one that asks is among them

    leaving = asyncio.create_task(http.post("/", params=params, data=sql, timeout=ClientTimeout(total=300)))
    await eventually(running)
    leaving.cancel()

    async def ended() -> bool:
        return not await running()

    await eventually(ended)
    if session:

        async def free() -> bool:
            return await ask(http, "SELECT 1", **params) == "1\n"

        await eventually(free)


def test_a_path_that_the_engine_would_take_for_a_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="its path holds one of"):
        Engine(tmp_path / "{a}")
