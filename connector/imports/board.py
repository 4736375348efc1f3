"""What the topic `jobs` says now; how far the imports are, from `connector.state`; and asking for one."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import orjson
import structlog

from connector.imports.jobs import HOLDER, Held, Job, Stage, is_open, joined
from connector.imports.progress import Progress
from connector.places import GROUP
from schemas.topics import CONNECTOR_STATE, JOBS, full_name
from streams.kafka import Admin, KafkaError, partitions_there, unavailable
from streams.publishing import Message, Publisher
from streams.reading import Consumer, reader

log = structlog.get_logger(__name__)

LEASE = 5.0  # seconds without a word of the holder, after which another may take the job
_FETCH_MS = 5_000  # the broker answers at once when there is something
_WITHIN = 30.0  # seconds for reading all of it
_MOMENT = 0.2  # seconds


class Board:
    """An async context: read to the present end then; `look` for what comes after.

    With `progress`, also how far the imports are, by the keys of `connector.imports.progress.state_key`.
    """

    def __init__(
        self,
        kafka: Mapping[str, Any],
        prefix: str = "",
        *,
        progress: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kafka, self._clock = dict(kafka), clock
        self._jobs = full_name(JOBS, prefix)
        self._topics = (self._jobs, full_name(CONNECTOR_STATE, prefix)) if progress else (self._jobs,)
        self._stack = AsyncExitStack()
        self._consumer: Consumer | None = None
        self._heard: dict[str, float] = {}  # by account, when its holder wrote last, by the clock here
        self.jobs: dict[str, Job] = {}
        self.held: dict[str, Held] = {}
        self.progress: dict[str, Progress] = {}

    async def __aenter__(self) -> "Board":
        places = [place for topic in self._topics for place in await partitions_there(self._kafka, topic, _WITHIN)]
        async with AsyncExitStack() as stack:
            with unavailable("Kafka does not give the connector's jobs", "tillstream status"):
                consumer = await stack.enter_async_context(reader(self._kafka, fetch_max_wait_ms=_FETCH_MS))
                self._consumer = consumer
                async with asyncio.timeout(_WITHIN):
                    consumer.assign(places)
                    await consumer.seek_to_beginning()
                    ends = await consumer.end_offsets(places)
                    while any([await consumer.position(place) < end for place, end in ends.items()]):
                        await self.look(_MOMENT)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def look(self, seconds: float) -> None:
        """Take in what is new; wait so long for it if there is nothing. Raises Unavailable."""
        assert self._consumer is not None, "a Board is an async context"
        with unavailable("Kafka does not give the connector's jobs", "tillstream status"):
            found = await self._consumer.getmany(timeout_ms=int(seconds * 1000))
        for records in found.values():
            for record in records:
                if record.key is not None and record.value is not None:
                    self._take(record.topic, record.key.decode(errors="replace"), record.value)

    def _take(self, topic: str, key: str, value: bytes) -> None:
        try:
            told = orjson.loads(value)
            if topic != self._jobs:
                if key.startswith("import|"):
                    self.progress[key] = Progress.from_json(told)
            elif key.endswith(HOLDER):
                account = key.removesuffix(HOLDER)
                self.held[account], self._heard[account] = Held.from_json(told), self._clock()
            else:
                self.jobs[key] = Job.from_json(told)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            log.warning("not a job", topic=topic, key=key, cause=repr(error))

    def open(self, account: str) -> Job | None:
        """The account's job, if there is anything to do."""
        job = self.jobs.get(account)
        return job if is_open(job, self.held.get(account)) else None

    def holder(self, account: str) -> Held | None:
        """Who does the account's job just now: whoever took it, and was heard of lately."""
        held = self.held.get(account)
        running = held is not None and held.stage is Stage.RUNNING
        return held if running and self._clock() - self._heard[account] < LEASE else None

    async def ask(self, asked: Job) -> Job:
        """Put it there, and return what is to be done now: another one that covers it, if that is under way already.

        Raises Unavailable.
        """
        account = asked.account
        wanted = joined(self.jobs.get(account), self.held.get(account), asked)
        if wanted != self.jobs.get(account):
            await self._put(wanted)
        return wanted

    async def cancel(self, account: str) -> bool:
        """Have what is open canceled; False when nothing is. Raises Unavailable."""
        if (job := self.open(account)) is None:
            return False
        await self._put(replace(job, canceled=True))
        return True

    async def _put(self, job: Job) -> None:
        with unavailable("Kafka has not taken the job", "tillstream status"):
            async with Publisher(self._kafka) as publisher:
                await publisher.send([Message(self._jobs, job.account.encode(), job.as_json())])
        self.jobs[job.account] = job


async def connector_runs(kafka: Mapping[str, Any], prefix: str) -> bool:
    """Whether any process has the role `connector`: all are in the group that reads the ledger's questions."""
    try:
        async with Admin(kafka) as admin:
            return (await admin.group(prefix + GROUP)).members > 0
    except KafkaError:
        return False
