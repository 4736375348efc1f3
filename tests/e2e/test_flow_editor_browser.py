"""The flow editor in a real browser: a flow of one's own by mouse, by keyboard alone, and on a phone."""

import os
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from aiohttp.test_utils import TestServer
from clickhouse_connect.driver.client import Client
from playwright.async_api import Browser, Locator, Page, expect

from engage.flows import library
from tests.conftest import ClickHouseServer
from tests.e2e.chromium import LOOKS, RULES, faults, window
from tests.e2e.test_engagement_browser import GENTLE, HEAVIEST, Shop
from tests.integration.engagement_support import environment, furnish

NOW = datetime.now(UTC)
KEPT = os.environ.get("TILLSTREAM_SCREENSHOTS", "")
HOSTILE = '<img src=x onerror=alert(1)> O\'Hara: "50 %" # {all}'
ANCHORED = "trigger: &x {metric: Failed Payment}\nsteps: [{delay: 1 day}]\nexit_when: *x\n"
FULL = """
title: All that there is
description: Every kind of step.
trigger: {segment: lapsed-customers, on: left}
profile_filters: {all: [{person: {country: {in: [US, CA]}}}]}
reentry: {once_every: 30 days}
exit_when: {any: [{happened: Successfully Paid}, {any: [{metric: Failed Payment}, {in segment: lapsed-customers}]}]}
quiet_hours: {from: "21:00", until: "08:00"}
smart_sending: 16 hours
steps:
  - delay: {for: 3 days, until: "09:00", weekdays: [mon, tue], timezone: profile}
  - wait_until: {when: {happened: Successfully Paid}, timeout: 2 days}
  - email: {template: nothing_there, subject: "Hello"}
  - split:
      when: {metric: Successfully Paid, count: at least 10}
      then:
        - set_profile_property: {dunning: gentle}
        - publish: {topic: dunned}
      else: [{webhook: {url: "https://shop.example/hook", headers: {X-Shop: tea}}}, {exit: true}]
  - email: {template: receipt, odd: thing}
"""
SHOWN = {
    "flow-new": "/flow/new",
    "flow-edit": "/flow/edit?name=failed-payment",
    "flow-empty": "/flow/edit",
    "flow-full": "/flow/edit?name=full",
    "flow-anchored": "/flow/edit?name=anchored",
    "flow-begun": "/flow/edit?start=gentle",
    "flow-dated": "/flow/edit?name=card-expiring",
}
expect.set_options(timeout=15_000)  # the machine may be busy


@pytest.fixture(scope="module")
async def shop(
    clickhouse_server: ClickHouseServer,
    clickhouse: Client,
    kafka_bootstrap: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Shop]:
    database, data = f"t_{secrets.token_hex(4)}", tmp_path_factory.mktemp("editor")
    clickhouse.command(f"CREATE DATABASE {database}")
    place = await furnish(clickhouse_server.url, database, data, NOW, kafka_bootstrap)
    (place.project / "flows").mkdir(parents=True, exist_ok=True)
    for name, text in (("full", FULL), ("anchored", ANCHORED), ("gentle", GENTLE)):
        (place.project / "flows" / f"{name}.yaml").write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(clickhouse_server.url, database, data, kafka_bootstrap).items():
            patch.setenv(name, value)
        async with TestServer(place.app()) as server:
            yield Shop(f"http://127.0.0.1:{server.port}", place.project)
    clickhouse.command(f"DROP DATABASE {database} SYNC")


async def add(page: Page, after: int, what: str) -> None:
    """By the menu between two steps of the flow."""
    steps = page.locator("#building .step.condition")
    count = await steps.count()
    await page.locator(".lane").first.locator(":scope > li > .addstep > summary").nth(after).click()
    await page.locator("details[open] > .adds").get_by_role("button", name=what, exact=True).click()
    await expect(steps).to_have_count(count + 1)


