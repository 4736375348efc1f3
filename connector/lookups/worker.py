"""Reads the topic `lookups` and has every question answered once; no account, and no slow answer, holds up another.

A message is done, and may be committed, when the answer is in Kafka or the question is parked in ClickHouse. What was
not done when the process ended is read again.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from pydantic import ValidationError

from connector import telemetry
from connector.accounts import Accounts
from connector.lookups.lane import Lane
from connector.lookups.parked import Why, park, release, waiting
from connector.lookups.questions import Key, Memory, Offsets, Question
from connector.places import GROUP
from connector.publish import Publisher
from connector.together import together
from schemas.errors import Unavailable
from schemas.lookup import Lookup
from schemas.topics import LOOKUPS, full_name
from streams.kafka import KafkaError, TopicPartition
from streams.reading import Consumer, Listener, commit, member
from warehouse.client import Warehouse

log = structlog.get_logger(__name__)

_MOST = 20_000  # messages that are read and not done: beyond that Kafka keeps the rest
_POLL_MS = 500
_FETCH_MS = 5_000  # the broker answers at once when there is something
_COMMIT_SECONDS = 1.0
_PARK_SECONDS = 0.2
_PARK_AGAIN = 5.0
_DRAIN_SECONDS = 5.0


class Lookups(Listener):  # type: ignore[misc]  # aiokafka has no types
    """The worker; `retry` gives parked questions another chance."""

    def __init__(
        self, kafka: Mapping[str, Any], prefix: str, accounts: Accounts, publisher: Publisher, warehouse: Warehouse
    ) -> None:
        self._kafka, self._prefix = dict(kafka), prefix
        self._accounts, self._publisher, self._warehouse = accounts, publisher, warehouse
        self._memory, self._offsets = Memory(), Offsets()
        self._committed: dict[TopicPartition, int] = {}
        self._pending: dict[Key, Question] = {}
        self._lanes: dict[tuple[str, bool], Lane] = {}
        self._parking: list[tuple[Question, Why, str]] = []
        self._released: list[Question] = []
        self._group: asyncio.TaskGroup | None = None
        self._running: list[asyncio.Task[None]] = []  # the lanes
        self._started, self._flush = asyncio.Event(), asyncio.Event()
        self._troubled = False
        self.refusal = "the look-ups are starting"

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises Unavailable when Kafka is away: start it again, nothing is lost."""
        try:
            async with member(self._kafka, self._prefix + GROUP, fetch_max_wait_ms=_FETCH_MS) as consumer:
                consumer.subscribe([full_name(LOOKUPS, self._prefix)], listener=self)
                async with together() as self._group:
                    self._started.set()
                    writing = self._group.create_task(self._park_for_ever())
                    await self._read(consumer, stop)
                    await self._drain()
                    writing.cancel()
                    self._end_lanes()
                await self._commit(consumer)
        except KafkaError as error:
            raise Unavailable(f"Kafka is in trouble: {error!r}") from error
        finally:
            self.refusal = "the look-ups have stopped"

    async def retry(self) -> None:
        """Ask again what is parked, of all accounts that have a key. Raises Unavailable when ClickHouse is away."""
        accounts = [(api.account, api.livemode) for api in self._accounts.configured()]
        if not accounts:
            return
        await self._started.wait()
        async for questions in waiting(self._warehouse, accounts, time.time()):
            for question in questions:
                self._ask(question)
            while any(question.key in self._pending for question in questions):
                await self._written()
            await self._written()

    async def _read(self, consumer: Consumer, stop: asyncio.Event) -> None:
        committed_at = 0.0
        while not stop.is_set():
            if self._offsets.waiting < _MOST:
                for messages in (await consumer.getmany(timeout_ms=_POLL_MS, max_records=1_000)).values():
                    for message in messages:
                        self._take(message)
            else:
                await asyncio.sleep(_PARK_SECONDS)
            telemetry.WAITING.set(self._offsets.waiting)
            if time.monotonic() - committed_at > _COMMIT_SECONDS:
                await self._commit(consumer)
                committed_at = time.monotonic()

    def _take(self, message: Any) -> None:
        place = (message.partition, message.offset)
        self._offsets.took(place)
        try:
            asked = Lookup.model_validate_json(message.value or b"")
        except ValidationError as error:
            log.error("not a look-up", partition=message.partition, offset=message.offset, cause=str(error))
            self._offsets.done(place)
            return
        whose = (asked.account, asked.livemode, asked.object, asked.id)
        question = Question(
            *whose, asked.reason, asked.at, asked_at=message.timestamp / 1000, webhook_at=asked.webhook_at
        )
        question.places.append(place)
        self._ask(question)

    def _ask(self, question: Question) -> None:
        """Have it answered, once for all that ask the same."""
        if (other := self._pending.get(question.key)) is not None:
            other.places += question.places
            other.at = max(other.at, question.at)
            other.webhook_at = other.webhook_at or question.webhook_at
            other.kept |= question.kept
        elif self._memory.knows(question.key, question.at, webhook=bool(question.webhook_at)):
            telemetry.LOOKUPS.labels("known").inc()
            self._finish(question)
        elif (lane := self._lane(question)) is not None:
            self._pending[question.key] = question
            lane.put(question)
        else:
            mode = "live" if question.livemode else "test"
            self._pending[question.key] = question
            self._unanswered(question, Why.NO_KEY, f"account {question.account} has no API key for {mode} mode")

    def _lane(self, question: Question) -> Lane | None:
        """The lane of the question's account; None without a key."""
        key = (question.account, question.livemode)
        if key not in self._lanes:
            api = self._accounts.find(*key)
            if api is None or self._group is None:
                return None
            self._lanes[key] = lane = Lane(api, self._publisher, self._warehouse, self._answered, self._unanswered)
            self._running.append(self._group.create_task(lane.run()))
        return self._lanes[key]

    def _answered(self, questions: list[Question], fetched_at: list[float]) -> None:
        """They are in Kafka."""
        for question, at in zip(questions, fetched_at, strict=True):
            self._memory.learn(question.key, at, webhook=bool(question.told_at))
            self._pending.pop(question.key, None)
            if question.answered(at):
                self._finish(question)
            else:  # somebody asked for something newer meanwhile
                self._ask(question)

    def _unanswered(self, question: Question, why: Why, error: str) -> None:
        """To be parked."""
        telemetry.LOOKUPS.labels("parked").inc()
        self._parking.append((question, why, error))

    def _finish(self, question: Question) -> None:
        for place in question.places:
            self._offsets.done(place)
        if question.kept:
            self._released.append(question)

    async def _park_for_ever(self) -> None:
        """Write down what has no answer, and what was written down and has one now."""
        while True:
            await asyncio.sleep(_PARK_SECONDS)
            try:
                await self._park_now()
            except Unavailable as error:
                self._troubled, self.refusal = True, str(error)
                await asyncio.sleep(_PARK_AGAIN)

    async def _park_now(self) -> None:
        parking, released = list(self._parking), list(self._released)
        if parking:
            await park(self._warehouse, parking)
            del self._parking[: len(parking)]
            for question, _, _ in parking:
                self._pending.pop(question.key, None)
                question.kept = False  # released with a later answer
                self._finish(question)
        if released:
            await release(self._warehouse, released)
            del self._released[: len(released)]
        if self._troubled:
            self._troubled, self.refusal = False, ""
        self._flush.set()
        self._flush = asyncio.Event()

    async def _written(self) -> None:
        """Return when what has ended so far is written down."""
        await self._flush.wait()

    async def _drain(self) -> None:
        """A little time for what is under way; the rest is read again by the next process."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._pending or self._parking or self._released:
                    await self._written()

    def _end_lanes(self) -> None:
        for task in self._running:
            task.cancel()

    async def _commit(self, consumer: Consumer) -> None:
        topic = full_name(LOOKUPS, self._prefix)
        offsets = {TopicPartition(topic, partition): at for partition, at in self._offsets.committable().items()}
        if offsets != self._committed and await commit(consumer, offsets):
            self._committed = offsets  # else another reader has them now, and asks again

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Another reader takes over: what is not committed, it asks again."""
        self._offsets.forget({partition.partition for partition in revoked})
        self._committed = {}

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Ready to answer."""
        self.refusal = ""
