"""Mails through the whole real pipeline: from signed webhooks, badly delivered, to a real mail server, while parts are
killed. Exactly those that the simulator's truth calls for, once each, and none for imported history.
"""

import asyncio
import os
import random
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import clickhouse_connect
import orjson
import pytest

from schemas.metrics import Metric
from schemas.topics import METRICS
from simulator.delivery.sender import Faults, send
from simulator.world.history import World
from simulator.world.objects import Event
from simulator.world.truth import Fact
from streams.kafka import Admin
from streams.reading import read, reader
from tests.conftest import eventually
from tests.e2e.running import SECRET, RunningUp, environment
from tests.e2e.test_ledger_year import api_objects, imported, publish
from tests.integration.engage_support import project
from tests.postbox import Postbox, postbox

START = 1_767_225_600
SEED = 11
FAULTS = Faults(duplicate=0.3, shuffle_window=40, versions=("2020-03-02", "2022-11-15", "2024-06-20"))

# Subjects name the fact, so that every mail can be told from every other.
RECEIPT = """
status: live
trigger: {metric: Successfully Paid}
steps:
  - email: {template: plain, subject: "paid {{ event.charge_id or event.invoice_id }}", transactional: true}
"""
DUNNING = """
status: live
trigger: {{metric: Failed Payment, where: {{Invoice: {{in: {invoices}}}}}}}
reentry: {{once_per: Invoice}}
exit_when: {{happened: Successfully Paid, same: invoice}}
steps:
  - email: {{template: plain, subject: "failed {{{{ event.invoice_id }}}}"}}
  - id: wait
    wait_until: {{when: {{metric: Failed Payment, count: at least {count}}}, timeout: 30 days}}
  - email: {{template: plain, subject: "still failed {{{{ event.invoice_id }}}}"}}
"""
Mails = Counter[tuple[str, str]]  # (recipient, subject)


class Story:
    """What must come of the world: receipts for all payments, two mails for an invoice that fails and is never paid."""

    def __init__(self, world: World) -> None:
        facts = world.truth().facts
        self.invoices = {fact.charge_id: fact.invoice_id for fact in facts if fact.charge_id}
        self.paid = [fact for fact in facts if fact.metric is Metric.SUCCESSFULLY_PAID and fact.email]
        failed = [fact for fact in facts if fact.metric is Metric.FAILED_PAYMENT and fact.invoice_id and fact.email]
        self.first_failures: dict[str, Fact] = {}  # by customer
        for fact in failed:
            self.first_failures.setdefault(fact.customer_id, fact)
        self.receipts = Counter((fact.email, f"paid {fact.charge_id or fact.invoice_id}") for fact in self.paid)
        first = self.first_failures.values()
        self.dunning = Counter((fact.email, f"failed {fact.invoice_id}") for fact in first)
        settled = {fact.invoice_id for fact in self.paid}
        self.reminders = Counter(
            (fact.email, f"still failed {fact.invoice_id}") for fact in first if fact.invoice_id not in settled
        )

    def early(self, event: Event) -> bool:
        """Whether it happened before its customer's first failed payment was dealt with."""
        failure = self.first_failures.get(getattr(event.object, "customer", "") or "")
        return failure is None or event.created <= failure.occurred_at

    def dunning_flow(self, count: int) -> str:
        """Its second mail waits for as many failed payments."""
        invoices = [fact.invoice_id for fact in self.first_failures.values()]
        return DUNNING.format(invoices=f"[{', '.join(invoices)}]", count=count)

    def mail(self, flow: str, step: str, metric_id: str, email: str) -> tuple[str, str]:
        """The mail that a row of `messages` is about."""
        name = metric_id.split(":")[3]
        if flow == "receipt":
            return email, f"paid {name}"
        return email, f"{'failed' if step == 'email-1' else 'still failed'} {self.invoices.get(name, name)}"

    async def told_of(self, mails: Mails, bootstrap: str) -> Mails:
        """The same mails, each under the address that its fact has in the end.

        Whose address changes may have a mail at the one that the fact's row had until then.
        """
        due = {subject: email for email, subject in (*self.receipts, *self.dunning, *self.reminders)}
        strange = [(email, subject) for email, subject in mails if due.get(subject, email) != email]
        had = await self._addresses(bootstrap) if strange else {}
        found: Mails = Counter()
        for (email, subject), count in mails.items():
            found[due[subject] if email in had.get(subject, ()) else email, subject] += count
        return found

    async def _addresses(self, bootstrap: str) -> dict[str, set[str]]:
        """By subject, every address that a version of the fact's row has had."""
        kafka, had = {"bootstrap_servers": bootstrap}, defaultdict[str, set[str]](set)
        for metric, flow in ((Metric.SUCCESSFULLY_PAID, "receipt"), (Metric.FAILED_PAYMENT, "dunning")):
            async with Admin(kafka) as admin:
                places = await admin.partitions(METRICS[metric].name)
            async with reader(kafka) as consumer:
                async for run in read(consumer, dict.fromkeys(places, 0)):
                    for row in (orjson.loads(record.value) for record in run):
                        for step in ("email-1", "email-2"):
                            had[self.mail(flow, step, row["metric_id"], "")[1]].add(row["email"])
        return had


