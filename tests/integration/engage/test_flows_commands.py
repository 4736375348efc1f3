"""`tillstream flows …` and `segments import` on the real broker, engine and mail server: what a person asks for."""

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from clickhouse_connect.driver.client import Client

from schemas import topics
from schemas.metrics import Metric
from schemas.times import rfc3339
from sinks.config import SinkConfig
from tests.conftest import ClickHouseServer, eventually
from tests.e2e.running import environment, tillstream_async
from tests.integration.engage_support import engage, fact, messages, profile, project, publish, tell
from tests.integration.sinks_support import running
from tests.postbox import Postbox, postbox
from warehouse.address import Address

FIXTURES = Path(__file__).parents[2] / "fixtures" / "klaviyo"
FLOWS = {
    "receipts": """
status: live
trigger: {metric: Successfully Paid}
steps:
  - email: {template: plain, subject: "receipt", transactional: true}
""",
    "refunds": """
status: manual
trigger: {metric: Refunded Payment}
steps:
  - email: {template: plain, subject: "refund", transactional: true}
""",
    "vip": """
status: live
trigger: {segment: vip, on: entered}
steps:
  - email: {template: plain, subject: "welcome", transactional: true}
""",
    "sketch": "status: draft\ntrigger: {metric: Failed Payment}\nsteps: [{email: {template: plain}}]\n",
}
DAY = 86_400


@dataclass
class Office:
    """The sink and the flows run; `env` is that of a person's shell."""

    bootstrap: str
    prefix: str
    folder: Path
    box: Postbox
    client: Client
    env: dict[str, str]

    async def tell(self, *rows: dict[str, Any]) -> None:
        await tell(self.bootstrap, self.prefix, *rows)

    async def flows(self, *arguments: str, code: int = 0) -> Any:
        """What `tillstream flows … --json` says."""
        done = await tillstream_async("flows", *arguments, "--json", env=self.env)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    def mails(self, *people: str) -> Counter[tuple[str, str]]:
        return Counter({mail: n for mail, n in self.box.received().items() if mail[0].split("@")[0] in people})

    async def until(self, query: str, wanted: int) -> None:
        """Until ClickHouse answers so; `query` names views without their database."""
        self.client.database = self.env["CLICKHOUSE_DATABASE"]
        await eventually(lambda: self.client.query(query).result_rows == [(wanted,)], deadline=90)


@pytest.fixture(scope="module")
async def office(
    kafka_bootstrap: str,
    clickhouse_server: ClickHouseServer,
    clickhouse: Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Office]:
    prefix, database = f"t{token_hex(3)}.", f"t_{token_hex(4)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topics.full_name(topic, prefix), 2, 1) for topic in topics.ALL])
    await admin.close()
    sink = SinkConfig(
        warehouse=Address(clickhouse_server.url, database=database),
        kafka={"bootstrap_servers": kafka_bootstrap},
        topic_prefix=prefix,
        group_id=prefix + "sink",
    )
    folder = project(tmp_path_factory.mktemp("office"), **FLOWS)
    (folder / "segments").mkdir()
    (folder / "segments" / "vip.yaml").write_text("name: Very important\nall:\n- metric: Successfully Paid\n")
    env = environment(
        KAFKA_BOOTSTRAP_SERVERS=kafka_bootstrap,
        TILLSTREAM_TOPIC_PREFIX=prefix,
        CLICKHOUSE_URL=clickhouse_server.url,
        CLICKHOUSE_DATABASE=database,
        TILLSTREAM_PROJECT=str(folder),
        TILLSTREAM_DATA=str(folder / "data"),
    )
    usual = clickhouse.database
    try:
        async with postbox() as box, running(sink), engage(kafka_bootstrap, prefix, folder, smtp_url=box.url):
            yield Office(kafka_bootstrap, prefix, folder, box, clickhouse, env)
    finally:
        clickhouse.database = usual
        clickhouse.command(f"DROP DATABASE IF EXISTS {database} SYNC")


