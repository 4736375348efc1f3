"""`tillstream partitions grow`: more partitions in the middle of a history, killed again and again."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from embedded.child import die_with_parent
from ingest.admission import admit
from schemas.metrics import Metric
from schemas.topics import METRICS, PROFILES, STRIPE_EVENTS, SUPPRESSIONS, changelogs
from simulator.rendering.objects import event_body, event_json
from simulator.world.history import World
from streams.partitioner import partition_of
from tests.conftest import ClickHouseServer, eventually
from tests.e2e.running import environment, tillstream_async
from tests.integration.engage_support import messages, project, publish
from tests.integration.processors.test_worker import newest
from tests.ledger_harness import run
from tests.postbox import postbox

START = 1_767_225_600
VERSION = "2020-03-02"
FLOW = """
status: live
trigger: {metric: Successfully Paid}
steps:
  - email: {template: plain, subject: "first", transactional: true}
  - delay: 20 seconds
  - email: {template: plain, subject: "after"}
"""
#: Of what the command says, after which it is killed.
STEPS = ("table 3 of 4", "copying", "deleting")
TELLING = ("version", "received_at", "source", "api_version", "updated_at", "event_id")


@dataclass
class Place:
    """A broker, a prefix and a directory, and the command line there."""

    bootstrap: str
    prefix: str
    data: Path
    smtp: str
    clickhouse: str = ""
    database: str = ""

    def environment(self) -> dict[str, str]:
        named = {"CLICKHOUSE_URL": self.clickhouse, "CLICKHOUSE_DATABASE": self.database} if self.clickhouse else {}
        return environment(
            KAFKA_BOOTSTRAP_SERVERS=self.bootstrap,
            TILLSTREAM_TOPIC_PREFIX=self.prefix,
            TILLSTREAM_DATA=str(self.data),
            TILLSTREAM_PROJECT=str(self.data / "project"),
            TILLSTREAM_SETTLE_SECONDS="0.5",
            TILLSTREAM_MAIL_FROM="shop@shop.example",
            SMTP_URL=self.smtp,
            **named,
        )

    async def command(self, *arguments: str) -> Any:
        return await tillstream_async(*arguments, env=self.environment(), seconds=240)

    @asynccontextmanager
    async def role(self, name: str, says: str) -> AsyncIterator[subprocess.Popen[bytes]]:
        """A role that says that it works; it is asked to end after the block."""
        path = self.data / f"{name}-{time.monotonic_ns()}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tillstream", name, "--health-port", "0"],
                env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
            )  # fmt: skip
        try:
            await eventually(lambda: says in path.read_text("utf-8", "replace"), 90)
            yield process
            process.terminate()
            assert await asyncio.to_thread(process.wait, 60) == 0, path.read_text("utf-8", "replace")[-3000:]
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    async def killed(self, wanted: int, step: str) -> bool:
        """Begin to grow, and be killed when `step` is said; False when it came to an end before."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tillstream", "partitions", "grow", str(wanted), "--yes"),
            env=self.environment(), stderr=asyncio.subprocess.PIPE, preexec_fn=die_with_parent,
        )  # fmt: skip
        assert process.stderr is not None
        async for line in process.stderr:
            if step in line.decode():
                process.send_signal(signal.SIGKILL)
                break
        return await process.wait() == -signal.SIGKILL

    async def feed(self, events: list[Any], partitions: int) -> None:
        """As a door does it that knows of so many partitions."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5) as producer:
            for event in events:
                message = admit(event_body(event, VERSION), "default", time.time())
                number = partition_of(message.key, partitions)
                topic, headers = self.prefix + STRIPE_EVENTS.name, list(message.headers)
                await producer.send(topic, message.value, message.key, number, headers=headers)


def told(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is alive, without what tells of the telling."""
    return {
        key: {name: value for name, value in row.items() if name not in TELLING}
        for key, row in rows.items()
        if not row.get("withdrawn")
    }


