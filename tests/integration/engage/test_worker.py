"""The engage role on a real broker and with a real mail server: what acts, once, and what becomes of each message."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from engage.web import serve
from engage.worker import Engage
from schemas import topics
from schemas.metrics import Metric
from schemas.times import rfc3339
from streams.partitioner import partition_of
from tests.conftest import eventually
from tests.integration.engage_support import engage, fact, messages, profile, project, publish, tell
from tests.postbox import OK, Postbox, postbox
from tests.unit.engage.test_templates_runaway import HOSTILE

FLOWS = {
    "receipt": """
status: live
trigger: {metric: Successfully Paid, where: {Amount: {less than: 100}}}
steps:
  - email: {template: plain, subject: "receipt", transactional: true}
""",
    "dunning": """
status: live
trigger: {metric: Failed Payment}
reentry: {once_per: Invoice}
exit_when: {happened: Successfully Paid, same: invoice}
steps:
  - email: {template: plain, subject: "first"}
  - wait_until: {when: {happened: Refunded Payment}, timeout: 30 days}
  - email: {template: plain, subject: "second"}
""",
    "large": """
status: live
trigger: {metric: Successfully Paid, where: {Amount: {at least: 100}}}
steps:
  - set_profile_property: {size: "{{ event.Amount }}"}
  - split:
      when: {person: {metadata.size: {at least: 500}}}
      then: [{webhook: {url: "HOOK"}}]
      else: [{publish: {topic: "PREFIXlarge"}}]
""",
    "held": """
status: manual
trigger: {metric: Refunded Payment}
steps:
  - email: {template: plain, subject: "refund"}
""",
    "issued": """
status: live
trigger: {metric: Issued Invoice}
steps:
  - email: {template: nowhere}
""",
    "runaway": """
status: live
trigger: {metric: Upcoming Invoice}
steps:
  - email: {template: runaway, subject: "never"}
""",
    "soon": """
status: live
trigger: {date: card_expiration_date, days_before: 3, at: "00:00"}
steps:
  - email: {template: plain, subject: "card"}
""",
    "vip": """
status: live
trigger: {segment: vip, on: entered}
steps:
  - email: {template: plain, subject: "welcome"}
