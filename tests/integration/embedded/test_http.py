"""ClickHouse's HTTP interface, to the letter: parameters, headers, formats, statuses, sessions, users."""

import gzip
import io
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pyarrow as pa
import pyarrow.parquet
import pytest
from aiohttp import ClientResponse, ClientSession

from tests.conftest import ClickHouseServer, eventually


@pytest.fixture
async def http(clickhouse_server: ClickHouseServer) -> AsyncIterator[ClientSession]:
    async with ClientSession(clickhouse_server.url, auto_decompress=False) as session:
        yield session


async def ask(http: ClientSession, sql: str | bytes, **params: str) -> bytes:
    async with http.post("/", params=params, data=sql) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        return body


async def refused(answer: ClientResponse) -> tuple[int, str, str]:
    async with answer:
        return answer.status, answer.headers["X-ClickHouse-Exception-Code"], await answer.text()


async def test_an_answer_tells_what_was_done(http: ClientSession) -> None:
    sql = "SELECT * FROM numbers(7) FORMAT JSONEachRow"
    async with http.post("/", params={"query_id": "q1"}, data=sql) as answer:
        headers = answer.headers
        assert (await answer.read()).count(b"\n") == 7
    assert headers["X-ClickHouse-Query-Id"] == "q1"
    assert headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert headers["X-ClickHouse-Timezone"] == "UTC"
    assert headers["X-ClickHouse-Server-Display-Name"]
    summary = orjson.loads(headers["X-ClickHouse-Summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("7", "7")
    assert int(summary["elapsed_ns"]) > 0


@pytest.mark.parametrize(
    "format", ["JSON", "CSVWithNames", "Pretty", "XML", "Markdown", "Vertical", "Parquet", "Values"]
)
async def test_every_format_is_spoken(http: ClientSession, format: str) -> None:
    by_parameter = await ask(http, "SELECT 1 AS a, 'x' AS b", default_format=format)
    by_statement = await ask(http, f"SELECT 1 AS a, 'x' AS b FORMAT {format}")
    assert len(by_parameter) > 3
    if format not in ("JSON", "XML"):  # they tell the time it took
        assert by_parameter == by_statement


@pytest.mark.parametrize("format", ["TSVWithNames", "CSVWithNamesAndTypes", "JSONCompactEachRowWithNames"])
async def test_a_streamed_answer_is_one_document(http: ClientSession, format: str) -> None:
    rows = "SELECT number AS n, toString(number) AS s FROM numbers(200000)"
    streamed = await ask(http, f"{rows} FORMAT {format}")
    lines = streamed.decode().splitlines()
    headers = 2 if format.endswith("Types") else 1
    assert len(lines) == 200_000 + headers
    assert lines[-1].replace('"', "").strip("[]").replace(", ", "\t").replace(",", "\t") == "199999\t199999"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "lz4"])
async def test_answers_are_packed_when_asked(http: ClientSession, coding: str) -> None:
    from embedded.clickhouse.compression import Decoder

    for count in (1_000, 300_000):  # a whole answer, and a streamed one
        sql = f"SELECT * FROM numbers({count})"
        params = {"enable_http_compression": "1"}
        async with http.post("/", params=params, data=sql, headers={"Accept-Encoding": coding}) as answer:
            assert answer.headers["Content-Encoding"] == coding
            decoder = Decoder(coding)
            assert b"".join(decoder.feed(await answer.read())).count(b"\n") == count
            decoder.finish()


async def test_inserts_are_taken_in_the_engines_formats(http: ClientSession, database: str) -> None:
    await ask(http, "CREATE TABLE t (a Int64, b String) ENGINE = MergeTree ORDER BY a", database=database)
    rows = pa.table({"a": [1, 2], "b": ["x", "y"]})
    parquet, stream = io.BytesIO(), io.BytesIO()
    pyarrow.parquet.write_table(rows, parquet)
    with pa.ipc.new_stream(stream, rows.schema) as writer:
        writer.write_table(rows)
    native = await ask(http, "SELECT toInt64(1) AS a, 'x' AS b UNION ALL SELECT 2, 'y' FORMAT Native")
    bodies = {
        "Parquet": parquet.getvalue(),
        "ArrowStream": stream.getvalue(),
        "Native": native,
        "JSONEachRow": b'{"a":1,"b":"x"}\n{"a":2,"b":"y"}',
        "CSV": b"1,x\n2,y\n",
        "Values": b"(1,'x'),(2,'y')",
    }
    for format, body in bodies.items():
        await ask(http, body, query=f"INSERT INTO t FORMAT {format}", database=database)
        await ask(http, f"INSERT INTO t FORMAT {format}\n".encode() + body, database=database)
    assert await ask(http, "SELECT count(), sum(a) FROM t", database=database) == b"24\t36\n"
    await ask(http, "INSERT INTO {name:Identifier} FORMAT CSV\n9,z\n", database=database, param_name="t")
    assert await ask(http, "SELECT count() FROM t WHERE a = 9", database=database) == b"1\n"


