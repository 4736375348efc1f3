"""More partitions for the topics, with all that the stages know; whenever it ends early, it can be gone on with.

1. read      the processors read what is left, so that nothing is on its way between their partitions
2. tables    each stage's state is written anew, for the larger number; nothing of what is in force changes
3. topics    all get more partitions, `stripe.events` not yet: from here on no stage starts before the end
4. copy      what flows have not read yet of people goes, in order, to the partitions of its keys
5. in force  `stripe.events` gets more partitions: the stages go by its number, and take the new tables
6. clean     the old changelogs are deleted

Events that come under the old number meanwhile or later, and facts that are not read yet, are sent on by their stages,
which take them in any order. A step that was not finished is
done again, and what it does twice changes nothing: 1 and 2 begin anew, 3 to 6 go by what is there.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engage.stages.placing import FactPlacing, PersonPlacing
from operations.erasures import followed
from operations.rebuild import STATES, require_stopped
from processors.rules.placing import LedgerPlacing, PeoplePlacing
from processors.worker import Processor, ProcessorConfig
from schemas import topics
from schemas.errors import ConfigurationError, Unavailable
from schemas.topics import Topic, changelog_name, full_name
from streams.address import answering
from streams.growing import Placing, Table, move, regroup, starts
from streams.kafka import Admin, TopicPartition
from streams.reading import reader
from streams.topics import counts, partitions_of_stages

LARGEST = 1000
_LOOK_SECONDS = 0.2
_STUCK_SECONDS = 120.0  # without anything being read: something is wrong
_SETTLE_SECONDS = 30.0

_PROCESS, _ENGAGE = topics.STAGES
_STAGES: tuple[tuple[str, str, tuple[Topic, ...], Placing], ...] = (
    (_PROCESS, "ledger", (topics.STRIPE_EVENTS, topics.LEDGER_TRANSFERS), LedgerPlacing()),
    (_PROCESS, "people", (topics.LEDGER_PEOPLE,), PeoplePlacing()),
    (_ENGAGE, "engage-facts", tuple(topics.METRICS.values()), FactPlacing()),
    (
        _ENGAGE,
        "engage-people",
        (topics.ENGAGE_PEOPLE, topics.PROFILES, topics.SUPPRESSIONS, topics.SEGMENTS_CHANGES),
        PersonPlacing(),
    ),
)
_BETWEEN = (topics.STRIPE_EVENTS, topics.LEDGER_TRANSFERS, topics.LEDGER_PEOPLE)  # what the processors read


@dataclass(frozen=True, slots=True)
class Layout:
    """`counts` by topic; `unread` messages by role; `growing`: to how many, when that was begun and not finished.

    `grown`: see `streams.topics.Partitions`.
    """

    partitions: int
    grown: int
    growing: int
    counts: dict[str, int]
    unread: dict[str, int]
    leftovers: tuple[str, ...] = ()  # changelogs of another number of partitions


@dataclass(frozen=True, slots=True)
class Place:
    """Where: aiokafka's client arguments, the topics' prefix, a directory for state, and topics' replicas."""

    kafka: Mapping[str, Any]
    prefix: str
    data: Path
    mode: str = "both"
    replication: int = 1


async def look(kafka: Mapping[str, Any], prefix: str) -> Layout:
    """How many partitions there are, and what is not read yet. Raises Unavailable."""
    with answering(kafka):
        async with Admin(kafka) as admin:
            found = await counts(admin, prefix)
            if topics.STRIPE_EVENTS not in found:
                name = full_name(topics.STRIPE_EVENTS, prefix)
                raise Unavailable(f"there is no topic {name}", remedy="tillstream topics")
            there = await admin.topics()
            committed = {app: await admin.committed(prefix + app) for app in topics.STAGES}
            known = await partitions_of_stages(admin, prefix, found)
    partitions = known.count
    begun = max((found.get(topic, 0) for topic in topics.STAGE_INPUTS), default=0)
    in_force = {changelog_name(app, stage, prefix, known.grown) for app, stage, *_ in _STAGES}
    unread = {}
    for app, role in ((_PROCESS, "process"), (_ENGAGE, "engage")):
        read = [topic for each, _, inputs, _ in _STAGES if each == app for topic in inputs if topic in found]
        places = [TopicPartition(full_name(topic, prefix), n) for topic in read for n in range(found[topic])]
        ends = await _ends(kafka, places)
        unread[role] = sum(max(ends[place] - committed[app].get(place, 0), 0) for place in places)
    return Layout(
        partitions,
        known.grown,
        begun if begun > partitions else 0,
        {full_name(topic, prefix): count for topic, count in found.items()},
        unread,
        tuple(name for name in topics.changelogs(there, prefix) if name not in in_force),
    )


