"""Faust without three of its habits: one loses messages, one trusts its disk, one takes most of its time.

Messages got lost whenever partitions were assigned. While tables recover, Faust reads only changelogs, by a set of
partitions that it goes on changing. When recovery ends that set is empty for a moment, and an empty one means every
partition to aiokafka: a fetch under way takes what has come for all of them, and Faust drops it as not asked for. Then
it seeks to what was committed, which brings nothing back where nothing was, and last it empties the agents' queues,
which may hold by then what came after the seek. So a fetch here keeps the set that it began with, every input partition
is sought, runs are given only of what was fetched after the seek, and nothing is emptied but at a revocation.

Faust reads a changelog without shutting out whoever wrote it before, ends for ever when its store is ahead of the
changelog (a power cut, a restored disk), and takes one that is weeks behind. Here each partition is taken over before
it is read, a store that the changelog can't bring up to date is dropped and made anew, and input is read again from
where the state that was found ends, if that is earlier than what was committed.

A message costs Faust a channel, four tasks, a turn of the event loop and an entry in its list of acknowledged offsets,
which is more than a stage does with it. So what a fetch brings of a partition is given to the agent as one message.
"""

import asyncio
import shutil
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, TransportT
from faust.types.tuples import ConsumerMessage
from mode.utils.queues import FlowControlEvent

from schemas.tally import REMEDY
from schemas.topics import COMPACTED
from streams.checkpoint import Checkpointer
from streams.losses import Loss, note
from streams.pacing import Pacing

log = structlog.get_logger(__name__)

_FETCH_SECONDS = 1.0  # for which a fetch waits when nothing comes
#: Half of what changelogs keep deletions for at least (`delete.retention.ms`): clocks differ.
_DELETIONS_SECONDS = int(COMPACTED["delete.retention.ms"]) / 2000
_AHEAD = "is ahead of its changelog, which has lost records"
_RUN = 250  # records of a run: others get their turn after it


class App(faust.App):  # type: ignore[misc]  # Faust has no types
    """An app that takes its partitions over before it reads them, and fetches what it was asked for at the time.

    `checkpoints` are those of its stages, by the topics that they read; what state has lost is kept in the directory
    `losses`. `assigned` is False from when partitions were revoked until others are assigned: Faust goes on recovering
    meanwhile, and may say that it has what is gone.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, TableManager=_Tables)
        self.checkpoints: dict[str, Checkpointer] = {}
        self.losses = Path(str(self.conf.datadir))
        self.assigned = False

    def _new_transport(self) -> TransportT:
        return _Transport(self.conf.broker_consumer, self)

    @cached_property
    def flow_control(self) -> FlowControlEvent:
        return _Flow(loop=self.loop)

    def positions(self) -> dict[TP, int]:
        """Where the state that was found ends, by input partition; that of which it says nothing is not in it at all.

        A changelog that is gone has taken the state with it.
        """
        return {
            tp: checkpoint.store(tp.partition).positions().get(tp.topic, 0)
            for tp in self.consumer.assignment()
            if (checkpoint := self.checkpoints.get(tp.topic)) is not None
        }


class _Flow(FlowControlEvent):  # type: ignore[misc]  # mode's types are not seen
    def resume(self) -> None:
        self._suspend.clear()
        self._resume.set()


class _Tables(TableManager):  # type: ignore[misc]  # Faust has no types
    async def on_rebalance(self, *args: Any, **options: Any) -> None:
        for checkpoint in dict.fromkeys(self.app.checkpoints.values()):
            mine = {tp for tp in self.app.assignor.assigned_actives() if tp.topic == checkpoint.changelog}
            if mine:
                # Before the fence's own record, which would make a store that is ahead look less so at each try.
                await self._drop_what_is_no_state(checkpoint, await self.app.consumer.highwaters(*mine))
                await checkpoint.take_over(tp.partition for tp in mine)
        self.app.assigned = True
        await super().on_rebalance(*args, **options)

    async def _drop_what_is_no_state(self, checkpoint: Checkpointer, ends: Mapping[TP, int]) -> None:
        """Drop stores that can't be brought up to date by their changelog: all of it is read anew then.

        One that is ahead holds what the changelog never got or has lost. One that lacks records which are older than
        deletions are kept for would go on holding what was deleted meanwhile.
        """
        store = self._changelogs[checkpoint.changelog].data
        found = {tp: store.persisted_offset(tp) for tp in ends}
        behind = [tp for tp, end in ends.items() if found[tp] is not None and found[tp] + 1 < end]
        since = await self.app.consumer.first_offsets_since(behind, time.time() - _DELETIONS_SECONDS) if behind else {}
        dropped: dict[str, dict[int, int]] = defaultdict(dict)  # why, and by partition how many records
        for tp, end in ends.items():
            if found[tp] is None:
                continue
            if found[tp] >= end:
                dropped[_AHEAD][tp.partition] = found[tp] + 1 - end
            elif tp in since and found[tp] + 1 < (end if since[tp] is None else since[tp]):
                dropped["is older than its changelog keeps deletions"][tp.partition] = end - found[tp] - 1
        for cause, records in dropped.items():
            lost, name = sum(records.values()), checkpoint.changelog
            log.warning(f"state {cause}: it is made anew", changelog=name, partitions=len(records), records=lost)
        if back := dropped.get(_AHEAD):  # first, since nothing else says it once the store is gone
            loss = Loss(time.time(), checkpoint.changelog, f"state {_AHEAD}", sum(back.values()), REMEDY, sorted(back))
            note(self.app.losses, loss)
            checkpoint.went_back |= back.keys()
        for partition in sorted(partition for records in dropped.values() for partition in records):
            checkpoint.forget([partition])
            store._dbs.pop(partition).close()
            shutil.rmtree(store.partition_path(partition))


class _Fetched(dict[TP, list[Any]]):
    """Records by partition, and how many seeks had been made when they were taken."""

    def __init__(self, records: Mapping[TP, list[Any]], sought: int) -> None:
        super().__init__(records)
        self.sought = sought


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    sought = 0  # seeks so far

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pacing = Pacing()

    async def seek_to_committed(self) -> Any:
        return await self.call_thread(self._rewind, self.app.positions())

    async def _rewind(self, positions: Mapping[TP, int]) -> dict[TP, int]:
        """Have every input partition read from where it was committed, or from where its state ends."""
        consumer, changelogs = self._ensure_consumer(), self.app.tables.changelog_topics
        wanted = [tp for tp in consumer.assignment() if tp.topic not in changelogs]
        committed = {tp: await consumer.committed(tp) or 0 for tp in wanted}
        again: Counter[str] = Counter()
        for tp, offset in committed.items():
            position = min(offset, positions.get(tp, offset))
            if position < offset:
                again[tp.topic] += offset - position
                committed[tp] = position
            consumer.seek(tp, position)  # 0 is the earliest where retention has taken that away
        if again:
            log.warning("state ends before what was committed: what is missing is read once more", messages=dict(again))
        self.sought += 1  # in the same turn as the seeks, so that no fetch is counted on the wrong side
        return committed

    async def first_offsets_since(self, partitions: Iterable[TP], moment: float) -> dict[TP, int | None]:
        """The first record that was written at `moment` (Unix seconds) or later; None when there is none."""
        wanted = {tp: int(moment * 1000) for tp in partitions}
        found = await self.call_thread(self._ensure_consumer().offsets_for_times, wanted)
        return {tp: None if found[tp] is None else found[tp].offset for tp in wanted}

    async def _fetch_records(self, consumer: Any, active_partitions: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = set(active_partitions)
        records = await super()._fetch_records(consumer, wanted, *args, **kwargs) if wanted else {}
        self._pacing.fetched(consumer, something=bool(records))
        return _Fetched(records, self.sought)


class Run(ConsumerMessage):  # type: ignore[misc]  # Faust has no types
    """Consecutive records of a partition, given to the agent and acknowledged as one; `offset` is the last one's."""

    __slots__ = ("records",)

    records: list[Any]


