"""A client that hangs up, wherever it is, ends its own request and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.conftest import ClickHouseServer, eventually, start_clickhouse, stop

LONG = "SELECT number FROM numbers(50000000)"
FAILING = "SELECT throwIf(number = 700000) FROM numbers(5000000)"
PACKED = "Accept-Encoding: zstd\r\n"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ClickHouseServer]:
    server = await start_clickhouse(tmp_path)
    yield server
    stop(server)


async def ask(server: ClickHouseServer, sql: str) -> str:
    async with ClientSession(server.url) as http:
        async with http.get("/ping") as answer:
            assert await answer.text() == "Ok.\n"
        async with http.post("/", data=sql) as answer:
            assert answer.status == 200
            return await answer.text()


async def call(
    server: ClickHouseServer, body: str, path: str = "/", headers: str = "", length: int = 0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends a request whose body is `length` bytes long by its own word: more than it is, when it breaks off."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    login = f"X-ClickHouse-User: default\r\nX-ClickHouse-Key: {server.logins.password}\r\n"
    told = f"Host: {server.host}\r\n{login}{headers}Content-Length: {length or len(body)}\r\n"
    writer.write(f"POST {path} HTTP/1.1\r\n{told}\r\n{body}".encode())
    await writer.drain()
    return reader, writer


async def hang_up(server: ClickHouseServer, sql: str, path: str = "/", headers: str = "", read: int = 500) -> None:
    """Reads `read` bytes of an answer and closes the socket."""
    reader, writer = await call(server, sql, path, headers)
    try:
        assert (await reader.readexactly(read)).startswith(b"HTTP/1.1 200")
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("session", [False, True])
async def test_hanging_up_on_a_long_answer_ends_nothing_else(server: ClickHouseServer, session: bool) -> None:
    for number in range(30):
        await hang_up(server, LONG, f"/?session_id=s{number}" if session else "/")
        assert await ask(server, "SELECT 1") == "1\n"


async def test_many_that_hang_up_at_once_end_nothing_else(server: ClickHouseServer) -> None:
    await ask(server, "CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
    leaving = [
        hang_up(server, sql, f"/?enable_http_compression=1{session}", headers)
        for sql in (LONG, FAILING)
        for headers in ("", PACKED)
        for session in ("", "", "", f"&session_id={len(sql)}{headers[:6]}")
    ]
    inserts = [await call(server, "1\n" * 100_000, "/?query=INSERT+INTO+t+FORMAT+CSV", "", 300_000) for _ in range(8)]
    await asyncio.gather(*leaving)
    for _, writer in inserts:
        writer.transport.abort()

    async def alone() -> bool:
        return await ask(server, "SELECT count() FROM system.processes") == "1\n"

    await eventually(alone)
    assert await ask(server, "SELECT count() FROM t") == "0\n"


async def test_those_who_hang_up_do_not_hold_up_the_end(server: ClickHouseServer) -> None:
    calls = [await call(server, LONG, f"/?{session}") for session in ("", "session_id=a", "", "session_id=b")]
    for reader, _ in calls:
        assert (await reader.readexactly(500)).startswith(b"HTTP/1.1 200")
    server.process.terminate()
    for _, writer in calls:
        writer.transport.abort()
    assert await asyncio.to_thread(server.process.wait, 30) == 0