async def test_a_large_insert_flows_through(http: ClientSession, database: str) -> None:
    await ask(http, "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a", database=database)
    body = b"".join(b'{"a":%d,"b":"%s"}\n' % (number, b"x" * 200) for number in range(50_000))
    async with http.post(
        "/",
        params={"query": "INSERT INTO t FORMAT JSONEachRow", "database": database},
        data=gzip.compress(body, 1),
        headers={"Content-Encoding": "gzip"},
    ) as answer:
        assert orjson.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "50000"
    assert await ask(http, "SELECT count(), uniqExact(a) FROM t", database=database) == b"50000\t50000\n"


async def test_an_insert_that_is_cut_off_leaves_nothing(http: ClientSession, database: str) -> None:
    await ask(http, "CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a", database=database)
    packed = gzip.compress(b"1\n" * 100_000)[:-10]
    params = {"query": "INSERT INTO t FORMAT CSV", "database": database}
    status, code, _ = await refused(
        await http.post("/", params=params, data=packed, headers={"Content-Encoding": "gzip"})
    )
    assert (status, code) == (500, "271")
    status, code, _ = await refused(await http.post("/", params=params, data=b"1\n2\nnot a number\n"))
    assert (status, code) == (400, "117")
    assert await ask(http, "SELECT count() FROM t", database=database) == b"0\n"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT nope", 404, "47"),
        ("SELECT * FROM nope.nope", 404, "81"),
        ("SELECT * FROM nope", 404, "60"),
        ("SELEKT", 400, "62"),
        ("", 400, "62"),
        ("1 + 1", 400, "62"),
        ("SELECT 1; SELECT 2", 400, "62"),
        ("SELECT throwIf(1)", 500, "395"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 500, "358"),
        ("SELECT 1 FORMAT Nope", 404, "73"),
        ("INSERT INTO t SELECT a FROM input('a Int8') FORMAT CSV 1", 501, "48"),
        ("SELECT {x:UInt8}", 400, "456"),
        ("SELECT * FROM file('/etc/passwd', 'LineAsString')", 500, "497"),
        ("SELECT * FROM '/etc/passwd'", 500, "497"),
        ("SELECT * FROM passwd", 404, "60"),
    ],
)  # fmt: skip
async def test_a_failure_has_the_servers_code_and_status(http: ClientSession, sql: str, status: int, code: str) -> None:
    found = await refused(await http.post("/", data=sql))
    assert found[:2] == (status, code)
    assert found[2].startswith(f"Code: {code}. DB::Exception: ")
    assert "(version 26." in found[2]


async def test_an_unknown_setting_is_refused(http: ClientSession) -> None:
    assert (await refused(await http.post("/", params={"nope": "1"}, data="SELECT 1")))[:2] == (404, "115")


async def test_a_failure_halfway_cannot_be_taken_for_success(http: ClientSession) -> None:
    sql = "SELECT throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_block_size = 10000"
    async with http.post("/", data=sql) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_who_waits_for_the_end_is_told_by_the_status(http: ClientSession) -> None:
    sql = "SELECT throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_block_size = 10000"
    assert (await refused(await http.post("/", params={"wait_end_of_query": "1"}, data=sql)))[:2] == (500, "395")
    assert len(await ask(http, "SELECT number FROM numbers(300000)", wait_end_of_query="1")) == 1_988_890


async def test_get_changes_nothing(http: ClientSession) -> None:
    for sql in ("CREATE TABLE t (a Int8) ENGINE = Memory", "INSERT INTO t VALUES (1)"):
        for params in ({"query": sql}, {"query": sql, "session_id": "reading"}):
            assert (await refused(await http.get("/", params=params)))[1] == "164"
    async with http.get("/", params={"query": "SELECT getSetting('max_threads')", "max_threads": "1"}) as answer:
        assert await answer.text() == "1\n"


async def test_a_session_ends_and_is_for_one_at_a_time(http: ClientSession) -> None:
    await ask(http, "CREATE TEMPORARY TABLE kept (a Int8)", session_id="s1", session_timeout="30")
    assert await ask(http, "SELECT count() FROM kept", session_id="s1", session_check="1") == b"0\n"
    missing = await http.post("/", params={"session_id": "s2", "session_check": "1"}, data="SELECT 1")
    assert (await refused(missing))[:2] == (404, "372")
    await ask(http, "SELECT 1", session_id="brief", session_timeout="0")

    async def gone() -> bool:
        async with http.post("/", params={"session_id": "brief", "session_check": "1"}, data="SELECT 1") as answer:
            return answer.status == 404

    assert await eventually(gone)
    await ask(http, "SELECT 1", session_id="busy")
    async with http.post("/", params={"session_id": "busy"}, data="SELECT * FROM numbers(20000000)"):
        second = await http.post("/", params={"session_id": "busy"}, data="SELECT 1")
        assert (await refused(second))[1] == "373"


async def test_use_and_set_last_for_a_session(http: ClientSession, database: str) -> None:
    await ask(http, f"USE {database}", session_id="u")
    await ask(http, "SET max_block_size = 77", session_id="u")
    probe = "SELECT currentDatabase(), getSetting('max_block_size')"
    assert await ask(http, probe, session_id="u", database="system", max_block_size="5") == b"system\t5\n"
    assert await ask(http, probe, session_id="u") == f"{database}\t77\n".encode()
