"""The mail editor in a real browser: a mail of blocks by mouse, by keyboard alone and on a phone, to a real mailbox."""

import base64
import os
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from clickhouse_connect.driver.client import Client
from playwright.async_api import Browser, Locator, Page, expect

from engage.templates import blocks
from tests.conftest import ClickHouseServer, eventually
from tests.e2e.chromium import LOOKS, RULES, faults, window
from tests.e2e.test_engagement_browser import HEAVIEST, Shop
from tests.integration.engagement_support import environment, furnish
from tests.postbox import Postbox, postbox

NOW = datetime.now(UTC)
KEPT = os.environ.get("TILLSTREAM_SCREENSHOTS", "")
HOSTILE = '<img src=x onerror=alert(1)> O\'Hara "50 %"'
SHOWN = {
    "templates": "/templates",
    "template-new": "/template/new",
    "template-failed": "/template/edit?start=failed",
    "template-paid": "/template/edit?start=paid",
    "template-html": "/template/edit?name=receipt",
    "brand": "/brand",
}
LOGO = base64.b64decode(  # 3 by 2 pixels
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGMoMd8MQQxwFgBQogg10biP9wAAAABJRU5ErkJggg=="
)
expect.set_options(timeout=15_000)  # the machine may be busy


@pytest.fixture(scope="module")
async def box() -> AsyncIterator[Postbox]:
    async with postbox() as running:
        yield running


@pytest.fixture(scope="module")
async def shop(
    clickhouse_server: ClickHouseServer,
    clickhouse: Client,
    box: Postbox,
    kafka_bootstrap: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Shop]:
    database, data = f"t_{secrets.token_hex(4)}", tmp_path_factory.mktemp("mails")
    clickhouse.command(f"CREATE DATABASE {database}")
    place = await furnish(clickhouse_server.url, database, data, NOW, kafka_bootstrap)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(clickhouse_server.url, database, data, kafka_bootstrap).items():
            patch.setenv(name, value)
        patch.setenv("SMTP_URL", box.url)
        patch.setenv("TILLSTREAM_PORTAL_URL", "https://billing.example/login")
        patch.setenv("TILLSTREAM_MAIL_FROM", "Tea <tea@shop.example>")
        async with TestServer(place.app()) as server:
            yield Shop(f"http://127.0.0.1:{server.port}", place.project)
    clickhouse.command(f"DROP DATABASE {database} SYNC")


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_fits_and_can_be_read_by_everybody(shop: Shop, browser: Browser, look: str) -> None:
    """No sideways scrolling, nothing that axe-core finds fault with, and no page heavier than it may be."""
    context = await browser.new_context(**LOOKS[look], bypass_csp=True)  # axe is put into the page
    try:
        page = await context.new_page()
        page.set_default_timeout(60_000)
        for name, path in SHOWN.items():
            await page.goto(shop.url + path)
            if "template-" in name and name != "template-new":
                await expect(page.locator("#checked iframe.day")).to_be_attached()
                await page.locator(".tags > summary").first.click()
                await expect(page.locator(".tags[open] .offered button").first).to_be_visible()
            if KEPT:
                await page.screenshot(path=Path(KEPT) / f"{name}-{look}.png", full_page=True)
            width = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert width[0] <= width[1], (name, width)
            assert await faults(page, RULES[look]) == [], name
            weight = "performance.getEntries().reduce((sum, one) => sum + (one.decodedBodySize || 0), 0)"
            assert await page.evaluate(weight) < HEAVIEST, name
    finally:
        await context.close()


async def add_block(page: Page, after: int, what: str) -> None:
    """By the menu between two blocks."""
    cards = page.locator("#building .step.condition")
    count = await cards.count()
    await page.locator(".lane > li > .addstep > summary").nth(after).click()
    await page.locator(".addstep[open] > .adds").get_by_role("button", name=what, exact=True).click()
    await expect(cards).to_have_count(count + 1)


async def in_mail(page: Page, text: str) -> None:
    """Waits until the preview shows it."""
    await expect(page.frame_locator("#checked iframe.day").locator("body")).to_contain_text(text)


