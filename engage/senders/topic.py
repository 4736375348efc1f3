"""Messages for other services on a Kafka topic of theirs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engage.senders.outcome import Again, Outcome, Refused, Sent
from streams.kafka import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from streams.publishing import Message, Publisher

_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Publication:
    """One message for a topic. `headers` carry the idempotency key."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Topics:
    """A Sender of Publication, with a producer of its own: an unknown topic must not hold up anything else."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        self._kafka = kafka
        self._publisher: Publisher | None = None
        self._lock = asyncio.Lock()
        self._known: set[str] = set()

    async def send(self, letter: Publication) -> Outcome:
        """Try once."""
        try:
            async with asyncio.timeout(_SECONDS):
                publisher = await self._started()
                if letter.topic not in self._known:  # to ask for an unknown one alone would create it
                    self._known = await publisher.topics()
                    if letter.topic not in self._known:
                        return Refused(f"Kafka has no topic {letter.topic}")
                await publisher.send([Message(letter.topic, letter.key, letter.value, headers=letter.headers)])
        except (UnknownTopicOrPartitionError, TopicAuthorizationFailedError, MessageSizeTooLargeError) as error:
            return Refused(f"{type(error).__name__}: {error}")
        except (KafkaError, TimeoutError) as error:
            return Again(f"Kafka: {error or type(error).__name__}"[:300], unreachable=True)
        return Sent(content=letter.value)

    async def close(self) -> None:
        """Stop the producer."""
        if self._publisher is not None:
            await self._publisher.stop()

    async def _started(self) -> Publisher:
        async with self._lock:
            if self._publisher is None:
                self._publisher = await Publisher(self._kafka).start()
            return self._publisher
