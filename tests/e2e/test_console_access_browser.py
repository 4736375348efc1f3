"""Signing in, connecting, disconnecting and the audit log in a real browser, against the simulated Stripe."""

import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from clickhouse_connect.driver.client import Client
from playwright.async_api import Browser, Page, expect

from console.actions import Actions
from console.app import create_app
from console.config import ConsoleConfig
from settings.loading import load_settings
from simulator.api.app import create_app as create_stripe
from simulator.api.virtual import VirtualStripe
from simulator.world.history import World
from tests.conftest import ClickHouseServer, eventually
from tests.e2e.chromium import LOOKS, RULES, faults, window
from tests.integration.connector_support import START
from tests.integration.console_support import fill
from tillstream.broker import own_broker
from warehouse.address import Address

KEPT = os.environ.get("TILLSTREAM_SCREENSHOTS", "")
TOKEN = "opens all of the console"
expect.set_options(timeout=60_000)  # the machine may be busy


@dataclass
class Shop:
    """A console that asks for a token, and the Stripe account that it can be connected to."""

    url: str
    stripe: VirtualStripe


@pytest.fixture(scope="module")
async def shop(
    clickhouse_server: ClickHouseServer, clickhouse: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    database, data = f"t_{secrets.token_hex(4)}", tmp_path_factory.mktemp("access")
    clickhouse.command(f"CREATE DATABASE {database}")
    await fill(clickhouse_server.url, database, datetime.now(UTC))
    virtual = VirtualStripe(World(3, START, 5, 20), timezone="UTC")
    virtual.keys.revoke("sk_live_mistyped")
    with pytest.MonkeyPatch.context() as patched:
        async with TestServer(create_stripe(virtual)) as stripe:
            for name, value in {
                "STRIPE_API_BASE": f"http://127.0.0.1:{stripe.port}",
                "CLICKHOUSE_URL": clickhouse_server.url,
                "CLICKHOUSE_DATABASE": database,
                "TILLSTREAM_DATA": str(data),
            }.items():
                patched.setenv(name, value)
            config = ConsoleConfig(
                Address(clickhouse_server.url, database=database),
                door_url="https://hooks.example.com",
                token=TOKEN,
                state=data / "console",
            )
            async with TestServer(create_app(config, Actions(load_settings(), own_broker))) as server:
                yield Shop(str(server.make_url("")).rstrip("/"), virtual)
    clickhouse.command(f"DROP DATABASE {database} SYNC")


async def sign_in(page: Page, shop: Shop, path: str = "/") -> None:
    await page.goto(shop.url + path)
    await page.get_by_label("Token").fill(TOKEN)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def test_a_sign_in_leads_back_and_a_sign_out_ends_it_in_every_tab(shop: Shop, browser: Browser) -> None:
    async with window(browser) as opened:
        page = opened.page
        await page.goto(f"{shop.url}/feed?mode=test")
        await page.get_by_label("Token").fill("a guess")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        opened.problems.clear()  # the browser reports the 403
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page).to_have_url(f"{shop.url}/feed?mode=test")
        stolen = await page.context.cookies()
        other = await page.context.new_page()
        await other.goto(f"{shop.url}/profiles")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(f"{shop.url}/login")
        await page.context.add_cookies(stolen)  # type: ignore[arg-type]
        await other.reload()
        await expect(other).to_have_url(f"{shop.url}/login?next=/profiles")


async def test_an_account_is_connected_by_trial_and_error_and_disconnected(shop: Shop, browser: Browser) -> None:
    async with window(browser) as opened:
        page = opened.page
        await sign_in(page, shop, "/integration")
        await page.get_by_label("API key").fill("sk_live_mistyped")
        await page.get_by_label("Address at which Stripe reaches").fill("https://hooks.example.com")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("Not connected")
        opened.problems.clear()  # the browser reports the 409
        await expect(page.get_by_label("API key")).to_be_focused()
        await expect(page.get_by_label("API key")).to_have_value("")
        await expect(page.get_by_label("Address at which Stripe reaches")).to_have_value("https://hooks.example.com")
        await page.get_by_label("API key").fill("sk_live_simulated")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(page.get_by_role("status").first).to_contain_text("sends 18 types in live mode")
        await expect(page.locator("#connection .yes")).to_have_count(18)
        await page.get_by_label("Signing secret of an endpoint made by hand").fill("whsec_made_by_hand_1234")
        await page.get_by_role("button", name="Add").click()
        await expect(page.locator("#secrets li")).to_have_count(2)
        await page.reload()
        await expect(page.get_by_role("status")).to_have_count(0)  # a notice is told once
        await page.get_by_label("Remove whsec_…1234").click()
        if KEPT:
            await page.screenshot(path=Path(KEPT) / "secrets-removing.png", full_page=True)
        await page.get_by_role("button", name="Remove whsec_…1234").click()
        await expect(page.locator("#secrets li")).to_have_count(1)
        await page.get_by_role("link", name="Disconnect…").click()
        await expect(page.locator("main")).to_contain_text("deleted in Stripe")
        await page.get_by_role("button", name="Disconnect", exact=True).click()
        await expect(page.get_by_role("status").first).to_contain_text("is deleted in Stripe")
        assert list(shop.stripe.account("default").endpoints) == []
        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Audit log").click()
        told = await audited(page, "disconnected from Stripe")
        assert "sk_live_mistyped" not in told
        assert "failed" in told  # the key that Stripe did not know


async def audited(page: Page, action: str) -> str:
    """What the audit log shows, as soon as it has the action with its end: both come to ClickHouse by themselves."""
    log = page.get_by_role("region", name="Audit log")

    async def shown() -> str:
        await page.reload()
        told = await log.inner_text()
        assert action in told
        assert "not ended" not in told
        return told

    return await eventually(shown)


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_fits_and_can_be_read_by_everybody(
    shop: Shop, browser: Browser, tmp_path: Path, look: str
) -> None:
    photographs = Path(KEPT or tmp_path)
    context = await browser.new_context(**LOOKS[look], bypass_csp=True)  # axe is put into the page
    context.set_default_timeout(60_000)
    try:
        page = await context.new_page()

        async def looked_at(name: str) -> None:
            if KEPT:
                await page.screenshot(path=photographs / f"{name}-{look}.png", full_page=True)
            width = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert width[0] <= width[1], (name, width)
            assert await faults(page, RULES[look]) == [], name

        await page.goto(shop.url)
        await page.get_by_label("Token").fill("a guess")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await looked_at("sign-in")
        await sign_in(page, shop, "/integration")
        await page.get_by_label("API key").fill("sk_live_mistyped")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("Not connected")
        await looked_at("connect-refused")
        await page.get_by_label("API key").fill("sk_live_simulated")
        await page.get_by_label("Address at which Stripe reaches").fill("https://hooks.example.com")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(page.locator("#connection .yes")).to_have_count(18)
        await page.get_by_label("Signing secret of an endpoint made by hand").fill("whsec_made_by_hand_1234")
        await page.get_by_role("button", name="Add").click()
        await expect(page.locator("#connection .yes")).to_have_count(18)
        await looked_at("connected")
        await page.get_by_role("link", name="Disconnect…").click()
        await expect(page.locator("main")).to_contain_text("deleted in Stripe")
        await looked_at("disconnect")
        await page.get_by_role("button", name="Disconnect", exact=True).click()
        await expect(page.get_by_role("status").first).to_contain_text("is deleted in Stripe")
        await page.goto(f"{shop.url}/audit")
        await audited(page, "disconnected from Stripe")
        await looked_at("audit")
    finally:
        await context.close()
