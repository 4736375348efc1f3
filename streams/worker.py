"""One worker: a Faust app with its stages, what runs beside them, and a process that ends when anything is unsure."""

import asyncio
import gc
import logging
import shutil
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog
from faust.types import TP, StreamT

from schemas.errors import Unavailable
from streams.app import CHANGELOG, ROCKSDB, ensure_changelogs, make_app
from streams.checkpoint import Checkpointer, Output, Pace
from streams.erasing import Eraser
from streams.losses import pending, taken_up
from streams.message import Message
from streams.producer import Producer

log = structlog.get_logger(__name__)

_STOP_SECONDS = 15.0  # for Faust to leave its group and close its stores; a process that hangs longer is ended


class Stage(Protocol):
    """What a stage is to the runtime: plain code, called by one task at a time."""

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        """Deal with one message; whatever follows is kept in the checkpoint's stores and sent with it."""

    def drain(self, partition: int) -> Iterable[Output]:
        """Put what is still held of a partition into its store; the outputs that it led to since the last call."""

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are another worker's now."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """aiokafka's client arguments, a directory for state, and the app's id, which is its consumer group's as well.

    `packed` are the full names of topics that only stages read: see `Producer`.
    """

    app_id: str
    kafka: Mapping[str, Any]
    data: Path
    partitions: int
    replication: int
    packed: frozenset[str] = frozenset()


class Worker:
    """Run as many as there are partitions, each with a data directory of its own.

    `assigned` is called with partitions whose state is recovered and of which no event has been taken yet, `revoked`
    with those that are gone.
    """

    def __init__(
        self,
        config: WorkerConfig,
        assigned: Callable[[set[int]], Awaitable[None]] | None = None,
        revoked: Callable[[set[int]], None] | None = None,
    ) -> None:
        # Faust builds debug records for every message otherwise: half of its time.
        for name in ("faust", "mode", "aiokafka", "kafka"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # Records are plain trees without cycles: looking for some after every 700 new objects only costs.
        gc.set_threshold(50_000, 20, 100)
        self._config = config
        self._on_assigned, self._on_revoked = assigned, revoked
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refusal = "the worker is starting"
        self._stages: list[tuple[Stage, Checkpointer]] = []
        self.erasers: list[Eraser] = []
        self.producer = Producer(config.kafka, config.packed)
        self._app = make_app(config.app_id, config.kafka, config.data, config.partitions, config.replication)
        self._app.on_partitions_revoked.connect(self._revoked, weak=False)
        self._app.on_rebalance_complete.connect(self._assigned, weak=False)

    def ready(self) -> str:
        """'' when events are being processed, else why not."""
        return self._refusal

    def stage(
        self, name: str, table: str, topics: Iterable[str], stage: Stage, pace: Pace, *, after: bool = False
    ) -> Checkpointer:
        """Declare a Faust agent `name` that gives `stage` all of `topics`, each partition in order, and its table.

        `after`: what it drains is sent after the state that says so, as a stage needs whose topics are several.
        """
        names = list(topics)
        kept = self._app.Table(
            table,
            partitions=self._config.partitions,
            # Recovery decodes what it reads from the changelog, JSON by default; ours are bytes both ways.
            key_type=bytes,
            value_type=bytes,
            options=dict(ROCKSDB),
            extra_topic_configs=CHANGELOG,
        )
        checkpoint = Checkpointer(name, kept, self.producer, pace, stage.drain, after=after)
        checkpoint.went_back = pending(self._config.data, checkpoint.changelog)
        self._app.checkpoints |= dict.fromkeys(names, checkpoint)
        self._stages.append((stage, checkpoint))

        async def agent(stream: StreamT[bytes]) -> None:
            try:
                async for event in stream.noack().events():
                    for record in event.message.records:
                        stage.take(record, checkpoint)
                    await checkpoint.took(event)
            except Exception as error:
                self.fail(error)
                raise

        self._app.agent(self._app.topic(*names, key_serializer="raw", value_serializer="raw"), name=name)(agent)
        return checkpoint

    async def run(
        self,
        stop: asyncio.Event,
        beside: Iterable[Coroutine[Any, Any, None]] = (),
        drain: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Work until `stop` is set, with the coroutines `beside`; `drain` is awaited before the last checkpoint.

        Raises Unavailable when Kafka is away, and whatever made a stage fail: what is not durable is delivered again.
        """
        config = self._config
        names = [checkpoint.changelog for _, checkpoint in self._stages]
        await ensure_changelogs(config.kafka, names, config.partitions, config.replication)
        for name in names:
            await self.producer.settled(name, config.partitions)
        self._drop_strays()
        kept = (*(checkpoint.run() for _, checkpoint in self._stages), *(eraser.run() for eraser in self.erasers))
        work = (*beside, *kept)
        tasks = [asyncio.create_task(self._guard(each)) for each in work]
        try:
            await self._app.start()
            await self._until(stop)
            self._refusal = "the worker is stopping"
            if drain is not None:
                await drain()
            for _, checkpoint in self._stages:
                await checkpoint.settle()
        finally:
            stores = [store for table in self._app.tables.values() for store in table.data._dbs.values()]
            stopped = await self._stop_app()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for store in stores if stopped else ():
                store.close()  # Faust leaves that to who collects garbage; until then nobody can open it again

    def _drop_strays(self) -> None:
        """Delete the stores of tables that are no more: before partitions were grown they had other names."""
        kept = {
            self._app.tables[name].data.partition_path(number).name
            for name in self._app.tables
            for number in range(self._config.partitions)
        }
        for path in Path(self._app.conf.tabledir).glob("*.db"):
            if path.name not in kept:
                shutil.rmtree(path)

    def fail(self, error: Exception) -> None:
        """Have `run` raise `error`, which ends the process."""
        if not self._failure.done():
            self._failure.set_exception(error)

    # --- partitions

    async def _revoked(self, _: Any, revoked: set[TP], **__: Any) -> None:
        self._refusal = "partitions are being assigned"
        self._app.assigned = False
        partitions = {tp.partition for tp in revoked}
        if self._on_revoked is not None:
            self._on_revoked(partitions)
        for eraser in self.erasers:
            eraser.forget(partitions)
        for stage, checkpoint in self._stages:
            stage.forget(partitions)
            checkpoint.forget(partitions)

    async def _assigned(self, *_: Any, **__: Any) -> None:
        partitions = {tp.partition for tp in self._app.consumer.assignment()}
        try:
            for checkpoint in [checkpoint for _, checkpoint in self._stages]:
                if self._app.assigned:
                    await checkpoint.send_again(partitions)
            for eraser in self.erasers:
                if self._app.assigned:
                    await eraser.own(partitions)
            if self._app.assigned and self._on_assigned is not None:
                await self._on_assigned(partitions)
            for checkpoint in [checkpoint for _, checkpoint in self._stages]:
                if self._app.assigned and (back := checkpoint.went_back & partitions):
                    await checkpoint.durable()
                    checkpoint.went_back -= back
                    taken_up(self._config.data, checkpoint.changelog, back)
        except Exception as error:
            self.fail(error)
            raise
        if not self._app.assigned:  # what was recovered has been revoked meanwhile
            return
        self._refusal = ""
        log.info("processing", partitions=len(partitions))

    # --- failures

    async def _until(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set; raise what made a stage or the app fail."""
        app = self._app
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
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.fail(error)
            raise

    async def _stop_app(self) -> bool:
        """Whether it has; one that hangs is left to the end of the process (it can't be canceled: nobody waits)."""
        stopping = asyncio.create_task(self._app.stop())
        done, _ = await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
        if not done:
            log.warning("the Faust app did not stop in time", seconds=_STOP_SECONDS)
        return bool(done)
