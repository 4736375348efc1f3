"""The console in a real browser, on the real engine: what people see, click and type."""

import os
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from playwright.async_api import Browser, Page, expect

from console.config import ConsoleConfig
from console.pages.site import METRICS, NAVIGATION
from schemas.metrics import Metric
from tests.conftest import ClickHouseServer
from tests.e2e.chromium import LOOKS, RULES, drawn, faults, window
from tests.integration.console_support import HOSTILE, create_schema, envelope, fill, insert, movement, row, serving
from warehouse.address import Address
from warehouse.client import Warehouse

NOW = datetime.now(UTC)
HOSTILE_ITEM = {"product_id": HOSTILE, "currency": "jpy", "amount": "900", "mrr": "900"}
HOSTILE_EMAIL = f"{HOSTILE.lower()}@example.com"
expect.set_options(timeout=60_000)  # the machine may be busy
KEPT = os.environ.get("TILLSTREAM_SCREENSHOTS", "")
SHOWN = {
    "overview": "/",
    "metric": "/metric/failed_payment?split=reason",
    "compared": "/metric/successfully_paid?compare=true&where=currency&is=usd",
    "feed": "/feed",
    "profiles": "/profiles?q=ada",
    "search": "/search?q=TEA-00",
    "profile": "/profile?email=ada.20@example.com",
    "integration": "/integration",
    "payouts": "/payouts",
    "books": "/books",
    "books since": "/books/since?month=2026-01&as_of=2200-01-01T00:00",
    "mrr": "/mrr",
    "health": "/health",
    "sql": "/sql?example=1",
    "raw": "/raw?id=evt_1",
    "missing": "/event?id=nope",
}


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
    moves = [movement(number, NOW - timedelta(days=20 * number), "12.5", "12.5") for number in range(1, 20)]
    moves += [
        movement(1, NOW - timedelta(days=2), "-12.5", "0", status="canceled"),
        movement(2, NOW - timedelta(days=3), "-2.5", "10", found_late=True),
        movement(3, NOW - timedelta(days=4), "1", "1", items=[HOSTILE_ITEM]),
    ]
    async with Warehouse(Address(clickhouse_server.url, database=database)) as connection:
        await connection.insert("mrr_movement_rows", moves)
    async with serving(
        ConsoleConfig(Address(clickhouse_server.url, database=database), door_url="http://127.0.0.1:8080")
    ) as url:
        yield Shop(url, clickhouse_server, database)
    clickhouse.command(f"DROP DATABASE {database} SYNC")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Where screenshots go; TILLSTREAM_SCREENSHOTS keeps them."""
    place = Path(KEPT or tmp_path)
    place.mkdir(parents=True, exist_ok=True)
    return place


async def test_from_the_overview_to_one_event(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/")
    assert await page.locator(".metric").count() == 4
    await page.locator("a.metric", has_text="Failed Payment").click()
    await drawn(page)
    await page.get_by_label("Split by").select_option("reason")
    await expect(page).to_have_url(re.compile("split=reason"))
    await expect(page.locator(".u-legend")).to_contain_text("card was declined")
    await page.get_by_role("link", name="Activity").first.click()
    await expect(page.locator(".events li")).to_have_count(50)
    await page.locator(".events .what", has_text="Issued Invoice").first.click()
    await expect(page.locator("main")).to_contain_text("Earl Grey")
    await expect(page.locator("#raw")).to_contain_text("No kept event")


async def test_a_metric_is_filtered_compared_and_read_by_mouse(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/metric/successfully_paid")
    await drawn(page)
    all_of_it = await page.locator(".totals dd").first.inner_text()
    await page.locator("select.new").select_option("currency")
    await expect(page.locator("#values option")).to_have_count(4)
    await page.locator("input.new").fill("eur")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".chip")).to_contain_text("Currency: EUR")
    assert await page.locator(".totals dd").first.inner_text() != all_of_it
    await page.get_by_label("with the time before").check()
    await expect(page.locator(".u-legend")).to_contain_text("the time before")
    await page.locator(".u-over").hover()
    newest = page.locator(".u-legend .u-value").first
    await expect(newest).to_contain_text(re.compile(r"\d{4}"))
    day, count = await newest.inner_text(), await page.locator(".u-legend .u-value").nth(1).inner_text()
    told = page.locator("tbody tr", has=page.get_by_role("rowheader", name=day, exact=True))
    assert await told.locator("td.n").nth(1).inner_text() == count
    await expect(page.locator(".chip")).to_have_count(1)
    await page.get_by_label("Remove the filter Currency").click()
    await expect(page.locator(".chip")).to_have_count(0)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    assert "usd" in (await (await download.value).path()).read_text()


async def test_a_question_in_sql_is_asked_by_mouse_and_by_keyboard(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/")
    await page.get_by_role("link", name="SQL", exact=True).click()
    await page.get_by_text("Revenue", exact=True).click()
    await page.get_by_role("link", name="What did we earn each day?").click()
    await expect(page.get_by_label("Question", exact=True)).to_have_value(re.compile("FROM daily_metrics"))
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("#answer tbody")).to_contain_text("usd")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download CSV").click()
    assert '"net"' in (await (await download.value).path()).read_text()
    await page.get_by_label("Question", exact=True).focus()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("SELECT no_such FROM metrics")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_role("alert")).to_contain_text("no_such")
    await expect(page.get_by_label("Question", exact=True)).to_have_value("SELECT no_such FROM metrics")


async def test_a_new_event_appears_in_the_feed_by_itself(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/feed")
    await expect(page.locator(".events li")).to_have_count(50)
    fresh = row(Metric.SUCCESSFULLY_PAID, 777_777, datetime.now(UTC), email="new.comer@example.com")
    await insert(shop.server.url, shop.database, "metric_rows", [fresh])
    await expect(page.locator(".livemark")).to_have_text("live")
    await expect(page.locator(".events li .who").first).to_contain_text("new.comer@example.com")
    learned = fresh.model_copy(update={"version": 2, "reason": "told a little later"})
    await insert(shop.server.url, shop.database, "metric_rows", [learned])
    await expect(page.locator(".events li").first).to_contain_text("told a little later")
    await page.locator(".events .what").first.click()
    await expect(page.get_by_role("region", name="Versions")).to_contain_text("reason nothing → told a little later")


async def test_a_customer_is_found_by_typing(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/profiles")
    await expect(page.locator("#found tbody tr")).to_have_count(50)
    await page.locator("#q").press_sequentially("hedy.55")
    await expect(page.locator("#found tbody tr")).to_have_count(1)
    await page.locator("#found tbody a").click()
    await expect(page.locator("h1")).to_contain_text("Hedy Example")
    await expect(page.locator(".lead")).to_have_text("hedy.55@example.com")
    await expect(page.locator("main")).to_contain_text("Visa •••• 4242")
    await expect(page.locator("main")).to_contain_text("expired 01/")


async def test_anybody_is_found_from_every_page_by_the_keyboard_alone(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/health")
    await page.keyboard.press("/")
    await page.keyboard.type("hedy.5")
    await page.keyboard.press("Enter")
    await expect(page.locator("#found .hit").first).to_contain_text("hedy.")
    await expect(page.locator("#find")).to_be_focused()
    await page.keyboard.press("End")
    await page.keyboard.type("5")
    await expect(page.locator("#found .hit")).to_have_count(1)  # and nobody pressed Enter
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/profile\?email=hedy\.55"))
    await page.goto(f"{shop.url}/profiles")
    await page.locator("#q").press("/")  # who writes, writes
    await expect(page.locator("#q")).to_have_value("/")


async def test_hostile_names_are_text_and_nothing_else(shop: Shop, page: Page) -> None:
    hostile = row(
        Metric.FAILED_PAYMENT,
        888_888,
        datetime.now(UTC),
        email=HOSTILE_EMAIL,
        reason=HOSTILE,
        properties={HOSTILE: HOSTILE, "ReceiptURL": "javascript:alert(1)", "metadata": {"charge": {HOSTILE: HOSTILE}}},
    )
    await insert(shop.server.url, shop.database, "metric_rows", [hostile])
    await page.goto(f"{shop.url}/feed?metric=failed_payment")
    await expect(page.locator("main")).to_contain_text("{{7*7}}")
    await page.goto(f"{shop.url}/event?id={hostile.metric_id}")
    await expect(page.locator("main")).to_contain_text("{{7*7}}")
    assert await page.title() == "Failed Payment · Tillstream"
    assert await page.locator("a[href^=javascript]").count() == 0
    await page.goto(f"{shop.url}/metric/failed_payment?split=reason")
    await drawn(page)
    await page.locator("select.new").select_option(label="Reason")
    await expect(page.locator("#values option")).not_to_have_count(0)
    assert await page.title() == "Failed Payment · Tillstream"


async def test_an_empty_console_says_what_to_do_next(
    page: Page, clickhouse_server: ClickHouseServer, database: str, photographs: Path
) -> None:
    await create_schema(clickhouse_server.url, database)
    config = ConsoleConfig(Address(clickhouse_server.url, database=database), door_url="https://hooks.example.com")
    async with serving(config) as url:
        await page.goto(f"{url}/")
        await expect(page.locator("main")).to_contain_text("https://hooks.example.com/webhooks/stripe")
        await expect(page.locator(".types li")).to_have_count(18)
        await expect(page.locator("main")).to_contain_text("none yet")
        await page.screenshot(path=photographs / "empty.png", full_page=True)
        first = row(Metric.SUCCESSFULLY_PAID, 1, datetime.now(UTC))
        await insert(clickhouse_server.url, database, "stripe_event_rows", [envelope(1, datetime.now(UTC), "ch_1")])
        await insert(clickhouse_server.url, database, "metric_rows", [first])
        await expect(page.locator("a.metric").first).to_be_visible()  # and nobody reloaded
        await expect(page.locator("main")).to_contain_text("just now")


async def test_the_colours_are_chosen_and_stay(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/metric/successfully_paid")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    for _ in range(2):
        await page.get_by_role("button", name="Colours").click()
    dark = await page.evaluate(ground)
    assert dark != light
    await page.reload()
    assert await page.evaluate(ground) == dark


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_fits_and_can_be_read_by_everybody(
    shop: Shop, browser: Browser, photographs: Path, look: str
) -> None:
    """No sideways scrolling, and nothing that axe-core (WCAG 2.2 A and AA) finds fault with."""
    context = await browser.new_context(**LOOKS[look], bypass_csp=True)  # axe is put into the page
    context.set_default_timeout(60_000)
    try:
        page = await context.new_page()
        for name, path in SHOWN.items():
            await page.goto(shop.url + path)
            await drawn(page)
            if KEPT:
                await page.screenshot(path=photographs / f"{name}-{look}.png", full_page=True)
            width = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert width[0] <= width[1], (name, width)
            assert await faults(page, RULES[look]) == [], name
    finally:
        await context.close()


async def test_on_a_phone_every_page_is_at_the_thumb(shop: Shop, browser: Browser) -> None:
    async with window(browser, "phone") as opened:
        page = opened.page
        await page.goto(f"{shop.url}/")
        pages = page.get_by_role("navigation", name="Pages")
        box = await pages.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] == LOOKS["phone"]["viewport"]["height"]
        await pages.get_by_role("link", name="Profiles").tap()
        await expect(page).to_have_url(f"{shop.url}/profiles")
        await expect(pages.get_by_role("link", name="Health")).to_be_hidden()
        await pages.get_by_role("button", name="More").tap()
        await pages.get_by_role("link", name="Health").tap()
        await expect(page).to_have_url(f"{shop.url}/health")
        await expect(pages.get_by_role("link", name="Audit log")).to_be_hidden()
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        foot = await page.locator("footer").bounding_box()
        assert foot is not None
        assert foot["y"] + foot["height"] <= box["y"]  # nothing is below the bar for good


async def test_everything_can_be_reached_by_keyboard(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/")
    seen = []
    for _ in range(len(NAVIGATION) + len(METRICS) + 20):
        await page.keyboard.press("Tab")
        seen.append(await page.evaluate("document.activeElement.textContent.trim().split('\\n')[0]"))
    assert seen[0] == "Skip to the content"
    for name in (
        "Overview",
        "Activity",
        "Profiles",
        "Live",
        "Test",
        "Successfully Paid",
        "Issued Invoice",
        "All of it",
    ):
        assert name in seen, seen
    await page.goto(f"{shop.url}/")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
