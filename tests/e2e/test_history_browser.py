"""The history of flows and mails in a real browser: read by everybody, gone back from by mouse and keyboard alone."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from engage.flows.library import with_status
from engage.flows.model import Status
from tests.e2e.chromium import LOOKS, RULES, faults, window
from tests.e2e.test_engagement_browser import GENTLE, HEAVIEST, Shop
from tests.e2e.test_flow_editor_browser import shop

__all__ = ["shop"]  # a fixture

KEPT = os.environ.get("TILLSTREAM_SCREENSHOTS", "")
HARD = GENTLE.replace("1 hour", "9 days")


async def changed(shop: Shop, page: Page) -> Path:
    """The flow `gentle` waits for nine days, by its file, and its history is open."""
    file = shop.project / "flows" / "gentle.yaml"
    file.write_text(HARD, "utf-8")
    await page.goto(f"{shop.url}/flow?name=gentle")
    await page.get_by_role("link", name="History").click()
    await expect(page.locator(".diff").first).to_contain_text("9 days")
    return file


@pytest.mark.parametrize("how", ["mouse", "keyboard", "phone"])
async def test_a_marketer_sees_what_was_changed_and_goes_back(shop: Shop, browser: Browser, how: str) -> None:
    async with window(browser, "phone" if how == "phone" else "light") as opened:
        page = opened.page
        file = await changed(shop, page)
        entries = page.locator(".history > li")
        count = await entries.count()
        await expect(entries.first).to_contain_text("Changed in its file")
        await expect(entries.first.locator("ins")).to_have_text("  - delay: 9 days")
        asks = entries.nth(1).locator("summary").filter(has_text="Roll back to this")
        button = entries.nth(1).get_by_role("button", name="Roll back", exact=True)
        if how == "keyboard":
            await asks.focus()
            await page.keyboard.press("Enter")
            await expect(button).to_be_visible()
            await page.keyboard.press("Tab")
            await expect(button).to_be_focused()
            await page.keyboard.press("Enter")
        else:
            await asks.click()
            await expect(button).to_be_in_viewport()
            await button.click()
        await expect(page.locator("body")).to_contain_text("It is as it was then")
        await expect(entries).to_have_count(count + 1)
        await expect(entries.first).to_contain_text("Saved by this machine")
        assert file.read_text("utf-8") == with_status(GENTLE, Status.DRAFT) or file.read_text("utf-8") == GENTLE


async def test_a_mail_goes_back_from_its_editor(shop: Shop, browser: Browser) -> None:
    old, new = "<p>Dear customer</p>\n", "<p>Hey you</p>\n"
    file = shop.project / "templates" / "letter.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    async with window(browser, "light") as opened:
        page = opened.page
        for text in (old, new):
            file.write_text(text, "utf-8")
            await page.goto(f"{shop.url}/template/history?name=letter")
        await page.goto(f"{shop.url}/template/edit?name=letter")
        await page.get_by_role("link", name="History").click()
        entries = page.locator(".history > li")
        await expect(entries).to_have_count(2)
        await expect(entries.first.locator("ins")).to_have_text("<p>Hey you</p>")
        await entries.nth(1).locator("summary").filter(has_text="Roll back to this").click()
        await entries.nth(1).get_by_role("button", name="Roll back", exact=True).click()
        await expect(page.locator("body")).to_contain_text("It is as it was then")
        assert file.read_text("utf-8") == old
        await page.get_by_role("link", name="letter").click()
        await expect(page.locator("#building textarea").first).to_have_value(old)


@pytest.mark.parametrize("look", LOOKS)
async def test_everybody_can_read_it(shop: Shop, browser: Browser, look: str) -> None:
    context = await browser.new_context(**LOOKS[look], bypass_csp=True)  # axe is put into the page
    try:
        page = await context.new_page()
        page.set_default_timeout(60_000)
        await changed(shop, page)
        await page.locator("summary").filter(has_text="Roll back to this").first.click()
        if KEPT:
            await page.screenshot(path=Path(KEPT) / f"history-{look}.png", full_page=True)
        width = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] <= width[1], width
        assert await faults(page, RULES[look]) == []
        weight = "performance.getEntries().reduce((sum, one) => sum + (one.decodedBodySize || 0), 0)"
        assert await page.evaluate(weight) < HEAVIEST
    finally:
        await context.close()
