"""Flows of which none is live read no facts. Once one is, it knows the past, and acts on news alone."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import engage.worker
from doctor.gather_kafka import kafka_facts
from operations.erasures import followed
from schemas import topics
from schemas.erasures import Erasures, entry_message
from schemas.metrics import Metric
from schemas.times import rfc3339
from streams.kafka import Admin
from streams.reading import reader
from tests.conftest import MakeTopics, eventually
from tests.integration.engage_support import engage as running
from tests.integration.engage_support import fact, profile, project, publish, tell
from tests.postbox import Postbox, postbox

DUNNING = """
status: live
trigger: {metric: Failed Payment}
profile_filters: [{metric: Successfully Paid}]
steps:
  - email: {template: plain, subject: failed}
"""
WELCOME = """
status: live
trigger: {segment: vip, on: entered}
profile_filters: [{metric: Successfully Paid}]
steps:
  - email: {template: plain, subject: welcome}
"""
SLOW = """
status: live
trigger: {metric: Refunded Payment}
steps:
  - delay: 15 seconds
  - email: {template: plain, subject: slow}
"""


def draft(flow: str) -> str:
    return flow.replace("status: live", "status: draft")


class Shop:
    """A worker's topics, and whether it reads them."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.where, self.folder = (bootstrap, prefix), folder
        self._kafka, self._prefix = {"bootstrap_servers": bootstrap}, prefix

    async def tell(self, *rows: dict[str, Any]) -> None:
        await tell(*self.where, *rows)

    async def asleep(self) -> bool:
        async with Admin(self._kafka) as admin:
            return not (await admin.group(f"{self._prefix}tillstream-engage")).members

    async def sleeps(self) -> None:
        await eventually(self.asleep, deadline=60)

    async def read(self) -> int:
        """Facts that were told on to people."""
        topic = self._prefix + topics.ENGAGE_PEOPLE.name
        async with Admin(self._kafka) as admin, reader(self._kafka) as consumer:
            ends: dict[Any, int] = await consumer.end_offsets(await admin.partitions(topic))
        return sum(ends.values())

    async def enter(self, name: str) -> None:
        email = f"{name}@example.com"
        change = {"segment": "vip", "email": email, "livemode": True, "change": "entered", "initial": False}
        change |= {"at": rfc3339(time.time()), "change_id": f"vip:live:1:{email}"}
        await self.publish(topics.SEGMENTS_CHANGES, email, change)

    async def publish(self, topic: topics.Topic, key: str, value: Any) -> None:
        await publish(self.where[0], self.where[1] + topic.name, key, value)


def paid(name: str, **changes: Any) -> dict[str, Any]:
    return fact(Metric.SUCCESSFULLY_PAID, f"p{name}", f"{name}@example.com", **changes)


def failed(name: str, **changes: Any) -> dict[str, Any]:
    return fact(Metric.FAILED_PAYMENT, f"f{name}", f"{name}@example.com", **changes)


def sent(box: Postbox) -> Counter[tuple[str, str]]:
    return Counter(box.received())


@pytest.mark.timeout(600)
async def test_facts_are_not_read_until_a_flow_is_live_which_knows_them_then_and_acts_on_none(
    kafka_bootstrap: str, topic_prefix: str, make_topics: MakeTopics, tmp_path: Path
) -> None:
    await make_topics(topic_prefix)
    folder = project(tmp_path, dunning=draft(DUNNING))
    shop = Shop(kafka_bootstrap, topic_prefix, folder)
    async with postbox() as box, running(*shop.where, folder, smtp_url=box.url) as worker:
        await shop.sleeps()
        assert worker.ready() == ""
        before = {"received_at": rfc3339(time.time() - 60)}
        await shop.tell(*(paid(f"c{number}") for number in range(500)), paid("ann"), failed("ann", **before))
        assert await shop.read() == 0
        assert (await kafka_facts({"bootstrap_servers": kafka_bootstrap}, topic_prefix)).lag == {}  # nothing is wrong
        project(tmp_path, dunning=DUNNING)
        await shop.tell(failed("ann", metric_id="default:live:failed-payment:new"), failed("bob"), failed("c499"))
        due = Counter({("ann@example.com", "failed"): 1, ("c499@example.com", "failed"): 1})
        await eventually(lambda: sent(box) == due, deadline=60)

        project(tmp_path, dunning=draft(DUNNING))
        await shop.sleeps()
        known = await shop.read()
        await shop.tell(failed("c1", **before), paid("dan"))
        project(tmp_path, dunning=DUNNING)
        await eventually(lambda: shop_reads(shop, known), deadline=60)
        await shop.tell(failed("dan"))
        due[("dan@example.com", "failed")] = 1
        await eventually(lambda: sent(box).total() >= due.total(), deadline=60)
        assert sent(box) == due


async def shop_reads(shop: Shop, known: int) -> bool:
    return await shop.read() > known


