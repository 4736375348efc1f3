"""When segments are evaluated: on their schedule, soon after facts of a metric that they ask about, and when edited.

Several keepers share the segments: each owns those whose name falls on a partition of `segments.changes` that Kafka has
given it. Facts are only a sign to look, so it is asked how many there are, and none is read: what counts is what
ClickHouse holds. So a keeper waits until the sink has probably written them, and the schedule catches what was later
than that. Segments that no live flow asks for wait longer, since each look has ClickHouse go over everybody.
"""

import asyncio
import random
import time
import zlib
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from engage.conditions.model import Definition, InSegment
from engage.segments.library import Library
from engage.segments.membership import Membership
from engage.segments.telemetry import CHANGES, MEMBERS_SECONDS
from schemas.errors import Unavailable
from schemas.topics import METRICS, SEGMENTS_CHANGES, full_name
from streams.kafka import KafkaError, partitions_of, partitions_there
from streams.producer import Producer
from streams.reading import Consumer, Listener, member, reader
from warehouse.address import Address
from warehouse.client import Warehouse

log = structlog.get_logger(__name__)

SETTLE_SECONDS: Final = 2.0  # after the first of some facts: the sink writes within 0.5 s, and more facts may come
UNASKED_SECONDS: Final = 20.0  # the same for a segment that no live flow asks for
REST: Final = 10  # an evaluation that took a second is not repeated for ten because of new facts
AGAIN_SECONDS: Final = 10.0  # after one that failed
_EVALUATION_SECONDS: Final = 300.0  # the longest
_LOOK_SECONDS: Final = 0.5
_SIGN_SECONDS: Final = 1.0  # between two looks whether there are new facts
_REVOKE_SECONDS: Final = 30.0
_TOPIC_SECONDS: Final = 25.0


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    """`kafka` are aiokafka's client arguments; `project` holds `segments/`; days are those of `timezone`.

    `asked` gives the names of the segments that live flows ask for.
    """

    kafka: Mapping[str, Any]
    warehouse: Address
    project: Path
    topic_prefix: str = ""
    timezone: str = "UTC"
    settle_seconds: float = SETTLE_SECONDS
    unasked_seconds: float = UNASKED_SECONDS
    asked: Callable[[], Collection[str]] = frozenset


@dataclass(slots=True)
class _Plan:
    """When a segment is looked at next, in seconds of the monotonic clock."""

    due: float = 0.0
    rested: float = 0.0  # no sooner because of facts
    wanted: float | None = None  # since when facts are waiting
    broken: str = ""  # why the last evaluation failed


