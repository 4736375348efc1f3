"""The whole way of a person who has only the browser: from an empty console to a receipt in a customer's inbox.

`up` runs with a Stripe that has a past and lives on; nothing but clicks and typing happens after it. Screenshots of
each step are kept where TILLSTREAM_SCREENSHOTS says.
"""

import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from schemas.metrics import Metric
from simulator.world.history import World
from simulator.world.truth import Fact
from tests.conftest import DAY, RunningStripe, RunStripe, eventually
from tests.e2e.chromium import drawn, window
from tests.e2e.running import RunningUp, environment
from tests.postbox import Postbox, postbox

HISTORY_DAYS, SEED, CUSTOMERS = 40, 4, 80
PATIENCE = 180  # seconds: the machine may be busy
KEPT = os.environ.get("TILLSTREAM_SCREENSHOTS", "")
expect.set_options(timeout=60_000)


@pytest.fixture
async def box() -> AsyncIterator[Postbox]:
    async with postbox() as found:
        yield found


class Journey:
    """One tab, the console behind it, and the Stripe that it is about."""

    def __init__(self, page: Page, up: RunningUp, stripe: RunningStripe, album: Path) -> None:
        self.page, self.up, self.stripe, self.album = page, up, stripe, album
        self.pictures = 0

    async def photograph(self, name: str) -> None:
        """What a person sees now."""
        await expect(self.page.locator("[hx-trigger^=load] > .nothing")).to_have_count(0)
        self.pictures += 1
        await self.page.screenshot(path=self.album / f"journey-{self.pictures:02}-{name}.png")

    async def menu(self, name: str) -> None:
        """To one of the pages, by the menu."""
        await self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        await expect(self.page.locator("h1").first).to_be_visible()

    def facts(self, metric: Metric) -> list[Fact]:
        """What Stripe's account holds by now."""
        return [fact for fact in self.stripe.world.truth(lookups=True).facts if fact.metric is metric]

    async def connect(self) -> None:
        """Set-up: an API key and the door's address, then the history."""
        await self.page.get_by_role("link", name="Connect to Stripe").click()
        await self.page.get_by_label("API key").fill("sk_live_simulated")
        await self.page.get_by_label("Address at which Stripe reaches").fill(self.up.runtime()["http_url"])
        await self.page.get_by_role("button", name="Connect", exact=True).click()
        await expect(self.page.get_by_role("status")).to_contain_text("the door takes its events")
        await expect(self.page.locator("#connection .yes")).to_have_count(18)
        await self.photograph("connected")

    async def import_history(self) -> None:
        """Everything that was before; the page tells by itself how far it is."""
        await self.page.get_by_role("button", name="Import everything").click()
        rows = self.page.locator("#imports tbody tr")
        await expect(rows.first).to_be_visible()
        await expect(rows.filter(has_text="finished")).not_to_have_count(0)
        await expect(rows.filter(has_not_text="finished")).to_have_count(0)
        await self.photograph("imported")

    async def see_the_chart_fill(self) -> None:
        """Every payment of the last 30 days is in it."""
        await self.menu("Successfully Paid")

        async def complete() -> str:
            await self.page.reload()
            first = await self.page.get_by_label("From").input_value()
            wanted = [fact for fact in self.facts(Metric.SUCCESSFULLY_PAID) if day(fact) >= first]
            told = await self.page.locator(".totals dd").first.inner_text()
            shown = int(told.split()[0].replace(",", ""))
            assert shown == len(wanted), (shown, len(wanted))
            return first

        await eventually(complete, deadline=PATIENCE, interval=1)
        await drawn(self.page)
        await self.photograph("chart")

    async def compare_yesterday(self) -> None:
        """Ours beside Stripe's, from the form that is filled in already."""
        await self.menu("Integration")

        async def equal() -> str:
            await self.page.get_by_role("button", name="Compare").click()
            await expect(self.page.locator("#compared")).to_contain_text("equal to Stripe")
            told = await self.page.locator("#compared").inner_text()
            assert "not equal" not in told, told
            return told

        await eventually(equal, deadline=PATIENCE, interval=1)
        await expect(self.page.locator("#compared tbody tr")).not_to_have_count(0)
        await self.photograph("compared")

    async def find_a_customer(self) -> None:
        """By typing a part of the email."""
        email = self.facts(Metric.SUCCESSFULLY_PAID)[0].email
        await self.menu("Profiles")
        await self.page.locator("#q").press_sequentially(email.partition("@")[0])
        await self.page.locator("#found").get_by_role("link", name=email).click()
        await expect(self.page.locator("main")).to_contain_text(email)
        await expect(self.page.locator("h1")).to_contain_text("Can receive email")
        await expect(self.page.locator("#events")).to_contain_text("Successfully Paid")
        await self.photograph("customer")

    async def make_the_segment(self) -> None:
        """Who was issued an invoice that is still open: the same people as in Stripe."""
        await self.menu("Segments")
        await self.page.get_by_role("link", name="New segment").click()
        await self.page.get_by_role("button", name="Add Issued but not paid").click()
        await drawn(self.page)
        await expect(self.page.locator("#growth canvas")).to_be_visible()  # it was evaluated: the page renewed itself
        client = self.stripe.client()
        invoices = await client.v1.invoices.list_async(params={"status": "open", "limit": 100})
        owing = {str(invoice.customer_email).lower() for invoice in invoices.data}
        assert owing
        members = self.page.locator("#members tbody th")
        await expect(members).to_have_count(len(owing))
        assert set(await members.all_inner_texts()) == owing
        await expect(self.page.locator(".livecount")).to_contain_text(f"{len(owing)} ")
        await self.photograph("segment")

    async def switch_on_the_receipts(self) -> None:
        """After a look at one of them, and at what will happen."""
        await self.menu("Flows")
        await self.photograph("flows")
        await self.page.get_by_role("link", name="Invoice receipt").click()
        await expect(self.page.frame_locator("iframe").locator("body")).to_contain_text("this is your receipt")
        await self.photograph("flow")
        await self.page.get_by_label("Send this mail to yourself").fill("me@shop.example")
        await self.page.get_by_role("button", name="Send", exact=True).click()
        await expect(self.page.locator("#tested")).to_contain_text("A test was sent to me@shop.example")
        await self.page.get_by_role("link", name="Go live…").click()
        await expect(self.page.locator("main")).to_contain_text("would have been sent")
        await expect(self.page.locator("main")).to_contain_text("Shop <shop@shop.example>")
        await expect(self.page.frame_locator("iframe").locator("body")).to_contain_text("this is your receipt")
        await self.photograph("before-live")
        await self.page.get_by_role("button", name="Go live").click()
        await expect(self.page.locator("h1")).to_contain_text("live")


