"""Lanes: messages of one kind wait for their turn in one, so that a slow or dead receiver holds up nobody else.

Mail has a lane, every webhook's host has one, topics have one. A lane has a few workers; when nobody is reachable at
its end, the whole lane waits, longer each time, and what is in it keeps its place.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from engage import telemetry
from engage.senders.outcome import Again, Outcome, Sender, Unknown
from engage.stages.letters import Letter
from engage.stages.outbox import Outbox

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds
_IDLE = 60.0  # seconds after which an empty lane's workers go

Job = tuple[int, str, str]  # partition, person's key, message id


class Dispatcher:
    """All lanes. `durable` returns when all that was done so far is; `failed` is told of what must end the process."""

    def __init__(
        self,
        outbox: Outbox,
        senders: Mapping[type, Sender[Any]],
        durable: Callable[[], Awaitable[None]],
        failed: Callable[[Exception], None],
        width: int = 8,
    ) -> None:
        self._outbox = outbox
        self._senders = senders
        self._durable = durable
        self._failed = failed
        self._width = width
        self._lanes: dict[str, _Lane] = {}
        self._owned: set[int] = set()

    def own(self, partitions: set[int]) -> None:
        """Messages of these partitions are sent from now on."""
        self._owned |= partitions

    def forget(self, partitions: set[int]) -> None:
        """These partitions are another worker's now."""
        self._owned -= partitions

    def enqueue(self, lane: str, partition: int, key: str, message: str) -> None:
        """Have the message sent when its turn has come; one that waits already keeps its place."""
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = _Lane(lane, self._width, self._serve)
        found.put((partition, key, message))

    async def close(self) -> None:
        """Let what is being sent arrive, for a moment; the rest is in the outbox."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        for sender in self._senders.values():
            await sender.close()

    async def _send(self, letter: Letter) -> Outcome:
        try:
            return await self._senders[type(letter)].send(letter)
        except Exception as error:  # a sender's own mistake must not end in a message that is tried for ever
            log.error("a sender has failed", exc_info=error)
            return Unknown(f"the sender failed: {error!r}"[:300])

    async def _serve(self, job: Job) -> bool:
        """One message; whether somebody is there at the end of the lane."""
        partition, key, message = job
        try:
            if partition not in self._owned:
                return True
            made = await self._outbox.make(partition, key, message, time.time())
            if made is None:
                return True
            if partition not in self._owned:
                self._outbox.gone(key, message)
                return True
            letter = self._outbox.begin(partition, key, message, made, time.time())
            if letter is None:
                return True
            await self._durable()
            if partition not in self._owned or not self._outbox.begun(partition, key, message):
                self._outbox.gone(key, message)
                return True
            outcome = await self._send(letter)
            if partition not in self._owned:
                self._outbox.gone(key, message)
                return True
            self._outbox.finish(partition, key, message, letter, outcome, time.time())
        except Exception as error:
            self._failed(error)
            raise
        return not (isinstance(outcome, Again) and outcome.unreachable)


class _Lane:
    def __init__(self, name: str, width: int, serve: Callable[[Job], Awaitable[bool]]) -> None:
        self._name = name
        self._width = width
        self._serve = serve
        self._jobs: dict[Job, None] = {}  # in order, each once
        self._workers: set[asyncio.Task[None]] = set()
        self._some = asyncio.Event()
        self._pause = 0.0
        self._open_at = 0.0

    def put(self, job: Job) -> None:
        if job in self._jobs:
            return
        self._jobs[job] = None
        telemetry.QUEUED.labels(self._name).set(len(self._jobs))
        self._some.set()
        if len(self._workers) < min(self._width, len(self._jobs)):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def close(self) -> None:
        self._jobs.clear()
        self._open_at = float("inf")
        if self._workers:
            self._some.set()
            await asyncio.wait(self._workers, timeout=5.0)
            for worker in self._workers:
                worker.cancel()

    async def _work(self) -> None:
        while True:
            if not self._jobs:
                if self._open_at == float("inf"):
                    return
                self._some.clear()
                try:
                    async with asyncio.timeout(_IDLE):
                        await self._some.wait()
                except TimeoutError:
                    return
                continue
            if (wait := self._open_at - time.monotonic()) > 0:
                await asyncio.sleep(min(wait, _LONGEST_PAUSE))
                continue
            job = next(iter(self._jobs))
            del self._jobs[job]
            telemetry.QUEUED.labels(self._name).set(len(self._jobs))
            if await self._serve(job):
                self._pause = 0.0
            elif time.monotonic() >= self._open_at:  # of several that find nobody there, the first one counts
                self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
                self._open_at = time.monotonic() + self._pause
                log.warning("nobody is reachable: messages wait", lane=self._name, seconds=self._pause)
