"""The console in a real browser, on the real engine: what people see, click and type."""

import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from console.config import ConsoleConfig
from schemas.metrics import Metric
from tests.conftest import ClickHouseServer
from tests.e2e.chromium import Tab, browser
from tests.integration.console_support import HOSTILE, create_schema, envelope, fill, insert, row, serving

NOW = datetime.now(UTC)
HOSTILE_EMAIL = f"{HOSTILE.lower()}@example.com"
WIDTHS = {"light": (1280, 1500, False, False), "dark": (1280, 1500, True, False), "phone": (390, 844, False, True)}


@dataclass
class Shop:
    """A console over a filled database."""

    url: str
    server: ClickHouseServer
    database: str


@pytest.fixture(scope="module")
async def shop(clickhouse_server: ClickHouseServer, clickhouse: Client) -> AsyncIterator[Shop]:
    database = f"t_{secrets.token_hex(4)}"
    clickhouse.command(f"CREATE DATABASE {database}")
    await fill(clickhouse_server.url, database, NOW)
    async with serving(
        ConsoleConfig(clickhouse_server.url, database=database, door_url="http://127.0.0.1:8080")
    ) as url:
        yield Shop(url, clickhouse_server, database)
    clickhouse.command(f"DROP DATABASE {database} SYNC")


