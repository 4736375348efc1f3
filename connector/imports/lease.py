"""The right to do an account's job. Who has it is decided by Kafka's log, never by a clock.

Whoever takes it asks Kafka for a higher producer epoch under the account's name, and writes one record under it on each
partition that the holder writes to: from then on the broker refuses what a holder before it still sends, however long
that was paused. A clock (`board.LEASE`) says only when it is worth taking: taken too early, a page is read twice.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from connector.imports.jobs import HOLDER, Held, Job, Stage
from connector.state import StateLog
from connector.stripe_api import Json
from schemas.topics import JOBS, full_name
from streams.kafka import partitions_of, unavailable
from streams.partitioner import partition_of
from streams.producer import Fenced, Producer, Writer

__all__ = ["Fenced", "Lease"]

BEAT = 1.0  # seconds between two words of a holder


class Lease(StateLog):
    """An async context, in which the job is held: a StateLog whose `put` raises Fenced once another has taken it."""

    def __init__(self, kafka: Mapping[str, Any], prefix: str, job: Job, by: str) -> None:
        super().__init__(kafka, prefix)
        self._job, self._by = job, by
        self._name, self._jobs = f"{prefix}tillstream-import-{job.account}", full_name(JOBS, prefix)
        self._producer = Producer(kafka)
        self._writer = Writer(-1, -1)
        self._counts: dict[str, int] = {}
        self._writing: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Lease":
        for topic in (self._jobs, self._topic):
            self._counts[topic] = len(await partitions_of(self._kafka, topic))
        await self._producer.start()
        try:
            with unavailable("Kafka does not give the import to anybody", "tillstream status"):
                self._writer = await self._producer.fence(self._name)
            await self.tell(Stage.RUNNING)
            for partition in range(self._counts[self._topic]):  # what is read from here on is this holder's alone
                await self._write(self._topic, partition, f"lease|{self._job.account}", None)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._writing:
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self._producer.stop()

    async def put(self, key: str, value: Json) -> None:
        """As StateLog's; raises Fenced too."""
        await self._write(self._topic, partition_of(key.encode(), self._counts[self._topic]), key, orjson.dumps(value))

    async def tell(self, stage: Stage, error: str = "") -> None:
        """Say how the job stands. Raises Unavailable, Fenced."""
        account = self._job.account
        value = Held(self._job.id, self._by, stage, error).as_json()
        await self._write(self._jobs, partition_of(account.encode(), self._counts[self._jobs]), account + HOLDER, value)

    async def tell_for_ever(self) -> None:
        """Say again and again that it is being done. Raises Unavailable, Fenced."""
        while True:
            await asyncio.sleep(BEAT)
            await self.tell(Stage.RUNNING)

    async def _write(self, topic: str, partition: int, key: str, value: bytes | None) -> None:
        lane = topic, partition
        # Written to its end, whoever gives up waiting: records are numbered, and one that is left out ends the fence.
        writing = asyncio.create_task(self._producer.write({lane: [(key.encode(), value)]}, {lane: self._writer}))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        with unavailable("Kafka has not taken a record of the import", "tillstream status"):
            await asyncio.shield(writing)
