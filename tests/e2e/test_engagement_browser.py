"""Segments and flows in a real browser: the editor that counts, the diagrams, the mails in their frames."""

import os
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from clickhouse_connect.driver.client import Client
from playwright.async_api import Browser, Page, Route, expect

from tests.conftest import ClickHouseServer, eventually
from tests.e2e.chromium import LOOKS, RULES, drawn, faults, window
from tests.integration.console_support import insert, person
from tests.integration.engagement_support import environment, furnish, mail, receipt

NOW = datetime.now(UTC)
KEPT = os.environ.get("TILLSTREAM_SCREENSHOTS", "")
HEAVIEST = 300_000  # bytes of a page with all that it loads
BROKEN = "all:\n  - metric: Successfuly Paid\n"
SHOWN = {
    "segments": "/segments",
    "segment": "/segment?name=failing-payments",
    "segment-new": "/segment/new",
    "segment-edit": "/segment/edit?name=failing-payments",
    "segment-groups": "/segment/edit?name=grouped",
    "segment-sql": "/segment/sql?name=failing-payments",
    "segment-broken": "/segment?name=broken",
    "flows": "/flows",
    "flow": "/flow?name=invoice-receipt",
    "flow-split": "/flow?name=gentle",
    "flow-live": "/flow/live?name=failed-payment",
    "message": "/message?email=mailed@example.com&id=hostile",
    "merge": "/profile/merge?email=ada.20@example.com",
}
GROUPED = """
name: Worth a call
description: They owe us, or are about to leave.
all:
  - metric: Failed Payment
    count: at least 2
    when: {in the last: 90 days}
    where: {Currency: {in: [USD, EUR]}, metadata.plan: {contains: year}}
    without: {metric: Successfully Paid, within: 7 days}
  - any:
      - person: {card_expiration_date: {in the next: 30 days}, lifetime_value.usd: {at least: 100}}
      - metric: Successfully Paid
        sum: {of: Amount, currency: usd, at least: 500}
        when: {between: [2026-01-01, 2026-12-31]}
      - not in segment: lapsed-customers
"""
GENTLE = """
title: Gentle reminder
trigger: {metric: Failed Payment, where: {Invoice: is set}}
steps:
  - delay: 1 hour
  - split:
      when: {metric: Successfully Paid, count: at least 10}
      then: [{set_profile_property: {dunning: gentle}}]
      else: [{email: {template: failed_payment}}, {exit: true}]
  - webhook: {url: "https://shop.example/hook"}
"""
expect.set_options(timeout=60_000)  # the machine may be busy


MAILED = "mailed@example.com"
HOSTILE_BODY = """<!doctype html><meta http-equiv="refresh" content="0;url=https://evil.example/refresh">
<base href="https://evil.example/"><link rel="stylesheet" href="https://evil.example/x.css">
<h1 onclick="top.document.title='owned'">Thank you</h1>
<script>top.document.title = "owned"; fetch("https://evil.example/fetch")</script>
<img src="https://evil.example/x.png" onerror="top.document.title='owned'"><iframe src="https://evil.example/"></iframe>
<a href="https://evil.example/click" target="_top">Click</a><svg onload="top.document.title='owned'"></svg>
<form action="https://evil.example/form" target="_top"><button>Send</button></form>"""


@dataclass
class Shop:
    """A console with segments and flows; `project` holds their files."""

    url: str
    project: Path


@pytest.fixture(scope="module")
async def shop(
    clickhouse_server: ClickHouseServer,
    clickhouse: Client,
    kafka_bootstrap: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Shop]:
    database, data = f"t_{secrets.token_hex(4)}", tmp_path_factory.mktemp("engagement")
    clickhouse.command(f"CREATE DATABASE {database}")
    place = await furnish(clickhouse_server.url, database, data, NOW, kafka_bootstrap)
    paid = next(one for one in place.rows if one.email and one.livemode)
    hostile = receipt(0, paid.model_copy(update={"email": MAILED})).model_copy(
        update={"message_id": "hostile", "content": mail("m1", MAILED, HOSTILE_BODY).decode()}
    )
    await insert(clickhouse_server.url, database, "message_rows", [hostile])
    await insert(clickhouse_server.url, database, "profile_rows", [person(MAILED, "Mailed", "cus_mailed")])
    for folder, name, text in (
        ("segments", "broken", BROKEN),
        ("segments", "grouped", GROUPED),
        ("flows", "gentle", GENTLE),
    ):
        (place.project / folder).mkdir(parents=True, exist_ok=True)
        (place.project / folder / f"{name}.yaml").write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(clickhouse_server.url, database, data, kafka_bootstrap).items():
            patch.setenv(name, value)
        async with TestServer(place.app()) as server:
            yield Shop(f"http://127.0.0.1:{server.port}", place.project)
    clickhouse.command(f"DROP DATABASE {database} SYNC")


