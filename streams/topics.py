"""Creating Tillstream's topics, once, before any client asks for them."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from schemas import topics
from schemas.errors import ConfigurationError, Unavailable
from schemas.topics import Topic
from streams.address import answering
from streams.kafka import Admin, KafkaError

log = structlog.get_logger(__name__)

_SETTLE_SECONDS = 15.0


async def ensure_topics(
    kafka: Mapping[str, Any],
    prefix: str = "",
    *,
    partitions: int | None = None,
    usual: int = topics.PARTITIONS,
    replication: int = 1,
) -> list[str]:
    """Create every topic of `schemas.topics.ALL` that is missing; the full names of the new ones.

    Without `partitions` they get as many as `stripe.events` has, or the `usual` number. A topic that exists with
    another is left as it is, with a warning: keys would move otherwise.
    Raises Unavailable when the broker does not answer, ConfigurationError when it refuses.
    """
    async with _asked(kafka) as admin:
        there = await admin.topics()
        if partitions is None:
            partitions = (await counts(admin, prefix)).get(topics.STRIPE_EVENTS, usual)
        wanted = {
            name: topic.config | topics.awaited(replication)
            for topic in topics.ALL
            if (name := topics.full_name(topic, prefix)) not in there
        }
        created = await admin.create(wanted, partitions, replication)
        for name, refusal in created.items():
            if refusal is not None:
                raise ConfigurationError(
                    f"Kafka won't create topic {name}: {refusal.args[0] if refusal.args else type(refusal).__name__}",
                    remedy="check KAFKA_REPLICATION_FACTOR and the broker's permissions",
                )
        await _settled(admin, prefix, partitions)
        await _bounded(admin, prefix, there)
        return list(created)


@asynccontextmanager
async def _asked(kafka: Mapping[str, Any]) -> AsyncIterator[Admin]:
    with answering(kafka):
        async with Admin(kafka, request_timeout_ms=15_000) as admin:
            yield admin


async def _bounded(admin: Admin, prefix: str, there: set[str]) -> None:
    """Give compacted topics of earlier versions the date by which Kafka lets go of what was written over."""
    compacted = [topics.full_name(topic, prefix) for topic in topics.ALL if topic.retention_ms is None]
    names = [*(name for name in compacted if name in there), *topics.changelogs(there, prefix)]
    for name, own in (await admin.configs(*names, own=True)).items():
        if "max.compaction.lag.ms" in own:
            continue  # by us before, or by the operator
        try:
            await admin.configure(name, topics.COMPACTED | own)
        except KafkaError as error:
            log.warning("a topic has no date by which it forgets", topic=name, cause=repr(error))


async def _settled(admin: Admin, prefix: str, partitions: int) -> None:
    """Return once the broker shows every topic, and groups have a coordinator: both come a moment after creation."""
    names = [topics.full_name(topic, prefix) for topic in topics.ALL]
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        found = await counts(admin, prefix)
        missing = [name for topic, name in zip(topics.ALL, names, strict=True) if topic not in found]
        if not missing and await admin.has_coordinator(f"{prefix}tillstream-sink"):
            break
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Kafka does not show {', '.join(missing) or 'a group coordinator'} after {_SETTLE_SECONDS:.0f} s",
                remedy="look at the broker's log",
            )
        await asyncio.sleep(0.05)
    for topic, count in found.items():
        if topic.grows and count != partitions:
            name = topics.full_name(topic, prefix)
            log.warning("topic has another partition count", topic=name, found=count, expected=partitions)


async def counts(admin: Admin, prefix: str) -> dict[Topic, int]:
    """How many partitions each of our topics has that is there."""
    names = {topics.full_name(topic, prefix): topic for topic in topics.ALL}
    found = await admin.replicas(*(await admin.topics() & names.keys()))
    return {names[name]: len(copies) for name, copies in found.items()}


@dataclass(frozen=True, slots=True)
class Partitions:
    """How many the stages work with. `grown` to so many from fewer, 0 when there were as many at the beginning."""

    count: int
    grown: int


async def partitions_in_force(kafka: Mapping[str, Any], prefix: str) -> Partitions:
    """Raises ConfigurationError while they are being grown, Unavailable."""
    async with _asked(kafka) as admin:
        found = await counts(admin, prefix)
        if topics.STRIPE_EVENTS not in found:
            name = topics.full_name(topics.STRIPE_EVENTS, prefix)
            raise Unavailable(f"there is no topic {name}", remedy="tillstream topics")
        partitions = await partitions_of_stages(admin, prefix, found)
    count = partitions.count
    if begun := [each for topic, each in found.items() if topic in topics.STAGE_INPUTS and each > count]:
        raise ConfigurationError(
            f"partitions are being grown from {count} to {max(begun)}",
            remedy=f"tillstream partitions grow {max(begun)}, which goes on where it stopped",
        )
    return partitions


async def partitions_of_stages(admin: Admin, prefix: str, found: Mapping[Topic, int]) -> Partitions:
    """What Kafka shows of it, by the `counts` that were `found`.

    The state that is there tells by its name. Where there is none (it is being made anew), the list of the erased does,
    which was made with as many partitions as all and never grows.
    """
    count = found[topics.STRIPE_EVENTS]
    stages = [(app, stage) for app, each in topics.STAGES.items() for stage in each]
    first = [topics.changelog_name(app, stage, prefix) for app, stage in stages]
    grown = [topics.changelog_name(app, stage, prefix, count) for app, stage in stages]
    there = await admin.replicas(*({*first, *grown} & await admin.topics()))
    if any(name in there for name in grown):
        return Partitions(count, count)
    if any(len(there.get(name, ())) == count for name in first):
        return Partitions(count, 0)
    return Partitions(count, 0 if found.get(topics.ERASURES, count) == count else count)