class SegmentKeeper(Listener):  # type: ignore[misc] # aiokafka has no types
    """A role, or part of one."""

    def __init__(self, config: KeeperConfig) -> None:
        self._config = config
        self._library = Library(config.project)
        self._refusal = "segments are being loaded"
        self._owned: frozenset[int] = frozenset()
        self._partitions = 1
        self._plans: dict[str, _Plan] = {}
        self._evaluating = asyncio.Lock()
        self._reload = True
        self._listening = asyncio.Event()  # from then on a fact is news
        self._told: dict[str, str] = {}
        self._metric_of = {full_name(topic, config.topic_prefix): metric for metric, topic in METRICS.items()}

    def ready(self) -> str:
        """'' when segments are kept up to date, else why not."""
        return self._refusal

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Waits for ClickHouse as long as it takes; raises Unavailable when Kafka is away."""
        async with AsyncExitStack() as stack:
            try:
                publisher = Producer(self._config.kafka)
                await publisher.start()
                stack.push_async_callback(publisher.stop)
                kafka, group = self._config.kafka, f"{self._config.topic_prefix}tillstream-segments"
                signs = await stack.enter_async_context(reader(kafka))
                owner = await stack.enter_async_context(member(kafka, group, auto_offset_reset="latest"))
                owner.subscribe([self._topic], listener=self)
                warehouse = await self._warehouse(stack, stop)
                if warehouse is None:
                    return
                self._membership = Membership(warehouse, self._publishing(publisher), self._config.timezone)
                await self._work(stop, signs, owner)
            except KafkaError as error:
                raise Unavailable(f"Kafka does not answer: {error!r}") from error

    @property
    def _topic(self) -> str:
        return full_name(SEGMENTS_CHANGES, self._config.topic_prefix)

    async def _work(self, stop: asyncio.Event, signs: Consumer, owner: Consumer) -> None:
        self._partitions = len(await partitions_there(self._config.kafka, self._topic, _TOPIC_SECONDS))
        ended = asyncio.create_task(stop.wait())
        tasks = {
            asyncio.create_task(work) for work in (self._see_facts(signs), self._stay_owner(owner), self._evaluations())
        }
        try:
            done, _ = await asyncio.wait({ended, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {ended}:
                task.result()
        finally:
            for task in {ended, *tasks}:
                task.cancel()
            await asyncio.gather(ended, *tasks, return_exceptions=True)

    # --- when

    async def _evaluations(self) -> None:
        """One segment after the other, the one that has waited longest first."""
        await self._listening.wait()  # else a fact that came after an evaluation and before that were nobody's
        while True:
            if self._library.refresh():
                self._look_at_problems()
            async with self._evaluating:
                if self._reload:
                    await self._load()
                name = None if self._reload else self._next(time.monotonic())
                if name is not None:
                    await self._evaluate(name)
            if name is None:
                await asyncio.sleep(_LOOK_SECONDS)

    def _next(self, now: float) -> str | None:
        names, asked = [*self._library.definitions, *self._gone()], self._asked()
        due = [(self._when(name, name in asked), name) for name in names if self._mine(name)]
        return min((each for each in due if each[0] <= now), default=(0, None))[1]

    def _when(self, name: str, asked: bool) -> float:
        plan = self._plans.setdefault(name, _Plan())
        if plan.wanted is None:
            return plan.due
        patience = self._config.settle_seconds if asked else self._config.unasked_seconds
        return min(plan.due, max(plan.wanted + patience, plan.rested))

    def _asked(self) -> set[str]:
        """Segments that live flows ask for, and those that these ask for."""
        asked, news = set[str](), {*self._config.asked()}
        while news:
            asked |= news
            known = (self._library.definitions[name] for name in news if name in self._library.definitions)
            leaves = (leaf for definition in known for leaf in definition.leaves())
            news = {leaf.segment for leaf in leaves if isinstance(leaf, InSegment)} - asked
        return asked

    def _mine(self, name: str) -> bool:
        return zlib.crc32(name.encode()) % self._partitions in self._owned

    def _gone(self) -> list[str]:
        """A file that is there but broken keeps its members; one that is not there any more loses them."""
        return self._membership.gone({**self._library.definitions, **dict.fromkeys(self._library.problems)})  # type: ignore[dict-item]

    # --- what

    async def _load(self) -> None:
        """What ClickHouse knows, after a start or when segments came from another keeper."""
        try:
            await self._membership.load()
            for name in [*self._library.definitions, *self._gone()]:
                if self._mine(name) and (told := await self._membership.recover(name)):
                    log.info("changes told again that a crash left open", segment=name, changes=told)
        except Unavailable as error:
            self._refusal = str(error)
            await asyncio.sleep(_LOOK_SECONDS)
            return
        self._reload = False
        self._refusal = ""

    async def _evaluate(self, name: str) -> None:
        definition, plan, began = self._library.definitions.get(name), self._plans[name], time.monotonic()
        wanted, plan.wanted = plan.wanted, None
        try:
            await self._membership.recover(name)
            changed = await self._membership.evaluate(name, definition, datetime.now(UTC))
        except Unavailable as error:
            if plan.broken != str(error):
                log.warning("a segment can't be evaluated", segment=name, cause=str(error), again=f"{AGAIN_SECONDS} s")
            plan.broken, plan.wanted = str(error), wanted
            plan.due = plan.rested = time.monotonic() + AGAIN_SECONDS
            self._refusal = self._trouble()
            return
        seconds = time.monotonic() - began
        MEMBERS_SECONDS.observe(seconds)
        plan.broken, plan.rested = "", time.monotonic() + REST * seconds
        self._refusal = self._trouble()
        if definition is None:
            log.info("a segment is no more", segment=name, left=changed)
            return
        plan.due = began + definition.every.milliseconds / 1000
        if changed:
            CHANGES.labels(name).inc(changed)
            log.info("a segment changed", segment=name, changes=changed, seconds=round(seconds, 3))
            self._want(lambda other: _asks(other, name))

    def _trouble(self) -> str:
        broken = [f"segment {name}: {plan.broken}" for name, plan in self._plans.items() if plan.broken]
        return broken[0] if broken else ""

    def _want(self, concerned: Any) -> None:
        for name, definition in self._library.definitions.items():
            plan = self._plans.setdefault(name, _Plan())
            if plan.wanted is None and concerned(definition):
                plan.wanted = time.monotonic()

    def _look_at_problems(self) -> None:
        """Edited segments are evaluated at once; what can't be read is said once."""
        for plan in self._plans.values():
            plan.due = 0.0
        for name, problem in self._library.problems.items():
            if self._told.get(name) != problem:
                log.warning("a segment can't be read", segment=name, cause=problem)
        self._told = dict(self._library.problems)

    # --- Kafka

    def _publishing(self, publisher: Producer) -> Any:
        async def publish(messages: list[tuple[bytes, bytes]]) -> None:
            try:
                await publisher.send((self._topic, key, value, ()) for key, value in messages)
            except KafkaError as error:
                raise Unavailable(f"Kafka does not take changes of segments: {error!r}") from error

        return publish

    async def _see_facts(self, signs: Consumer) -> None:
        places = await partitions_of(self._config.kafka, *self._metric_of)
        seen = await signs.end_offsets(places)
        self._listening.set()
        while True:
            await asyncio.sleep(_SIGN_SECONDS)
            try:
                ends = await signs.end_offsets(places)
            except KafkaError as error:
                log.warning("new facts not seen", cause=repr(error))
                continue
            metrics = {self._metric_of[place.topic] for place, end in ends.items() if end > seen[place]}
            seen = ends
            if metrics:
                self._want(lambda definition, seen=metrics: bool(definition.metrics & seen))

    async def _stay_owner(self, owner: Consumer) -> None:
        """Only to be given partitions: their messages are nobody's business here."""
        while True:
            if assigned := owner.assignment():
                owner.pause(*assigned)
            await owner.getmany(timeout_ms=1000)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Lets the evaluation on its way end, so that the next owner finds all of it."""
        self._owned = frozenset()
        try:
            async with asyncio.timeout(_REVOKE_SECONDS), self._evaluating:
                pass
        except TimeoutError:
            log.warning("an evaluation goes on while its segment moves: changes may be told twice, with the same id")

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Take over what other keepers have had."""
        self._owned = frozenset(place.partition for place in assigned)
        self._reload = True
        log.info("segments assigned", partitions=len(self._owned))

    async def _warehouse(self, stack: AsyncExitStack, stop: asyncio.Event) -> Warehouse | None:
        """ClickHouse, once it answers; None when `stop` was set before."""
        found = await stack.enter_async_context(Warehouse(self._config.warehouse, seconds=_EVALUATION_SECONDS))
        while not stop.is_set():
            try:
                await found.run("SELECT 1", in_database=False)
                return found
            except Unavailable as error:
                self._refusal = str(error)
                await asyncio.sleep(_LOOK_SECONDS + random.random())
        return None


def _asks(definition: Definition, segment: str) -> bool:
    return any(isinstance(leaf, InSegment) and leaf.segment == segment for leaf in definition.leaves())