@pytest.mark.parametrize("look", ["light", "phone"])
async def test_a_marketer_makes_a_mail_and_a_flow_that_sends_it_and_gets_a_test(
    shop: Shop, browser: Browser, box: Postbox, look: str
) -> None:
    """From an empty console: blocks, a real event's tag, a hostile name, a flow that goes live; both parts arrive."""
    async with window(browser, look) as opened:
        page = opened.page
        await page.goto(f"{shop.url}/templates")
        await page.get_by_role("link", name="New template").click()
        await page.get_by_role("link", name="An empty mail").click()
        await page.get_by_label("Name", exact=True).fill(f"Pay {look} {HOSTILE}")
        await page.get_by_label("Shown with the newest").select_option("Failed Payment")
        await expect(page.locator("#checked iframe.day")).to_be_attached()
        await page.get_by_label("Subject", exact=True).fill(f"{HOSTILE} ")
        await page.locator(".tags[data-into=':subject'] > summary").click()
        await page.locator(".tags[open]").get_by_role("button", name="Amount").first.click()
        subject = page.get_by_label("Subject", exact=True)
        await expect(subject).to_have_value(f"{HOSTILE} {{{{ event.Amount|currency }}}}")
        await expect(subject).to_be_focused()
        await page.locator("[id='0:line']").fill(HOSTILE)
        await add_block(page, 2, "Button")
        await page.locator("[id='2:label']").fill("Pay **now** <b>")
        await page.locator("[id='2:link']").fill("https://shop.example/pay?a=1&b=2")
        await add_block(page, 3, "Divider")
        await add_block(page, 4, "Items of the invoice")
        await page.get_by_role("button", name="Move block 4 up").click()
        await expect(page.locator("#step-2 legend")).to_contain_text("Divider")
        await in_mail(page, "Pay **now** <b>")
        await in_mail(page, HOSTILE)
        await page.get_by_text("Plain text", exact=True).click()
        await expect(page.locator("#checked pre")).to_contain_text("Pay **now** <b>: https://")
        await page.get_by_text("Phone", exact=True).click()
        frame = await page.locator("#checked iframe.day").bounding_box()
        assert frame is not None
        assert frame["width"] <= 377  # 375 of the phone, and its edge
        await page.get_by_text("Dark", exact=True).click()
        night = page.frame_locator("#checked iframe.night").locator("td.card")
        await expect(night).to_have_css("background-color", "rgb(26, 29, 34)")
        if KEPT:
            await page.screenshot(path=Path(KEPT) / f"template-made-{look}.png", full_page=True)
        await page.get_by_label("Send this mail to yourself").fill(f"{look}@example.com")
        await page.get_by_role("button", name="Send test").click()
        await expect(page.locator("#tested")).to_contain_text(f"A test was sent to {look}@example.com")
        await eventually(lambda: any(f"{look}@example.com" == mail["To"] for mail in box.mails))
        [mail] = [mail for mail in box.mails if mail["To"] == f"{look}@example.com"]
        assert str(mail["Subject"]).startswith(f"[Test] {HOSTILE} ")
        plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
        assert plain is not None
        assert html is not None
        assert "Pay **now** <b>: https://" in plain.get_content()
        assert "Pay **now** &lt;b&gt;" in html.get_content()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("Saved.")
        [file] = (shop.project / "templates").glob(f"pay-{look}*.html")
        told = blocks.parse(file.read_text("utf-8"))
        assert told is not None
        assert [block.kind for block in told.blocks] == ["heading", "text", "divider", "button", "items"]
        await page.goto(f"{shop.url}/flow/edit")
        await page.get_by_label("Name", exact=True).fill(f"Dunning {look}")
        await page.locator(".addstep > summary").first.click()
        await page.locator("details[open] > .adds").get_by_role("button", name="Send email", exact=True).click()
        await page.locator("[id='0:template']").select_option(file.stem)
        await expect(page.get_by_role("link", name="Edit mail of step 1")).to_have_attribute(
            "href", f"/template/edit?name={file.stem}"
        )
        await page.get_by_role("button", name="Save and go live…").click()
        await page.get_by_role("button", name="Go live").click()
        await expect(page.locator("h1")).to_contain_text("live")
        await page.get_by_role("link", name="Edit mail").click()
        await expect(page.locator(".lead")).to_contain_text(f"Sent by Dunning {look} live")


