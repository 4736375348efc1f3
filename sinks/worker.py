"""The sink: Kafka to ClickHouse, at least once, into tables where once too often makes no difference."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_exponential_jitter

from schemas import topics
from schemas.errors import ConfigurationError, Unavailable
from sinks import positions, telemetry
from sinks.batch import COMPANY, FEW, PATIENCE, Batch
from sinks.config import SinkConfig
from sinks.positions import Kept, Place
from sinks.writer import Writer, stop_when
from streams.kafka import KafkaError, TopicPartition
from streams.losses import Loss, note
from streams.pacing import Pacing
from streams.publishing import Publisher
from streams.reading import Listener, commit, member
from warehouse.client import Warehouse
from warehouse.errors import passing
from warehouse.migrate import migrate
from warehouse.tables import OF_TOPIC

IDLE_SECONDS: Final = 0.5  # longest poll when there is nothing to do, and so the longest wait for `stop`
SHORTEST_POLL: Final = 0.01  # while an old batch waits for the writer
WATCH_SECONDS: Final = 5.0  # between two signs of life of Kafka
POLL_RECORDS: Final = 2_000  # at most at once, so that a batch of large rows passes its limit of bytes by little
FETCH_BYTES: Final = 4 * 1024 * 1024  # a partition and request; a larger message comes alone
LETTER_BYTES: Final = 64 * 1024 * 1024  # before compression: a payload of 16 MiB, each byte of it escaped
SHARE: Final = 3  # a batch is collected for this many times what the last one took to write: large ones under load
REVOKE_SECONDS: Final = 10.0  # how long a rebalance waits for the batch that is being written

log = structlog.get_logger(__name__)


class Sink(Listener):  # type: ignore[misc]  # aiokafka has no types
    """One sink process. Several share the partitions as one consumer group."""

    def __init__(self, config: SinkConfig) -> None:
        self._config = config
        self._tables = {config.topic_prefix + name: table.name for name, table in OF_TOPIC.items()}
        self._state = "starting"
        self._writing: asyncio.Task[None] | None = None
        self._took = 0.0  # seconds, the last batch
        self._batches: dict[str, Batch] = {}  # what is being collected, by table
        self._rows: dict[str, int] = {}  # how many the last batch of each had
        self._written: dict[tuple[str, int], int] = {}  # (topic, partition): the position up to which rows are in
        self._unkept: dict[tuple[str, int], int] = {}  # of those, what ClickHouse has not been told yet
        self._starts: dict[TopicPartition, int] | None = None  # where to begin; None while partitions are assigned
        self._failure: Exception | None = None  # of an assignment: aiokafka would only log it
        self._writer: Writer | None = None
        self._pacing = Pacing()

    def ready(self) -> str:
        """'' when rows flow, else why not."""
        return self._state or (self._writer.trouble if self._writer else "")

    async def run(self, stop: asyncio.Event) -> None:
        """Prepares the database, then writes what Kafka has until `stop` is set and all that was read is written.

        Raises Unavailable when Kafka or ClickHouse stays away for `config.patience` seconds: nothing is lost, since
        what isn't written isn't committed; start it again. Raises ConfigurationError for what only a person can mend.
        """
        try:
            async with AsyncExitStack() as stack:
                await self._prepare(stack, stop)
                if not stop.is_set():
                    self._state = ""
                    await self._pump(stop)
        except KafkaError as error:
            raise Unavailable(f"Kafka is in trouble: {error!r}") from error
        finally:
            self._state = "stopped"

    async def _prepare(self, stack: AsyncExitStack, stop: asyncio.Event) -> None:
        warehouse = await stack.enter_async_context(Warehouse(self._config.warehouse))
        await self._wait_for("ClickHouse", lambda: self._migrate(warehouse), stop)
        if stop.is_set():
            return
        client: dict[str, Any] = {"client_id": "tillstream-sink", **self._config.kafka}

        # Not idempotent: such a producer tries for ever, and letters are keyed.
        letters = Publisher(client, enable_idempotence=False, max_request_size=LETTER_BYTES, compression_type="gzip")
        consuming = partial(member, client, self._config.group_id, max_partition_fetch_bytes=FETCH_BYTES)

        async def complete() -> bool:
            if missing := sorted(self._tables.keys() - await self._consumer.topics()):
                raise Unavailable(f"Kafka has no topic {', '.join(missing)}")
            return True

        if await self._wait_for("Kafka", letters.start, stop) is None:
            return
        stack.push_async_callback(letters.stop)
        self._consumer = await self._wait_for("Kafka", lambda: stack.enter_async_context(consuming()), stop)
        if self._consumer is None or await self._wait_for("Kafka", complete, stop) is None:
            return
        self._warehouse = warehouse
        self._writer = Writer(
            warehouse,
            letters,
            topics.full_name(topics.DEAD_LETTERS, self._config.topic_prefix),
            self._config.patience,
            stop.is_set,
            self._config.erasures,
        )
        self._consumer.subscribe(sorted(self._tables), listener=self)

    async def _migrate(self, warehouse: Warehouse) -> None:
        config = self._config
        await migrate(warehouse, config.timezones, config.default_timezone, config.archive_days)

    async def _wait_for(self, part: str, action: Callable[[], Awaitable[Any]], stop: asyncio.Event) -> Any:
        """Tries until it works. None when `stop` was set before; raises Unavailable when patience is at its end."""

        def again(state: RetryCallState) -> None:
            cause = state.outcome.exception() if state.outcome else None
            self._state = f"waiting for {part}: {cause}"
            log.warning(f"waiting for {part}", attempt=state.attempt_number, cause=str(cause)[:300])

        self._state = f"waiting for {part}"
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_delay(self._config.patience) | stop_when(stop.is_set),
                wait=wait_exponential_jitter(multiplier=0.2, max=3, jitter=0.2),
                retry=retry_if_exception(lambda error: isinstance(error, KafkaError) or passing(error)),
                before_sleep=again,
                reraise=True,
            ):
                with attempt:
                    return await action()
        except ConfigurationError:
            raise
        except (Unavailable, KafkaError) as error:
            if stop.is_set():
                return None
            raise Unavailable(f"{part} stayed away for {self._config.patience:.0f} s: {error}") from error

    async def _pump(self, stop: asyncio.Event) -> None:
        """Collects batches while those before them are written."""
        watch = asyncio.create_task(self._watch())
        try:
            while not stop.is_set():
                await self._collect()
                busy = self._writing is not None and not self._writing.done()
                # An old batch keeps growing while the writer is busy: the slower ClickHouse is, the larger its batches.
                if not busy or any(batch.full for batch in self._batches.values()):
                    await self._settle()
                    now = time.monotonic()
                    self._begin([table for table, batch in self._batches.items() if batch.full or batch.wait(now) == 0])
                if watch.done():
                    await watch
            await self._settle()
            self._begin(list(self._batches))
            await self._settle()
            await self._keep_positions()
        finally:
            tasks = [task for task in (watch, self._writing) if task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _collect(self) -> None:
        await asyncio.sleep(0)  # aiokafka gives what it has without a pause: the batch on its way needs a turn too
        now = time.monotonic()
        waits = [wait for batch in self._batches.values() if (wait := batch.wait(now)) is not None]
        seconds = max(SHORTEST_POLL, min(waits, default=IDLE_SECONDS))
        seconds = min(seconds, IDLE_SECONDS)
        if self._failure is not None:
            raise self._failure
        if self._starts:
            for partition in self._starts.keys() & self._consumer.assignment():
                self._consumer.seek(partition, self._starts[partition])
            self._starts.clear()
        try:
            # The outer bound is for rebalances, while which aiokafka would wait for ever, and not see `stop`.
            async with asyncio.timeout(seconds + IDLE_SECONDS):
                found = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=POLL_RECORDS)
        except TimeoutError:
            return
        self._pacing.fetched(self._consumer, something=bool(found))
        if self._starts is None or self._starts:
            return  # partitions were assigned meanwhile: this comes again, after the seek that follows
        for partition, records in found.items():
            table = self._tables[partition.topic]
            batch = self._batches.get(table) or self._batches.setdefault(table, self._new_batch(table))
            batch.add(table, records, time.monotonic())

    def _begin(self, tables: list[str]) -> None:
        if batches := [self._batches.pop(table) for table in tables]:
            self._rows |= {table: batch.rows for table, batch in zip(tables, batches, strict=True)}
            self._writing = asyncio.create_task(self._deliver(batches))

    async def _settle(self) -> None:
        """Waits for the batch that is being written; raises what it raised."""
        if self._writing:
            await self._writing
            self._writing = None

    async def _deliver(self, batches: list[Batch]) -> None:
        assert self._writer is not None
        # 1. Rows in ClickHouse, refused ones acknowledged by Kafka as dead letters. A crash here repeats the batch.
        began = time.monotonic()
        await asyncio.gather(*map(self._writer.write, batches))
        self._took = time.monotonic() - began
        # 2. Only then the offsets. A crash between 1 and 2 repeats it too: same keys, same versions, same rows.
        mine = self._consumer.assignment()
        written = {place: offset for batch in batches for place, offset in batch.offsets.items()}
        offsets = {TopicPartition(*place): offset for place, offset in written.items() if place in mine}
        try:
            if offsets:
                async with asyncio.timeout(self._config.patience):
                    if not await commit(self._consumer, offsets):
                        # 3. The partitions have moved: their next owner writes the same rows again.
                        telemetry.LOST_COMMITS.inc()
        except TimeoutError:
            raise Unavailable(f"Kafka took no offsets for {self._config.patience:.0f} s") from None
        self._written.update(written)
        self._unkept.update(written)
        self._measure_lag()

    async def _keep_positions(self) -> None:
        """Have ClickHouse know how far its rows go. Where it can't, more is read again after a crash: no harm."""
        told = dict(self._unkept)
        try:
            await positions.write(self._warehouse, told.items())
        except Unavailable as error:
            log.warning("positions are not kept beside the rows", cause=str(error)[:300])
            return
        self._unkept = {place: offset for place, offset in self._unkept.items() if told.get(place) != offset}

    def _measure_lag(self) -> None:
        lags = dict.fromkeys(self._tables, 0)
        for place in self._consumer.assignment():
            end, written = self._consumer.highwater(place), self._written.get(place)
            if end is not None and written is not None:
                lags[place.topic] += max(0, end - written)
        for topic, lag in lags.items():
            telemetry.LAG.labels(topic).set(lag)

    async def _watch(self) -> None:
        """Asks Kafka for a sign of life now and then. Raises Unavailable when there was none for too long."""
        seen = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._consumer.topics()
                self._state, seen = "", time.monotonic()
                self._measure_lag()
                await self._keep_positions()
            except (KafkaError, TimeoutError) as error:
                self._state = f"Kafka does not answer: {error!r}"
                if time.monotonic() - seen > self._config.patience:
                    raise Unavailable(self._state) from error

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Lets what is on its way arrive, and forgets what was collected: its records will be read again."""
        self._starts = None
        self._batches.clear()
        if self._writing:
            await asyncio.wait([self._writing], timeout=REVOKE_SECONDS)
        await self._keep_positions()
        self._written.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Reading goes on where the group has committed, or where the rows in ClickHouse end if that is earlier."""
        log.info("partitions assigned", partitions=len(assigned))
        try:
            written = await positions.read(self._warehouse) if assigned else {}
            firsts, ends = await asyncio.gather(
                self._consumer.beginning_offsets(assigned), self._consumer.end_offsets(assigned)
            )
            committed = await asyncio.gather(*(self._consumer.committed(partition) for partition in assigned))
        except Exception as error:
            self._failure = error
            raise
        kafka = {
            Place(partition.topic, partition.partition): Kept(firsts[partition], ends[partition], offset)
            for partition, offset in zip(assigned, committed, strict=True)
        }
        found = positions.start(kafka, written)
        for cause, remedy, messages in positions.told(found, self._config.topic_prefix):
            log.warning(cause, messages=messages, next=remedy)
            if self._config.losses and not remedy.startswith("nothing"):
                what = min(messages, key=lambda topic: (not topic.endswith(topics.STRIPE_EVENTS.name), topic))
                note(self._config.losses, Loss(time.time(), what, cause, messages[what], remedy))
        self._starts = {TopicPartition(*place): offset for place, offset in found.offsets.items()}

    def _new_batch(self, table: str) -> Batch:
        config = self._config
        # An import touches months of years, and each month of a batch is a part of its own for ClickHouse to write.
        patience = PATIENCE.get(table) or (COMPANY if self._rows.get(table, 0) >= FEW else 1)
        age = max(config.batch_age * patience, min(SHARE * self._took, config.longest_age))
        return Batch(config.batch_rows, config.batch_bytes, age, patient=table in PATIENCE)
