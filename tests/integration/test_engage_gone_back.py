"""Flows whose state is lost: nobody hears of anything for the second time, and what comes next is news."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from schemas import topics
from schemas.metrics import Metric
from schemas.times import rfc3339
from tests.conftest import eventually
from tests.integration.engage_support import engage, fact, profile, project, publish, tell
from tests.postbox import postbox
from tillstream.rebuild import STATES, forget_state

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
    changelogs = [f"{prefix}tillstream-engage-{prefix}{table}-changelog" for table in STATES["engage"].tables]
    await admin.delete_topics(changelogs)

    async def gone() -> bool:
        return not set(changelogs) & set(await admin.list_topics())

    await eventually(gone)
    await admin.close()
    shutil.rmtree(folder / "state" / "v1")


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