@pytest.fixture
async def box() -> AsyncIterator[Postbox]:
    async with postbox() as found:
        yield found


async def kill(up: RunningUp, role: str) -> None:
    """kill -9, and wait for the next one to be started."""
    pid = await eventually(lambda: up.runtime()["roles"][role]["pid"])
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: up.runtime()["roles"][role]["pid"] not in (None, pid))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_everybody_gets_exactly_the_mails_that_are_due_to_them(box: Postbox, tmp_path: Path) -> None:
    past = World(seed=SEED + 1, start=START - 86_400 * 40, days=20, customers=15, accounts=("academy",))
    world = World(seed=SEED, start=START, days=12, customers=30)
    story = Story(world)
    assert len(story.receipts) > 20
    assert len(story.dunning) > 3
    assert 0 < len(story.reminders) < len(story.dunning)
    folder = project(tmp_path / "project", receipt=RECEIPT, dunning=story.dunning_flow(count=1_000))
    env = environment(
        STRIPE_WEBHOOK_SECRET=SECRET,
        SMTP_URL=box.url,
        TILLSTREAM_PROJECT=str(folder),
        TILLSTREAM_MAIL_FROM="Shop <shop@shop.example>",
        TILLSTREAM_SETTLE_SECONDS="2",
    )
    up = await RunningUp(tmp_path / "data", env).start(until_ready=False)
    rng = random.Random(SEED)
    try:
        await eventually(lambda: up.runtime().get("ready"), deadline=240)
        runtime = up.runtime()
        books = past.accounts["academy"]
        history = [imported(obj, books, past.end + 86_400) for obj in api_objects(books)]
        await publish(runtime["kafka_bootstrap"], history)
        early = [event for event in world.events if story.early(event)]
        sending = asyncio.create_task(send(early, runtime["http_url"], SECRET, faults=FAULTS, seed=SEED, rate=60))
        for role in ("engage", "process", "engage"):
            await asyncio.sleep(rng.uniform(0.5, 3))  # into the midst of it, whatever it is doing
            await kill(up, role)
        assert not (await sending).failures
        await arrived(up, box, story, story.dunning)
        # Some of the invoices that failed are paid after all. Who has a receipt is known to have paid.
        rest = [event for event in world.events if not story.early(event)]
        assert not (await send(rest, runtime["http_url"], SECRET, faults=FAULTS, seed=SEED)).failures
        await arrived(up, box, story, story.receipts)
        project(folder, dunning=story.dunning_flow(count=1))  # a change to a live flow: who waits goes on
        due = story.receipts + story.dunning + story.reminders
        unknown = await arrived(up, box, story, due)
        received = await story.told_of(box.received(), runtime["kafka_bootstrap"])
        assert received - due == Counter()
        assert due - received <= unknown  # no more is missing than was being sent when its process was killed
        assert unknown.total() <= 16
    finally:
        await up.stop()


async def arrived(up: RunningUp, box: Postbox, story: Story, due: Mails) -> Mails:
    """Wait until all of `due` has come, but for mails that are told to be `unknown`; gives these."""
    runtime = up.runtime()
    client = clickhouse_connect.get_client(dsn=runtime["clickhouse_url"], database=runtime["database"])

    async def unknown() -> Mails:
        asked = "SELECT flow, step, metric_id, email FROM messages WHERE status = 'unknown'"
        found = Counter(story.mail(*row) for row in client.query(asked).result_rows)
        return await story.told_of(found, runtime["kafka_bootstrap"])

    async def missing() -> Mails:
        return due - await story.told_of(box.received(), runtime["kafka_bootstrap"])

    async def complete() -> bool:
        return not (await missing()) or not (await missing() - await unknown())

    try:
        await eventually(complete, deadline=180, interval=0.25)
        return await unknown()
    except AssertionError as error:
        told = client.query("SELECT flow, step, status, reason, metric_id FROM messages WHERE status != 'sent'")
        raise AssertionError(f"missing {await missing()}; messages: {told.result_rows}\n{up.said()}") from error
    finally:
        client.close()
