"""Publishing to Kafka outside of the stages. See `kafka`."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer

from streams.kafka import ended, started
from streams.message import Headers

MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class Message(NamedTuple):
    """What goes to Kafka."""

    topic: str
    key: bytes
    value: bytes | None  # None takes the key off a compacted topic
    partition: int | None = None  # None: that of the key
    headers: Headers = ()


class Publisher:
    """An async context; for a few messages, or where nobody waits: each costs more here than in whole batches."""

    def __init__(self, kafka: Mapping[str, Any], **arguments: Any) -> None:
        self._arguments = {"acks": "all", "enable_idempotence": True, **kafka, **arguments}

    async def start(self) -> Self:
        """Connect; nothing is left open when that fails."""
        self._producer = await started(AIOKafkaProducer(**self._arguments))
        return self

    async def stop(self) -> None:
        """Flush what was sent, then close."""
        await ended(self._producer.stop())

    __aenter__ = start

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def send(self, messages: Iterable[Message]) -> list[Any]:
        """Returns when every in-sync replica has them; where they are, each with a partition and an offset."""
        sent = [
            await self._producer.send(
                message.topic,
                message.value,
                key=message.key,
                partition=message.partition,
                headers=list(message.headers) or None,
            )
            for message in messages
        ]
        return list(await asyncio.gather(*sent))

    async def topics(self) -> set[str]:
        """Those that are there: to ask for an unknown one alone would create it."""
        return set((await self._producer.client.fetch_all_metadata()).topics())
