"""What was acknowledged stays: through a restart, and through kill -9 in the middle of inserts."""

import asyncio
import subprocess
import sys
from pathlib import Path

from aiohttp import ClientError, ClientSession

from tests.conftest import ClickHouseServer, eventually, start_clickhouse, stop


async def ask(http: ClientSession, sql: str) -> str:
    async with http.post("/", data=sql) as answer:
        body = await answer.text()
        assert answer.status == 200, body
        return body


async def insert_until_killed(server: ClickHouseServer, worker: int, acknowledged: set[int]) -> None:
    """Batches of ten rows, numbered without gap or repetition among the workers."""
    async with ClientSession(server.url) as http:
        for batch in range(worker, 1_000_000, 4):
            rows = "".join(f"{batch * 10 + row}\n" for row in range(10))
            try:
                await ask(http, f"INSERT INTO kept.t FORMAT CSV\n{rows}")
            except ClientError:
                return
            acknowledged.update(range(batch * 10, batch * 10 + 10))


async def test_a_restart_keeps_the_data(tmp_path: Path) -> None:
    server = await start_clickhouse(tmp_path)
    async with ClientSession(server.url) as http:
        await ask(http, "CREATE DATABASE kept")
        await ask(http, "CREATE TABLE kept.t (a UInt64) ENGINE = MergeTree ORDER BY a")
        await ask(http, "INSERT INTO kept.t SELECT number FROM numbers(1000)")
    stop(server)
    assert server.process.returncode == 0
    server = await start_clickhouse(tmp_path)
    async with ClientSession(server.url) as http:
        assert await ask(http, "SELECT count() FROM kept.t") == "1000\n"
    stop(server)


async def test_kill_9_loses_no_acknowledged_insert(tmp_path: Path) -> None:
    server = await start_clickhouse(tmp_path)
    acknowledged: set[int] = set()
    async with ClientSession(server.url) as http:
        await ask(http, "CREATE DATABASE kept")
        await ask(http, "CREATE TABLE kept.t (a UInt64) ENGINE = MergeTree ORDER BY a")
    workers = [asyncio.create_task(insert_until_killed(server, n, acknowledged)) for n in range(4)]
    await eventually(lambda: len(acknowledged) > 500)
    server.process.kill()
    server.process.wait()
    await asyncio.gather(*workers)
    server = await start_clickhouse(tmp_path)
    async with ClientSession(server.url) as http:
        kept = {int(line) for line in (await ask(http, "SELECT a FROM kept.t")).split()}
    stop(server)
    assert acknowledged <= kept
    assert len(kept) % 10 == 0  # a batch is there whole, or not at all


async def test_an_insert_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    server = await start_clickhouse(tmp_path)
    async with ClientSession(server.url) as http:
        await ask(http, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        slow = asyncio.create_task(
            ask(http, "INSERT INTO t SELECT number + sleep(1) FROM numbers(3) SETTINGS max_block_size = 1")
        )

        async def running() -> bool:
            return "sleep(1)" in await ask(http, "SELECT query FROM system.processes WHERE query LIKE 'INSERT%'")

        await eventually(running)
        server.process.terminate()
        assert await slow == ""
    assert await asyncio.to_thread(server.process.wait, 30) == 0
    server = await start_clickhouse(tmp_path)
    async with ClientSession(server.url) as http:
        assert await ask(http, "SELECT count() FROM t") == "3\n"
    stop(server)


def refusal(*args: str) -> str:
    argv = [sys.executable, "-m", "embedded.clickhouse", "--port", "0", *args]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


async def test_two_engines_never_share_a_directory(tmp_path: Path) -> None:
    server = await start_clickhouse(tmp_path)
    try:
        assert "Another ClickHouse is running on" in await asyncio.to_thread(refusal, "--data", str(tmp_path))
    finally:
        stop(server)


def test_the_engine_starts_where_no_temporary_file_can_be_made(tmp_path: Path) -> None:
    full = "import tempfile; tempfile.tempdir = '/nonexistent'"  # what a full /tmp looks like to a user
    start = "from pathlib import Path; from embedded.clickhouse.engine import Engine"
    code = f"{full}; {start}; engine = Engine(Path({str(tmp_path)!r})); print(engine.version); engine.close()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_corrupt_directory_is_refused_with_its_cause(tmp_path: Path) -> None:
    server = await start_clickhouse(tmp_path)
    async with ClientSession(server.url) as http:
        await ask(http, "CREATE DATABASE kept")
    stop(server)
    (tmp_path / "engine" / "metadata" / "kept.sql").write_bytes(b"\0garbage")
    said = await asyncio.to_thread(refusal, "--data", str(tmp_path))
    assert "can't open its data" in said
    assert "kept.sql" in said
    assert "Try: restore" in said


async def test_a_taken_port_is_named(clickhouse_server: ClickHouseServer, tmp_path: Path) -> None:
    port = str(clickhouse_server.port)
    said = await asyncio.to_thread(refusal, "--data", str(tmp_path), "--port", port)
    assert f"Port {port} for ClickHouse" in said
    assert "--clickhouse-port" in said