@pytest.fixture(scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    async with browser(tmp_path_factory.mktemp("chromium")) as open_tab:
        yield open_tab


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Where screenshots go; TILLSTREAM_SCREENSHOTS keeps them."""
    place = Path(os.environ.get("TILLSTREAM_SCREENSHOTS", tmp_path))
    place.mkdir(parents=True, exist_ok=True)
    return place


async def test_from_the_overview_to_one_event(shop: Shop, tab: Tab) -> None:
    await tab.look(1280, 900)
    await tab.open(f"{shop.url}/")
    await tab.until("document.querySelector('#overview canvas')")
    assert await tab.run("document.querySelectorAll('.metric').length") == 4
    await tab.click("a.metric.c-failed")
    await tab.until("location.pathname === '/metric/failed_payment' && document.querySelector('#metric canvas')")
    await tab.run(
        "(() => { const s = document.querySelector('[name=split]'); s.value = 'reason';"
        "s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    await tab.until("location.search.includes('split=reason')")
    await tab.until("[...document.querySelectorAll('.u-label')].some(e => e.textContent.includes('card was declined'))")
    await tab.click("header nav a[href='/feed']")
    await tab.until("document.querySelectorAll('.events li').length === 50")
    await tab.click(".events li.c-issued a.what")
    await tab.until("document.querySelector('#raw a')")
    assert "Earl Grey" in await tab.run("document.body.innerText")
    await tab.click("#raw a")
    await tab.until("document.querySelector('#raw .nothing, #raw table')")
    assert tab.problems == []


async def test_a_new_event_appears_in_the_feed_by_itself(shop: Shop, tab: Tab) -> None:
    await tab.open(f"{shop.url}/feed")
    await tab.until("document.querySelectorAll('.events li').length === 50")
    fresh = row(Metric.SUCCESSFULLY_PAID, 777_777, datetime.now(UTC), email="new.comer@example.com")
    await insert(shop.server.url, shop.database, "metric_rows", [fresh])
    await tab.until("document.querySelector('.events li .who').textContent.includes('new.comer@example.com')")
    assert tab.problems == []


async def test_a_customer_is_found_by_typing(shop: Shop, tab: Tab) -> None:
    await tab.open(f"{shop.url}/profiles")
    await tab.until("document.querySelectorAll('#found tbody tr').length === 50")
    await tab.type("#q", "hedy.55")
    await tab.until("document.querySelectorAll('#found tbody tr').length === 1")
    await tab.click("#found tbody a")
    await tab.until("document.querySelector('h1').textContent === 'hedy.55@example.com'")
    text = await tab.run("document.querySelector('main').innerText")
    assert "Visa •••• 4242" in text
    assert "expired 01/" in text
    assert tab.problems == []


async def test_hostile_names_are_text_and_nothing_else(shop: Shop, tab: Tab) -> None:
    hostile = row(
        Metric.FAILED_PAYMENT,
        888_888,
        datetime.now(UTC),
        email=HOSTILE_EMAIL,
        reason=HOSTILE,
        properties={HOSTILE: HOSTILE, "ReceiptURL": "javascript:alert(1)", "metadata": {"charge": {HOSTILE: HOSTILE}}},
    )
    await insert(shop.server.url, shop.database, "metric_rows", [hostile])
    await tab.open(f"{shop.url}/feed?metric=failed_payment")
    await tab.until("document.body.innerText.includes('{{7*7}}')")
    await tab.open(f"{shop.url}/event?id={hostile.metric_id}")
    await tab.until("document.body.innerText.includes('{{7*7}}')")
    assert await tab.run("document.title") == "Failed Payment · Tillstream"
    assert await tab.run("document.querySelector('a[href^=javascript]')") is None
    await tab.open(f"{shop.url}/metric/failed_payment?split=reason")
    await tab.until("document.querySelector('#metric canvas')")
    assert await tab.run("document.title") == "Failed Payment · Tillstream"
    assert tab.problems == []


async def test_an_empty_console_says_what_to_do_next(
    tab: Tab, clickhouse_server: ClickHouseServer, database: str, photographs: Path
) -> None:
    await create_schema(clickhouse_server.url, database)
    config = ConsoleConfig(clickhouse_server.url, database=database, door_url="https://hooks.example.com")
    async with serving(config) as url:
        await tab.open(f"{url}/")
        text = await tab.run("document.body.innerText")
        assert "https://hooks.example.com/webhooks/stripe" in text
        assert await tab.run("document.querySelectorAll('.types li').length") == 18
        assert "Waiting for the first event" in text
        await tab.photograph(photographs / "empty.png")
        first = row(Metric.SUCCESSFULLY_PAID, 1, datetime.now(UTC))
        await insert(clickhouse_server.url, database, "stripe_event_rows", [envelope(1, datetime.now(UTC), "ch_1")])
        await insert(clickhouse_server.url, database, "metric_rows", [first])
        await tab.until("document.querySelector('#overview canvas')")  # and nobody reloaded
        assert "Receiving events" in await tab.run("document.body.innerText")
    assert tab.problems == []


@pytest.mark.parametrize("look", WIDTHS)
@pytest.mark.parametrize(
    "page",
    {
        "overview": "/",
        "metric": "/metric/successfully_paid",
        "feed": "/feed",
        "profile": "/profile?email=ada.20@example.com",
    }.items(),
    ids=lambda page: page[0],
)
async def test_no_page_needs_sideways_scrolling(
    shop: Shop, tab: Tab, photographs: Path, page: tuple[str, str], look: str
) -> None:
    name, path = page
    width, height, dark, phone = WIDTHS[look]
    await tab.look(width, height, dark=dark, phone=phone)
    await tab.open(shop.url + path)
    await tab.until("![...document.querySelectorAll('.plot')].some(e => !e.querySelector('canvas'))")
    assert await tab.run("document.documentElement.scrollWidth") <= width
    assert await tab.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(14, 19, 25)" if dark else "rgb(245, 246, 250)"
    )
    await tab.photograph(photographs / f"{name}-{look}.png")
    assert tab.problems == []


async def test_everything_can_be_reached_by_keyboard(shop: Shop, tab: Tab) -> None:
    await tab.look(1280, 900)
    await tab.open(f"{shop.url}/")
    key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
    seen = []
    for _ in range(12):
        await tab.send("Input.dispatchKeyEvent", type="keyDown", **key)
        await tab.send("Input.dispatchKeyEvent", type="keyUp", **key)
        seen.append(await tab.run("document.activeElement.textContent.trim().split('\\n')[0]"))
    assert seen[0] == "Skip to the content"
    for name in ("Overview", "Activity", "Profiles", "Live", "Test", "Successfully Paid", "Issued Invoice"):
        assert name in seen, seen