def expected(events: list[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows and profiles of `events`, folded in order in one place."""
    world = run([event_json(event, VERSION) for event in events])
    rows, profiles = orjson.loads(orjson.dumps([world.rows(), world.profiles()]))
    return told(rows), told(profiles)


@pytest.mark.timeout(900)
async def test_nothing_is_lost_doubled_or_forgotten_by_growing_wherever_it_is_killed(
    kafka_bootstrap: str,
    clickhouse_server: ClickHouseServer,
    topic_prefix: str,
    database: str,
    make_topics: Any,
    tmp_path: Path,
) -> None:
    await make_topics(topic_prefix, partitions=4)
    world = World(seed=5, start=START, days=30, customers=40)
    events = world.events
    third = len(events) // 3
    names = [topic_prefix + topic.name for topic in METRICS.values()]
    profiles = [topic_prefix + PROFILES.name]
    async with postbox() as box:
        place = Place(kafka_bootstrap, topic_prefix, tmp_path, box.url)
        project(tmp_path / "project", flow=FLOW)

        async with place.role("process", "processing"):
            async with place.role("engage", "flows run"):
                await place.feed(events[:third], 4)
                rows, _ = expected(events[:third])
                await newest(kafka_bootstrap, names, lambda found: told(found) == rows, 120)
                first = sum(row["metric"] == Metric.SUCCESSFULLY_PAID for row in rows.values() if row["email"])
                assert first > 10
                await eventually(lambda: len(box.mails) >= first, 120)
                refused = await place.command("partitions", "grow", "7", "--yes")
                assert refused.returncode == 2
                assert "are running" in refused.stderr
                assert "next: stop `tillstream up`" in refused.stderr
            # People wait in the flow, and from here on nobody reads what flows are told.
            await place.feed(events[third : 2 * third], 4)
            rows, people = expected(events[: 2 * third])
            await newest(kafka_bootstrap, names, lambda found: told(found) == rows, 120)
            gone = Counter(row["email"] for row in rows.values() if row["metric"] == Metric.SUCCESSFULLY_PAID)
            del gone[""]
            unsubscribed = gone.most_common(1)[0][0]
            told_off = {"email": unsubscribed, "livemode": True, "reason": "unsubscribed", "detail": "", "at": ""}
            await publish(kafka_bootstrap, topic_prefix + SUPPRESSIONS.name, unsubscribed, told_off)
        await place.feed(events[2 * third : 2 * third + 40], 4)  # for the command to have them read

        smaller = await place.command("partitions", "grow", "4", "--yes")
        assert (smaller.returncode, "4 are not more" in smaller.stderr) == (2, True)
        for step in STEPS:
            assert await place.killed(7, step), step
            shown = json.loads((await place.command("partitions", "--json")).stdout)
            half = shown["growing_to"] == 7
            assert half == (step == "copying"), step
            if step == "copying":  # nobody begins on half of it
                other = await place.command("partitions", "grow", "9", "--yes")
                assert "next: tillstream partitions grow 7" in other.stderr
                early = await place.command("process")
                assert (early.returncode, "being grown from 4 to 7" in early.stdout + early.stderr) == (2, True)
        done = await place.command("partitions", "grow", "7", "--yes", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["partitions"] == 7
        assert len(await kept(kafka_bootstrap, topic_prefix)) == 4
        again = await place.command("partitions", "grow", "7", "--yes")
        assert (again.returncode, "7 are not more" in again.stderr) == (2, True)

        rows, people = expected(events)
        async with place.role("process", "processing"), place.role("engage", "flows run"):
            await place.feed(events[2 * third + 40 : -100], 7)
            await place.feed(events[-100:], 4)  # by a door that has not heard of it
            await place.feed(events[:50], 7)
            found = await newest(kafka_bootstrap, names, lambda found: told(found) == rows, 120)
            assert told(found) == rows
            await newest(kafka_bootstrap, profiles, lambda found: told(found) == people, 120)
            paid = Counter(row["email"] for row in rows.values() if row["metric"] == Metric.SUCCESSFULLY_PAID)
            del paid[""]
            wanted = Counter(
                {(email, subject): count for email, count in paid.items() for subject in ("first", "after")}
            )
            del wanted[unsubscribed, "after"]
            await eventually(lambda: box.received() >= wanted, 180)
            all_of_them = 2 * sum(paid.values())
            statuses = await messages(
                kafka_bootstrap,
                topic_prefix,
                lambda known: len(known) >= all_of_them and all(each["status"] != "waiting" for each in known),
                120,
            )
        early_ones = box.received()[unsubscribed, "after"]  # before the word came
        assert early_ones <= paid[unsubscribed]
        assert box.received() - wanted == Counter({(unsubscribed, "after"): early_ones} if early_ones else {})
        assert wanted - box.received() == Counter()
        assert Counter(each["status"] for each in statuses.values()) == Counter(
            {"sent": len(box.mails), "skipped": paid[unsubscribed] - early_ones}
        )
        # The old tables' stores are gone from this machine's disk.
        assert set(await asyncio.to_thread(stores, tmp_path)) == {7}

        # State from nothing reads what was written under either number.
        rebuilt = await place.command("replay", "--rebuild", "--yes")
        assert rebuilt.returncode == 0, rebuilt.stderr
        async with place.role("process", "processing"):

            async def all_is_read() -> bool:
                return not json.loads((await place.command("partitions", "--json")).stdout)["unread"]["process"]

            await eventually(all_is_read, 120, 0.5)
            assert told(await newest(kafka_bootstrap, names, lambda found: told(found) == rows, 120)) == rows
            await newest(kafka_bootstrap, profiles, lambda found: told(found) == people, 120)

        place.clickhouse, place.database = clickhouse_server.url, database
        async with place.role("sink", ""):
            client = clickhouse_connect.get_client(dsn=clickhouse_server.url)
            try:
                await eventually(
                    lambda: client.query(f"SELECT count() FROM {database}.metrics").result_rows == [(len(rows),)], 90
                )
                await eventually(
                    lambda: client.query(f"SELECT count() FROM {database}.profiles").result_rows == [(len(people),)], 60
                )
                money = client.query(
                    f"SELECT metric_id, email, amount_minor FROM {database}.metrics ORDER BY metric_id"
                ).result_rows
            finally:
                client.close()
        assert money == sorted((key, row["email"], row["amount_minor"]) for key, row in rows.items())


def stores(data: Path) -> list[int]:
    """For how many partitions each store on the disk was made."""
    found = [re.search(r"-(\d+)-\d+\.db$", path.name) for path in data.glob("**/tables/*.db")]
    return [int(name[1]) for name in found if name]


async def kept(bootstrap: str, prefix: str) -> list[str]:
    """The changelogs that are there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return changelogs(await admin.list_topics(), prefix)
    finally:
        await admin.close()