def day(fact: Fact) -> str:
    """Its day in UTC, as Stripe's dashboard counts it here."""
    return time.strftime("%Y-%m-%d", time.gmtime(fact.occurred_at))


def name(fact: Fact) -> str:
    """What tells a payment from every other."""
    return fact.charge_id or fact.invoice_id


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_from_an_empty_console_to_a_receipt_in_the_inbox(
    run_stripe: RunStripe, box: Postbox, browser: Browser, tmp_path: Path
) -> None:
    album = Path(KEPT or tmp_path)
    album.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    now = int(time.time())
    began, days = now - 3 * DAY, HISTORY_DAYS + 12
    world = World(SEED, began - HISTORY_DAYS * DAY, days, customers=CUSTOMERS, extended=True, until=began)
    stripe = await run_stripe(world)
    env = environment(
        STRIPE_API_BASE=stripe.url,
        SMTP_URL=box.url,
        TILLSTREAM_MAIL_FROM="Shop <shop@shop.example>",
        TILLSTREAM_ORGANIZATION="The Shop",
        TILLSTREAM_SETTLE_SECONDS="5",
    )
    up = RunningUp(tmp_path / "data", env)
    try:
        await up.start(until_ready=False)
        async with window(browser) as opened:
            journey = Journey(opened.page, up, stripe, album)

            async def open_the_console() -> bool:
                answer = await opened.page.goto(up.runtime()["console_url"])
                return bool(answer and answer.ok)

            await eventually(open_the_console, deadline=PATIENCE, interval=1)
            opened.problems.clear()  # of the first moments, when nothing answered yet
            await journey.photograph("empty")
            await journey.connect()
            await stripe.stripe.advance_to(now)
            await journey.import_history()
            await journey.see_the_chart_fill()
            await journey.compare_yesterday()
            await journey.find_a_customer()
            await journey.make_the_segment()
            before = len(up.output.read_bytes())
            await journey.switch_on_the_receipts()

            def acts() -> bool:  # it was taken up, or flows that slept run again
                said = up.output.read_bytes()[before:]
                return b"flows taken up" in said or b"flows run" in said

            await eventually(acts, deadline=PATIENCE)
            due = await new_payments(journey)
            await eventually(lambda: not due - recipients(box), deadline=PATIENCE, interval=0.25)
            await expect_sent(journey, due)
            assert recipients(box) == due  # one each, and none for the past
            assert [str(mail["To"]) for mail in box.mails if "X-Tillstream-Test" in mail] == ["me@shop.example"]
            assert all(str(mail["From"]) == "Shop <shop@shop.example>" for mail in box.mails)
            await journey.compare_yesterday()
            await journey.menu("Overview")
            await journey.photograph("overview")
    finally:
        await up.stop()


async def new_payments(journey: Journey) -> Counter[str]:
    """Stripe lives on until somebody has paid, a day at a time; whom a receipt is due to, and how many."""
    before = {name(fact) for fact in journey.facts(Metric.SUCCESSFULLY_PAID)}
    due = Counter[str]()
    for _ in range(7):
        await journey.stripe.stripe.advance(DAY)
        new = [fact for fact in journey.facts(Metric.SUCCESSFULLY_PAID) if name(fact) not in before]
        due = Counter(fact.email for fact in new if fact.email and fact.amount_minor)
        if due:
            return due
    raise AssertionError("nobody pays in this world")


async def expect_sent(journey: Journey, due: Counter[str]) -> None:
    """The flow's page counts what went out."""

    async def counted() -> str:
        await journey.page.reload()
        told = await journey.page.locator(".step .sent b").inner_text()
        assert int(told) == due.total()
        return told

    await eventually(counted, deadline=PATIENCE, interval=1)
    await journey.photograph("sent")


def recipients(box: Postbox) -> Counter[str]:
    """How many mails each address has got."""
    return Counter(str(mail["To"]) for mail in box.mails if not str(mail["Subject"]).startswith("[Test]"))