def asked(command: list[str], env: dict[str, str], answer: str) -> tuple[str, int]:
    """Run it where somebody can be asked, who answers; gives what the terminal showed, and the exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    while True:
        try:
            some = os.read(ours, 4096)
        except OSError:  # how a terminal ends when its last program has left
            break
        if not some:
            break
        shown += some
    os.close(ours)
    return shown.decode("utf-8", "replace"), process.wait(60)


async def test_a_backfill_tells_how_many_asks_and_starts_the_flow_once_for_each(office: Office) -> None:
    old = rfc3339(time.time() - 3 * DAY)
    past = [
        fact(Metric.SUCCESSFULLY_PAID, name, f"{who}@example.com", occurred_at=old, source="import")
        for name, who in (("b1", "ann"), ("b2", "ann"), ("b3", "bob"))
    ]
    older = fact(
        Metric.SUCCESSFULLY_PAID, "b0", "ann@example.com", occurred_at=rfc3339(time.time() - 30 * DAY), source="import"
    )
    await office.tell(*past, older, *(profile(f"{who}@example.com", name=who) for who in ("ann", "bob")))
    chosen = ("backfill", "receipts", "--since", rfc3339(time.time() - 7 * DAY))
    wanted = {"flow": "receipts", "facts": 3, "people": 2, "dry_run": True}
    await office.until("SELECT count() FROM metrics WHERE email IN ('ann@example.com', 'bob@example.com')", 4)
    assert await office.flows(*chosen, "--dry-run") == wanted
    question = "start receipts for 3 facts of 2 people?"
    assert question in await office.flows(*chosen, code=2), "nobody is here to be asked"
    command = [sys.executable, "-m", "tillstream", "flows", *chosen]
    shown, code = await asyncio.to_thread(asked, command, office.env, "n\n")
    assert question in shown
    assert code == 1
    shown, code = await asyncio.to_thread(asked, command, office.env, "y\n")
    assert "receipts is started for 3 facts of 2 people" in shown
    assert code == 0
    again = await office.flows(*chosen, "--yes")  # nobody is sent twice what they have got already
    assert again == wanted | {"dry_run": False}
    for who in ("ann", "bob"):  # after all that was asked, on the same partitions
        await office.tell(fact(Metric.SUCCESSFULLY_PAID, f"now-{who}", f"{who}@example.com"))
    expected = Counter({("ann@example.com", "receipt"): 3, ("bob@example.com", "receipt"): 2})
    await eventually(lambda: office.mails("ann", "bob").total() >= 5, deadline=90)
    assert office.mails("ann", "bob") == expected


async def test_a_draft_and_a_flow_that_no_metric_starts_are_not_backfilled(office: Office) -> None:
    draft = await office.flows("backfill", "sketch", "--since", "2026-01-01", code=2)
    assert "sketch is a draft: it would do nothing" in draft
    assert "next: tillstream flows live sketch" in draft
    assert "not started by a metric" in await office.flows("backfill", "vip", "--since", "2026-01-01", code=2)
    assert "did you mean receipts?" in await office.flows("backfill", "receits", "--since", "2026-01-01", code=2)


async def test_a_manual_flow_s_messages_go_when_they_are_released(office: Office) -> None:
    await office.tell(*(fact(Metric.REFUNDED_PAYMENT, f"r{n}", f"ref{n}@example.com") for n in range(2)))
    held = "SELECT count() FROM messages WHERE flow = 'refunds' AND status = '{}'"
    await office.until(held.format("held"), 2)
    assert "send 2 messages of refunds?" in await office.flows("release", "refunds", code=2)
    assert await office.flows("release", "refunds", "--dry-run") == {"flow": "refunds", "released": 2, "dry_run": True}
    assert office.mails("ref0", "ref1") == Counter()
    assert (await office.flows("release", "refunds", "--yes"))["released"] == 2
    await office.until(held.format("sent"), 2)
    assert (await office.flows("show", "refunds"))["messages"] == {"sent": 2}
    assert office.mails("ref0", "ref1") == Counter({(f"ref{n}@example.com", "refund"): 1 for n in range(2)})
    assert await office.flows("release", "refunds") == {"flow": "refunds", "released": 0, "dry_run": False}
    assert "there is no flow 'nowhere'" in await office.flows("release", "nowhere", code=2)


async def test_who_is_suppressed_gets_nothing_until_that_is_taken_back(office: Office) -> None:
    assert await office.flows("suppress", " Stop@Example.com ") == {"email": "stop@example.com", "suppressed": True}
    seen: set[str] = set()

    async def told(status: str) -> bool:
        """The next fact's message ends so: a suppression comes by its own topic, when it comes."""
        name = token_hex(4)
        await office.tell(fact(Metric.SUCCESSFULLY_PAID, name, "stop@example.com"))

        def done(found: list[dict[str, Any]]) -> bool:
            return any(name in each["metric_id"] and each["status"] in ("sent", "skipped") for each in found)

        known = await messages(office.bootstrap, office.prefix, done, deadline=90)
        seen.update(each["reason"] for each in known.values() if name in each["metric_id"])
        return any(name in each["metric_id"] and each["status"] == status for each in known.values())

    await eventually(lambda: told("skipped"), deadline=90)
    assert "suppressed: suppressed" in seen
    assert (await office.flows("unsuppress", "stop@example.com"))["suppressed"] is False
    await eventually(lambda: told("sent"), deadline=90)
    assert "is no mail address" in await office.flows("suppress", "nobody", code=2)


