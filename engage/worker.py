"""The engage role: two stages, their tables and timers, the lanes to the senders, and the unsubscribe page.

Like the processors, one event at a time and acknowledged by hand; the process ends when anything is unsure.

Flows sleep while none is live and nobody is on the way through one: no fact is read, kept or told on; segments are kept
all the same. When a flow goes live, the stages go on where they stopped. What had come by then is history, and is read
before anything acts, so that a flow decides by all that Kafka still has of a person. Each start is awake at first:
only the state says whether anybody is on the way. An erasure wakes the stages too, which keep people as they sleep.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import structlog

from engage import telemetry, web
from engage.config import EngageConfig
from engage.definitions.keeping import Definitions
from engage.dispatch import Dispatcher
from engage.flows.library import Flows
from engage.flows.rules.known import Zones
from engage.segments.keeper import KeeperConfig, SegmentKeeper
from engage.senders.outcome import Sender
from engage.senders.smtp import Mail, Smtp
from engage.senders.topic import Publication, Topics
from engage.senders.webhook import Hook, Webhooks
from engage.stages.facts import FactStage
from engage.stages.letters import Post
from engage.stages.outbox import Outbox
from engage.stages.people import PeopleStage
from engage.stages.records import whose
from engage.stages.reports import Reports, suppression
from engage.templates.brand import Branding
from engage.templates.rendering import Library
from schemas.erasing import Until, names
from schemas.erasures import Positions, reached
from schemas.errors import TillstreamError, Unavailable
from schemas.topics import (
    ENGAGE_PEOPLE,
    ERASURES,
    METRICS,
    PROFILES,
    SEGMENTS_CHANGES,
    SUPPRESSIONS,
    full_name,
    table_name,
)
from streams.checkpoint import Checkpointer, Pace
from streams.erasing import Erase, Eraser
from streams.kafka import unavailable
from streams.producer import Producer
from streams.reading import until_read
from streams.topics import partitions_in_force
from streams.worker import Worker, WorkerConfig

log = structlog.get_logger(__name__)

_PACE = Pace(min_age=0.01, share=3)  # a mail waits for three checkpoints
_REFRESH_SECONDS = 2.0  # between two looks at the flows' files
_BUSY_SECONDS = 60.0  # between two looks whether anybody is still on the way, when no flow is live
_DATES_SECONDS = 3600.0  # between two looks at everybody's dates: below `rules.entry.HORIZON_SECONDS`
_DATES_SLICE = 100  # people looked at before others get their turn


class Engage:
    """One worker; run as many as there are partitions, each with a data directory of its own."""

    def __init__(self, config: EngageConfig, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._clock = clock
        self._worker: Worker | None = None
        self._flows = Flows(config.project)
        self._definitions = Definitions(lambda: (config.kafka, config.topic_prefix), config.project)
        self._owned: set[int] = set()
        self._coming: set[int] = set()  # assigned, and neither taken up in whole nor revoked meanwhile
        self._dates_due, self._waking = asyncio.Event(), asyncio.Event()
        self._woken = clock()  # since when a flow is live: when was last seen that none was
        self._told: dict[str, str] = {}  # what was said of flows that can't be read
        self._erased: Positions = {}  # how far the list of the erased is taken up
        self._refusal = "the worker is starting"
        self._keeper = _keeper(config, self._flows) if config.warehouse.url else None
        self._smtp = Smtp(config.smtp_url, config.mail_rate) if config.smtp_url else None

    def ready(self) -> str:
        """'' when flows run, or sleep, and segments are kept, else why not."""
        refusal = self._worker.ready() if self._worker is not None else self._refusal
        return refusal or (self._keeper.ready() if self._keeper else "")

    async def run(self, stop: asyncio.Event) -> None:
        """Run flows until `stop` is set. Raises Unavailable when Kafka is away, and whatever made a stage fail."""
        config = self._config
        try:
            await self._definitions.settle()  # what was changed elsewhere meanwhile must not act as it was
        except TillstreamError as error:
            log.warning("flows and segments are as their files are", cause=str(error))
        self._flows.refresh()
        self._producer = Producer(config.kafka)
        await self._producer.start()
        secret = self._secret()
        page = web.create_app(secret, Branding(config.project, config.organization), self._unsubscribe)
        try:
            async with web.serve(page, config.host, config.port) as port:
                host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
                base = config.unsubscribe_url or f"http://{host}:{port}"
                log.info("unsubscribe page", port=port, url=base)
                keeping = (self._keeper.run(stop),) if self._keeper else ()
                await _all(_until(stop, self._definitions.run()), self._flow(stop, base, secret), *keeping)
        finally:
            await self._producer.stop()

    async def _flow(self, stop: asyncio.Event, base: str, secret: bytes) -> None:
        while not stop.is_set():
            await self._awake(stop, base, secret)
            if not stop.is_set():
                await self._asleep(stop)

    async def _awake(self, stop: asyncio.Event, base: str, secret: bytes) -> None:
        """Run the stages until `stop` is set or nobody asks for flows."""
        config, over = self._config, asyncio.Event()
        self._owned, self._coming = set(), set()
        self._waking.clear()
        worker = self._worker = Worker(
            WorkerConfig(
                f"{config.topic_prefix}{config.app_id}",
                config.kafka,
                config.data,
                config.partitions,
                config.replication,
            ),
            self._assigned,
            self._revoked,
        )
        await worker.producer.start()
        stopping = asyncio.create_task(_pass_on(stop, over))
        try:
            self._build(worker, base, secret)
            timers = (self._facts.timers.run(), self._people.timers.run())
            beside = (*timers, self._refresh(over), self._dates(), self._read_the_past())
            await worker.run(over, beside, self._dispatcher.close)
        finally:
            stopping.cancel()
            await worker.producer.stop()

    async def _asleep(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set, a flow is live, or the state names somebody who was erased."""
        log.info("flows sleep: none is live")
        while not stop.is_set():
            looked = self._clock()
            self._flows.refresh()
            self._tell_problems()
            if self._flows.running or not reached(self._erased, self._config.erasures.positions):
                self._refusal = "flows wake up"
                await self._require_same_partitions()
                return
            self._woken = looked
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await stop.wait()

    async def _require_same_partitions(self) -> None:
        """Raises Unavailable when there are more by now: nobody had to stop a role for that which reads nothing."""
        count = (await partitions_in_force(self._config.kafka, self._config.topic_prefix)).count
        if count != self._config.partitions:
            raise Unavailable(f"there are {count} partitions by now", remedy="nothing: it starts again with them")

    def _build(self, worker: Worker, base: str, secret: bytes) -> None:
        config, prefix = self._config, self._config.topic_prefix
        read = {"people": full_name(ENGAGE_PEOPLE, prefix), "profiles": full_name(PROFILES, prefix)}
        read |= {"suppressions": full_name(SUPPRESSIONS, prefix), "segments": full_name(SEGMENTS_CHANGES, prefix)}
        reports = Reports(prefix)
        branding = Branding(config.project, config.organization, base)
        post = Post(Library((config.project / "templates",)), branding, config.mail_from, base, secret, prefix)
        outbox = Outbox(self._flows, post, reports, mails=self._smtp is not None)
        zones = Zones(config.timezones, config.default_timezone)
        grown, erasures = config.partitions if config.grown else 0, config.erasures
        self._facts = FactStage(read["people"], config.settle_seconds, self._clock, erasures, grown)
        self._people = PeopleStage(self._flows, zones, read, outbox, self._clock, erasures, grown)
        metrics = [full_name(topic, prefix) for topic in METRICS.values()]
        facts, people = (table_name(stage, prefix, grown) for stage in ("engage-facts", "engage-people"))
        self._facts.checkpoint = worker.stage("engage-facts", facts, metrics, self._facts, _PACE)
        self._people.checkpoint = worker.stage("engage-people", people, read.values(), self._people, _PACE)
        worker.erasers += [
            self._eraser("engage-facts", self._facts.checkpoint, self._facts.erase),
            self._eraser("engage-people", self._people.checkpoint, self._people.erase),
        ]
        senders: dict[type, Sender[Any]] = {Hook: Webhooks(), Publication: Topics(config.kafka)}
        if self._smtp is not None:
            senders[Mail] = self._smtp
        self._dispatcher = Dispatcher(outbox, senders, self._people.checkpoint.durable, worker.fail)
        outbox.work, outbox.desk, reports.send = self._dispatcher, self._people, self._people.checkpoint.send

    def _eraser(self, stage: str, checkpoint: Checkpointer, erase: Erase) -> Eraser:
        topic = full_name(ERASURES, self._config.topic_prefix)
        return Eraser(stage, checkpoint, topic, self._config.erasures, _names, erase)

    # --- partitions

    def _revoked(self, partitions: set[int]) -> None:
        self._owned -= partitions
        self._coming = self._coming - partitions
        self._dispatcher.forget(partitions)

    async def _assigned(self, assigned: set[int]) -> None:
        """The tables are recovered, and no event has been taken yet."""
        assert self._facts.checkpoint is not None
        assert self._people.checkpoint is not None
        partitions = assigned - self._owned
        self._coming = partitions
        self._dispatcher.own(partitions)
        for partition in sorted(partitions):
            for stage in (self._facts, self._people):
                if partition in self._coming:
                    assert stage.checkpoint is not None
                    stage.timers.own({partition})
                    stage.own(partition, went_back=partition in stage.checkpoint.went_back, woken=self._woken)
                    await asyncio.sleep(0)
        # Since when flows run here must outlive us: what happens from "ready" on is news, never history.
        await asyncio.gather(self._facts.checkpoint.durable(), self._people.checkpoint.durable())
        partitions = partitions & self._coming
        self._owned |= partitions
        for checkpoint in (self._facts.checkpoint, self._people.checkpoint):
            if told := checkpoint.went_back & partitions:
                log.warning(
                    "flows' state went back in time: what was before now is not acted on, once more or at all",
                    changelog=checkpoint.changelog,
                    partitions=len(told),
                    next="tillstream flows list, and tillstream flows backfill for who should hear of it all the same",
                )
        if self._worker is None:  # it is lying down: these must as well, or what comes meanwhile would be news
            await self._say_that_it_sleeps(partitions)
        elif any(stage.waking(partition) for stage in (self._facts, self._people) for partition in self._owned):
            self._waking.set()
        log.info("flows run", partitions=len(self._owned), flows=len(self._flows.programs))

    # --- by the clock

    async def _read_the_past(self) -> None:
        """Have nothing act until the stages, wherever they run, have read what had come before flows ran here."""
        prefix = self._config.topic_prefix
        told = [full_name(topic, prefix) for topic in (*METRICS.values(), PROFILES, SUPPRESSIONS, SEGMENTS_CHANGES)]
        while True:
            await self._waking.wait()
            self._waking.clear()
            for topics in (told, [full_name(ENGAGE_PEOPLE, prefix)]):  # the first stage tells it on, then commits
                with unavailable("Kafka does not say what flows have read", "tillstream status"):
                    await until_read(self._config.kafka, f"{prefix}{self._config.app_id}", topics)
            if not self._waking.is_set():
                for stage in (self._facts, self._people):
                    stage.go()
                self._dates_due.set()

    async def _refresh(self, over: asyncio.Event) -> None:
        """Take up flows that were changed, say what is wrong with those that can't be read, and rest without any."""
        look_at = 0.0
        while True:
            looked = self._clock()
            if self._flows.refresh():
                log.info("flows taken up", flows=sorted(self._flows.programs))
                self._people.flows_changed(set(self._owned))
                self._dates_due.set()
                look_at = 0.0
            self._tell_problems()
            telemetry.TIMERS.labels("facts").set(len(self._facts.timers))
            telemetry.TIMERS.labels("people").set(len(self._people.timers))
            if not self._flows.running and time.monotonic() >= look_at and self._is_clean():
                look_at = time.monotonic() + _BUSY_SECONDS
                if not any(True for partition in self._owned for _ in self._people.records(partition).busy()):
                    self._woken = looked
                    if await self._lie_down():
                        over.set()
                        return
                    look_at = 0.0
            await asyncio.sleep(_REFRESH_SECONDS)

    def _is_clean(self) -> bool:
        """Whether the stages run, and hold nobody who was erased."""
        erasures = self._config.erasures
        wanted = erasures.positions
        places = [f"{stage}|{partition}" for stage in ("engage-facts", "engage-people") for partition in self._owned]
        clean = all(reached(erasures.done.get(place, {}), wanted) for place in places)
        return clean and self._worker is not None and not self._worker.ready()

    async def _lie_down(self) -> bool:
        """Whether the state of all that is owned here says that it sleeps.

        Others who lie down leave the group, and partitions move: what is given to this worker meanwhile has not lain
        down, and what it says of one that is taken from it is never kept.
        """
        self._erased = self._config.erasures.positions
        await self._say_that_it_sleeps(self._owned)
        stages = (self._facts, self._people)
        asleep = self._is_clean() and all(stage.asleep(partition) for stage in stages for partition in self._owned)
        if asleep:
            self._worker, self._refusal = None, ""  # whoever sleeps is ready, and so it is on the way there
        return asleep

    async def _say_that_it_sleeps(self, partitions: Iterable[int]) -> None:
        assert self._facts.checkpoint is not None
        assert self._people.checkpoint is not None
        for partition in partitions:
            self._facts.lie_down(partition)
            self._people.lie_down(partition)
        await asyncio.gather(self._facts.checkpoint.durable(), self._people.checkpoint.durable())

    def _tell_problems(self) -> None:
        for name, problem in self._flows.problems.items():
            if self._told.get(name) != problem:
                log.warning("a flow can't be read", flow=name, cause=problem)
        self._told = dict(self._flows.problems)

    async def _dates(self) -> None:
        """Look at everybody's dates once an hour, and when a flow was changed."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_DATES_SECONDS):
                    await self._dates_due.wait()
            self._dates_due.clear()
            for partition in sorted(self._owned):
                for looked_at, _ in enumerate(self._people.look_at_dates(partition)):
                    if looked_at % _DATES_SLICE == 0:
                        await asyncio.sleep(0)
                    if partition not in self._owned:
                        break

    # --- the page

    async def _unsubscribe(self, person: str) -> None:
        topic = full_name(SUPPRESSIONS, self._config.topic_prefix)
        value = suppression(person, "unsubscribed", "by the link in a mail", time.time())
        await self._producer.send([(topic, person.encode(), value, ())])

    def _secret(self) -> bytes:
        """The key of the links' proofs: the setting, else one of our own that is kept beside the state."""
        if self._config.unsubscribe_secret:
            return self._config.unsubscribe_secret.encode()
        path = self._config.data / "unsubscribe.key"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            whole = path.with_name(f".unsubscribe.key.{os.getpid()}")  # never half of one: it could be guessed
            whole.touch(0o600)
            whole.write_text(secrets.token_hex(32), "ascii")
            with suppress(FileExistsError):
                os.link(whole, path)
            whole.unlink()
        return path.read_bytes()


async def _all(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of it; what the first raises ends the others too."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run it until `stop` is set."""
    running = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        running.cancel()
        stopping.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


async def _pass_on(stop: asyncio.Event, over: asyncio.Event) -> None:
    await stop.wait()
    over.set()


def _names(key: bytes, value: bytes, until: Until) -> bool:
    return bool(until(whose(key))) or names(value, until)


def _keeper(config: EngageConfig, flows: Flows) -> SegmentKeeper:
    return SegmentKeeper(
        KeeperConfig(
            kafka=config.kafka,
            warehouse=config.warehouse,
            project=config.project,
            topic_prefix=config.topic_prefix,
            timezone=config.default_timezone,
            asked=flows.segments,
        )
    )
