"""kill -9 while messages are on the wire: a mail becomes `unknown` and is not repeated, a webhook keeps its key."""

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiosmtpd.smtp import SMTP, Envelope, Session

from embedded.child import die_with_parent
from engage.web import serve
from schemas.metrics import Metric
from schemas.topics import METRICS
from tests.conftest import eventually
from tests.integration.engage_support import fact, messages, project, tell
from tests.postbox import Postbox, postbox

FLOW = """
status: live
trigger: {metric: Successfully Paid}
steps:
  - email: {template: plain, subject: "first"}
  - webhook: {url: "HOOK"}
  - delay: 2 seconds
  - email: {template: plain, subject: "after"}
"""
ROLE = """
import asyncio, sys
from pathlib import Path
from engage.config import EngageConfig
from engage.worker import Engage
from settings.loading import load_settings
from tillstream.roles import run_role

folder = Path(sys.argv[3])

async def work(stop):
    worker = Engage(EngageConfig(
        kafka={"bootstrap_servers": sys.argv[1]}, data=folder / "state", project=folder, topic_prefix=sys.argv[2],
        partitions=2, settle_seconds=float(sys.argv[5]), smtp_url=sys.argv[4], mail_from="shop@shop.example",
    ))
    running = asyncio.create_task(worker.run(stop))
    while worker.ready() and not running.done():
        await asyncio.sleep(0.05)
    (folder / "ready").touch()
    await running

run_role("engage", work, load_settings({}))
"""
# Ends in the first moment in which it says that it is ready.
DYING = (
    ROLE.replace("sleep(0.05)", "sleep(0)")
    .replace("await running", "os.kill(os.getpid(), 9)")
    .replace("import asyncio, sys", "import asyncio, os, sys")
)
MAIL = '  - email: {template: plain, subject: "paid", transactional: true}'


class Holding(Postbox):
    """Takes the first mail, and never answers."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = await super().handle_DATA(server, session, envelope)
        if len(self.mails) == 1:
            await asyncio.sleep(3600)
        return reply


@asynccontextmanager
async def role(*arguments: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The role as a process of its own, ready; killed at the end."""
    (folder / "ready").unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ROLE, *arguments, preexec_fn=die_with_parent)
    try:
        await eventually((folder / "ready").exists, deadline=90)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_was_on_the_wire_when_the_process_was_killed(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    keys: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            await asyncio.sleep(3600)
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", receive)
    async with serve(app, "127.0.0.1", 0) as port, postbox(Holding()) as box:
        folder = project(tmp_path, flow=FLOW.replace("HOOK", f"http://127.0.0.1:{port}/hook"))
        arguments = (kafka_bootstrap, topic_prefix, str(folder), box.url, "0.2")
        async with role(*arguments, folder=folder):
            await tell(kafka_bootstrap, topic_prefix, fact(Metric.SUCCESSFULLY_PAID, "a"))
            await eventually(lambda: box.mails and keys, deadline=60)
        async with role(*arguments, folder=folder):  # the one before was killed
            known = await messages(
                kafka_bootstrap,
                topic_prefix,
                lambda found: sorted(each["status"] for each in found) == ["sent", "sent", "unknown"],
            )
    by_step = {message["step"]: message for message in known.values()}
    assert {step: message["status"] for step, message in by_step.items()} == {
        "email-1": "unknown",
        "webhook-1": "sent",
        "email-2": "sent",  # the run went on
    }
    assert keys == [by_step["webhook-1"]["message_id"]] * 2
    assert sorted(str(mail["Subject"]) for mail in box.mails) == ["after", "first"]


async def test_what_happens_once_it_is_ready_is_news_even_if_it_is_killed_at_once(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    async with postbox() as box:
        folder = project(tmp_path, flow="status: live\ntrigger: {metric: Successfully Paid}\nsteps:\n" + MAIL)
        arguments = (kafka_bootstrap, topic_prefix, str(folder), box.url, "0.2")
        killed = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, *arguments)
        assert await killed.wait() == -signal.SIGKILL
        people = [f"{number}@example.com" for number in range(10)]  # in both partitions
        for person in people:
            await tell(kafka_bootstrap, topic_prefix, fact(Metric.SUCCESSFULLY_PAID, person, email=person))
        async with role(*arguments, folder=folder):
            await eventually(lambda: len(box.mails) >= len(people), deadline=60)
    assert sorted(str(mail["To"]) for mail in box.mails) == people


async def test_what_waited_when_it_was_killed_acts_when_it_is_back_and_its_time_has_long_come(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    settle, admin = 5, AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()

    async def read() -> bool:
        offsets = await admin.list_consumer_group_offsets(f"{topic_prefix}tillstream-engage")
        return any(tp.topic.endswith("successfully_paid") and found.offset > 0 for tp, found in offsets.items())

    async with postbox() as box:
        folder = project(tmp_path, flow="status: live\ntrigger: {metric: Successfully Paid}\nsteps:\n" + MAIL)
        arguments = (kafka_bootstrap, topic_prefix, str(folder), box.url, str(settle))
        async with role(*arguments, folder=folder):
            told = time.monotonic()
            await tell(kafka_bootstrap, topic_prefix, fact(Metric.SUCCESSFULLY_PAID, "a"))
            await eventually(lambda: read(), deadline=60)  # it won't be delivered again
        await asyncio.sleep(max(told + settle - time.monotonic(), 0))  # nobody is there when its time comes
        async with role(*arguments, folder=folder):
            await eventually(lambda: box.mails, deadline=60)
    await admin.close()


async def test_what_is_the_first_of_its_partition_comes_too_while_state_is_made_anew(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    async with postbox() as box, AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        trigger = "status: live\ntrigger: {metric: METRIC}\nsteps:\n" + MAIL
        flows = {"paid": "Successfully Paid", "failed": "Failed Payment"}
        folder = project(tmp_path, **{name: trigger.replace("METRIC", metric) for name, metric in flows.items()})
        arguments = (kafka_bootstrap, topic_prefix, str(folder), box.url, "0.2")
        async with role(*arguments, folder=folder):
            await tell(kafka_bootstrap, topic_prefix, *(fact(Metric.SUCCESSFULLY_PAID, str(n)) for n in range(200)))
            await eventually(lambda: len(box.mails) == 200, deadline=60)
        shutil.rmtree(folder / "state")
        failures = 0

        async def fail() -> None:
            nonlocal failures
            while True:
                row = fact(Metric.FAILED_PAYMENT, f"f{failures}", email=f"{failures}@example.com")
                topic = topic_prefix + METRICS[Metric.FAILED_PAYMENT].name
                await producer.send_and_wait(topic, orjson.dumps(row), row["metric_id"].encode())
                failures += 1
                await asyncio.sleep(0.1)

        failing = asyncio.create_task(fail())
        async with role(*arguments, folder=folder):
            failing.cancel()
            await eventually(lambda: len({mail["To"] for mail in box.mails}) > failures, deadline=120)
