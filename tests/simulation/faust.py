"""Faust's part, in its order: join, take over, recover, seek, give runs to agents, commit; revoke before each join.

Real are what `streams.consuming` puts in the place of Faust's own: taking over, dropping what is ahead, where reading
begins, which runs are given and what may be committed. The rest follows faust/app/base.py, tables/recovery.py and
transport/consumer.py of 0.15.3; tests/conformance holds both to the same promises.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import IllegalGenerationError, KafkaError, UnknownMemberIdError
from faust.types import TP

from streams import consuming
from tests.simulation.disk import Disks, Table
from tests.simulation.groups import Member
from tests.simulation.kafka import Kafka, Record

_COMMIT = 0.5
_FETCHED = 60  # records of a partition in one fetch at most


class _Signal:
    def __init__(self) -> None:
        self._receivers: list[Callable[..., Awaitable[None]]] = []

    def connect(self, receiver: Callable[..., Awaitable[None]], weak: bool = True) -> None:
        self._receivers.append(receiver)

    async def send(self, *args: Any) -> None:
        for receiver in self._receivers:
            await receiver(self, *args)


class _Event:
    def __init__(self, run: Any, consumer: "_Consumer") -> None:
        self.message = run
        self._consumer = consumer

    def ack(self) -> None:
        if not self.message.acked:
            self.message.acked = True
            self._consumer._unacked_messages.discard(self.message)
            self._consumer.acknowledged.set()


class _Stream:
    """What an agent reads: a queue that is emptied when partitions are revoked."""

    def __init__(self, consumer: "_Consumer") -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(32)
        self._consumer = consumer

    def noack(self) -> "_Stream":
        return self

    def events(self) -> "_Stream":
        return self

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> _Event:
        while True:
            run = await self.queue.get()
            if run.generation_id == self._consumer.app.consumer_generation_id:
                self._consumer._unacked_messages.add(run)
                return _Event(run, self._consumer)


class _Tables(consuming._Tables):
    """Only `on_rebalance` and what it calls are the product's; recovery is the app's below."""

    def __init__(self, app: "App") -> None:
        self.app = app
        self.data = {}
        self._changelogs = {}
        self._recovery_started = asyncio.Event()
        self._recovery = SimpleNamespace(on_rebalance=app.recover)

    async def _update_channels(self) -> None: ...

    @property
    def recovery(self) -> Any:
        return self._recovery


class _Thread(consuming._Thread):
    """The product's `_rewind`, for the simulated consumer."""

    def __init__(self, consumer: "_Consumer") -> None:
        self.consumer, self.app = consumer, consumer.app

    def _ensure_consumer(self) -> Any:
        return self.consumer


class _Consumer(consuming._Consumer):
    """The product's `_drain_once`, `perform_seek` and `_new_offset`, with Faust's and aiokafka's ways below."""

    def __init__(self, app: "App") -> None:
        self.app = app
        self.flow_active = False
        self.suspend_flow, self.can_resume_flow, self.acknowledged = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.position: dict[TP, int] = {}
        self.active: set[TP] = set()  # what is not paused; always the same set, as Faust's
        self._unacked_messages: set[Any] = set()
        self._given = defaultdict(deque)
        self._acked, self._acked_index = defaultdict(list), defaultdict(set)
        self._read_offset, self._committed_offset = {}, {}
        self._buffered_partitions: set[TP] = set()
        self._seeking = asyncio.Lock()
        self._sought = None
        self._thread = _Thread(self)
        self.callback = app.give

    def assignment(self) -> set[TP]:
        return {TP(topic, number) for topic in self.app.topics for number in self.app.owned}

    async def committed(self, tp: TP) -> int | None:
        return await self.app.member.insist(lambda: self.app.member.group.committed.get(tp))

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return await self.app.member.insist(self.app.kafka.ends, tps)

    def highwater(self, tp: TP) -> int:
        return self.app.kafka.log(tp).end

    async def first_offsets_since(self, partitions: Iterable[TP], moment: float) -> dict[TP, int]:
        return dict.fromkeys(partitions, 0)  # no history here is a day long

    def seek(self, tp: TP, offset: int) -> None:
        self.position[tp] = offset

    async def seek_to_committed(self) -> Mapping[TP, int]:
        return await self._thread._rewind(self.app.positions())

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Collection[TP]]:  # noqa: ASYNC109 (Faust's)
        if not self.flow_active:
            await self.can_resume_flow.wait()
        wanted = {tp: self.position[tp] for tp in sorted(self.active) if tp in self.position}
        if not wanted:
            await asyncio.sleep(0.2)
            return {}, self.active
        sought = self._thread.sought
        try:
            found = await self.app.kafka.ask(self.app.kafka.fetch, wanted, self.app.kafka.rng.randint(1, _FETCHED))
        except KafkaError:
            return {}, self.active
        if self.app.reassigning or sought != self._thread.sought:
            return {}, self.active
        for tp, records in found.items():
            self.position[tp] = records[-1].offset + 1
        return consuming._Fetched(found, sought), self.active

    async def wait_first(self, *work: Awaitable[Any]) -> None:
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def flow(self, active: bool) -> None:
        self.flow_active = active
        if active:
            self.can_resume_flow.set()
            self.suspend_flow.clear()
        else:
            self.can_resume_flow.clear()
            self.suspend_flow.set()

    async def commit(self) -> None:
        offsets = {tp: offset for tp in list(self._given) if (offset := self._new_offset(tp)) is not None}
        if offsets:
            with suppress(IllegalGenerationError, UnknownMemberIdError):  # "already rebalanced": they come again
                await self.app.member.commit(offsets)

    async def wait_empty(self) -> None:
        while self._unacked_messages and self.app.conf.stream_wait_empty:
            await self.commit()
            if not self._unacked_messages:
                break
            self.acknowledged.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.acknowledged.wait()
        await self.commit()


