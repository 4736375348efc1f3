"""The engage role: two stages, their tables and timers, the lanes to the senders, and the unsubscribe page.

Like the processors, one event at a time and acknowledged by hand; the process ends when anything is unsure.
"""

import asyncio
import gc
import logging
import os
import secrets
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import faust
import structlog
from faust.types import TP, StreamT

from engage import telemetry, web
from engage.config import EngageConfig
from engage.dispatch import Dispatcher
from engage.flows.known import Zones
from engage.flows.library import Flows
from engage.runtime.app import MAX_MESSAGE, ROCKSDB, make_app
from engage.runtime.checkpoint import Checkpointer
from engage.runtime.erasing import Eraser
from engage.runtime.publishing import Publisher
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
from engage.templates.rendering import Library
from schemas.errors import ConfigurationError, Unavailable
from schemas.topics import (
    COMPACTED,
    ENGAGE_PEOPLE,
    ERASURES,
    METRICS,
    PROFILES,
    SEGMENTS_CHANGES,
    SUPPRESSIONS,
    Topic,
    full_name,
)

log = structlog.get_logger(__name__)

_STOP_SECONDS = 15.0
_REFRESH_SECONDS = 2.0  # between two looks at the flows' files
_DATES_SECONDS = 3600.0  # between two looks at everybody's dates: below `rules.entry.HORIZON_SECONDS`
_DATES_SLICE = 100  # people looked at before others get their turn


