"""Having a role begin anew: its state is dropped, and it reads what it is made of from the start.

Sound only while none of its workers runs. The processors' state rebuilt from nothing tells the same rows, since
versions are made of what is known and of no counter (`processors/rules/lattice.py`). A profile's version counts as well
what a party added for a while only, which a rebuild may never see: so its present version is handed over as a floor. To
flows all that was told before they begin anew is history, so that nobody is sent anything for it (`engage/stages/`).
Sinks have no state: they write every row that Kafka keeps once more, which changes none that is there.
"""

import asyncio
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.errors import ConfigurationError, Unavailable
from schemas.profile import floor, split_key
from schemas.times import rfc3339
from sinks.batch import TABLES
from tillstream.topics import partitions_in_force

_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class State:
    """A role's: `app` is its group and the start of its changelogs' names, `directory` where its stores are.

    It is made of `inputs`; `between` are the topics by which its stages tell each other what follows from them. A role
    without a `directory` keeps nothing but how far it has read.
    """

    called: str
    command: str
    app: str
    inputs: tuple[topics.Topic, ...]
    between: tuple[topics.Topic, ...]
    directory: str


STATES: Final = {
    "process": State(
        "the processors",
        "process",
        "tillstream",
        (topics.STRIPE_EVENTS,),
        (topics.LEDGER_TRANSFERS, topics.LEDGER_PEOPLE),
        "processors",
    ),
    "engage": State(
        "flows",
        "engage",
        "tillstream-engage",
        (*topics.METRICS.values(), topics.PROFILES, topics.SUPPRESSIONS, topics.SEGMENTS_CHANGES),
        (topics.ENGAGE_PEOPLE,),
        "engage",
    ),
    "sink": State(
        "sinks", "sink", "tillstream-sink", tuple(topic for topic in topics.ALL if topic.name in TABLES), (), ""
    ),
}


@dataclass(frozen=True, slots=True)
class Rebuild:
    """How many messages will be read anew. `kept_since` (RFC 3339) is '' when Kafka still holds all that there were."""

    events: int
    changelogs: tuple[str, ...]
    kept_since: str


async def look(kafka: Mapping[str, Any], prefix: str, state: State) -> Rebuild:
    """What `forget_state` would do. Raises ConfigurationError while the role runs, or partitions are grown half-way;
    Unavailable without Kafka.
    """
    await partitions_in_force(kafka, prefix)
    admin = AIOKafkaAdminClient(**kafka)
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False)
    try:
        await admin.start()
        await consumer.start()
        await require_stopped(admin, prefix, state)
        changelogs = tuple(await _changelogs(admin, prefix, state))
        partitions = await _partitions(admin, prefix, state.inputs)
        starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        cut = [partition for partition in partitions if starts[partition]]
        since = max([await _first_time(consumer, tp, ends[tp]) for tp in cut], default=0.0)
    except KafkaError as error:
        raise _unavailable(kafka, error) from error
    finally:
        await consumer.stop()
        await admin.close()
    return Rebuild(sum(ends[tp] - starts[tp] for tp in partitions), changelogs, rfc3339(since) if since else "")


async def forget_state(kafka: Mapping[str, Any], prefix: str, state: State, data: Path) -> None:
    """Have the role read its inputs from their start, knowing nothing. Raises as `look` does.

    1. offsets: the inputs' to their start; of what the stages tell each other to the end, since they tell it anew
    2. behind that, where it is the processors, a floor for each profile
    3. this machine's copy of the changelogs under `data` deleted
    4. the changelogs deleted, the first stage's first

    Interrupted anywhere, the next start reads the inputs into what is still known, which changes nothing.
    """
    admin = AIOKafkaAdminClient(**kafka)
    consumer = AIOKafkaConsumer(**kafka, group_id=prefix + state.app, enable_auto_commit=False)
    try:
        await admin.start()
        await require_stopped(admin, prefix, state)
        inputs = await _partitions(admin, prefix, state.inputs)
        between = await _partitions(admin, prefix, state.between)
        await consumer.start()
        consumer.assign([*inputs, *between])
        places = await consumer.beginning_offsets(inputs) | await consumer.end_offsets(between)
        await consumer.commit(places)
        if topics.LEDGER_PEOPLE in state.between:
            told = await _partitions(admin, prefix, (topics.PROFILES,))
            await _hand_over(kafka, prefix, await _told_versions(consumer, told))
        if state.directory:
            await asyncio.to_thread(_remove, data / state.directory)
        for changelog in await _changelogs(admin, prefix, state):
            await admin.delete_topics([changelog])
            await _gone(admin, changelog)
    except KafkaError as error:
        raise _unavailable(kafka, error) from error
    finally:
        await consumer.stop()
        await admin.close()


