"""The list of the erased (`schemas.erasures`) as a process holds it: read to its end, then followed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from schemas import topics
from schemas.erasures import Erasures, entry_message, new_key
from streams.kafka import KafkaError, TopicPartition, partitions_there, unavailable
from streams.publishing import Message, Publisher
from streams.reading import Consumer, reader

log = structlog.get_logger(__name__)

_PATIENCE = 60.0  # seconds until the list has to be read
_PAUSE = 1.0
_POLL_MS = 5_000  # the broker answers at once when there is something


@asynccontextmanager
async def followed(kafka: Mapping[str, Any], prefix: str) -> AsyncIterator[Erasures]:
    """The whole list, which grows for as long as the block lasts. Raises Unavailable without Kafka or the topic."""
    erasures = Erasures()
    topic = topics.full_name(topics.ERASURES, prefix)
    async with AsyncExitStack() as stack:
        with unavailable(f"the topic {topic} can't be read", "tillstream status"):
            consumer = await stack.enter_async_context(reader(kafka, fetch_max_wait_ms=_POLL_MS))
            partitions = await partitions_there(kafka, topic, _PATIENCE / 4)
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)  # last: a fetch that waits for news holds up what else its connection is asked
            async with asyncio.timeout(_PATIENCE):
                while [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
                    _take(erasures, await consumer.getmany(timeout_ms=200))
        following = asyncio.create_task(_follow(consumer, erasures), name="erasures")
        try:
            yield erasures
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def publish(kafka: Mapping[str, Any], prefix: str, erasures: Erasures, email: str, at: int) -> tuple[str, int]:
    """Put `email` on the list; (partition, offset after it), as stages tell of it. Raises Unavailable."""
    key, value = entry_message(email, at, min(erasures.keys, default=new_key()))
    with unavailable("Kafka does not take the erasure", "tillstream status"):
        async with Publisher(kafka) as publisher:
            (told,) = await publisher.send([Message(topics.full_name(topics.ERASURES, prefix), key, value)])
    erasures.take(told.partition, told.offset, key, value)
    return str(told.partition), told.offset + 1


async def _follow(consumer: Consumer, erasures: Erasures) -> None:
    while True:
        try:
            _take(erasures, await consumer.getmany(timeout_ms=_POLL_MS))
        except KafkaError as error:
            log.warning("erasures not read", cause=repr(error))
            await asyncio.sleep(_PAUSE)


def _take(erasures: Erasures, found: Mapping[TopicPartition, Any]) -> None:
    for place, records in found.items():
        for record in records:
            erasures.take(place.partition, record.offset, record.key or b"", record.value)