@pytest.mark.parametrize("look", ["light", "phone"])
async def test_a_marketer_makes_a_dunning_flow_and_goes_live(shop: Shop, browser: Browser, look: str) -> None:
    """From an empty console: a delay, a split and a mail, under a hostile name, without a text editor."""
    async with window(browser, look) as opened:
        page = opened.page
        await page.goto(f"{shop.url}/flows")
        await page.get_by_role("link", name="New flow").click()
        await page.get_by_role("link", name="with an empty one").click()
        words = page.locator("#checked")
        await expect(words).to_contain_text("a flow needs a step")
        await page.get_by_label("Name", exact=True).fill(f"{look} {HOSTILE}")
        await page.get_by_role("button", name="Trigger filter").click()
        await page.get_by_label("Property").select_option("Invoice")
        await page.get_by_label("Operator").select_option("is set")
        await add(page, 0, "Send email")
        await expect(words).to_contain_text("Failed Payment where Invoice is set")
        await expect(words).to_contain_text("failed_payment")
        await page.get_by_label("Subject").fill(HOSTILE)
        await add(page, 1, "Time delay")
        await page.locator("[id='1:n']").fill("2")
        await add(page, 2, "Conditional split")
        await expect(words).to_contain_text("has at least 1 × Successfully Paid")
        await page.get_by_role("group", name="No").locator("summary").click()
        await page.get_by_role("group", name="No").get_by_role("button", name="Send email").click()
        await page.locator("[id='2.else.0:template']").select_option("failed_payment_final")
        await expect(words).to_contain_text("failed_payment_final")
        await expect(words.locator(".verdict")).to_have_count(0)
        if KEPT:
            await page.screenshot(path=Path(KEPT) / f"flow-made-{look}.png", full_page=True)
        await page.get_by_role("button", name="Save and go live…").click()
        await expect(page.locator("h1")).to_contain_text(HOSTILE)
        await page.get_by_role("button", name="Go live").click()
        await expect(page.locator("h1")).to_contain_text("live")
        files = list((shop.project / "flows").glob(f"{look}-img-src*.yaml"))
        assert len(files) == 1
        told = yaml.safe_load(files[0].read_text("utf-8"))
        assert told["title"] == f"{look} {HOSTILE}"
        assert told["status"] == "live"
        assert [next(k for k in each if k != "id") for each in told["steps"]] == ["email", "delay", "split"]
        assert told["steps"][1]["delay"] == "2 days"
        assert told["steps"][2]["split"]["else"][0]["email"]["template"] == "failed_payment_final"
        files[0].unlink()


async def test_the_editor_works_by_keyboard_alone(shop: Shop, page: Page) -> None:
    """A delay, a split and a mail are added, moved and undone with no pointer; comments and all else stay."""

    async def press(button: Locator) -> None:
        await button.focus()
        await page.keyboard.press("Enter")

    async def add_by_keys(way: Locator, after: int, what: str) -> None:
        await press(way.locator(":scope > li > .addstep > summary").nth(after))
        await press(way.locator(":scope > li > .addstep[open]").get_by_role("button", name=what, exact=True))

    await page.goto(f"{shop.url}/flow/edit?name=upcoming-invoice")
    words, lane = page.locator("#checked"), page.locator(".lane").first
    await expect(words).to_contain_text("upcoming_invoice")
    await add_by_keys(lane, 0, "Time delay")
    await expect(page.locator("[id='0:n']")).to_be_focused()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type("6")
    await expect(words).to_contain_text("6 days")
    await page.keyboard.press("Alt+ArrowDown")
    await expect(page.locator("[id='1:n']")).to_have_value("6")
    await expect(page.get_by_role("button", name="Move step 2 up")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("[id='0:n']")).to_have_value("6")
    await add_by_keys(lane, 2, "Conditional split")
    await expect(page.locator("[id='2.when.0:metric']")).to_be_focused()
    await add_by_keys(page.get_by_role("group", name="Yes").locator(".lane"), 0, "Send email")
    await expect(page.locator("[id='2.then.0:template']")).to_be_focused()
    await press(page.get_by_role("button", name="Remove step 3", exact=True))
    await expect(page.locator("#undo")).to_be_focused()
    await expect(page.locator("[id='step-2']")).to_have_count(0)
    await page.keyboard.press("Enter")
    await expect(page.locator("[id='step-2.then.0']")).to_be_visible()
    await press(page.get_by_role("button", name="Save", exact=True))
    await expect(page.get_by_role("status")).to_contain_text("Saved")
    file = shop.project / "flows" / "upcoming-invoice.yaml"
    ready = (library.READY / "upcoming-invoice.yaml").read_text("utf-8")
    told = file.read_text("utf-8")
    assert told.startswith(ready[: ready.index("steps:")])
    assert told.endswith(
        "steps:\n  - id: wait-1\n    delay: 6 days\n"
        + ready.partition("steps:\n")[2]
        + "  - id: split-1\n    split:\n      when: {metric: Successfully Paid, count: at least 1}\n"
        "      then:\n        - id: mail-1\n          email: {template: upcoming_invoice}\n      else: []\n"
    )
    file.unlink()


