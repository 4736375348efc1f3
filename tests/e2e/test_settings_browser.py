"""Settings in a real browser: by mouse, by keyboard alone, on a phone, in light and dark."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from console.actions import Actions
from console.config import ConsoleConfig
from settings.browser import USED_BY, read_browser
from settings.loading import load_settings
from tests.e2e.chromium import LOOKS, RULES, faults, window
from tests.e2e.test_console_browser import KEPT
from tests.integration.console_support import serving
from tests.postbox import Postbox, postbox
from tillstream.broker import own_broker
from warehouse.address import Address

expect.set_options(timeout=60_000)  # the machine may be busy


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    for name in USED_BY:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TILLSTREAM_DATA", str(tmp_path))
    config = ConsoleConfig(Address("http://127.0.0.1:9"), state=tmp_path / "console")
    async with serving(config, actions=Actions(load_settings(), own_broker)) as found:
        yield found


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with window(browser) as opened:
        yield opened.page
        opened.problems[:] = [one for one in opened.problems if "409" not in one]  # the page says that itself


@pytest.fixture
async def box() -> AsyncIterator[Postbox]:
    async with postbox() as found:
        yield found


async def test_a_mail_server_is_set_and_tried_by_mouse(url: str, page: Page, box: Postbox, tmp_path: Path) -> None:
    await page.goto(f"{url}/settings")
    await page.get_by_label("Mail server").fill("127.0.0.1")
    await page.get_by_label("Port").fill(box.url.rpartition(":")[2])
    await page.get_by_label("Encryption").select_option("smtp")
    await page.get_by_label("Mails come from").fill("Shop <billing@shop.example>")
    await page.get_by_label("Send a test to").fill("me@shop.example")
    await page.locator("#mail").get_by_role("button", name="Send a test").click()
    await expect(page.locator("#mail [role=status]")).to_contain_text("A test was sent to me@shop.example")
    assert [str(mail["To"]) for mail in box.mails] == ["me@shop.example"]
    assert read_browser(tmp_path) == {}
    await page.locator("#mail").get_by_role("button", name="Save").click()
    await expect(page.locator("main > .done")).to_contain_text("engage begins anew")
    assert set(read_browser(tmp_path)) == {"smtp_url", "tillstream_mail_from"}
    await expect(page.locator("#going-live li").first).to_contain_text("Mail server")


async def test_the_organisation_is_set_by_keyboard_alone(url: str, page: Page, tmp_path: Path) -> None:
    await page.goto(f"{url}/settings")
    await page.get_by_label("Name", exact=True).focus()
    await page.keyboard.type("Tea & Co")
    for _ in range(4):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Control+A")
    await page.keyboard.type("Europe/Berln")
    await page.keyboard.press("Enter")
    await expect(page.locator("#organization [role=alert]")).to_contain_text("did you mean Europe/Berlin?")
    assert await page.get_by_label("Name", exact=True).input_value() == "Tea & Co"
    await page.get_by_label("Timezone").focus()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("Europe/Berlin")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("main > .done")).to_contain_text("begin anew")
    assert read_browser(tmp_path) == {"tillstream_organization": "Tea & Co", "tillstream_timezone": "Europe/Berlin"}


@pytest.mark.parametrize("look", LOOKS)
async def test_the_page_fits_and_can_be_read_by_everybody(
    url: str, browser: Browser, look: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILLSTREAM_PORTAL_URL", "https://billing.stripe.com/p/login/of-the-environment")
    context = await browser.new_context(**LOOKS[look], bypass_csp=True)  # axe is put into the page
    context.set_default_timeout(60_000)
    try:
        page = await context.new_page()
        await page.goto(f"{url}/settings")
        await expect(page.locator("#going-live li").first).to_be_visible()
        await page.get_by_label("Timezone").fill("Nowhere")
        await page.locator("#organization").get_by_role("button", name="Save").click()
        await expect(page.locator("#organization [role=alert]")).to_be_visible()
        await expect(page.locator("#going-live li").first).to_be_visible()
        if KEPT:
            await page.screenshot(path=Path(KEPT) / f"settings-{look}.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= LOOKS[look]["viewport"]["width"]
        assert await faults(page, RULES[look]) == []
    finally:
        await context.close()
