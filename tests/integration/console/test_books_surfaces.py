"""Closed books on the page, as JSON and on the command line say the same."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from clickhouse_connect.driver.client import Client

from console.actions import Actions
from console.config import ConsoleConfig
from schemas.metrics import Metric
from settings.loading import load_settings
from tests.conftest import ClickHouseServer, eventually
from tests.integration.console_support import create_schema, serving
from tests.integration.sinks.test_metric_history import write
from tests.integration.sinks_support import fact
from tests.shapes import differences
from tillstream.broker import own_broker
from warehouse.address import Address
from warehouse.client import Warehouse

MONTH = "2026-01"
NOT_CLOSED = "the books of January 2026 were not closed for the account default"
DAY = {"occurred_at": "2026-01-10T10:00:00.000Z"}


@pytest.fixture
async def january(
    clickhouse_server: ClickHouseServer,
    clickhouse: Client,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> AsyncIterator[Warehouse]:
    """Two payments, known for a while."""
    await create_schema(clickhouse_server.url, database)
    clickhouse.database = database
    for name, value in {
        "CLICKHOUSE_URL": clickhouse_server.url,
        "CLICKHOUSE_DATABASE": database,
        "TILLSTREAM_DATA": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    async with Warehouse(Address(clickhouse_server.url, database=database)) as warehouse:
        await warehouse.run("INSERT INTO metric_history_rows (metric_id, known_at) VALUES ('', '2026-01-01 00:00:00')")
        rows = [fact("paid:1", amount_minor=1000, **DAY), fact("paid:2", amount_minor=2000, email="<b>x</b>", **DAY)]
        await write(warehouse, rows, "2026-02-01T00:00:00.000Z")
        yield warehouse


def command(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tillstream", "metrics", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout or done.stderr


async def test_a_month_is_closed_by_a_button_and_compared_everywhere(january: Warehouse) -> None:
    config = ConsoleConfig(january.address)
    actions = Actions(load_settings(), own_broker)
    jar = aiohttp.CookieJar(unsafe=True)
    async with serving(config, actions=actions) as url, aiohttp.ClientSession(url, cookie_jar=jar) as http:
        async with http.get("/api/v1/closings/changes", params={"month": MONTH}) as answer:
            assert (answer.status, (await answer.json())["error"]) == (409, NOT_CLOSED)
        async with http.post("/books/close", data={"month": MONTH}, headers={"Origin": url}) as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "January 2026 is closed" in page
        assert "Successfully Paid: 2" in page
        async with http.get("/api/v1/closings") as answer:
            (closing,) = (await answer.json())["closings"]
        assert [(one["metric"], one["count"], one["amount"]) for one in closing["totals"]] == [
            ("Successfully Paid", 2, "30.00")
        ]
        assert command("--closed", MONTH)[0] == 0

        late = fact("refund", Metric.REFUNDED_PAYMENT, amount_minor=300, event_id="evt_late", **DAY)
        less = fact("paid:2", amount_minor=1900, version=2, event_id="evt_less", email="<b>x</b>", **DAY)
        await write(january, [late, less])
        async with http.get("/api/v1/closings/changes", params={"month": MONTH}) as answer:
            found = await answer.json()
        assert {row["metric_id"]: (row["then"], row["now"], row["causes"][0]["event_id"]) for row in found["rows"]} == {
            "refund": (None, {"currency": "usd", "amount": "3.00"}, "evt_late"),
            "paid:2": ({"currency": "usd", "amount": "20.00"}, {"currency": "usd", "amount": "19.00"}, "evt_less"),
        }
        async with http.get("/books/since", params={"month": MONTH, "closing": closing["closing_id"]}) as answer:
            page = await answer.text()
        assert "2 rows count otherwise" in page
        assert "evt_less" in page
        assert "<b>x</b>" not in page
        code, told = command("--closed", MONTH, "--json")
        assert (code, differences(["metrics"], told)) == (1, "")
        assert json.loads(told)[0]["rows"] == found["rows"]
        code, told = command("--closed", MONTH)
        assert code == 1
        assert re.search(r"2 rows count otherwise", told)
        assert command("--closed", MONTH, "--as-of", "2026-01-15")[0] == 1  # then nothing was known
        code, told = command("--closed", MONTH, "--as-of", "2025-12-15")
        assert (code, "history of versions begins later" in told) == (2, True)

        async def logged() -> bool:
            rows = await january.rows("SELECT detail, outcome FROM audit WHERE action = 'closed the books'")
            return rows == [{"detail": "2026-01, live mode", "outcome": "done"}]

        await eventually(logged)


async def test_who_may_only_look_closes_nothing(january: Warehouse) -> None:
    config = ConsoleConfig(january.address, token="all" * 8, read_token="look" * 8)
    async with serving(config) as url, aiohttp.ClientSession(url) as http:
        signed = {"Authorization": f"Bearer {config.read_token}"}
        async with http.post("/books/close", data={"month": MONTH}, headers=signed | {"Origin": url}) as answer:
            assert answer.status == 403
        async with http.get("/books", headers=signed) as answer:
            assert "Close the books" not in await answer.text()
