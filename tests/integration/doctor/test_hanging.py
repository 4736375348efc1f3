"""A server that takes connections and says nothing: told within two seconds, while a slow answer still has its time."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from console.actions import Actions
from console.app import create_app
from console.config import ConsoleConfig
from doctor.facts import Facts, MachineFacts
from doctor.gather_data import clickhouse_facts
from doctor.gather_kafka import kafka_facts
from doctor.rules import findings
from embedded.kafka import KafkaProcess
from schemas.errors import TillstreamError, Unavailable
from settings.loading import load_settings
from tests.conftest import ClickHouseServer, eventually, soon, start_clickhouse, stop
from tests.integration.console_support import fill
from tillstream.broker import own_broker
from warehouse.address import Address
from warehouse.client import reader
from warehouse.query import Query
from warehouse.waiting import Warehouse

SOON = 2.0  # seconds
DATABASE = "tillstream"
PAGES = (
    "/",
    "/metric/failed_payment",
    "/feed",
    "/profiles",
    "/integration",
    "/part/health",
    "/api/v1/metrics",
    "/api/v1/health",
)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does nothing meanwhile; the kernel goes on to take its connections."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClickHouseServer]:
    """An engine of our own, to be stopped."""
    server = await start_clickhouse(tmp_path_factory.mktemp("hanging"))
    await fill(server.url, DATABASE, datetime.now(UTC))
    yield server
    stop(server)


@pytest.fixture
async def console(
    engine: ClickHouseServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[aiohttp.ClientSession]:
    """A console over it, with everything that it can have done."""
    monkeypatch.setenv("CLICKHOUSE_URL", engine.url)
    monkeypatch.setenv("TILLSTREAM_DATA", str(tmp_path))
    app = create_app(ConsoleConfig(Address(engine.url, database=DATABASE)), Actions(load_settings(), own_broker))
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as http:
        yield http


async def test_every_page_says_within_two_seconds_that_clickhouse_hangs_and_is_well_again_by_itself(
    engine: ClickHouseServer, console: aiohttp.ClientSession
) -> None:
    await eventually(lambda: _is(console, "/", 200))  # now the client is open
    with stopped(engine.process.pid):
        for page in PAGES:
            async with soon(SOON), console.get(page) as answer:
                assert answer.status == 503
                assert f"ClickHouse at http://127.0.0.1:{engine.port} hangs" in await answer.text()
        async with soon(SOON), console.get("/health") as answer:
            assert answer.status == 503
            page = await answer.text()
        assert "The numbers can’t be read" in page
        assert '<section class="verdict red"' in page
        assert page.count(f"ClickHouse at http://127.0.0.1:{engine.port} hangs") == 2
        async with soon(SOON), console.get("/part/judged") as answer:
            assert f"ClickHouse at http://127.0.0.1:{engine.port} hangs" in await answer.text()
        async with soon(SOON):  # many at once do not wait for each other
            statuses = await asyncio.gather(*(_status(console, page) for page in PAGES * 4))
        assert set(statuses) == {503}

    async def well() -> bool:
        async with console.get("/api/v1/health") as answer:
            if answer.status != 200:
                return False
            return "clickhouse-unreachable" not in [one["name"] for one in (await answer.json())["findings"]]

    await eventually(well)
    for page in (*PAGES, "/health"):
        await eventually(lambda page=page: _is(console, page, 200))  # type: ignore[misc]


async def _is(http: aiohttp.ClientSession, page: str, status: int) -> bool:
    return await _status(http, page) == status


async def _status(http: aiohttp.ClientSession, page: str) -> int:
    async with http.get(page) as answer:
        await answer.read()
        return answer.status


async def test_a_console_that_starts_while_clickhouse_hangs_says_so_too(engine: ClickHouseServer) -> None:
    warehouse = reader(Address(engine.url, database=DATABASE))
    with stopped(engine.process.pid):
        async with soon(SOON):
            with pytest.raises(Unavailable, match="hangs"):
                await asyncio.gather(*(warehouse.rows(Query("SELECT 1 AS one")) for _ in range(5)))
    assert await eventually(lambda: warehouse.rows(Query("SELECT 1 AS one"))) == [{"one": 1}]
    await warehouse.close()


async def test_a_slow_question_has_its_time_and_one_that_hangs_midway_is_told(engine: ClickHouseServer) -> None:
    slow = Query("SELECT sum(sleepEachRow(1)) AS slept FROM numbers(3)")
    warehouse = reader(Address(engine.url, database=DATABASE))

    async def answered() -> bool:  # on a machine so busy that no ping is answered in time, once more
        began = time.monotonic()
        assert await warehouse.rows(slow) == [{"slept": 0}]
        return time.monotonic() - began > SOON

    await eventually(answered)
    under_way = asyncio.create_task(warehouse.rows(slow))
    done, _ = await asyncio.wait({under_way}, timeout=0.5)
    assert not done
    with stopped(engine.process.pid):
        async with soon(SOON):
            with pytest.raises(Unavailable, match="hangs"):
                await under_way
    await warehouse.close()


async def test_commands_and_the_doctor_say_it_within_two_seconds(engine: ClickHouseServer) -> None:
    commands = Warehouse(Address(engine.url, database=DATABASE))
    with stopped(engine.process.pid):
        async with soon(SOON):
            with pytest.raises(Unavailable, match="hangs"):
                await asyncio.to_thread(commands.rows, "SELECT 1")
        async with soon(SOON):
            facts, known = await clickhouse_facts(Address(engine.url))
    assert "hangs" in facts.error
    assert not known.answered

    async def well() -> bool:
        facts, known = await clickhouse_facts(Address(engine.url))
        return (facts.error, known.answered) == ("", True)

    await eventually(well)
    slow = "SELECT sum(sleepEachRow(1)) AS slept FROM numbers(3)"
    assert await eventually(lambda: asyncio.to_thread(commands.rows, slow)) == [{"slept": 0}]


@pytest.mark.parametrize("command", [["sql", "SELECT 1"], ["metrics"], ["status"], ["doctor"], ["deadletters"]])
async def test_each_command_ends_soon_and_names_the_cause(
    engine: ClickHouseServer, tmp_path: Path, command: list[str]
) -> None:
    env = {**os.environ, "CLICKHOUSE_URL": engine.url, "TILLSTREAM_DATA": str(tmp_path)}
    argv = [sys.executable, "-m", "tillstream", *command]
    with stopped(engine.process.pid):
        done = await asyncio.to_thread(
            subprocess.run, argv, env=env, capture_output=True, text=True, timeout=60, check=False
        )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    if command != ["status"]:  # of an `up`, and none runs here
        assert "hangs" in said


async def test_a_broker_that_hangs_is_told_within_the_time_that_a_page_waits(tmp_path: Path) -> None:
    async with KafkaProcess(tmp_path / "kafka") as broker:

        async def well() -> bool:
            return not (await kafka_facts({"bootstrap_servers": broker.bootstrap}, "")).error

        await eventually(well)
        with stopped(broker.pid):
            async with soon(3.0):
                facts = await kafka_facts({"bootstrap_servers": broker.bootstrap}, "")
        assert "hangs" in facts.error
        await eventually(well)


@pytest.mark.parametrize(
    ("status", "body"), [(500, "Internal Server Error"), (502, "<html>bad gateway</html>"), (200, "hello")]
)
async def test_a_server_that_is_no_clickhouse_is_not_taken_for_silent(status: int, body: str) -> None:
    async def anything(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", anything)
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}"
        warehouse = reader(Address(url))
        async with soon(SOON):
            with pytest.raises(Unavailable) as caught:
                await warehouse.rows(Query("SELECT 1 AS one"))
        await warehouse.close()
        assert "hangs" not in str(caught.value)
        assert url in str(caught.value)
        facts, _ = await clickhouse_facts(Address(url))
        assert url in facts.error  # and nothing is raised
        async with soon(SOON):
            with pytest.raises(TillstreamError) as refused:
                await asyncio.to_thread(Warehouse(Address(url)).rows, "SELECT 1")
        assert "hangs" not in str(refused.value)
        found = findings(Facts(MachineFacts("/data"), (), None, facts))
        assert [one.name for one in found] == ["clickhouse-unreachable"]
