"""What has to survive a kill: small JSON records in the compacted topic `connector.state`, the newest of a key wins.

Keys are `kind|account|mode|…`, such as `import|default|live|charges|0` and `sweep|default|live`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from connector.stripe_api import Json
from schemas.errors import Unavailable
from schemas.topics import CONNECTOR_STATE, full_name

_WITHIN = 30.0  # seconds for reading all of it


class StateLog:
    """Reads once, writes durably; an async context."""

    def __init__(self, kafka: Mapping[str, Any], prefix: str = "") -> None:
        self._kafka = dict(kafka)
        self._topic = full_name(CONNECTOR_STATE, prefix)
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> "StateLog":
        self._producer = AIOKafkaProducer(**self._kafka, acks="all", enable_idempotence=True)
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            await self._producer.stop()
            raise Unavailable(f"Kafka does not answer: {error!r}", remedy="tillstream status") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def put(self, key: str, value: Json) -> None:
        """Returns when it is durable. Raises Unavailable."""
        assert self._producer is not None, "a StateLog is an async context"
        try:
            await self._producer.send_and_wait(self._topic, orjson.dumps(value), key=key.encode())
        except KafkaError as error:
            raise Unavailable(f"Kafka has not taken a record of state: {error!r}") from error

    async def read(self, prefix: str) -> dict[str, Json]:
        """Every record whose key begins with `prefix`. Raises Unavailable."""
        # Without a group, it is given every partition.
        consumer = AIOKafkaConsumer(
            self._topic, **self._kafka, enable_auto_commit=False, auto_offset_reset="earliest", group_id=None
        )
        found: dict[str, Json] = {}
        try:
            async with asyncio.timeout(_WITHIN), consumer:
                await _read(consumer, prefix.encode(), found)
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(f"Kafka does not give the connector's state: {error!r}") from error
        return found


async def _read(consumer: AIOKafkaConsumer, prefix: bytes, found: dict[str, Json]) -> None:
    partitions = list(consumer.assignment())
    ends = await consumer.end_offsets(partitions)
    while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
        for messages in (await consumer.getmany(timeout_ms=200)).values():
            for message in messages:
                if message.key is not None and message.key.startswith(prefix):
                    if message.value is None:
                        found.pop(message.key.decode(), None)
                    else:
                        found[message.key.decode()] = orjson.loads(message.value)
