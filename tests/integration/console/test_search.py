"""Anybody and anything is found by what is written on it, on the real engine."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from clickhouse_connect.driver.client import Client

from console.config import ConsoleConfig
from schemas.metrics import Metric
from sinks.config import SinkConfig
from tests.conftest import ClickHouseServer
from tests.integration.console_support import HOSTILE, create_schema, envelope, insert, person, row, serving
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate

NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)
PAYMENT = {"InvoiceNumber": "TEA-0042", "PaymentIntent": "pi_Abc123", "Subscription": "sub_Xyz"}


PEOPLE = [  # all seen at one time: what is equally old goes by the address
    person("ada@example.com", "Ada Byron Lovelace", "cus_Ada1", subscriptions={"sub_Xyz": "active"}, now=NOW),
    person("adam@example.com", "Adam Smith", "cus_Adam", card_expirations=[], now=NOW),
    person("grace@navy.example", HOSTILE, "cus_Grace", card_expirations=[], now=NOW),
    person("ada@example.com", "Ada in Testmode", "cus_Test", livemode=False, now=NOW),
]
FACTS = [
    row(Metric.ISSUED_INVOICE, 1, NOW - timedelta(days=1), properties=PAYMENT),
    row(Metric.SUCCESSFULLY_PAID, 1, NOW, invoice_id="in_1", properties=PAYMENT),
    row(Metric.SUCCESSFULLY_PAID, 2, NOW, email="", unlinked_reason="nobody", customer_id="cus_Lost"),
]


@pytest.fixture
async def url(clickhouse_server: ClickHouseServer, database: str) -> AsyncIterator[str]:
    await create_schema(clickhouse_server.url, database)
    await insert(clickhouse_server.url, database, "profile_rows", PEOPLE)
    await insert(clickhouse_server.url, database, "metric_rows", FACTS)
    await insert(clickhouse_server.url, database, "stripe_event_rows", [envelope(7, NOW, "ch_1")])
    async with serving(ConsoleConfig(Address(clickhouse_server.url, database=database))) as url:
        yield url


async def asked(url: str, text: str, **more: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/api/v1/search", params={"q": text, **more}) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


def names(found: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    return (
        [one["email"] for one in found["profiles"]],
        [one["metric_id"].rpartition("live:")[2] for one in found["events"]],
        [one["event_id"] for one in found["stripe_events"]],
    )


BOTH = ["successfully_paid:1", "issued_invoice:1"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ada@example.com", (["ada@example.com"], [], [])),
        ("  ADA@Example.com ", (["ada@example.com"], [], [])),
        ("ada", (["ada@example.com", "adam@example.com"], [], [])),
        ("ad", (["ada@example.com", "adam@example.com"], [], [])),
        ("lovelace", (["ada@example.com"], [], [])),
        ("byron  lov", (["ada@example.com"], [], [])),
        ("4242", (["ada@example.com"], [], [])),
        ("cus_Adam", (["adam@example.com"], [], [])),
        ("TEA-0042", (["ada@example.com"], BOTH, [])),
        ("tea-00", (["ada@example.com"], BOTH[1:], [])),
        ("in_1", (["ada@example.com"], BOTH, [])),
        ("ch_1", (["ada@example.com"], BOTH[:1], [])),
        ("pi_Abc123", (["ada@example.com"], BOTH, [])),
        ("sub_X", (["ada@example.com"], [], [])),
        ("cus_Lost", ([], ["successfully_paid:2"], [])),
        ("evt_7", ([], [], ["evt_7"])),
        ("nobody at all", ([], [], [])),
        ("a", ([], [], [])),
        ("", ([], [], [])),
        ("%", ([], [], [])),
        ("' OR 1=1 --", ([], [], [])),
        (HOSTILE.lower()[:30], (["grace@navy.example"], [], [])),
    ],
)
async def test_everything_leads_to_what_it_is_written_on(
    url: str, text: str, wanted: tuple[list[str], list[str], list[str]]
) -> None:
    assert names(await asked(url, text)) == wanted


async def test_what_is_called_exactly_so_comes_without_what_only_begins_so(url: str) -> None:
    assert names(await asked(url, "ada byron lovelace"))[0] == ["ada@example.com"]
    assert names(await asked(url, "adam"))[0] == ["adam@example.com"]


async def test_the_modes_never_mix_and_the_page_says_where_it_is(url: str) -> None:
    assert names(await asked(url, "cus_test")) == ([], [], [])
    assert names(await asked(url, "cus_test", mode="test"))[0] == ["ada@example.com"]
    async with aiohttp.ClientSession() as http, http.get(f"{url}/search", params={"q": "cus_Test"}) as answer:
        text = await answer.text()
    assert "There is in test mode" in text
    assert "/search?q=cus_Test&amp;mode=test" in text


async def test_what_is_old_leads_nowhere(url: str, clickhouse_server: ClickHouseServer, database: str) -> None:
    moved = FACTS[1].model_copy(update={"withdrawn": True, "version": 2})
    await insert(clickhouse_server.url, database, "metric_rows", [moved])
    await insert(
        clickhouse_server.url,
        database,
        "profile_rows",
        [PEOPLE[1].model_copy(update={"withdrawn": True, "version": 2})],
    )
    assert names(await asked(url, "ch_1")) == ([], [], [])
    assert names(await asked(url, "cus_adam")) == ([], [], [])
    assert names(await asked(url, "TEA-0042"))[1] == BOTH[1:]


async def test_what_was_there_before_the_search_is_found_too(
    url: str, clickhouse_server: ClickHouseServer, clickhouse: Client, database: str
) -> None:
    clickhouse.command(f"DROP TABLE {database}.search_rows SYNC")
    config = SinkConfig({}, Address(clickhouse_server.url, database=database))
    async with Warehouse(config.warehouse) as connection:
        await migrate(connection)
    assert names(await asked(url, "tea-00"))[1] == BOTH[1:]
    assert names(await asked(url, "lovelace"))[0] == ["ada@example.com"]


async def test_only_the_granules_with_the_term_are_read(url: str, clickhouse: Client, database: str) -> None:
    """One range of the key, whatever is asked: the search costs the same over twenty million rows."""
    plan = clickhouse.query(
        f"EXPLAIN indexes = 1 SELECT * FROM {database}.search WHERE livemode AND term >= 'tea-' AND term < 'tea-9'"
    ).result_rows
    text = "\n".join(line for (line,) in plan)
    assert "PrimaryKey" in text
    assert "term" in text