async def test_who_was_in_a_segment_from_its_beginning_starts_no_flow(office: Office) -> None:
    """The later change of the same person comes after it on the same partition, and is the one that acts."""
    change = {"segment": "vip", "email": "ini@example.com", "livemode": True, "change": "entered"}
    for number, initial in ((1, True), (2, False)):
        told = change | {"at": rfc3339(time.time()), "initial": initial, "change_id": f"vip:live:{number}:ini"}
        await publish(office.bootstrap, office.prefix + topics.SEGMENTS_CHANGES.name, "ini@example.com", told)
    await eventually(lambda: office.mails("ini"), deadline=90)

    def finished(found: list[dict[str, Any]]) -> bool:
        return any(each["email"] == "ini@example.com" and each["status"] == "sent" for each in found)

    known = await messages(office.bootstrap, office.prefix, finished, deadline=90)
    assert len([each for each in known.values() if each["email"] == "ini@example.com"]) == 1
    assert office.mails("ini") == Counter({("ini@example.com", "welcome"): 1})


async def test_klaviyos_segments_and_flows_are_taken_over_and_used_at_once(office: Office, tmp_path: Path) -> None:
    """From the JSON of Klaviyo's API to a segment that counts, lists and exports, and to a flow that could run."""
    env = office.env | {"TILLSTREAM_PROJECT": str(tmp_path / "project")}
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0) - timedelta(days=4)
    wednesday = noon - timedelta(days=(noon.weekday() - 2) % 7)  # the same days of the week whenever this runs
    failed = {"occurred_at": rfc3339(wednesday.timestamp()), "source": "import"}
    declined = {"reason": "Your card was declined.", "properties": {"Reason": "Your card was declined."}}
    await office.tell(
        fact(Metric.FAILED_PAYMENT, "k1", "kla@example.com", **failed, **declined),
        fact(Metric.FAILED_PAYMENT, "k2", "other@example.com", **failed),
        profile("kla@example.com", name="Kläre, 'O", properties={"plan": "pro"}),
        profile("other@example.com", properties={"plan": "pro"}),
    )

    async def said(*arguments: str | Path, code: int = 0) -> Any:
        done = await tillstream_async(*arguments, "--json", env=env)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    imported = ("segments", "import", FIXTURES / "segments.json")
    partly = await said(*imported, "--dry-run", code=1)  # a sum without a currency
    assert [each["name"] for each in partly["segments"] if each["content"]] == ["failing"]
    assert not (tmp_path / "project").exists()
    whole = await said(*imported, "--currency", "usd")
    assert [each["refusals"] for each in whole["segments"]] == [[], []]

    await office.until("SELECT count() FROM metrics WHERE metric_id LIKE '%:k_'", 2)
    await office.until("SELECT count() FROM profiles WHERE properties['plan'] = 'pro'", 2)
    assert (await said("segments", "count", "failing"))["members"] == 1
    (member,) = await said("segments", "members", "failing")
    assert (member["email"], member["name"]) == ("kla@example.com", "Kläre, 'O")
    exported = await tillstream_async("segments", "export", "failing", env=env)
    assert exported.stdout.splitlines()[1].startswith('kla@example.com,"Kläre, \'O",')
    templates = ("--template", "Tem1=failed_payment", "--template", "Tem2=failed_payment_reminder")
    flows = await said("flows", "import", FIXTURES / "flow.json", *templates)
    (flow,) = [each["name"] for each in flows["flows"]]
    (listed,) = [each for each in await said("flows", "list") if each["flow"] == flow]
    assert (listed["status"], listed["trigger"], listed["problem"]) == (
        "draft",
        "Failed Payment where Currency is USD",
        "",
    )
    # The first mail goes out at once; the second waits for the next Friday or Monday at 09:30.
    for days, people, mails in ((-1, 0, 0), (1, 2, 2), (3, 2, 4)):
        until = (wednesday + timedelta(days=days)).isoformat()
        tried = await said("flows", "run", flow, "--dry-run", "--since", "7d", "--until", until)
        assert (tried["facts"], tried["started"], tried["would_send"]) == (people, people, mails)
