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

from schemas import topics
from schemas.errors import ConfigurationError
from schemas.profile import floor, split_key
from schemas.times import rfc3339
from streams.address import answering
from streams.kafka import Admin, TopicPartition
from streams.losses import FILE
from streams.publishing import Message, Publisher
from streams.reading import Consumer, member, read, reader
from streams.topics import partitions_in_force
from warehouse.tables import OF_TOPIC

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
        "sinks", "sink", "tillstream-sink", tuple(topic for topic in topics.ALL if topic.name in OF_TOPIC), (), ""
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
    with answering(kafka):
        async with Admin(kafka) as admin, reader(kafka) as consumer:
            await require_stopped(admin, prefix, state)
            changelogs = tuple(await _changelogs(admin, prefix, state))
            partitions = await _partitions(admin, prefix, state.inputs)
            starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            cut = [partition for partition in partitions if starts[partition]]
            since = max([await _first_time(consumer, tp, starts[tp], ends[tp]) for tp in cut], default=0.0)
    return Rebuild(sum(ends[tp] - starts[tp] for tp in partitions), changelogs, rfc3339(since) if since else "")


async def forget_state(kafka: Mapping[str, Any], prefix: str, state: State, data: Path) -> None:
    """Have the role read its inputs from their start, knowing nothing. Raises as `look` does.

    1. offsets: the inputs' to their start; of what the stages tell each other to the end, since they tell it anew
    2. behind that, where it is the processors, a floor for each profile
    3. this machine's copy of the changelogs under `data` deleted
    4. the changelogs deleted, the first stage's first

    Interrupted anywhere, the next start reads the inputs into what is still known, which changes nothing.
    """
    with answering(kafka):
        async with Admin(kafka) as admin:
            await require_stopped(admin, prefix, state)
            inputs = await _partitions(admin, prefix, state.inputs)
            between = await _partitions(admin, prefix, state.between)
            async with member(kafka, prefix + state.app) as consumer:
                consumer.assign([*inputs, *between])
                places = await consumer.beginning_offsets(inputs) | await consumer.end_offsets(between)
                await consumer.commit(places)
                if topics.LEDGER_PEOPLE in state.between:
                    told = await _partitions(admin, prefix, (topics.PROFILES,))
                    await _hand_over(kafka, prefix, await _told_versions(consumer, told))
            if state.directory:
                await asyncio.to_thread(_remove, data / state.directory)
            for changelog in await _changelogs(admin, prefix, state):
                await admin.delete([changelog])


async def require_stopped(admin: Admin, prefix: str, state: State) -> None:
    """Raises ConfigurationError while a worker of the role runs."""
    group = prefix + state.app
    if members := (await admin.group(group)).members:
        raise ConfigurationError(
            f"{state.called} are running (group {group} has {members} members), and would go on from what they know",
            remedy=f"stop `tillstream up`, or every `tillstream {state.command}`; a killed one is forgotten after 10 s",
        )


async def _partitions(admin: Admin, prefix: str, wanted: Iterable[topics.Topic]) -> list[TopicPartition]:
    return await admin.partitions(*(topics.full_name(topic, prefix) for topic in wanted))


async def _first_time(consumer: Consumer, partition: TopicPartition, start: int, end: int) -> float:
    """Unix seconds of the oldest message of a partition that has lost some; now, when it has lost all."""
    async for run in read(consumer, {partition: start}, {partition: end}, _PATIENCE):
        return float(run[0].timestamp / 1000)
    return time.time()


async def _told_versions(consumer: Consumer, partitions: list[TopicPartition]) -> dict[bytes, int]:
    """By profile, the highest version on the topic; erased people are not on it any more."""
    found: dict[bytes, int] = {}
    for partition in partitions:
        async for run in read(consumer, {partition: 0}):
            for record in run:
                if record.value is None:
                    found.pop(record.key, None)
                else:
                    found[record.key] = max(orjson.loads(record.value)["version"], found.get(record.key, 0))
    return found


async def _hand_over(kafka: Mapping[str, Any], prefix: str, versions: Mapping[bytes, int]) -> None:
    topic = topics.full_name(topics.LEDGER_PEOPLE, prefix)
    async with Publisher(kafka, linger_ms=5) as publisher:
        await publisher.send(
            Message(topic, key, orjson.dumps(floor(*split_key(key.decode()), version)))
            for key, version in versions.items()
        )


def _remove(directory: Path) -> None:
    """The stores, and what is noted of them: other files, such as the key of unsubscribe links, are no state."""
    for store in directory.glob("v*/") if directory.exists() else ():
        shutil.rmtree(store)
    (directory / FILE).unlink(missing_ok=True)  # all is made anew


async def _changelogs(admin: Admin, prefix: str, state: State) -> list[str]:
    """Those that are there, under the names that Faust gives them."""
    return topics.changelogs(await admin.topics(), prefix, [state.app]) if state.app in topics.STAGES else []
