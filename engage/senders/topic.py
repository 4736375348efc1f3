"""Messages for other services on a Kafka topic of theirs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from engage.senders.outcome import Again, Outcome, Refused, Sent

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
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._known: set[str] = set()

    async def send(self, letter: Publication) -> Outcome:
        """Try once."""
        try:
            async with asyncio.timeout(_SECONDS):
                producer = await self._started()
                if letter.topic not in self._known:  # to ask for an unknown one alone would create it
                    self._known = set((await producer.client.fetch_all_metadata()).topics())
                    if letter.topic not in self._known:
                        return Refused(f"Kafka has no topic {letter.topic}")
                await producer.send_and_wait(letter.topic, letter.value, letter.key, headers=list(letter.headers))
        except (UnknownTopicOrPartitionError, TopicAuthorizationFailedError, MessageSizeTooLargeError) as error:
            return Refused(f"{type(error).__name__}: {error}")
        except (KafkaError, TimeoutError) as error:
            return Again(f"Kafka: {error or type(error).__name__}"[:300], unreachable=True)
        return Sent(content=letter.value)

    async def close(self) -> None:
        """Stop the producer."""
        if self._producer is not None:
            await self._producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(**self._kafka, acks="all", enable_idempotence=True)
                await producer.start()
                self._producer = producer
            return self._producer
