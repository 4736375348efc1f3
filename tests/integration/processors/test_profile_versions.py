"""Profiles that were told before stand behind what is told now: by an older Tillstream, and before a rebuild."""

import shutil
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer import AIOKafkaConsumer

from operations.rebuild import STATES, forget_state
from schemas.topics import LEDGER_PEOPLE, PROFILES, STRIPE_EVENTS
from simulator.rendering.objects import event_body, event_json
from simulator.world.history import World
from tests.conftest import eventually
from tests.integration.processors.test_fenced import kept, records_of, shown
from tests.integration.processors.test_worker import START, newest, processor, publish
from tests.ledger_harness import run

STRIPE = World(seed=7, start=START, days=20, customers=25)
BODIES = [event_body(event, "2020-03-02") for event in STRIPE.events]
HALF = len(BODIES) // 2

Json = dict[str, Any]


def profiles_after(count: int) -> dict[str, Json]:
    return run([event_json(event, "2020-03-02") for event in STRIPE.events[:count]]).profiles()


async def ends(bootstrap: str, topic: str) -> dict[int, int]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partitions = [TopicPartition(topic, number) for number in (0, 1)]
        return {tp.partition: end for tp, end in (await consumer.end_offsets(partitions)).items()}


async def told_since(bootstrap: str, topic: str, starts: dict[int, int]) -> list[Json]:
    records = [one for number, start in starts.items() for one in await records_of(bootstrap, topic, number, start)]
    return [orjson.loads(record.value) for record in records]


def unversioned(contribution: Json) -> Json:
    return {name: value for name, value in contribution.items() if name != "version"}


async def as_it_was_kept(bootstrap: str, prefix: str, version: int) -> None:
    """The people stage's state, and what is on its way to it, as they were before contributions had versions."""
    changelog, topic = f"{prefix}tillstream-{prefix}people-changelog", prefix + LEDGER_PEOPLE.name
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for partition in (0, 1):
            for key, value in (await kept(bootstrap, changelog, partition)).items():
                if key.startswith(b"\x00"):
                    continue
                parties = {name: unversioned(one) for name, one in orjson.loads(value)["parties"].items() if "m" in one}
                old = orjson.dumps({"parties": parties, "version": version})
                await producer.send_and_wait(changelog, old, key, partition)
            for record in await records_of(bootstrap, topic, partition):
                again = [unversioned(one) for one in orjson.loads(record.value)]
                await producer.send_and_wait(topic, orjson.dumps(again), partition=partition)


@pytest.mark.timeout(600)
async def test_what_is_told_now_stands_before_the_versions_of_a_clock(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    """Data directories of before: versions were milliseconds, and contributions had none."""
    await make_topics(topic_prefix, partitions=2)
    events, names = topic_prefix + STRIPE_EVENTS.name, [topic_prefix + PROFILES.name]
    await publish(kafka_bootstrap, events, BODIES[:HALF])
    before = profiles_after(HALF)
    async with processor(kafka_bootstrap, topic_prefix, tmp_path):
        await newest(kafka_bootstrap, names, lambda found: shown(found) == before)
    clock = int(time.time() * 1000) + 1000
    await as_it_was_kept(kafka_bootstrap, topic_prefix, clock)
    shutil.rmtree(tmp_path)
    starts = await ends(kafka_bootstrap, names[0])
    await publish(kafka_bootstrap, events, BODIES[HALF:])
    after = profiles_after(len(BODIES))
    changed = {key for key in after if after[key] != before.get(key)}
    async with processor(kafka_bootstrap, topic_prefix, tmp_path):

        async def all_told() -> bool:  # whatever versions this Tillstream has told the first half with
            last = {one["email"]: one for one in await told_since(kafka_bootstrap, names[0], starts)}
            return before | shown(last) == after

        await eventually(all_told, deadline=120)
    told = await told_since(kafka_bootstrap, names[0], starts)
    assert {one["email"] for one in told} >= changed
    assert min(one["version"] for one in told) > clock
    last = {one["email"]: one for one in told}
    assert shown({key: last[key] for key in changed}) == {key: after[key] for key in changed}


@pytest.mark.timeout(600)
async def test_a_rebuild_s_profiles_stand_before_what_was_told_before_it(
    kafka_bootstrap: str, topic_prefix: str, make_topics: Any, tmp_path: Path
) -> None:
    await make_topics(topic_prefix, partitions=2)
    names, expected = [topic_prefix + PROFILES.name], profiles_after(len(BODIES))
    await publish(kafka_bootstrap, topic_prefix + STRIPE_EVENTS.name, BODIES)
    async with processor(kafka_bootstrap, topic_prefix, tmp_path / "processors"):
        before = await newest(kafka_bootstrap, names, lambda found: shown(found) == expected)
    starts = await ends(kafka_bootstrap, names[0])
    await forget_state({"bootstrap_servers": kafka_bootstrap}, topic_prefix, STATES["process"], tmp_path)

    def anew(found: dict[str, Json]) -> bool:
        return shown(found) == expected and all(found[key]["version"] > before[key]["version"] for key in expected)

    async with processor(kafka_bootstrap, topic_prefix, tmp_path / "processors"):
        await newest(kafka_bootstrap, names, anew)
    for one in await told_since(kafka_bootstrap, names[0], starts):
        assert one["version"] > before.get(one["email"], {"version": 0})["version"]