class _Consumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types
    """Gives whole runs of a partition to the agents, and commits a run when it and all before it are acknowledged.

    Only what was fetched after the seek that ends a rebalance is given, so that each partition comes in order from
    there, and a run that the rebalance interrupted does not hold up the commits of those after it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._given: dict[TP, deque[Run]] = defaultdict(deque)  # what is not committed yet
        self._seeking = asyncio.Lock()
        self._sought: int | None = None  # the seek behind which runs are given; None while partitions are assigned

    async def first_offsets_since(self, partitions: Iterable[TP], moment: float) -> dict[TP, int | None]:
        """As the thread's."""
        return await self._thread.first_offsets_since(partitions, moment)  # type: ignore[no-any-return]  # Faust's

    async def perform_seek(self) -> None:
        async with self._seeking:
            await super().perform_seek()
            self._given.clear()
            self._acked_index.clear()
            self._sought = self._thread.sought

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._sought = None
        await super().on_partitions_revoked(revoked)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await asyncio.sleep(0)  # a fetch that has its records at hand never waits
                await self._drain_once()
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.transport.app.should_stop:
                raise

    async def _drain_once(self) -> None:
        fetched, active = await self._wait_next_records(_FETCH_SECONDS)
        if not fetched:
            return
        generation = self.app.consumer_generation_id
        # What came first goes first, as far as partitions allow: a stage meets fewer things in an order that surprises.
        for tp, records in sorted(fetched.items(), key=lambda item: item[1][0].timestamp):
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if tp.topic in self.app.tables.changelog_topics:
                messages = [self._to_message(tp, record) for record in records]
            else:
                messages = [_run(tp, records[at : at + _RUN], generation) for at in range(0, len(records), _RUN)]
            for message in messages:
                async with self._seeking:
                    if not self.flow_active or self.app.consumer_generation_id != generation:
                        return  # the rest comes again, after the seek that follows
                    if isinstance(message, Run):
                        if fetched.sought != self._sought:
                            break
                        self._given[tp].append(message)
                    await self.wait_first(self.callback(message), self.suspend_flow.wait())
                    self._read_offset[tp] = message.offset

    def _new_offset(self, tp: TP) -> int | None:
        """What can be committed: the offset after the last run of those in a row that are acknowledged."""
        given, offset = self._given[tp], None
        while given and given[0].acked:
            offset = given.popleft().offset
            self._acked_index[tp].discard(offset)
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
