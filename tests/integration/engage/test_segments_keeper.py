"""The keeper beside a real broker and a real engine: who enters and leaves is told as it happens, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from engage.segments.keeper import KeeperConfig, SegmentKeeper
from schemas.segments import SegmentChange
from schemas.topics import SEGMENTS_CHANGES, full_name
from tests.conftest import eventually
from tests.integration.segments_support import PAYERS, Shop, paid, project, shop, taken_back, write
from tests.integration.sinks_support import Publisher, kafka

__all__ = ["kafka", "project", "shop"]


@pytest.fixture
def config(shop: Shop, project: Path, kafka: Publisher, kafka_bootstrap: str, topic_prefix: str) -> KeeperConfig:
    return KeeperConfig(
        {"bootstrap_servers": kafka_bootstrap}, shop.warehouse, project, topic_prefix, "UTC", 0.1, unasked_seconds=0.1
    )


@asynccontextmanager
async def keeping(config: KeeperConfig) -> AsyncIterator[SegmentKeeper]:
    keeper, stop = SegmentKeeper(config), asyncio.Event()
    task = asyncio.create_task(keeper.run(stop))
    try:
        await eventually(lambda: task.done() or keeper.ready() == "", deadline=60)
        yield keeper
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


class Changes:
    """What is on `segments.changes`, from its beginning."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.all: list[SegmentChange] = []

    async def of(self, segment: str) -> list[tuple[str, str, bool]]:
        found = await self._consumer.getmany(timeout_ms=100)
        self.all += [SegmentChange(**orjson.loads(each.value)) for records in found.values() for each in records]
        return [(each.email, each.change.value, each.initial) for each in self.all if each.segment == segment]


@pytest.fixture
async def changes(config: KeeperConfig, topic_prefix: str) -> AsyncIterator[Changes]:
    topic: Any = full_name(SEGMENTS_CHANGES, topic_prefix)
    consumer = AIOKafkaConsumer(topic, **config.kafka, auto_offset_reset="earliest")
    await consumer.start()
    yield Changes(consumer)
    await consumer.stop()


async def test_a_fact_brings_its_person_into_a_segment_soon_although_its_schedule_is_an_hour(
    config: KeeperConfig, project: Path, shop: Shop, kafka: Publisher, changes: Changes
) -> None:
    write(project, "payers", PAYERS)
    await shop.told(paid("ada@example.com"))
    async with keeping(config) as keeper:

        async def baseline() -> bool:
            return await changes.of("payers") == [("ada@example.com", "entered", True)]

        await eventually(baseline, deadline=60)
        bob = paid("bob@example.com")
        await shop.told(bob, taken_back("ada@example.com"))
        await kafka.facts(bob)

        async def told() -> bool:
            found = (await changes.of("payers"))[1:]
            return sorted(found) == [("ada@example.com", "left", False), ("bob@example.com", "entered", False)]

        await eventually(told, deadline=60)
        assert shop.members("payers") == {("bob@example.com", True)}
        write(project, "broken", "all:\n- metric: Paid\n")
        write(project, "late", PAYERS + "- in segment: payers\n")

        async def late() -> bool:
            return await changes.of("late") == [("bob@example.com", "entered", True)]

        await eventually(late, deadline=60)
        assert keeper.ready() == ""
        write(project, "late", "all: [")  # cannot be read: the members stay
        (project / "segments" / "payers.yaml").unlink()

        async def gone() -> bool:
            return ("bob@example.com", "left", True) in await changes.of("payers")

        await eventually(gone, deadline=60)
        assert shop.members("payers") == set()
        assert shop.members("late") == {("bob@example.com", True)}
    assert len({each.change_id for each in changes.all}) == len(changes.all)


async def test_two_keepers_share_the_segments_and_one_takes_over_from_the_other(
    config: KeeperConfig, project: Path, shop: Shop, changes: Changes
) -> None:
    names = [f"payers-{number}" for number in range(4)]
    async with keeping(config):
        async with keeping(config):
            for name in names:
                write(project, name, PAYERS)
            await shop.told(paid("ada@example.com"))

            async def told() -> bool:
                return all([await changes.of(name) for name in names])

            await eventually(told, deadline=60)
        write(project, "after", PAYERS)

        async def after() -> bool:
            return bool(await changes.of("after"))

        await eventually(after, deadline=60)
    assert len(changes.all) == len({each.change_id for each in changes.all})
    assert {each.segment for each in changes.all} >= {*names, "after"}


async def test_a_fact_that_comes_before_kafka_has_told_how_many_there_are_is_news(
    config: KeeperConfig, project: Path, shop: Shop, kafka: Publisher, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topics that are new have no leader for some seconds, and this question waits for one."""
    ends, answers = AIOKafkaConsumer.end_offsets, asyncio.Event()

    async def late(self: AIOKafkaConsumer, places: Any) -> Any:
        await answers.wait()
        return await ends(self, places)

    monkeypatch.setattr(AIOKafkaConsumer, "end_offsets", late)
    write(project, "payers", PAYERS)
    keeper, stop = SegmentKeeper(config), asyncio.Event()
    task = asyncio.create_task(keeper.run(stop))
    try:
        await eventually(lambda: keeper._owned)
        with suppress(AssertionError):  # one that doesn't wait evaluates now, and once in an hour
            await eventually(lambda: keeper._plans["payers"].due, deadline=3)
        bob = paid("bob@example.com")
        await shop.told(bob)
        await kafka.facts(bob)
        answers.set()

        async def told() -> bool:
            return [one[:2] for one in await changes.of("payers")] == [("bob@example.com", "entered")]

        await eventually(told, deadline=30)
    finally:
        answers.set()
        stop.set()
        await asyncio.wait_for(task, 60)
