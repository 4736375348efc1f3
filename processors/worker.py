"""The Faust app: two agents, two tables, manual acknowledgement, and a process that ends when anything is unsure."""

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.types import TP, StreamT

from processors.checkpoint import Checkpointer, Output
from processors.consuming import App
from processors.erasing import Eraser
from processors.sending import Sender
from processors.stages import LedgerStage, PeopleStage
from schemas.erasures import Erasures
from schemas.errors import Unavailable
from schemas.topics import (
    COMPACTED,
    ERASURES,
    LEDGER_PEOPLE,
    LEDGER_TRANSFERS,
    PARTITIONS,
    STRIPE_EVENTS,
    Topic,
    full_name,
)

log = structlog.get_logger()

_MAX_MESSAGE = 16 * 1024 * 1024
_STOP_SECONDS = 15.0
_ROCKSDB = {  # a partition's share: the defaults (64 MB buffers, 2 GB caches) are for one database, not for sixteen
    "write_buffer_size": 8 * 1024 * 1024,
    "max_write_buffer_number": 2,
    "block_cache_size": 16 * 1024 * 1024,
    "max_open_files": 256,
    "driver": "rocksdict",
}


@dataclass(frozen=True, slots=True)
class ProcessorConfig:
    """What the processors need: aiokafka's client arguments, a directory for state, and the mode to map."""

    kafka: Mapping[str, Any]
    data: Path
    topic_prefix: str = ""
    app_id: str = "tillstream"
    mode: str = "both"
    partitions: int = PARTITIONS
    replication: int = 1
    erasures: Erasures = field(default_factory=Erasures)


