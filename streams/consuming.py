"""Faust without three of its habits: one loses messages, one trusts its disk, one takes most of its time.

While tables recover, Faust reads only changelogs, by a set of partitions that it goes on changing. When recovery ends
that set is empty for a moment, and an empty one means every partition to aiokafka: a fetch under way takes what has
come for all of them, and Faust drops it as not asked for. It also drops what a fetch brings that was under way when
partitions were assigned. Then it seeks to what was committed, which brings nothing back where nothing was. So a fetch
here keeps the set that it began with, and a partition without a committed offset is read from its beginning again.

Faust reads a changelog without shutting out whoever wrote it before, and ends for ever when its store is ahead of the
changelog (a power cut, a restored disk). Here each partition is taken over before it is read, a store that is ahead is
dropped and made anew, and input is read again from where the state that was found ends, if that is earlier than what
was committed.

A message costs Faust a channel, four tasks, a turn of the event loop and an entry in its list of acknowledged offsets,
which is more than a stage does with it. So what a fetch brings of a partition is given to the agent as one message.
"""

import asyncio
import shutil
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

import faust
import structlog
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, TransportT
from faust.types.tuples import ConsumerMessage

from streams.checkpoint import Checkpointer

log = structlog.get_logger(__name__)

_FETCH_SECONDS = 1.0  # for which a fetch waits when nothing comes
_RUN = 250  # records of a run: others get their turn after it


class App(faust.App):  # type: ignore[misc]  # Faust has no types
    """An app that takes its partitions over before it reads them, and fetches what it was asked for at the time.

    `checkpoints` are those of its stages, by the topics that they read.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, TableManager=_Tables)
        self.checkpoints: dict[str, Checkpointer] = {}

    def _new_transport(self) -> TransportT:
        return _Transport(self.conf.broker_consumer, self)

    def positions(self) -> dict[TP, int]:
        """Where the state that was found ends, by input partition; without those of which it says nothing.

        That of nothing at all ends at the beginning: a changelog that is gone has taken the state with it.
        """
        found: dict[TP, int] = {}
        for tp in self.consumer.assignment():
            checkpoint = self.checkpoints.get(tp.topic)
            if checkpoint is not None:
                book = checkpoint.book(tp.partition)
                position = book.positions().get(tp.topic, 0 if book.empty() else None)
                if position is not None:
                    found[tp] = position
        return found


class _Tables(TableManager):  # type: ignore[misc]  # Faust has no types
    async def on_rebalance(self, *args: Any, **options: Any) -> None:
        for checkpoint in dict.fromkeys(self.app.checkpoints.values()):
            mine = {tp for tp in self.app.assignor.assigned_actives() if tp.topic == checkpoint.changelog}
            if mine:
                ends = await self.app.consumer.highwaters(*mine)
                await checkpoint.take_over(tp.partition for tp in mine)
                self._drop_what_is_ahead(checkpoint, ends)
        await super().on_rebalance(*args, **options)

    def _drop_what_is_ahead(self, checkpoint: Checkpointer, ends: Mapping[TP, int]) -> None:
        """A store that holds what its changelog never got or has lost is no state of anything: read it anew.

        `ends` are those of before the fence's own record.
        """
        store = self._changelogs[checkpoint.changelog].data
        for tp, end in ends.items():
            persisted = store.persisted_offset(tp)
            if persisted is None or persisted < end:
                continue
            log.warning(
                "state is ahead of its changelog, which has lost records: it is made anew",
                changelog=tp.topic,
                partition=tp.partition,
                records=persisted + 1 - end,
            )
            checkpoint.forget([tp.partition])
            store._dbs.pop(tp.partition).close()
            shutil.rmtree(store.partition_path(tp.partition))


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    async def seek_to_committed(self) -> Any:
        return await self.call_thread(self._rewind, self.app.positions())

    async def _rewind(self, positions: Mapping[TP, int]) -> Any:
        consumer, changelogs = self._ensure_consumer(), self.app.tables.changelog_topics
        committed = await consumer.seek_to_committed()
        unread = [tp for tp, offset in committed.items() if not offset and tp.topic not in changelogs]
        if unread:
            await consumer.seek_to_beginning(*unread)
        for tp, position in positions.items():
            if position < (committed.get(tp) or 0):
                log.warning(
                    "state ends before what was committed: its events are read once more",
                    topic=tp.topic,
                    partition=tp.partition,
                    events=committed[tp] - position,
                )
                consumer.seek(tp, position)
                committed[tp] = position
        return committed

    async def _fetch_records(self, consumer: Any, active_partitions: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = set(active_partitions)
        return await super()._fetch_records(consumer, wanted, *args, **kwargs) if wanted else {}


class Run(ConsumerMessage):  # type: ignore[misc]  # Faust has no types
    """Consecutive records of a partition, given to the agent and acknowledged as one; `offset` is the last one's."""

    __slots__ = ("records",)

    records: list[Any]


class _Consumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types
    """Gives whole runs of a partition to the agents, and commits a run when it and all before it are acknowledged."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._given: dict[TP, deque[int]] = defaultdict(deque)  # the last offsets of runs that are not committed yet

    async def perform_seek(self) -> None:
        self._given.clear()  # a run that a rebalance interrupted would hold up all commits after it
        await super().perform_seek()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._given.pop(tp, None)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await asyncio.sleep(0)  # a fetch that has its records at hand never waits
                await self._drain_once()
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.transport.app.should_stop:
                raise

    async def _drain_once(self) -> None:
        found, active = await self._wait_next_records(_FETCH_SECONDS)
        if found is None or self.should_stop:
            return
        if not self.flow_active:
            try:
                await self.perform_seek()
            except Exception as error:
                log.warning("can't seek while partitions are being assigned", cause=repr(error))
            return
        generation = self.app.consumer_generation_id
        for tp, records in found.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            read = self._read_offset[tp]
            fresh = records if read is None else [record for record in records if record.offset >= read]
            if tp.topic in self.app.tables.changelog_topics:
                messages = [self._to_message(tp, record) for record in fresh]
            else:
                messages = [_run(tp, fresh[at : at + _RUN], generation) for at in range(0, len(fresh), _RUN)]
            for message in messages:
                if not self.flow_active:  # the rest comes again, after the seek that follows
                    return
                if isinstance(message, Run):
                    self._given[tp].append(message.offset)
                await self.wait_first(self.callback(message), self.suspend_flow.wait())
                self._read_offset[tp] = message.offset

    def _new_offset(self, tp: TP) -> int | None:
        """What can be committed: the offset after the last run of those in a row that are acknowledged."""
        acked, given, offset = self._acked_index[tp], self._given[tp], None
        while given and given[0] in acked:
            offset = given.popleft()
            acked.discard(offset)
        self._acked[tp].clear()
        return None if offset is None else offset + 1

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


def _run(tp: TP, records: list[Any], generation: int) -> Run:
    last = records[-1]
    stamp = last.timestamp / 1000
    run = Run(
        tp.topic, tp.partition, last.offset, stamp, last.timestamp_type, (), None, b"", None, 0, 0, tp,
        generation_id=generation,
    )  # fmt: skip
    run.records = records
    return run


class _Transport(driver.Transport):  # type: ignore[misc]  # Faust has no types
    Consumer = _Consumer
