"""The page SQL on the real engine: rows, bounds, ClickHouse's own words, and nothing that changes anything."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from clickhouse_connect.driver.client import Client

from console import asking
from console.app import create_app
from console.asking import Analyst, examples
from console.config import ConsoleConfig
from console.roles import Role
from schemas.errors import ConfigurationError
from tests.conftest import ClickHouseServer
from tests.integration.console_support import HOSTILE, fill
from warehouse.address import Address


@pytest.fixture(scope="module")
async def address(clickhouse_server: ClickHouseServer, clickhouse: Client) -> AsyncIterator[Address]:
    database = f"t_{secrets.token_hex(4)}"
    clickhouse.command(f"CREATE DATABASE {database}")
    await fill(clickhouse_server.url, database, datetime.now(UTC))
    yield Address(clickhouse_server.url, database=database)
    clickhouse.command(f"DROP DATABASE {database} SYNC")


@pytest.fixture
async def http(address: Address) -> AsyncIterator[aiohttp.ClientSession]:
    app = create_app(ConsoleConfig(address))
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield session


async def answer(http: aiohttp.ClientSession, sql: str, path: str = "/sql") -> str:
    async with http.post(path, data={"sql": sql}) as response:
        assert response.status == 200
        return await response.text()


async def test_rows_are_shown_as_clickhouse_gave_them(address: Address) -> None:
    found = await Analyst(address, None).ask(
        "SELECT 1 AS one, toDecimal64('0.10', 2) AS amount, NULL AS nothing, [1, 2] AS some, 'é<' AS text;"
    )
    assert found.names == ("one", "amount", "nothing", "some", "text")
    assert found.types[:2] == ("UInt8", "Decimal(18, 2)")
    assert found.rows == ((1, "0.10", None, [1, 2], "é<"),)
    assert not found.more


async def test_more_rows_than_a_page_holds_are_told_of(address: Address) -> None:
    analyst = Analyst(address, None)
    found = await analyst.ask("SELECT number FROM numbers(5000)")
    assert (len(found.rows), found.more) == (1000, True)
    assert not (await analyst.ask("SELECT number FROM numbers(1000)")).more
    assert len((await analyst.file("SELECT number FROM numbers(5000)")).splitlines()) == 5001


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT repeat('x', 5000) FROM numbers(1000)", "larger than 4 MB"),
        ("SELECT max(sipHash64(number)) FROM numbers(1000000000000)", "ClickHouse says"),
        ("SELECT number FROM numbers(2000) SETTINGS max_result_rows = 0", "would change something, or a bound"),
        ("SELECT count() FROM metrics SETTINGS max_execution_time = 1000", "would change something, or a bound"),
        ("DROP VIEW metrics", "would change something"),
        ("INSERT INTO metric_rows (metric) VALUES ('x')", "would change something"),
        ("SYSTEM SHUTDOWN", "ClickHouse says"),
        ("SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')", "ClickHouse says"),
        ("SELECT * FROM file('/etc/passwd')", "ClickHouse says"),
        ("SELEC 1", "ClickHouse says: Syntax error"),
        ("SELECT no_such FROM metrics", "ClickHouse says: "),
        ("SELECT 1 FORMAT CSV", "FORMAT"),
        ("  ;", "nothing is asked"),
        ("SELECT '" + "x" * 20_000 + "'", "longer than"),
    ],
)
async def test_what_can_not_be_is_told_with_the_next_step(
    address: Address, sql: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SECONDS", 2.0)
    with pytest.raises(ConfigurationError) as caught:
        await Analyst(address, None).ask(sql)
    assert words in str(caught.value)
    assert caught.value.remedy
    assert "no_such" not in sql or "no_such" in str(caught.value)


async def test_every_question_of_the_cookbook_has_an_answer(address: Address) -> None:
    analyst = Analyst(address, None)
    assert len(examples()) > 25
    for one in examples():
        assert (await analyst.ask(one.sql)).names, one.title


async def test_views_have_their_columns_and_comments(address: Address) -> None:
    views = {view.name: view for view in await Analyst(address, None).schema()}
    assert {"metrics", "profiles", "daily_metrics", "balances"} <= set(views)
    assert not any(name.endswith("_rows") for name in views)
    assert "occurred_at" in {column.name for column in views["metrics"].columns}
    assert any(view.comment for view in views.values())


async def test_the_page_shows_a_hostile_answer_as_text(http: aiohttp.ClientSession) -> None:
    quoted = HOSTILE.replace("'", "\\'")
    page = await answer(http, f"SELECT '{quoted}' AS `{HOSTILE[:10]}`, 1 AS n")
    assert "<script>document" not in page
    assert "&lt;script&gt;" in page
    wrong = await answer(http, "SELECT '</textarea><script>x</script>' FROM nowhere")
    assert "<script>x" not in wrong
    assert "ClickHouse says" in wrong
    assert "SELECT &#39;&lt;/textarea&gt;" in wrong  # what was asked is still there


async def test_an_answer_is_a_file_too(http: aiohttp.ClientSession) -> None:
    async with http.post("/sql/csv", data={"sql": "SELECT 1 AS a, 'x,y' AS b"}) as response:
        assert response.headers["Content-Disposition"] == 'attachment; filename="answer.csv"'
        assert await response.text() == '"a","b"\n1,"x,y"\n'


async def test_a_link_asks_nothing_and_an_example_is_filled_in(http: aiohttp.ClientSession) -> None:
    async with http.get("/sql", params={"sql": "SELECT 1", "example": "1"}) as response:
        page = await response.text()
    assert 'id="answer"' not in page
    assert "FROM daily_metrics" in page
    async with http.get("/sql/csv") as response:
        assert response.status == 405


@pytest.mark.parametrize("role", Role)
async def test_analysts_and_administrators_ask_and_nobody_else(address: Address, role: Role) -> None:
    token = "t" * 24
    async with TestServer(create_app(ConsoleConfig(address, tokens=((role, token),)))) as server:
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(server.make_url("/"), headers=headers) as http:
            async with http.get("/sql") as page, http.post("/sql", data={"sql": "SELECT 1"}) as asked:
                allowed = role in (Role.ADMIN, Role.ANALYST)
                assert (page.status, asked.status) == ((200, 200) if allowed else (403, 403))
            async with http.get("/search") as page:
                assert ('href="/sql"' in await page.text()) == allowed