async def require_stopped(admin: AIOKafkaAdminClient, prefix: str, state: State) -> None:
    """Raises ConfigurationError while a worker of the role runs."""
    group = prefix + state.app
    (answer,) = await admin.describe_consumer_groups([group])
    members = sum(len(found[5]) for found in answer.groups)
    if members:
        raise ConfigurationError(
            f"{state.called} are running (group {group} has {members} members), and would go on from what they know",
            remedy=f"stop `tillstream up`, or every `tillstream {state.command}`; a killed one is forgotten after 10 s",
        )


async def _partitions(admin: AIOKafkaAdminClient, prefix: str, wanted: Iterable[topics.Topic]) -> list[TopicPartition]:
    described = await admin.describe_topics([topics.full_name(topic, prefix) for topic in wanted])
    return [
        TopicPartition(one["topic"], partition["partition"]) for one in described for partition in one["partitions"]
    ]


async def _first_time(consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> float:
    """Unix seconds of the oldest message of a partition that has lost some; now, when it has lost all."""
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    if await consumer.position(partition) >= end:
        return time.time()
    message = await asyncio.wait_for(consumer.getone(partition), _PATIENCE)
    return float(message.timestamp / 1000)


async def _told_versions(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[bytes, int]:
    """By profile, the highest version on the topic; erased people are not on it any more."""
    found: dict[bytes, int] = {}
    ends = await consumer.end_offsets(partitions)
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    for partition in partitions:
        while await consumer.position(partition) < ends[partition]:
            for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, ()):
                if record.value is None:
                    found.pop(record.key, None)
                else:
                    found[record.key] = max(orjson.loads(record.value)["version"], found.get(record.key, 0))
    return found


async def _hand_over(kafka: Mapping[str, Any], prefix: str, versions: Mapping[bytes, int]) -> None:
    topic = topics.full_name(topics.LEDGER_PEOPLE, prefix)
    async with AIOKafkaProducer(**kafka, acks="all", linger_ms=5) as producer:
        sent = [
            await producer.send(topic, orjson.dumps(floor(*split_key(key.decode()), version)), key)
            for key, version in versions.items()
        ]
        await asyncio.gather(*sent)


async def _gone(admin: AIOKafkaAdminClient, name: str) -> None:
    """Kafka deletes a topic a moment later; a processor that starts before would find the old one."""
    deadline = time.monotonic() + _PATIENCE
    while name in await admin.list_topics():
        if time.monotonic() > deadline:
            raise Unavailable(f"Kafka has not deleted {name}", remedy="look at the broker's log")
        await asyncio.sleep(0.1)


def _remove(directory: Path) -> None:
    """The stores alone: files beside them, such as the key of unsubscribe links, are no state."""
    for store in directory.glob("v*/") if directory.exists() else ():
        shutil.rmtree(store)


async def _changelogs(admin: AIOKafkaAdminClient, prefix: str, state: State) -> list[str]:
    """Those that are there, under the names that Faust gives them."""
    return topics.changelogs(await admin.list_topics(), prefix, [state.app]) if state.app in topics.STAGES else []


def _unavailable(kafka: Mapping[str, Any], error: KafkaError) -> Unavailable:
    return Unavailable(f"Kafka at {kafka.get('bootstrap_servers')} does not answer: {error!r}")
