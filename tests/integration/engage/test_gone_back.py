"""Flows whose state is lost: nobody hears of anything for the second time, and what comes next is news."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from embedded.kafka import KafkaProcess
from operations.rebuild import STATES, forget_state
from schemas import topics
from schemas.metrics import Metric
from schemas.times import rfc3339
from streams.topics import ensure_topics
from tests.conftest import eventually
from tests.integration.engage_support import engage, fact, profile, project, publish, tell
from tests.postbox import postbox

MAIL = '\nsteps:\n  - email: {template: plain, subject: "SUBJECT", transactional: true}\n'
FLOWS = {
    "paid": "status: live\ntrigger: {metric: Successfully Paid}" + MAIL.replace("SUBJECT", "paid"),
    "vip": "status: live\ntrigger: {segment: vip, on: entered}" + MAIL.replace("SUBJECT", "welcome"),
    "card": 'status: live\ntrigger: {date: card_expiration_date, days_before: 3, at: "00:00"}'
    + MAIL.replace("SUBJECT", "card"),
}


async def entered(bootstrap: str, prefix: str, email: str) -> None:
    change = {"segment": "vip", "email": email, "livemode": True, "change": "entered", "at": rfc3339(time.time())}
    change |= {"initial": False, "change_id": f"vip:live:1:{email}"}
    await publish(bootstrap, prefix + topics.SEGMENTS_CHANGES.name, email, change)


async def rebuilt(bootstrap: str, prefix: str, folder: Path) -> None:
    (folder / "state").rename(folder / "engage")
    await forget_state({"bootstrap_servers": bootstrap}, prefix, STATES["engage"], folder)
    (folder / "engage").rename(folder / "state")


async def lost(bootstrap: str, prefix: str, folder: Path) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    changelogs = topics.changelogs(await admin.list_topics(), prefix, [STATES["engage"].app])
    assert len(changelogs) == 2
    await admin.delete_topics(changelogs)

    async def gone() -> bool:
        return not set(changelogs) & set(await admin.list_topics())

    await eventually(gone)
    await admin.close()
    shutil.rmtree(folder / "state" / "v1")


@pytest.mark.timeout(600)
async def test_a_broker_s_disk_that_went_back_has_nobody_mailed_twice(tmp_path: Path) -> None:
    """What was sent meanwhile is unknown then: facts that come again act no more, steps and mails are not repeated."""
    wait = MAIL.replace("steps:\n", "steps:\n  - delay: 30 seconds\n").replace("SUBJECT", "failed")
    folder = project(tmp_path, paid=FLOWS["paid"], later="status: live\ntrigger: {metric: Failed Payment}" + wait)
    disk = tmp_path / "kafka"
    async with postbox() as box:
        async with KafkaProcess(disk) as broker:
            where = (broker.bootstrap, "")
            await ensure_topics({"bootstrap_servers": broker.bootstrap}, partitions=2)
            async with engage(*where, folder, smtp_url=box.url):
                await tell(*where, fact(Metric.SUCCESSFULLY_PAID, "first", "zoe@example.com"))
                await tell(*where, fact(Metric.FAILED_PAYMENT, "b", "bob@example.com"))
                await eventually(lambda: len(box.mails) == 1, deadline=60)
        shutil.copytree(disk, tmp_path / "older")
        async with KafkaProcess(disk) as broker, engage(broker.bootstrap, "", folder, smtp_url=box.url):
            where, told = (broker.bootstrap, ""), fact(Metric.SUCCESSFULLY_PAID, "a", "ann@example.com")
            await tell(*where, *(fact(Metric.SUCCESSFULLY_PAID, f"{n}", f"p{n}@example.com") for n in range(8)), told)
            await eventually(lambda: len(box.mails) == 11, deadline=60)
        shutil.rmtree(disk)
        (tmp_path / "older").rename(disk)
        async with KafkaProcess(disk) as broker, engage(broker.bootstrap, "", folder, smtp_url=box.url):
            where = (broker.bootstrap, "")
            await tell(*where, told | {"source": "sweep", "received_at": rfc3339(time.time())})
            await tell(*where, told | {"received_at": rfc3339(time.time()), "version": 2})
            new = [fact(Metric.SUCCESSFULLY_PAID, f"new{n}", f"new{n}@example.com") for n in range(4)]
            await tell(*where, *new)
            await eventually(lambda: len(box.mails) >= 15, deadline=60)
    assert {mail for mail, count in box.received().items() if count != 1} == set()
    assert len(box.mails) == 15


@pytest.mark.parametrize("lose", [rebuilt, lost])
async def test_after_state_was_lost_nobody_is_mailed_twice(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path, lose: Any
) -> None:
    await make_topics(topic_prefix)
    folder, where = project(tmp_path, **FLOWS), (kafka_bootstrap, topic_prefix)
    async with postbox() as box:

        def mails() -> list[tuple[str, str]]:
            return sorted(box.received().elements())

        async with engage(*where, folder, smtp_url=box.url):
            key = (folder / "state" / "unsubscribe.key").read_bytes()
            people = [f"p{number}@example.com" for number in range(4)]
            day = rfc3339(time.time() + 3 * 86_400)[:10]
            for person in people:
                swept = fact(Metric.SUCCESSFULLY_PAID, f"swept {person}", person, source="sweep")
                await tell(*where, profile(person, card_expiration_date=day), swept)
                await tell(*where, fact(Metric.SUCCESSFULLY_PAID, person, person))
                await entered(*where, person)
            expected = sorted((person, subject) for person in people for subject in ("card", "paid", "paid", "welcome"))
            await eventually(lambda: mails() == expected, deadline=60)
        await lose(*where, folder)
        async with engage(*where, folder, smtp_url=box.url):
            assert (folder / "state" / "unsubscribe.key").read_bytes() == key
            for number, person in enumerate(("new0@example.com", "new1@example.com", "new2@example.com")):
                await tell(*where, profile(person), fact(Metric.SUCCESSFULLY_PAID, f"new{number}", person))
                await entered(*where, person)
                expected += [(person, "paid"), (person, "welcome")]
            await eventually(lambda: mails() == sorted(expected), deadline=60)
        async with engage(*where, folder, smtp_url=box.url):  # all has been read once more by now
            await tell(*where, fact(Metric.SUCCESSFULLY_PAID, "last", "last@example.com"))
            expected.append(("last@example.com", "paid"))
            await eventually(lambda: mails() == sorted(expected), deadline=60)