class Processor:
    """One worker; run as many as there are partitions, each with a data directory of its own."""

    def __init__(self, config: ProcessorConfig) -> None:
        self._config = config
        self._sender: Sender | None = None
        self._failure: asyncio.Future[None] | None = None
        self._refusal = "the worker is starting"
        self._ledger = LedgerStage(config.topic_prefix, config.mode, config.erasures)
        self._people = PeopleStage(config.topic_prefix, config.erasures)
        self._erasers: list[Eraser] = []

    def ready(self) -> str:
        """'' when events are being processed, else why not."""
        return self._refusal

    async def run(self, stop: asyncio.Event) -> None:
        """Process until `stop` is set. Raises Unavailable when Kafka is away, and whatever made a stage fail."""
        # Faust builds debug records for every message otherwise: half of its time.
        for name in ("faust", "mode", "aiokafka", "kafka", "processors.consuming"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # Records are plain trees without cycles: looking for some after every 700 new objects only costs.
        gc.set_threshold(50_000, 20, 100)
        self._failure = asyncio.get_running_loop().create_future()
        between = {full_name(topic, self._config.topic_prefix) for topic in (LEDGER_TRANSFERS, LEDGER_PEOPLE)}
        self._sender = Sender(self._config.kafka, packed=between)
        await self._sender.start()
        flushing: list[asyncio.Task[None]] = []
        app, checkpoints = self._build()
        try:
            beside = [*(checkpoint.run() for checkpoint in checkpoints), *(eraser.run() for eraser in self._erasers)]
            flushing = [asyncio.create_task(self._guard(work)) for work in beside]
            await app.start()
            await self._until(stop, app)
            self._refusal = "the worker is stopping"
            for checkpoint in checkpoints:
                await checkpoint.flush()
        finally:
            await _stopped_within(app, _STOP_SECONDS)
            for task in flushing:
                task.cancel()
            await self._sender.stop()

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

    async def _guard(self, work: Any) -> None:
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

    def _build(self) -> tuple[faust.App, list[Checkpointer]]:
        config = self._config
        app = _app(config)
        ledger = self._stage(app, "ledger", (STRIPE_EVENTS, LEDGER_TRANSFERS), self._ledger.take, self._ledger.drain)
        people = self._stage(app, "people", (LEDGER_PEOPLE,), self._people.take, self._people.drain)

        async def revoked(_: faust.App, revoked: set[TP], **__: Any) -> None:
            self._refusal = "partitions are being assigned"
            partitions = {tp.partition for tp in revoked}
            for stage, checkpoint in ((self._ledger, ledger), (self._people, people)):
                stage.forget(partitions)
                checkpoint.forget(partitions)
            for eraser in self._erasers:
                eraser.forget(partitions)

        async def complete(*_: Any, **__: Any) -> None:
            self._refusal = ""
            for eraser in self._erasers:
                eraser.own(app.consumer.assignment())
            log.info("processing", partitions=len(app.consumer.assignment()))

        self._erasers = [
            self._eraser("ledger", STRIPE_EVENTS, self._ledger, ledger),
            self._eraser("people", LEDGER_PEOPLE, self._people, people),
        ]
        app.on_partitions_revoked.connect(revoked)
        app.on_rebalance_complete.connect(complete)
        return app, [ledger, people]

    def _eraser(self, name: str, source: Topic, stage: LedgerStage | PeopleStage, checkpoint: Checkpointer) -> Eraser:
        prefix = self._config.topic_prefix
        names = full_name(source, prefix), full_name(ERASURES, prefix)
        return Eraser(name, names, checkpoint, self._config.erasures, stage.erase)

    def _stage(
        self,
        app: faust.App,
        name: str,
        sources: tuple[Topic, ...],
        take: Callable[[Any, Checkpointer], None],
        drain: Callable[[int], Any],
    ) -> Checkpointer:
        """An agent that reads `sources`, each partition in order, and its table."""
        names = [full_name(source, self._config.topic_prefix) for source in sources]
        topic = app.topic(*names, key_serializer="raw", value_serializer="raw")
        table = app.Table(
            f"{self._config.topic_prefix}{name}",
            partitions=self._config.partitions,
            # Recovery decodes what it reads from the changelog, JSON by default; ours are bytes both ways.
            key_type=bytes,
            value_type=bytes,
            options=dict(_ROCKSDB),
            extra_topic_configs={"max.message.bytes": str(_MAX_MESSAGE)} | COMPACTED,
        )

        def outputs(partition: int) -> list[Output]:
            return list(drain(partition))

        assert self._sender is not None
        checkpoint = Checkpointer(name, table, self._sender, outputs)

        async def agent(stream: StreamT[bytes]) -> None:
            try:
                async for event in stream.noack().events():
                    take(event, checkpoint)
                    await checkpoint.took(event)
            except Exception as error:
                self._fail(error)
                raise

        app.agent(topic, name=name)(agent)
        return checkpoint


async def _stopped_within(app: faust.App, seconds: float) -> None:
    """Stop the app; one that hangs is left to the end of the process (it can't be canceled, so nobody waits for it)."""
    stopping = asyncio.create_task(app.stop())
    done, _ = await asyncio.wait({stopping}, timeout=seconds)
    if not done:
        log.warning("the Faust app did not stop in time", seconds=seconds)


def _app(config: ProcessorConfig) -> faust.App:
    """Faust with every setting that bites when left alone: see the reasons beside."""
    bootstrap = config.kafka["bootstrap_servers"]
    servers = bootstrap.split(",") if isinstance(bootstrap, str) else list(bootstrap)
    return App(
        f"{config.topic_prefix}{config.app_id}",
        broker=[f"aiokafka://{server.strip()}" for server in servers],
        broker_credentials=_credentials(config.kafka),
        datadir=str(config.data),
        store="rocksdb://",
        autodiscover=False,
        web_enabled=False,  # its table views would serve anybody's data
        web_tables_enabled=False,
        topic_partitions=config.partitions,
        topic_replication_factor=config.replication,
        topic_disable_leader=True,
        table_standby_replicas=0,  # one worker: a standby has nowhere to live
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_MAX_MESSAGE,
        broker_max_poll_interval=300.0,
        broker_session_timeout=10.0,
        broker_request_timeout=60.0,
        broker_commit_interval=0.5,
        stream_buffer_maxsize=4096,
        stream_wait_empty=True,
        producer_linger=0.005,
        producer_max_batch_size=256 * 1024,
        producer_max_request_size=_MAX_MESSAGE,
        agent_supervisor="mode.CrashingSupervisor",  # an unexpected error ends the process; nothing is skipped
    )


def _credentials(kafka: Mapping[str, Any]) -> Any:
    """aiokafka's security arguments as Faust's; None for a plain connection."""
    protocol = kafka.get("security_protocol", "PLAINTEXT")
    if protocol == "PLAINTEXT":
        return None
    context = kafka.get("ssl_context")
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=kafka.get("sasl_plain_username"),
        password=kafka.get("sasl_plain_password"),
        mechanism=kafka.get("sasl_mechanism"),
        ssl_context=context,
    )