async def require_growable(place: Place, found: Layout, wanted: int) -> None:
    """Raises ConfigurationError when `grow` would refuse."""
    if found.growing and wanted != found.growing:
        raise ConfigurationError(
            f"partitions are being grown from {found.partitions} to {found.growing}",
            remedy=f"tillstream partitions grow {found.growing}, which goes on where it stopped",
        )
    if wanted < found.partitions or (wanted == found.partitions and not found.leftovers):
        raise ConfigurationError(
            f"there are {found.partitions} partitions: {wanted} are not more",
            remedy=f"tillstream partitions grow {found.partitions * 2}; they can't be made fewer",
        )
    if wanted > LARGEST:
        raise ConfigurationError(f"{wanted} partitions are too many", remedy=f"at most {LARGEST}")
    await _require_stopped(place)


async def grow(place: Place, wanted: int, say: Callable[[str], None] = lambda _: None) -> Layout:
    """Grow to `wanted` partitions, or go on with that; see above. Raises ConfigurationError, Unavailable."""
    kafka, prefix = place.kafka, place.prefix
    scratch = place.data / "growing"
    try:
        with answering(kafka):
            found = await look(kafka, prefix)
            await require_growable(place, found, wanted)
            before = found.partitions
            if wanted > before:
                tables = _tables(kafka, prefix, found.grown, wanted)
                if not (found.growing and await _whole(kafka, tables, before)):
                    say("the processors read what is left")
                    await _read_what_is_left(place, before, found.grown)
                    await _write_tables(place, tables, before, wanted, scratch, say)
                say(f"growing topics to {wanted} partitions")
                await _grow_topics(kafka, prefix, topics.STAGE_INPUTS, wanted)
                rest = [topic for topic in topics.ALL if topic.grows and topic != topics.STRIPE_EVENTS]
                await _grow_topics(kafka, prefix, rest, wanted)
                say("copying what is unread")
                await _copy(kafka, prefix, tables[-1], _STAGES[-1][2], before, wanted, scratch)
                say("putting the new tables in force")
                await _grow_topics(kafka, prefix, [topics.STRIPE_EVENTS], wanted)
            say("deleting the old tables")
            found = await look(kafka, prefix)
            async with Admin(kafka) as admin:
                await admin.delete(found.leftovers)
            return await look(kafka, prefix)
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _tables(kafka: Mapping[str, Any], prefix: str, grown: int, after: int) -> list[Table]:
    return [
        Table(
            changelog_name(app, stage, prefix, grown),
            changelog_name(app, stage, prefix, after),
            tuple(full_name(topic, prefix) for topic in inputs),
            placing,
        )
        for app, stage, inputs, placing in _STAGES
    ]


async def _require_stopped(place: Place) -> None:
    """More partitions move what a running stage has in its hands."""
    async with Admin(place.kafka) as admin:
        for state in STATES.values():
            await require_stopped(admin, place.prefix, state)


# --- 1. read


async def _read_what_is_left(place: Place, partitions: int, grown: int) -> None:
    if not await _behind(place, partitions):
        return
    async with followed(place.kafka, place.prefix) as erasures:
        worker = Processor(
            ProcessorConfig(
                kafka=place.kafka,
                data=place.data / "processors",
                topic_prefix=place.prefix,
                mode=place.mode,
                partitions=partitions,
                grown=bool(grown),
                replication=place.replication,
                erasures=erasures,
            )
        )
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(stop))
        try:
            await _until_read(place, partitions, working)
        finally:
            stop.set()
            await working


