"""The engage role: two stages, their tables and timers, the lanes to the senders, and the unsubscribe page.

Like the processors, one event at a time and acknowledged by hand; the process ends when anything is unsure.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from engage import telemetry, web
from engage.config import EngageConfig
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
from engage.templates.rendering import Library
from schemas.erasing import Until, names
from schemas.errors import ConfigurationError
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
from streams.worker import Worker, WorkerConfig

log = structlog.get_logger(__name__)

_PACE = Pace(min_age=0.01, share=3)  # a mail waits for three checkpoints
_REFRESH_SECONDS = 2.0  # between two looks at the flows' files
_DATES_SECONDS = 3600.0  # between two looks at everybody's dates: below `rules.entry.HORIZON_SECONDS`
_DATES_SLICE = 100  # people looked at before others get their turn


class Engage:
    """One worker; run as many as there are partitions, each with a data directory of its own."""

    def __init__(self, config: EngageConfig, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._clock = clock
        self._worker: Worker | None = None
        self._flows = Flows(config.project)
        self._owned: set[int] = set()
        self._coming: set[int] = set()  # assigned, and neither taken up in whole nor revoked meanwhile
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
        refusal = self._worker.ready() if self._worker is not None else "the worker is starting"
        return refusal or (self._keeper.ready() if self._keeper else "")

    async def run(self, stop: asyncio.Event) -> None:
        """Run flows until `stop` is set. Raises Unavailable when Kafka is away, and whatever made a stage fail."""
        config = self._config
        self._flows.refresh()
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
        secret = self._secret()
        page = web.create_app(secret, config.organization.name, self._unsubscribe)
        try:
            async with web.serve(page, config.host, config.port) as port:
                host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
                base = config.unsubscribe_url or f"http://{host}:{port}"
                log.info("unsubscribe page", port=port, url=base)
                self._build(worker, base, secret)
                keeping = (self._keeper.run(stop),) if self._keeper else ()
                timers = (self._facts.timers.run(), self._people.timers.run())
                await worker.run(stop, (*keeping, *timers, self._refresh(), self._dates()), self._dispatcher.close)
        finally:
            await worker.producer.stop()

    def _build(self, worker: Worker, base: str, secret: bytes) -> None:
        config, prefix = self._config, self._config.topic_prefix
        read = {"people": full_name(ENGAGE_PEOPLE, prefix), "profiles": full_name(PROFILES, prefix)}
        read |= {"suppressions": full_name(SUPPRESSIONS, prefix), "segments": full_name(SEGMENTS_CHANGES, prefix)}
        reports = Reports(prefix)
        post = Post(
            Library((config.project / "templates",)), config.organization, config.mail_from, base, secret, prefix
        )
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
                    stage.own(partition, went_back=partition in stage.checkpoint.went_back)
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
            checkpoint.went_back -= partitions
        log.info("flows run", partitions=len(self._owned), flows=len(self._flows.programs))

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
        assert self._worker is not None
        await self._worker.producer.send([(topic, person.encode(), value)])

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


def _names(key: bytes, value: bytes, until: Until) -> bool:
    return bool(until(whose(key))) or names(value, until)


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