async def settled(page: Page) -> None:
    """Every part has come."""
    await expect(page.locator("[hx-trigger=load] > .nothing, #checked > .nothing")).to_have_count(0)
    await drawn(page)


async def test_a_segment_is_counted_while_it_is_written(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/segments")
    await page.get_by_role("link", name="New segment").click()
    await page.get_by_role("link", name="begin with an empty one").click()
    count = page.locator("#checked .big")
    await expect(count).to_have_text(re.compile(r"^\d+$"))
    everybody = int(await count.inner_text())
    await page.get_by_role("button", name="YAML").click()
    text = page.get_by_label("What it says")
    await text.fill("all:\n  - metric: Failed Payment\n    where: {Amuont: {at least: 1}}\n")
    await expect(page.locator("#checked")).to_contain_text("did you mean Amount?")
    await page.get_by_role("button", name="line 3, column 13").click()
    assert await text.evaluate("e => e.value.slice(e.selectionStart)") == "Amuont: {at least: 1}}\n"
    await page.keyboard.type("where: {Amount: {at least: 20}}"[8:])
    await expect(count).to_have_text(re.compile(r"^\d+$"))
    failed = int(await count.inner_text())
    assert 0 < failed < everybody
    await page.get_by_role("button", name="did not").click()
    await expect(page.locator("#checked tbody tr")).to_have_count(2)
    assert int(await count.inner_text()) <= failed
    await page.get_by_label("Its file's name").fill("failed-and-gone")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("main")).to_contain_text("has no Successfully Paid in the last 30 days")
    assert "count: zero" in (shop.project / "segments" / "failed-and-gone.yaml").read_text("utf-8")
    await page.get_by_text("Remove…").click()
    await page.get_by_role("button", name="Remove the segment").click()
    await expect(page.get_by_role("status")).to_contain_text("is removed")


NAME = '<img src=x onerror=alert(1)> O\'Hara: "50 %" # {all}'


async def test_a_marketer_makes_a_segment_without_a_text_editor(shop: Shop, page: Page) -> None:
    """By menus: who paid, from a country that occurs, and has not done something else; under a hostile name."""
    await page.goto(f"{shop.url}/segment/edit")
    count = page.locator("#checked .big")
    await expect(count).to_have_text(re.compile(r"^\d+$"))
    await page.get_by_label("Name").fill(NAME)
    await page.get_by_label("Metric", exact=True).select_option("Failed Payment")
    await page.get_by_role("button", name="Where a property is").click()
    await page.get_by_label("Property").select_option("Currency")
    await page.get_by_label("Operator").select_option("equals")
    offered = page.locator("datalist option")
    await expect(offered.first).to_be_attached()
    currency = await offered.first.get_attribute("value")
    await page.get_by_label("Value").fill(currency or "")
    words = page.locator("#checked .words")
    await expect(words).to_contain_text(f"Currency is {currency}")
    await page.get_by_label("When").select_option("in the last")
    await expect(page.get_by_label("Length")).to_have_value("30")
    await page.get_by_role("button", name="Without …").click()
    await expect(words).to_contain_text("but no Successfully Paid of the same invoice")
    await page.get_by_role("button", name="Has not done").click()
    await expect(page.locator("fieldset")).to_have_count(2)
    await page.locator("fieldset").nth(1).get_by_label("How often").select_option("at most")
    await page.locator("fieldset").nth(1).get_by_label("How many times").fill("9")
    await expect(words).to_contain_text("at most 9 × Successfully Paid")
    await expect(count).to_have_text(re.compile(r"^\d+$"))
    await page.get_by_role("button", name="YAML").click()
    told = await page.get_by_label("What it says").input_value()
    assert "at most: 9" in told or "count: at most 9" in told
    await page.get_by_role("button", name="Builder").click()
    await expect(page.locator("#building").get_by_label("Name")).to_have_value(NAME)
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("h1")).to_have_text(NAME)
    files = list((shop.project / "segments").glob("img-src*.yaml"))
    assert len(files) == 1
    files[0].unlink()


async def test_the_builder_works_by_keyboard_alone(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/segment/edit?name=failing-payments")
    await expect(page.locator("#checked .words")).to_contain_text("has a Failed Payment in the last 30 days")
    length = page.get_by_label("Length")
    await length.focus()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type("14")
    await expect(page.locator("#checked .words")).to_contain_text("in the last 14 days")
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowDown")  # days → weeks
    await expect(page.locator("#checked .words")).to_contain_text("in the last 14 weeks")
    await expect(page.get_by_label("Unit")).to_be_focused()
    await page.get_by_role("button", name="About someone").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("fieldset")).to_have_count(2)
    assert await page.evaluate("document.activeElement.closest('fieldset') !== null")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Save").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Saved")
    file = shop.project / "segments" / "failing-payments.yaml"
    lines = file.read_text("utf-8").splitlines()
    assert lines[0].startswith("# A payment failed in the last 30 days, and that invoice")
    assert "    when: {in the last: 14 weeks}" in lines
    assert "    without: {metric: Successfully Paid, same: invoice}" in lines
    file.unlink()