class Engage:
    """One worker; run as many as there are partitions, each with a data directory of its own."""

    def __init__(self, config: EngageConfig) -> None:
        self._config = config
        self._refusal = "the worker is starting"
        self._failure: asyncio.Future[None] | None = None
        self._flows = Flows(config.project)
        self._owned: set[int] = set()
        self._dates_due = asyncio.Event()
        if config.smtp_url and not config.mail_from:
            raise ConfigurationError(
                "SMTP_URL is set, but nobody is named whom mail comes from",
                remedy="export TILLSTREAM_MAIL_FROM='Your Name <billing@your.domain>'",
            )
        self._keeper = _keeper(config) if config.warehouse.url else None
        self._smtp = Smtp(config.smtp_url, config.mail_rate) if config.smtp_url else None

    def ready(self) -> str:
        """'' when flows run and segments are kept, else why not."""
        return self._refusal or (self._keeper.ready() if self._keeper else "")

    async def run(self, stop: asyncio.Event) -> None:
        """Run flows until `stop` is set. Raises Unavailable when Kafka is away, and whatever made a stage fail."""
        # Faust builds debug records for every message otherwise: half of its time.
        for name in ("faust", "mode", "aiokafka", "kafka", "engage.runtime.consuming"):
            logging.getLogger(name).setLevel(logging.WARNING)
        gc.set_threshold(50_000, 20, 100)
        self._failure = asyncio.get_running_loop().create_future()
        self._flows.refresh()
        self._publisher = Publisher(self._config.kafka)
        await self._publisher.start()
        secret = self._secret()
        page = web.create_app(secret, self._config.organization.name, self._unsubscribe)
        try:
            async with web.serve(page, self._config.host, self._config.port) as port:
                host = "127.0.0.1" if self._config.host in ("0.0.0.0", "::") else self._config.host
                base = self._config.unsubscribe_url or f"http://{host}:{port}"
                log.info("unsubscribe page", port=port, url=base)
                await self._work(stop, base, secret)
        finally:
            await self._publisher.stop()

    async def _work(self, stop: asyncio.Event, base: str, secret: bytes) -> None:
        app = self._build(base, secret)
        work = (
            *((self._keeper.run(stop),) if self._keeper else ()),
            self._facts_checkpoint.run(),
            self._people_checkpoint.run(),
            *(eraser.run() for eraser in self._erasers),
            self._facts.timers.run(),
            self._people.timers.run(),
            self._refresh(),
            self._dates(),
        )
        tasks = [asyncio.create_task(self._guard(each)) for each in work]
        try:
            await app.start()
            await self._until(stop, app)
            self._refusal = "the worker is stopping"
            await self._dispatcher.close()
            for checkpoint in (self._facts_checkpoint, self._people_checkpoint):
                await checkpoint.flush()
        finally:
            await _stopped_within(app, _STOP_SECONDS)
            for task in tasks:
                task.cancel()

    def _build(self, base: str, secret: bytes) -> faust.App:
        config, prefix = self._config, self._config.topic_prefix
        app = make_app(f"{prefix}{config.app_id}", config.kafka, config.data, config.partitions, config.replication)
        names = {"people": full_name(ENGAGE_PEOPLE, prefix), "profiles": full_name(PROFILES, prefix)}
        names |= {"suppressions": full_name(SUPPRESSIONS, prefix), "segments": full_name(SEGMENTS_CHANGES, prefix)}
        reports = Reports(prefix)
        post = Post(
            Library((config.project / "templates",)), config.organization, config.mail_from, base, secret, prefix
        )
        outbox = Outbox(self._flows, post, reports, mails=self._smtp is not None)
        erased = config.erasures
        self._facts = FactStage(names["people"], config.settle_seconds, erasures=erased)
        zones = Zones(config.timezones, config.default_timezone)
        self._people = PeopleStage(self._flows, zones, names, outbox, erasures=erased)
        self._facts_checkpoint = self._stage(app, "engage-facts", tuple(METRICS.values()), self._facts)
        about_people = (ENGAGE_PEOPLE, PROFILES, SUPPRESSIONS, SEGMENTS_CHANGES)
        self._people_checkpoint = self._stage(app, "engage-people", about_people, self._people)
        topic = full_name(ERASURES, prefix)
        self._erasers = (
            Eraser("engage-facts", topic, erased, self._facts.erase, whose),
            Eraser("engage-people", topic, erased, self._people.erase, whose),
        )
        self._erasers[0].checkpoint, self._erasers[1].checkpoint = self._facts_checkpoint, self._people_checkpoint
        senders: dict[type, Sender[Any]] = {Hook: Webhooks(), Publication: Topics(config.kafka)}
        if self._smtp is not None:
            senders[Mail] = self._smtp
        self._dispatcher = Dispatcher(outbox, senders, self._people_checkpoint.durable, self._fail)
        outbox.work, outbox.desk, reports.send = self._dispatcher, self._people, self._people_checkpoint.send
        app.on_partitions_revoked.connect(self._revoked, weak=False)
        app.on_rebalance_complete.connect(self._assigned, weak=False)
        self._app = app
        return app

    def _stage(
        self, app: faust.App, name: str, sources: tuple[Topic, ...], stage: FactStage | PeopleStage
    ) -> Checkpointer:
        """An agent that reads `sources`, each partition in order, and its table."""
        prefix = self._config.topic_prefix
        topic = app.topic(*(full_name(each, prefix) for each in sources), key_serializer="raw", value_serializer="raw")
        table = app.Table(
            f"{prefix}{name}",
            partitions=self._config.partitions,
            # Recovery decodes what it reads from the changelog, JSON by default; ours are bytes both ways.
            key_type=bytes,
            value_type=bytes,
            options=dict(ROCKSDB),
            extra_topic_configs={"max.message.bytes": str(MAX_MESSAGE)} | COMPACTED,
        )
        checkpoint = stage.checkpoint = Checkpointer(name, table, self._publisher)

        async def agent(stream: StreamT[bytes]) -> None:
            try:
                async for event in stream.noack().events():
                    stage.take(event, checkpoint)
                    await checkpoint.took(event)
            except Exception as error:
                self._fail(error)
                raise

        app.agent(topic, name=name)(agent)
        return checkpoint

    # --- partitions

    async def _revoked(self, _: faust.App, revoked: set[TP], **__: Any) -> None:
        self._refusal = "partitions are being assigned"
        partitions = {tp.partition for tp in revoked}
        self._owned -= partitions
        self._dispatcher.forget(partitions)
        self._facts.forget(partitions)
        for eraser in self._erasers:
            eraser.forget(partitions)
        for stage in (self._facts, self._people):
            stage.timers.forget(partitions)
            assert stage.checkpoint is not None
            stage.checkpoint.forget(partitions)

    async def _assigned(self, *_: Any, **__: Any) -> None:
        """The tables are recovered, and no event has been taken yet."""
        try:
            partitions = {tp.partition for tp in self._app.consumer.assignment()} - self._owned
            for eraser in self._erasers:
                await eraser.own(partitions)
            self._dispatcher.own(partitions)
            for partition in sorted(partitions):
                for stage in (self._facts, self._people):
                    stage.timers.own({partition})
                    stage.own(partition)
                    await asyncio.sleep(0)
            # Since when flows run here must outlive us: what happens from "ready" on is news, never history.
            await self._facts_checkpoint.durable()
            self._owned |= partitions
            self._refusal = ""
            log.info("flows run", partitions=len(self._owned), flows=len(self._flows.programs))
        except Exception as error:
            self._fail(error)
            raise

    # --- by the clock

    async def _refresh(self) -> None:
        """Take up flows that were changed, and say what is wrong with those that can't be read."""
        told: dict[str, str] = {}
        while True:
            if self._flows.refresh():
                log.info("flows taken up", flows=sorted(self._flows.programs))
                self._people.flows_changed(set(self._owned))
                self._dates_due.set()
            for name, problem in self._flows.problems.items():
                if told.get(name) != problem:
                    log.warning("a flow can't be read", flow=name, cause=problem)
            told = dict(self._flows.problems)
            telemetry.TIMERS.labels("facts").set(len(self._facts.timers))
            telemetry.TIMERS.labels("people").set(len(self._people.timers))
            await asyncio.sleep(_REFRESH_SECONDS)

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
        await self._publisher.send([(topic, person.encode(), value)])

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

    # --- failures

    async def _until(self, stop: asyncio.Event, app: faust.App) -> None:
        """Return when `stop` is set; raise what made a stage or the app fail."""
        assert self._failure is not None
        waiting = [asyncio.create_task(event.wait()) for event in (stop, app._crashed)]
        try:
            await asyncio.wait({*waiting, self._failure}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if self._failure.done():
            # Nobody will acknowledge what is open: Faust must not wait for it, or the process would never end.
            app.conf.stream_wait_empty = False
            self._failure.result()
        if app.crashed:
            raise app._crash_reason or Unavailable("the Faust app crashed")

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Report a failure to `run`, which ends the process: what is not durable is delivered again."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)


def _keeper(config: EngageConfig) -> SegmentKeeper:
    return SegmentKeeper(
        KeeperConfig(
            kafka=config.kafka,
            warehouse=config.warehouse,
            project=config.project,
            topic_prefix=config.topic_prefix,
            timezone=config.default_timezone,
        )
    )


async def _stopped_within(app: faust.App, seconds: float) -> None:
    """Stop the app; one that hangs is left to the end of the process (it can't be canceled, so nobody waits for it)."""
    stopping = asyncio.create_task(app.stop())
    done, _ = await asyncio.wait({stopping}, timeout=seconds)
    if not done:
        log.warning("the Faust app did not stop in time", seconds=seconds)