""",
    "wrong": "status: live\ntrigger: {metrc: Failed Payment}\nsteps: [exit]\n",
}


@dataclass
class Shop:
    """A running worker with all of the flows; each test has people of its own."""

    bootstrap: str
    prefix: str
    worker: Engage
    box: Postbox
    hooks: list[tuple[str, Any]] = field(default_factory=list)
    hook_status: list[int] = field(default_factory=list)  # of the next answers; 200 when there are none

    async def tell(self, *rows: dict[str, Any]) -> None:
        await tell(self.bootstrap, self.prefix, *rows)

    async def publish(self, topic: str, key: str, value: Any) -> None:
        await publish(self.bootstrap, self.prefix + topic, key, value)

    def mails(self, *people: str) -> Counter[tuple[str, str]]:
        return Counter({mail: n for mail, n in self.box.received().items() if mail[0].split("@")[0] in people})

    async def until(self, count: int, *people: str) -> Counter[tuple[str, str]]:
        await eventually(lambda: self.mails(*people).total() >= count, deadline=60)
        return self.mails(*people)

    async def statuses(self, person: str, *wanted: str) -> list[dict[str, Any]]:
        """The person's messages, once their states are these."""

        def of_person(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [message for message in found if message["email"] == f"{person}@example.com"]

        known = await messages(
            self.bootstrap,
            self.prefix,
            lambda found: sorted(message["status"] for message in of_person(found)) == sorted(wanted),
        )
        return of_person(list(known.values()))


@pytest.fixture(scope="module")
async def shop(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    prefix = f"t{token_hex(3)}."
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    names = [topics.full_name(topic, prefix) for topic in topics.ALL]
    await admin.create_topics([NewTopic(name, 2, 1) for name in [*names, f"{prefix}large"]])
    await admin.close()
    hooks: list[tuple[str, Any]] = []
    statuses: list[int] = []

    async def receive(request: web.Request) -> web.Response:
        hooks.append((request.headers["Idempotency-Key"], await request.json()))
        return web.Response(status=statuses.pop(0) if statuses else 200)

    app = web.Application()
    app.router.add_post("/hook", receive)
    async with serve(app, "127.0.0.1", 0) as port, postbox() as box:
        given = {"HOOK": f"http://127.0.0.1:{port}/hook", "PREFIX": prefix}
        flows = dict(FLOWS)
        for name, value in given.items():
            flows = {flow: text.replace(name, value) for flow, text in flows.items()}
        folder = project(tmp_path_factory.mktemp("engage"), **flows)
        (folder / "templates" / "runaway.html").write_text(HOSTILE["comparing what doubles"][0], "utf-8")
        async with engage(kafka_bootstrap, prefix, folder, smtp_url=box.url) as worker:
            yield Shop(kafka_bootstrap, prefix, worker, box, hooks, statuses)


async def test_a_live_fact_acts_once_however_often_it_is_told_and_history_never_does(shop: Shop) -> None:
    first = fact(Metric.SUCCESSFULLY_PAID, "a", "ann@example.com")
    await shop.tell(first, first, first | {"version": 2})
    for source in ("import", "replay", "lookup"):
        told = fact(Metric.SUCCESSFULLY_PAID, source, f"{source}@example.com", source=source)
        await shop.tell(told, told | {"source": "webhook", "version": 2})
    old = fact(Metric.SUCCESSFULLY_PAID, "old", "old@example.com", source="sweep")
    await shop.tell(old | {"occurred_at": rfc3339(time.time() - 90_000)})
    await shop.tell(fact(Metric.SUCCESSFULLY_PAID, "b", "bob@example.com", source="sweep"))
    await shop.tell(fact(Metric.SUCCESSFULLY_PAID, "c", "last@example.com"))
    everybody = ("ann", "bob", "last", "import", "replay", "lookup", "old")
    due = Counter({(f"{name}@example.com", "receipt"): 1 for name in ("ann", "bob", "last")})
    assert await shop.until(3, *everybody) == due
    (message,) = await shop.statuses("ann", "sent")
    expected = {"flow": "receipt", "step": "email-1", "channel": "email", "subject": "receipt", "attempts": 1}
    assert expected.items() <= message.items()
    assert message["recipient"] == "ann@example.com"
    assert "To: ann@example.com" in message["content"]  # what exactly was sent is told with it
    assert "Subject: receipt" in message["content"]


async def test_what_is_taken_back_before_it_settles_does_not_act_and_an_email_that_comes_late_does(shop: Shop) -> None:
    gone = fact(Metric.SUCCESSFULLY_PAID, "gone", "gone@example.com")
    nobody = fact(Metric.SUCCESSFULLY_PAID, "late", "")
    await shop.tell(gone, gone | {"version": 2, "withdrawn": True}, nobody)
    await shop.tell(nobody | {"version": 2, "email": "late@example.com"})
    assert await shop.until(1, "gone", "late") == Counter({("late@example.com", "receipt"): 1})


async def test_a_sequence_stops_when_its_own_invoice_is_paid(shop: Shop) -> None:
    people = ("paid", "other", "never")
    await shop.tell(*(fact(Metric.FAILED_PAYMENT, name, f"{name}@example.com") for name in people))
    await shop.until(3, *people)
    await shop.tell(
        fact(Metric.SUCCESSFULLY_PAID, "paid", "paid@example.com", source="import"),
        fact(Metric.SUCCESSFULLY_PAID, "else", "other@example.com", source="import"),
    )
    again = fact(Metric.FAILED_PAYMENT, "again", "never@example.com", invoice_id="in_never")
    await shop.tell(again)  # the invoice's next attempt starts no second series
    for name in people:  # what they wait for, on the payments' own way; the payments came before
        await shop.tell(fact(Metric.REFUNDED_PAYMENT, f"r{name}", f"{name}@example.com", source="import"))
    assert await shop.until(5, *people) == Counter(
        {(f"{name}@example.com", "first"): 1 for name in people}
        | {(f"{name}@example.com", "second"): 1 for name in ("other", "never")}
    )


async def test_an_attempt_whose_charge_becomes_known_goes_on_as_that_charge(shop: Shop) -> None:
    attempt = fact(Metric.FAILED_PAYMENT, "attempt", "eve@example.com", invoice_id="in_eve", charge_id="")
    await shop.tell(attempt)
    await shop.until(1, "eve")
    await shop.tell(attempt | {"version": 2, "withdrawn": True})
    await shop.tell(fact(Metric.FAILED_PAYMENT, "charge", "eve@example.com", invoice_id="in_eve"))
    await shop.tell(fact(Metric.REFUNDED_PAYMENT, "reve", "eve@example.com", source="import"))
    expected = Counter({("eve@example.com", "first"): 1, ("eve@example.com", "second"): 1})
    assert await shop.until(2, "eve") == expected


async def test_properties_webhooks_and_topics(shop: Shop) -> None:
    shop.hook_status.append(503)  # the first time nobody is at home
    rows = [fact(Metric.SUCCESSFULLY_PAID, "big", "big@example.com", amount_minor=60_000)]
    await shop.tell(*rows, fact(Metric.SUCCESSFULLY_PAID, "mid", "mid@example.com", amount_minor=20_000))
    await shop.statuses("mid", "sent", "sent")
    hooked = await shop.statuses("big", "sent", "sent")
    (message,) = [each for each in hooked if each["channel"] == "webhook"]
    assert message["attempts"] == 2
    assert [key for key, _ in shop.hooks] == [message["message_id"]] * 2
    body = shop.hooks[0][1]
    assert (body["event"]["metric_id"], body["person"]["properties"]) == (rows[0]["metric_id"], {"size": "600.00"})


async def test_a_manual_flow_holds_its_messages_until_a_person_releases_them(shop: Shop) -> None:
    await shop.tell(fact(Metric.REFUNDED_PAYMENT, "man", "man@example.com"))
    (message,) = await shop.statuses("man", "held")
    assert shop.mails("man") == Counter()
    released = {"kind": "let_go", "message_id": message["message_id"]}
    await shop.publish(topics.ENGAGE_PEOPLE.name, "man@example.com", released)
    assert await shop.until(1, "man") == Counter({("man@example.com", "refund"): 1})


async def test_a_message_of_a_step_that_was_removed_is_not_sent(shop: Shop) -> None:
    await shop.tell(fact(Metric.REFUNDED_PAYMENT, "rem", "rem@example.com"))
    (message,) = await shop.statuses("rem", "held")
    flows = shop.worker._flows
    file = flows.project / "flows" / "held.yaml"
    before = file.read_text("utf-8")
    file.write_text(before.replace("  - email:", "  - id: another\n    email:"), "utf-8")
    await eventually(lambda: flows.programs["held"].place("email-1") is None, deadline=60)
    released = {"kind": "let_go", "message_id": message["message_id"]}
    await shop.publish(topics.ENGAGE_PEOPLE.name, "rem@example.com", released)
    (message,) = await shop.statuses("rem", "skipped")
    assert message["reason"] == "the flow or its step is gone"
    assert shop.mails("rem") == Counter()
    file.write_text(before, "utf-8")
    await eventually(lambda: flows.programs["held"].place("email-1") is not None, deadline=60)


async def test_a_template_that_is_missing_fails_that_message_and_no_other(shop: Shop) -> None:
    await shop.tell(fact(Metric.ISSUED_INVOICE, "i", "iss@example.com", lines=[{"line_id": "l"}]))
    (message,) = await shop.statuses("iss", "failed")
    assert "there is no template 'nowhere'" in message["reason"]


async def test_a_template_without_end_fails_its_own_mails_and_the_others_go_out(shop: Shop) -> None:
    people = [f"run{number}" for number in range(5)]
    await shop.tell(*(fact(Metric.UPCOMING_INVOICE, name, f"{name}@example.com") for name in people))
    await shop.tell(fact(Metric.SUCCESSFULLY_PAID, "besides", "besides@example.com"))
    await shop.until(1, "besides")
    for name in people:
        (message,) = await shop.statuses(name, "failed")
        assert message["reason"] == "template runaway.html: more than 0.7 s of computing"
    assert shop.worker.ready() == ""


async def test_who_is_suppressed_is_skipped_and_a_bad_address_becomes_so(shop: Shop) -> None:
    shop.box.answer = lambda to: "550 5.1.1 no such user" if to == "bad@example.com" else OK
    await shop.tell(fact(Metric.FAILED_PAYMENT, "bad", "bad@example.com"))
    (message,) = await shop.statuses("bad", "failed")
    assert message["reason"] == "550 5.1.1 no such user"

    async def skipped() -> bool:
        number = token_hex(4)
        await shop.tell(fact(Metric.SUCCESSFULLY_PAID, number, "bad@example.com"))
        known = await messages(
            shop.bootstrap,
            shop.prefix,
            lambda found: any(number in m["metric_id"] and m["status"] in _FINAL for m in found),
        )
        return any(number in m["metric_id"] and m["reason"] == "suppressed: bounced" for m in known.values())

    await eventually(skipped, deadline=60)  # the suppression comes back by its topic


_FINAL = ("sent", "skipped", "failed")


def _ended(found: list[dict[str, Any]]) -> bool:
    return bool(found) and all(message["status"] in _FINAL for message in found)


async def test_one_click_in_a_mail_program_ends_mail_and_opening_the_link_does_not(shop: Shop) -> None:
    """The address comes from the bytes of a mail that arrived, and is posted to as RFC 8058 says."""
    await shop.tell(fact(Metric.FAILED_PAYMENT, "uns1", "uns@example.com"))
    await shop.until(1, "uns")
    url = shop.box.one_click("uns@example.com")
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as page:  # as a scanner of links does
            assert page.status == 200
            assert '<form method="post"><button>Unsubscribe</button></form>' in await page.text()
        await shop.tell(fact(Metric.FAILED_PAYMENT, "uns2", "uns@example.com"))
        assert await shop.until(2, "uns") == Counter({("uns@example.com", "first"): 2})
        async with session.post(url, data={"List-Unsubscribe": "One-Click"}) as answer:
            assert answer.status == 200

    async def spared() -> bool:
        number = token_hex(4)
        await shop.tell(fact(Metric.FAILED_PAYMENT, number, "uns@example.com"))
        known = await messages(
            shop.bootstrap,
            shop.prefix,
            lambda found: any(number in m["metric_id"] and m["status"] in _FINAL for m in found),
        )
        return any(number in m["metric_id"] and m["reason"] == "suppressed: unsubscribed" for m in known.values())

    await eventually(spared, deadline=60)
    sent = shop.mails("uns")
    await shop.tell(fact(Metric.FAILED_PAYMENT, "uns3", "uns@example.com"))
    await shop.tell(fact(Metric.FAILED_PAYMENT, "uns4", "other-uns@example.com"))
    await shop.until(1, "other-uns")
    assert shop.mails("uns") == sent


async def test_a_segment_that_is_entered_starts_its_flow_unless_the_segment_is_new(shop: Shop) -> None:
    for name, initial in (("new", True), ("seg", False)):
        change = {"segment": "vip", "email": f"{name}@example.com", "livemode": True, "change": "entered"}
        change |= {"at": rfc3339(time.time()), "initial": initial, "change_id": f"vip:live:1:{name}@example.com"}
        for _ in range(2):  # a crash may tell it again
            await shop.publish(topics.SEGMENTS_CHANGES.name, change["email"], change)
    assert await shop.until(1, "new", "seg") == Counter({("seg@example.com", "welcome"): 1})


async def test_a_date_starts_its_flow_once_when_it_comes_near(shop: Shop) -> None:
    day = datetime.now(UTC).date()
    for name, days in (("near", 3), ("far", 40)):
        expires = (day + timedelta(days=days)).isoformat()
        await shop.tell(profile(f"{name}@example.com", card_expiration_date=expires))
        await shop.tell(profile(f"{name}@example.com", card_expiration_date=expires, version=2))
    assert await shop.until(1, "near", "far") == Counter({("near@example.com", "card"): 1})


async def test_a_profile_that_comes_late_does_not_stand_over_a_newer_one(shop: Shop) -> None:
    soon, later = ((datetime.now(UTC).date() + timedelta(days=days)).isoformat() for days in (3, 40))
    place = partition_of(b"tardy@example.com", 2)
    after = next(f"after{n}" for n in range(100) if partition_of(f"after{n}@example.com".encode(), 2) == place)
    await shop.tell(profile("tardy@example.com", card_expiration_date=later, version=2))
    await shop.tell(profile("tardy@example.com", card_expiration_date=soon))
    await shop.tell(profile(f"{after}@example.com", card_expiration_date=soon))
    assert await shop.until(1, "tardy", after) == Counter({(f"{after}@example.com", "card"): 1})


async def test_a_flow_that_cannot_be_read_is_named_and_stops_no_other(shop: Shop) -> None:
    assert shop.worker.ready() == ""
    assert "there is no name 'metrc' here; did you mean metric?" in shop.worker._flows.problems["wrong"]


async def test_nonsense_on_a_topic_stops_nothing(shop: Shop) -> None:
    for value in (b"nonsense", b"[]", b'{"metric_id": 5}', b'{"metric_id": "x", "version": "y"}'):
        await publish(shop.bootstrap, shop.prefix + topics.METRICS[Metric.FAILED_PAYMENT].name, "x", value)
        await publish(shop.bootstrap, shop.prefix + topics.ENGAGE_PEOPLE.name, "x", value)
        await publish(shop.bootstrap, shop.prefix + topics.SEGMENTS_CHANGES.name, "x", value)
    await shop.tell(fact(Metric.SUCCESSFULLY_PAID, "after", "after@example.com"))
    await shop.until(1, "after")


async def test_without_a_mail_server_mails_are_skipped_and_that_is_told(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    folder = project(tmp_path, receipt=FLOWS["receipt"])
    async with engage(kafka_bootstrap, topic_prefix, folder):
        await tell(kafka_bootstrap, topic_prefix, fact(Metric.SUCCESSFULLY_PAID, "a"))
        (message,) = (await messages(kafka_bootstrap, topic_prefix, _ended)).values()
    assert (message["status"], message["reason"]) == ("skipped", "no SMTP_URL")
    assert orjson.dumps(message)