async def test_what_menus_can_not_show_stays_and_says_so(shop: Shop, page: Page) -> None:
    file = shop.project / "segments" / "by-hand.yaml"
    text = "all:\n  - metric: Failed Payment  # mine\n  - metrik: nothing\n"
    file.write_text(text, "utf-8")
    await page.goto(f"{shop.url}/segment/edit?name=by-hand")
    await expect(page.locator("#building")).to_contain_text("Menus can't show this one")
    await page.get_by_label("How often").select_option("zero")
    await page.get_by_role("button", name="YAML").click()
    told = "all:\n  - metric: Failed Payment  # mine\n    count: zero\n  - metrik: nothing\n"
    await expect(page.get_by_label("What it says")).to_have_value(told)
    file.unlink()


async def test_a_mail_is_seen_as_on_a_desk_on_a_phone_and_as_text(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/flow?name=failed-payment")
    frame = page.frame_locator("iframe")
    await expect(frame.locator("body")).to_contain_text("could not be charged")
    await page.get_by_role("navigation", name="Mails").get_by_role("link", name="final").click()
    await expect(page.locator("iframe")).to_have_attribute("src", re.compile("step=final"))
    wide = await page.locator("iframe").evaluate("e => e.clientWidth")
    await page.get_by_text("Desktop").click()
    await page.keyboard.press("ArrowRight")
    assert await page.locator("iframe").evaluate("e => e.clientWidth") < min(wide, 400)
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("iframe")).to_be_hidden()
    await expect(page.locator(".mailview pre")).to_be_visible()


async def test_what_was_sent_is_opened_as_it_was_sent_and_does_nothing(shop: Shop, browser: Browser) -> None:
    async with window(browser) as opened:
        page, reached = opened.page, list[str]()

        async def elsewhere(route: Route) -> None:
            reached.append(route.request.url)
            await route.fulfill(body="")

        await page.route(re.compile("evil"), elsewhere)
        await page.goto(f"{shop.url}/profile?email={MAILED}")
        await page.get_by_role("link", name="Your receipt").click()
        frame = page.frame_locator("iframe")
        await expect(frame.locator("h1")).to_have_text("Thank you")
        await expect(page.locator(".mailhead")).to_contain_text("Tea <tea@shop.example>")
        await frame.get_by_role("link", name="Click").click()
        await frame.get_by_role("button", name="Send").click()
        await page.get_by_text("Plain text").click()
        await expect(page.locator(".mailview pre")).to_contain_text("on its way")
        assert await page.title() == "Your receipt · Tillstream"
        assert page.url.startswith(f"{shop.url}/message?")
        assert reached == []
        await eventually(
            lambda: any("Content Security Policy" in one for one in opened.problems)
        )  # it says that it refused
        opened.problems.clear()


async def test_a_flow_goes_live_after_a_summary_and_stops_again(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/flows")
    await page.get_by_role("link", name="Upcoming payment").click()
    await page.get_by_role("link", name="Go live…").click()
    await expect(page.locator("main")).to_contain_text("SMTP_URL and TILLSTREAM_MAIL_FROM are not set")
    await expect(page.locator("main")).to_contain_text("messages would have been sent")
    await page.get_by_role("button", name="Go live").click()
    await expect(page.locator("h1")).to_contain_text("live")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("h1")).to_contain_text("draft")


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_fits_and_can_be_read_by_everybody(shop: Shop, browser: Browser, look: str) -> None:
    """No sideways scrolling, nothing that axe-core finds fault with, and no page heavier than it may be."""
    context = await browser.new_context(**LOOKS[look], bypass_csp=True)  # axe is put into the page
    try:
        page = await context.new_page()
        page.set_default_timeout(60_000)
        for name, path in SHOWN.items():
            await page.goto(shop.url + path)
            await settled(page)
            if KEPT:
                await page.screenshot(path=Path(KEPT) / f"{name}-{look}.png", full_page=True)
            width = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert width[0] <= width[1], (name, width)
            assert await faults(page, RULES[look]) == [], name
            weight = "performance.getEntries().reduce((sum, one) => sum + (one.decodedBodySize || 0), 0)"
            assert await page.evaluate(weight) < HEAVIEST, name
    finally:
        await context.close()