async def _until_read(place: Place, partitions: int, working: asyncio.Task[None]) -> None:
    """What is read leads to more to read: until nothing came any more since all was read."""
    least, since, quiet = -1, time.monotonic(), 0
    while quiet < 2 and not working.done():
        left = await _behind(place, partitions)
        quiet = 0 if left else quiet + 1
        if least < 0 or left < least:
            least, since = left, time.monotonic()
        if time.monotonic() - since > _STUCK_SECONDS:
            raise Unavailable(
                f"{left} messages stay unread: events keep coming, or the processors are stuck",
                remedy="stop `tillstream ingest` and `tillstream connector`, then once more",
            )
        await asyncio.sleep(_LOOK_SECONDS)


async def _behind(place: Place, partitions: int) -> int:
    """Messages that the processors have not read."""
    async with Admin(place.kafka) as admin:
        committed = await admin.committed(place.prefix + _PROCESS)
    places = [TopicPartition(full_name(topic, place.prefix), n) for topic in _BETWEEN for n in range(partitions)]
    ends = await _ends(place.kafka, places)
    return sum(max(ends[each] - committed.get(each, 0), 0) for each in places)


async def _ends(kafka: Mapping[str, Any], places: list[TopicPartition]) -> dict[TopicPartition, int]:
    async with reader(kafka) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
        return ends


# --- 2. tables


async def _whole(kafka: Mapping[str, Any], tables: list[Table], before: int) -> bool:
    """Are all new tables there, as far as there were old ones?"""
    async with Admin(kafka) as admin:
        there = await admin.topics()
    return all([await starts(kafka, table, before) is not None for table in tables if table.old in there])


async def _write_tables(
    place: Place, tables: list[Table], before: int, after: int, scratch: Path, say: Callable[[str], None]
) -> None:
    async with Admin(place.kafka) as admin:
        there = await admin.topics()
        committed: dict[TopicPartition, int] = {}
        for app in topics.STAGES:
            committed |= await admin.committed(place.prefix + app)
    tables = [table for table in tables if table.old in there]  # a role that never ran has nothing to move
    old = [TopicPartition(table.old, number) for table in tables for number in range(before)]
    ends = await _ends(place.kafka, old)
    for number, table in enumerate(tables, 1):
        say(f"writing table {number} of {len(tables)}: {table.new}")
        directory = scratch / str(number)
        await asyncio.to_thread(_empty, directory)
        await regroup(place.kafka, table, before, after, committed, directory, place.replication)
        await asyncio.to_thread(shutil.rmtree, directory)
    await _require_stopped(place)
    if await _ends(place.kafka, old) != ends:
        raise ConfigurationError(
            "a stage has run meanwhile, and knows more than what was written anew",
            remedy="stop it, and once more",
        )


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


# --- 3. to 5. topics


async def _grow_topics(kafka: Mapping[str, Any], prefix: str, wanted: Any, partitions: int) -> None:
    async with Admin(kafka) as admin:
        found = await counts(admin, prefix)
        small = [topic for topic in wanted if topic in found and found[topic] < partitions]
        if small:
            await admin.grow([full_name(topic, prefix) for topic in small], partitions)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while any(found[topic] < partitions for topic in small):
            if time.monotonic() > deadline:
                raise Unavailable("Kafka does not show the new partitions", remedy="look at the broker's log")
            await asyncio.sleep(_LOOK_SECONDS)
            found = await counts(admin, prefix)


async def _copy(
    kafka: Mapping[str, Any],
    prefix: str,
    table: Table,
    inputs: tuple[Topic, ...],
    before: int,
    after: int,
    scratch: Path,
) -> None:
    known = await starts(kafka, table, before) or {}
    for topic in inputs:
        name = full_name(topic, prefix)
        unread = {number: known.get(TopicPartition(name, number), 0) for number in range(before)}
        newest = scratch / name if topic.retention_ms is None else None
        if newest is not None:
            await asyncio.to_thread(_empty, newest)
        await move(kafka, name, unread, after, newest)