async def test_the_editor_works_by_keyboard_alone(shop: Shop, page: Page, box: Postbox) -> None:
    """A mail is made, a tag chosen, blocks added, moved, removed and brought back, tested and saved with no pointer."""

    async def press(target: Locator) -> None:
        await target.focus()
        await page.keyboard.press("Enter")

    await page.goto(f"{shop.url}/template/new")
    await press(page.get_by_role("link", name="A payment failed"))
    await page.get_by_label("Name", exact=True).focus()
    await page.keyboard.type("By keys")
    await in_mail(page, "could not be charged")
    await press(page.locator("#adds-1"))
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")  # a heading, since it is the first that is offered
    await expect(page.locator("[id='1:line']")).to_be_focused()
    await page.keyboard.type("Dear ")
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".tags[open] .offered button").first).to_be_visible()
    await press(page.locator(".tags[open]").get_by_role("button", name="First name"))
    await expect(page.locator("[id='1:line']")).to_have_value('Dear {{ person.first_name|default("there") }}')
    await expect(page.locator("[id='1:line']")).to_be_focused()
    await page.keyboard.press("Alt+ArrowDown")
    await expect(page.locator("[id='2:line']")).to_have_value('Dear {{ person.first_name|default("there") }}')
    await expect(page.get_by_role("button", name="Move block 3 down")).to_be_focused()
    await press(page.get_by_role("button", name="Remove block 3"))
    await expect(page.locator("#undo")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("[id='2:line']")).to_be_visible()
    await in_mail(page, "Dear ")
    await page.locator("input[name=mailview]").first.focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("input[value=phone]")).to_be_checked()
    await page.get_by_label("Send this mail to yourself").focus()
    await page.keyboard.type("keys@example.com")
    await page.keyboard.press("Enter")
    await expect(page.locator("#tested")).to_contain_text("A test was sent")
    await eventually(lambda: any(mail["To"] == "keys@example.com" for mail in box.mails))
    await press(page.get_by_role("button", name="Save", exact=True))
    await expect(page.get_by_role("status")).to_contain_text("Saved.")
    assert "Dear {{ person.first_name" in (shop.project / "templates" / "by-keys.html").read_text("utf-8")


async def test_a_mistake_is_marked_at_its_block_and_html_says_that_it_stays_html(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/template/edit?start=failed")
    fault = page.locator("#step-1 > .error")
    await in_mail(page, "could not be charged")
    await page.locator("[id='1:text']").fill("Hello {{ person.first_name")
    await expect(fault).to_contain_text("does not end with }}")
    await expect(page.locator("#checked")).to_contain_text("the last good one stays")
    await page.locator("[id='1:text']").fill("Hello {{ persn.first_name }}")
    await expect(fault).to_contain_text("did you mean person?")
    await page.locator("[id='1:text']").fill("Hello")
    await expect(fault).to_be_hidden()
    await page.get_by_role("button", name="HTML").click()
    html = page.get_by_label("HTML with Jinja’s tags")
    text = await html.input_value()
    assert blocks.parse(text) is not None
    await html.fill(text.replace("<p>Hello</p>", "<p>Hello</p>{% if event.Tax %}<p>Tax</p>{% endif %}"))
    await expect(page.locator("#checked")).to_contain_text("the mail becomes HTML")
    await page.get_by_role("button", name="Blocks").click()
    await expect(page.locator("#building")).to_contain_text("Blocks can’t show this mail")
    await html.fill(text.replace("<p>Hello</p>", "<p>Goodbye</p>"))
    await page.get_by_role("button", name="Blocks").click()
    await expect(page.locator("[id='1:text']")).to_have_value("Goodbye")


async def test_a_brand_is_chosen_once_and_all_mails_have_it(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/brand")
    await page.get_by_label("PNG, JPEG or GIF").set_input_files(
        {"name": "logo.png", "mimeType": "image/png", "buffer": LOGO}
    )
    await page.get_by_role("button", name="Upload").click()
    await expect(page.get_by_role("status")).to_contain_text("The logo is saved")
    await expect(page.get_by_role("img", name="The logo that was uploaded")).to_have_js_property("naturalWidth", 3)
    await page.get_by_label("Colour of buttons").fill("#7437b3")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_contain_text("Saved")
    for path in ("/template/edit?name=failed_payment", "/template/edit?start=failed"):
        await page.goto(shop.url + path)
        mail = page.frame_locator("#checked iframe.day")
        await expect(mail.locator("img.logo")).to_have_js_property("naturalWidth", 3)
        await expect(mail.locator("td.button")).to_have_css("background-color", "rgb(116, 55, 179)")
        if KEPT:
            await page.screenshot(path=Path(KEPT) / f"template-branded-{path[-6:]}.png", full_page=True)
    (shop.project / "brand" / "brand.yaml").unlink()