class App:
    """A Faust app as `streams.worker` sees it."""

    positions = consuming.App.positions

    def __init__(self, kafka: Kafka, disks: Disks, name: str, member: str) -> None:
        self.kafka, self.name, self.member = kafka, name, Member(kafka, name, member)
        self._disks = disks
        self.checkpoints: dict[str, Any] = {}
        self.losses = Path("/nowhere")
        self.conf = SimpleNamespace(stream_wait_empty=True, tabledir="/nowhere")
        self.on_partitions_revoked, self.on_rebalance_complete = _Signal(), _Signal()
        self.monitor = SimpleNamespace(track_tp_end_offset=lambda *_: None)
        self.assignor = SimpleNamespace(assigned_actives=self._changelogs)
        self.consumer_generation_id = 0
        self.topics: set[str] = set()
        self.owned: set[int] = set()
        self.reassigning, self.assigned = True, False
        self.consumer = _Consumer(self)
        self.tables = _Tables(self)
        self._crashed = asyncio.Event()
        self._crash_reason: Exception | None = None
        self._streams: dict[str, _Stream] = {}
        self._agents: list[tuple[Any, _Stream]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._recovering: asyncio.Task[None] | None = None

    @property
    def crashed(self) -> bool:
        return self._crashed.is_set()

    # --- what is declared

    def Table(self, name: str, **_: Any) -> Table:  # noqa: N802 (Faust's)
        changelog = f"{self.name}-{name}-changelog"
        table = self.tables._changelogs[changelog] = Table(changelog, self._disks)
        return table

    def topic(self, *names: str, **_: Any) -> Iterable[str]:
        return names

    def agent(self, topics: Iterable[str], name: str) -> Callable[[Any], None]:
        stream = _Stream(self.consumer)
        self._streams |= dict.fromkeys(topics, stream)
        self.topics |= set(topics)
        return lambda function: self._agents.append((function, stream))

    # --- its life

    async def start(self) -> None:
        work = [
            self.member.live(self._assign, self._revoke),
            self._fetch(),
            self._commit(),
            *(agent(stream) for agent, stream in self._agents),
        ]
        self._tasks = [asyncio.create_task(self._guard(each)) for each in work]

    async def stop(self) -> None:
        self.consumer.flow(False)
        await self.consumer.wait_empty()
        for task in [*self._tasks, *([self._recovering] if self._recovering else [])]:
            task.cancel()
        await self.member.leave()

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._crash_reason = self._crash_reason or error
            self._crashed.set()

    async def _assign(self, shares: list[int]) -> None:
        self.owned, self.reassigning = set(shares), False
        self.consumer_generation_id = self.member.generation
        self.consumer.active.clear()
        await self.tables.on_rebalance(set(), set(), set(), self.member.generation)

    async def _revoke(self) -> None:
        gone, self.reassigning = self.consumer.assignment(), True
        self.consumer.active.clear()
        self.consumer._sought = None
        self.consumer.flow(False)
        for stream in self._streams.values():
            while not stream.queue.empty():
                stream.queue.get_nowait()
        await self.consumer.wait_empty()
        await self.on_partitions_revoked.send(gone)

    async def _fetch(self) -> None:
        while True:
            await asyncio.sleep(0)
            await self.consumer._drain_once()

    async def give(self, run: Any) -> None:
        await self._streams[run.topic].queue.put(run)

    async def _commit(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT)
            await self.consumer.commit()

    # --- tables

    def _changelogs(self) -> set[TP]:
        return {TP(name, number) for name in self.tables._changelogs for number in self.owned}

    async def recover(self, *_: Any) -> None:
        """Read what is missing of the changelogs, while heartbeats go on; then resume.

        As Faust does, also after the partitions were revoked, until others are assigned.
        """
        if self._recovering is not None:
            self._recovering.cancel()
        self._recovering = asyncio.create_task(self._guard(self._recover(self.consumer_generation_id)))

    async def _recover(self, generation: int) -> None:
        for tp in sorted(self._changelogs()):
            disk = self._disks[tp.topic, tp.partition]
            end = (await self.member.insist(self.kafka.ends, [tp]))[tp]
            while (at := -1 if disk.persisted is None else disk.persisted) < end - 1:
                found: dict[TP, list[Record]] = await self.member.insist(self.kafka.fetch, {tp: at + 1}, 100)
                records = found[tp]
                disk.write({record.key: record.value for record in records if record.key is not None})
                disk.persist(records[-1].offset)
        await self.on_rebalance_complete.send()
        if generation != self.consumer_generation_id:
            return
        self.consumer.active.update(self.consumer.assignment())
        await self.consumer.perform_seek()
        self.consumer.flow(True)