@pytest.mark.timeout(600)
async def test_who_is_on_the_way_through_a_flow_keeps_it_awake(
    kafka_bootstrap: str, topic_prefix: str, make_topics: MakeTopics, tmp_path: Path
) -> None:
    """A draft's runs wait where they are; made live again they go on, and know what came meanwhile."""
    await make_topics(topic_prefix)
    folder = project(tmp_path, slow=SLOW)
    shop = Shop(kafka_bootstrap, topic_prefix, folder)
    async with postbox() as box:
        async with running(*shop.where, folder, smtp_url=box.url) as worker:
            await shop.tell(fact(Metric.REFUNDED_PAYMENT, "r", "ann@example.com"))
            await eventually(lambda: len(worker._people.timers), deadline=60)
            project(tmp_path, slow=draft(SLOW))
            await eventually(lambda: not worker._flows.running)
        async with running(*shop.where, folder, smtp_url=box.url):
            assert not await shop.asleep()
            known = await shop.read()
            await shop.tell(paid("ann"))
            await eventually(lambda: shop_reads(shop, known), deadline=60)
            assert not await shop.asleep()
            project(tmp_path, slow=SLOW)
            await eventually(lambda: sent(box) == Counter({("ann@example.com", "slow"): 1}), deadline=60)
            project(tmp_path, slow=draft(SLOW))


@pytest.mark.timeout(600)
async def test_nothing_acts_before_the_past_is_read_and_nothing_that_waited_for_it_is_lost(
    kafka_bootstrap: str, topic_prefix: str, make_topics: MakeTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the process ends meanwhile."""
    read, until_read = asyncio.Event(), engage.worker.until_read

    async def held(*args: Any) -> None:
        await read.wait()
        await until_read(*args)

    monkeypatch.setattr("engage.worker.until_read", held)
    await make_topics(topic_prefix)
    folder = project(tmp_path, dunning=DUNNING, welcome=WELCOME)
    shop = Shop(kafka_bootstrap, topic_prefix, folder)
    async with postbox() as box:
        async with running(*shop.where, folder, smtp_url=box.url) as worker:
            await shop.tell(failed("ann"), failed("bob"))
            await shop.enter("ann")
            ask = {"kind": "backfill", "flow": "dunning", "row": paid("eve") | {"metric_id": "old"}}
            asked = ask | {"at": rfc3339(time.time())}
            await shop.publish(topics.ENGAGE_PEOPLE, "eve@example.com", asked)
            await eventually(lambda: len(_waiting(worker)) == 2, deadline=60)
        assert not box.mails
        async with running(*shop.where, folder, smtp_url=box.url):
            await shop.tell(paid("ann"), paid("eve"), failed("late"), paid("late"))
            read.set()
            due = {("ann@example.com", "failed"), ("ann@example.com", "welcome"), ("late@example.com", "failed")}
            due |= {("eve@example.com", "failed")}
            await eventually(lambda: set(sent(box)) == due, deadline=60)
            assert set(sent(box).values()) == {1}


def _waiting(worker: Any) -> list[str]:
    return [key for partition in worker._owned for key in worker._people.records(partition).waiting()]


@pytest.mark.timeout(600)
async def test_who_is_erased_while_flows_sleep_is_taken_out_of_what_they_have_kept(
    kafka_bootstrap: str, topic_prefix: str, make_topics: MakeTopics, tmp_path: Path
) -> None:
    await make_topics(topic_prefix)
    folder = project(tmp_path, dunning=DUNNING)
    shop, kafka = Shop(kafka_bootstrap, topic_prefix, folder), {"bootstrap_servers": kafka_bootstrap}
    async with followed(kafka, topic_prefix) as erasures, running(*shop.where, folder, erasures=erasures) as worker:
        await shop.tell(profile("ann@example.com"), paid("ann"))
        await eventually(lambda: any(worker._people.records(n).profile("ann@example.com") for n in (0, 1)))
        project(tmp_path, dunning=draft(DUNNING))
        await shop.sleeps()
        key, value = entry_message("ann@example.com", int(time.time()), b"k" * 32)
        await shop.publish(topics.ERASURES, key.decode(), value)
        places = [f"{stage}|{n}" for stage in ("engage-facts", "engage-people") for n in (0, 1)]
        await eventually(lambda: all(_clean(erasures, place) for place in places), deadline=60)
        await shop.sleeps()


def _clean(erasures: Erasures, place: str) -> bool:
    return bool(erasures.positions) and erasures.done.get(place) == erasures.positions


@pytest.mark.timeout(600)
async def test_partitions_that_were_grown_while_flows_slept_end_the_role_which_starts_again_with_them(
    kafka_bootstrap: str, topic_prefix: str, make_topics: MakeTopics, tmp_path: Path
) -> None:
    await make_topics(topic_prefix)
    folder = project(tmp_path, dunning=draft(DUNNING))
    shop = Shop(kafka_bootstrap, topic_prefix, folder)

    async def grow() -> None:
        async with running(*shop.where, folder):
            await shop.sleeps()
            async with Admin({"bootstrap_servers": kafka_bootstrap}) as admin:
                await admin.grow([topic_prefix + topic.name for topic in topics.ALL if topic.grows], 3)
            project(tmp_path, dunning=DUNNING)
            await asyncio.Event().wait()  # until the role has ended

    with pytest.raises(ExceptionGroup) as ended:
        await grow()
    assert "there are 3 partitions by now" in str(ended.value.exceptions[0])
