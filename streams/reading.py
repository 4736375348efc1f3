"""Reading Kafka outside of Faust: from here to its present end, or as one of a group. See `kafka`."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer as Consumer
from aiokafka import ConsumerRebalanceListener as Listener  # aiokafka asks a listener for this type
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError

from streams.kafka import Admin, TopicPartition, ended, started

__all__ = ["Consumer", "Listener", "commit", "member", "read", "reader", "until_read"]

_POLL_MS = 500
_LOOK_SECONDS = 0.2  # between two looks at what a group has committed
_USUAL = {"enable_auto_commit": False, "auto_offset_reset": "earliest"}

log = structlog.get_logger(__name__)


@asynccontextmanager
async def _opened(consumer: Consumer) -> AsyncIterator[Consumer]:
    await started(consumer)
    try:
        await asyncio.sleep(0)  # stopped before its tasks have had a turn, it cancels whoever stops it
        yield consumer
    finally:
        await ended(consumer.stop())


def reader(kafka: Mapping[str, Any], *topics: str, **arguments: Any) -> AbstractAsyncContextManager[Consumer]:
    """A consumer without a group, of all partitions of `topics`; without them of what it is assigned."""
    return _opened(Consumer(*topics, **{**_USUAL, **kafka, **arguments}))


def member(kafka: Mapping[str, Any], group: str, **arguments: Any) -> AbstractAsyncContextManager[Consumer]:
    """One of a consumer group, whose offsets are committed by whoever has done with the messages: see `commit`."""
    return _opened(Consumer(group_id=group, **{**_USUAL, **kafka, **arguments}))


async def read(
    consumer: Consumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int] | None = None,
    patience: float = math.inf,
) -> AsyncIterator[list[Any]]:
    """Records of each partition in runs: from its start, or the first that Kafka still has, until before its end.

    Until where it ends now without `ends`, and at the latest. Raises TimeoutError after `patience` seconds without any.
    """
    firsts, stops = await asyncio.gather(consumer.beginning_offsets(list(starts)), consumer.end_offsets(list(starts)))
    stops |= {place: min(end, stops[place]) for place, end in (ends or {}).items()}
    places = [place for place, start in starts.items() if max(start, firsts[place]) < stops[place]]
    if not places:
        return  # a consumer that is assigned nothing can't be stopped
    consumer.assign(places)
    for place in places:
        consumer.seek(place, max(starts[place], firsts[place]))
    heard = time.monotonic()
    while left := [place for place in places if await consumer.position(place) < stops[place]]:
        for place, records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).items():
            if run := [record for record in records if record.offset < stops[place]]:
                yield run
            heard = time.monotonic()
        if time.monotonic() - heard > patience:
            raise TimeoutError(f"nothing came for {patience:.0f} s")


async def commit(consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> bool:
    """False when the partitions have moved: their next owner reads the messages again."""
    try:
        await consumer.commit(offsets)
    except (CommitFailedError, IllegalStateError, RebalanceInProgressError) as error:
        log.info("offsets not committed, partitions moved", cause=repr(error))
        return False
    return True


async def until_read(kafka: Mapping[str, Any], group: str, topics: Iterable[str]) -> None:
    """Return when the group has committed past all that is on these topics now. Raises KafkaError."""
    async with Admin(kafka) as admin, reader(kafka) as consumer:
        places = await admin.partitions(*topics)
        firsts, ends = await asyncio.gather(consumer.beginning_offsets(places), consumer.end_offsets(places))
        left = {place: end for place, end in ends.items() if end > firsts[place]}
        while left:
            # Nothing is committed while a new broker makes the topic of offsets, and it has no coordinator then.
            committed = await admin.committed(group) if await admin.has_coordinator(group) else {}
            left = {place: end for place, end in left.items() if committed.get(place, 0) < end}
            if left:
                await asyncio.sleep(_LOOK_SECONDS)