async def test_the_step_at_fault_is_marked_while_one_types_and_is_not_saved(shop: Shop, browser: Browser) -> None:
    async with window(browser) as opened:
        await mark(shop, opened.page)
        assert all("400" in problem for problem in opened.problems)  # it was refused
        opened.problems.clear()


async def mark(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/flow/edit?name=gentle")
    fault = page.locator("[id='step-0'] > .error")
    await expect(fault).to_be_hidden()
    await page.locator("[id='0:n']").fill("many")
    await expect(fault).to_contain_text("no length of time")
    await expect(page.locator("#checked")).to_contain_text("It can’t be saved like this")
    before = (shop.project / "flows" / "gentle.yaml").read_text("utf-8")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(fault).to_contain_text("no length of time")
    assert (shop.project / "flows" / "gentle.yaml").read_text("utf-8") == before
    await page.locator("[id='0:n']").fill("2")
    await expect(fault).to_be_hidden()
    await page.get_by_role("button", name="YAML").click()
    text = page.get_by_label("What it says")
    await expect(text).to_have_value(before.replace("delay: 1 hour", "delay: 2 hours"))
    await text.fill(before.replace("delay: 1 hour", "delay: 9 hours"))
    await page.get_by_role("button", name="Builder").click()
    await expect(page.locator("[id='0:n']")).to_have_value("9")


async def test_a_flow_that_menus_can_not_show_is_edited_as_yaml_and_says_why(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/flow/edit?name=anchored")
    await expect(page.locator("#building")).to_contain_text(
        "line 3: this is no YAML: anchors (& and *) are not supported"
    )
    await expect(page.get_by_label("What it says")).to_have_value(ANCHORED)
    await page.get_by_label("What it says").fill(
        ANCHORED.replace("*x", "{happened: Successfully Paid}").replace("&x ", "")
    )
    await page.get_by_role("button", name="Builder").click()
    await expect(page.locator("[id='trigger:metric']")).to_have_value("Failed Payment")


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_fits_and_can_be_read_by_everybody(shop: Shop, browser: Browser, look: str) -> None:
    """No sideways scrolling, nothing that axe-core finds fault with, and no page heavier than it may be."""
    context = await browser.new_context(**LOOKS[look], bypass_csp=True)  # axe is put into the page
    try:
        page = await context.new_page()
        page.set_default_timeout(60_000)
        for name, path in SHOWN.items():
            await page.goto(shop.url + path)
            await expect(page.locator("#checked > .nothing")).to_have_count(0)
            if name == "flow-full":
                await page.locator("#step-rules > summary").click()
                await page.locator(".addstep > summary").first.click()
            if KEPT:
                await page.screenshot(path=Path(KEPT) / f"{name}-{look}.png", full_page=True)
            width = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert width[0] <= width[1], (name, width)
            assert await faults(page, RULES[look]) == [], name
            weight = "performance.getEntries().reduce((sum, one) => sum + (one.decodedBodySize || 0), 0)"
            assert await page.evaluate(weight) < HEAVIEST, name
    finally:
        await context.close()


async def test_what_would_happen_to_somebody_and_a_mail_are_seen_before_saving(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/flow/edit?name=gentle")
    await page.locator("[id='0:n']").fill("5")
    await page.get_by_role("region", name="The flow in words").get_by_role("button", name="Show").click()
    stops = page.locator(".stops li")
    await expect(stops.first).to_contain_text("starts Failed Payment")
    await expect(stops.nth(2)).to_contain_text("Conditional split")
    await page.get_by_role("button", name="Preview and test of step 2 no 1").click()
    await expect(page.locator("#drafted")).to_be_focused()
    await expect(page.frame_locator("iframe").locator("body")).to_contain_text("could not be charged")
    if KEPT:
        await page.screenshot(path=Path(KEPT) / "flow-way-light.png", full_page=True)
