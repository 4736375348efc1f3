"""Who is let in to the embedded engine: no web page, nobody without a password, and the reader to read."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from aiohttp import ClientSession, encode_basic_auth
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from embedded.clickhouse.logins import READER
from tests.conftest import ClickHouseServer, start_clickhouse, stop

Way = dict[str, Any]


@pytest.fixture
async def http(clickhouse_server: ClickHouseServer) -> AsyncIterator[ClientSession]:
    async with ClientSession(clickhouse_server.url) as session:
        yield session


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "rebound.example:8123"},
        {"Host": "clickhouse.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
    ],
)
async def test_a_web_page_is_kept_out_even_with_the_password(http: ClientSession, headers: dict[str, str]) -> None:
    for method, data in (("POST", "SELECT 1"), ("GET", None)):
        params = {} if data else {"query": "SELECT 1"}
        async with http.request(method, "/", data=data, params=params, headers=headers) as answer:
            assert answer.status == 403
            assert "does not answer web pages" in await answer.text()


async def test_names_of_its_own_are_answered(clickhouse_server: ClickHouseServer, http: ClientSession) -> None:
    for host in ("localhost", f"127.0.0.1:{clickhouse_server.port}", "[::1]:8123"):
        async with http.post("/", data="SELECT 1", headers={"Host": host}) as answer:
            assert await answer.text() == "1\n"


async def test_only_a_password_opens(clickhouse_server: ClickHouseServer) -> None:
    """In each of the three ways; what is wrong is refused with the server's own code."""
    own, of_reader = clickhouse_server.logins.password, clickhouse_server.logins.reader_password
    right: list[Way] = [
        {"headers": {"Authorization": encode_basic_auth("default", own)}},
        {"params": {"user": "default", "password": own}},
        {"params": {"password": own}},
        {"headers": {"X-ClickHouse-User": "default", "X-ClickHouse-Key": own}},
        {"headers": {"Authorization": encode_basic_auth(READER, of_reader)}},
    ]
    wrong: list[Way] = [
        {},
        {"headers": {"Authorization": encode_basic_auth("default", "guess")}},
        {"headers": {"Authorization": encode_basic_auth(READER, own)}},
        {"headers": {"Authorization": encode_basic_auth("default", of_reader)}},
        {"headers": {"Authorization": encode_basic_auth("nobody", own)}},
        {"headers": {"Authorization": encode_basic_auth("nobody", "")}},
        {"params": {"user": "default"}},
        {"headers": {"X-ClickHouse-User": "default", "X-ClickHouse-Key": ""}},
        {"headers": {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "\udce9"}},
        {"headers": {"Authorization": "Basic !!!"}},
    ]
    async with ClientSession(f"http://{clickhouse_server.host}:{clickhouse_server.port}") as http:
        for way in right:
            async with http.post("/", data="SELECT 1", **way) as answer:
                assert await answer.text() == "1\n"
        for way in wrong:
            async with http.post("/", data="SELECT 1", **way) as answer:
                assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516"), way
                assert "Authentication failed" in await answer.text()
        async with http.get("/ping") as answer:
            assert await answer.text() == "Ok.\n"


def told_by_ps(server: ClickHouseServer) -> str:
    return Path(f"/proc/{server.process.pid}/cmdline").read_text("utf-8")


async def test_the_passwords_are_the_directorys_and_in_no_command_line(tmp_path: Path) -> None:
    told = []
    for _ in range(2):  # the second start is one of an older directory
        server = await start_clickhouse(tmp_path)
        try:
            async with ClientSession(server.url) as http, http.post("/", data="SELECT 1") as answer:
                assert await answer.text() == "1\n"
            told.append(server.logins)
            assert server.logins.password not in await asyncio.to_thread(told_by_ps, server)
            assert server.logins.password not in repr(server.logins)
        finally:
            await asyncio.to_thread(stop, server)
    assert told[0] == told[1]
    assert stat.S_IMODE((tmp_path / "logins.json").stat().st_mode) == 0o600


@pytest.fixture
def reader(clickhouse_server: ClickHouseServer) -> Client:
    return clickhouse_connect.get_client(dsn=clickhouse_server.reader_url)


def test_the_reader_reads_and_sets_what_is_its_own(reader: Client, clickhouse: Client, database: str) -> None:
    clickhouse.command(f"CREATE TABLE {database}.t (a Int8) ENGINE = MergeTree ORDER BY a")
    clickhouse.command(f"INSERT INTO {database}.t VALUES (1), (2)")
    query = f"SELECT sum(a), getSetting('max_block_size') FROM {database}.t"
    assert reader.query(query, settings={"max_block_size": 77}).result_rows == [(3, 77)]
    reader.command("SET max_block_size = 78")  # in its session
    assert reader.query(query).result_rows == [(3, 78)]
    assert [row[0] for row in reader.query(f"SHOW TABLES FROM {database}").result_rows] == ["t"]
    assert "a\tInt8" in reader.raw_query(f"DESCRIBE {database}.t").decode()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {database}.t VALUES (3)",
        "INSERT INTO {database}.t SELECT 3",
        "DROP TABLE {database}.t",
        "TRUNCATE TABLE {database}.t",
        "ALTER TABLE {database}.t DELETE WHERE 1",
        "CREATE TABLE {database}.u (a Int8) ENGINE = Memory",
        "CREATE VIEW {database}.u AS SELECT 1",
        "OPTIMIZE TABLE {database}.t",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
    ],
)
async def test_the_reader_changes_nothing(
    clickhouse_server: ClickHouseServer, clickhouse: Client, database: str, statement: str
) -> None:
    clickhouse.command(f"CREATE TABLE {database}.t (a Int8) ENGINE = MergeTree ORDER BY a")
    clickhouse.command(f"INSERT INTO {database}.t VALUES (1), (2)")
    text = statement.format(database=database)
    async with ClientSession(clickhouse_server.reader_url) as http:
        for params in ({}, {"readonly": "0"}, {"session_id": database}, {"session_id": database, "readonly": "1"}):
            async with http.post("/", params=params, data=text) as answer:
                assert (answer.status, answer.headers.get("X-ClickHouse-Exception-Code")) == (500, "164"), params
    assert clickhouse.query(f"SELECT sum(a) FROM {database}.t").result_rows == [(3,)]
    assert clickhouse.query(f"SHOW TABLES FROM {database}").result_rows == [("t",)]


def test_the_reader_has_no_part_in_anothers_session(clickhouse_server: ClickHouseServer, database: str) -> None:
    with clickhouse_connect.get_client(dsn=clickhouse_server.url, session_id=database) as own:
        own.command("CREATE TEMPORARY TABLE kept (a Int8)")
        with (
            clickhouse_connect.get_client(dsn=clickhouse_server.reader_url, session_id=database) as another,
            pytest.raises(DatabaseError, match="UNKNOWN_TABLE"),
        ):
            another.command("SELECT count() FROM kept")
