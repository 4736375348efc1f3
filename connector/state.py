"""What has to survive a kill: small JSON records in the compacted topic `connector.state`, the newest of a key wins.

Keys are `kind|account|mode|…`, such as `import|default|live|charges|0` and `sweep|default|live`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from connector.stripe_api import Json
from schemas.topics import CONNECTOR_STATE, full_name
from streams.kafka import Admin, unavailable
from streams.publishing import Message, Publisher
from streams.reading import read, reader

_WITHIN = 30.0  # seconds for reading all of it


class StateLog:
    """Reads once, writes durably; an async context."""

    def __init__(self, kafka: Mapping[str, Any], prefix: str = "") -> None:
        self._kafka = dict(kafka)
        self._topic = full_name(CONNECTOR_STATE, prefix)
        self._publisher = Publisher(kafka)

    async def __aenter__(self) -> "StateLog":
        with unavailable("Kafka does not answer", "tillstream status"):
            await self._publisher.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._publisher.stop()

    async def put(self, key: str, value: Json) -> None:
        """Returns when it is durable. Raises Unavailable."""
        with unavailable("Kafka has not taken a record of state"):
            await self._publisher.send([Message(self._topic, key.encode(), orjson.dumps(value))])

    async def read(self, prefix: str) -> dict[str, Json]:
        """Every record whose key begins with `prefix`. Raises Unavailable."""
        found: dict[str, Json] = {}
        with unavailable("Kafka does not give the connector's state"):
            async with asyncio.timeout(_WITHIN), Admin(self._kafka) as admin, reader(self._kafka) as consumer:
                async for run in read(consumer, dict.fromkeys(await admin.partitions(self._topic), 0)):
                    for record in run:
                        if record.key is not None and record.key.startswith(prefix.encode()):
                            if record.value is None:
                                found.pop(record.key.decode(), None)
                            else:
                                found[record.key.decode()] = orjson.loads(record.value)
        return found
