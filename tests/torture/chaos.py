"""What is done to the parts, at random times; and how to end it."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.torture.stack import Stack

SESSION = 10.0  # seconds after which Kafka takes a silent worker's partitions away


class Chaos:
    """`done` counts what was done."""

    def __init__(self, stack: Stack, rng: random.Random) -> None:
        self._stack = stack
        self._rng = rng
        self.done: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Something every few seconds, for so long; whatever lasts longer is waited for."""
        actions: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (6, self._kill),
            (4, self._pause),
            (3, self._cut),
            (2, self._delay),
            (2, self._silence),
            (2, self._set_back),
            (1, self._kill_broker),
            (1, self._kill_engine),
            (1 if self._stack.small_disk else 0, self._fill),
        ]
        weights = [weight for weight, _ in actions]
        async with asyncio.timeout(seconds + 60), asyncio.TaskGroup() as going:
            end = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < end:
                ((_, action),) = self._rng.choices(actions, weights)
                self.done[action.__name__.strip("_").replace("_", " ")] += 1
                going.create_task(action())  # type: ignore[arg-type]  # each is a coroutine
                await asyncio.sleep(self._rng.uniform(1.0, 4.0))

    def _some_part(self, *roles: str) -> str:
        names = [name for name in self._stack.parts if name.partition("-")[0] in roles]
        return self._rng.choice(names)

    async def _kill(self) -> None:
        part = self._stack.parts[self._some_part("ingest", "process", "engage", "sink")]
        await part.kill(self._rng.uniform(0, 3))

    async def _pause(self) -> None:
        """Half of the pauses are longer than the group waits."""
        part = self._stack.parts[self._some_part("process", "engage", "sink", "process", "engage")]
        await part.pause(self._rng.uniform(0.5, 2 * SESSION))

    async def _cut(self) -> None:
        self._stack.proxy.cut(self._rng.uniform(0.2, 1.0))

    async def _delay(self) -> None:
        await self._stack.proxy.delay(self._rng.uniform(0.05, 0.5), self._rng.uniform(1, 5))

    async def _silence(self) -> None:
        await self._stack.proxy.silence(self._rng.uniform(0.1, 0.5), self._rng.uniform(2, 1.5 * SESSION))

    async def _set_back(self) -> None:
        await self._stack.parts[self._some_part("process", "engage")].set_back()

    async def _kill_broker(self) -> None:
        await self._stack.parts["kafka"].kill(self._rng.uniform(0, 2))

    async def _kill_engine(self) -> None:
        await self._stack.parts["clickhouse"].kill(self._rng.uniform(0, 2))

    async def _fill(self) -> None:
        """The disk of one worker is full for a while."""
        assert self._stack.small_disk is not None
        filler = self._stack.small_disk / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                while file.write(b"\0" * 65536) == 65536:
                    pass
        except OSError:
            pass  # full
        await asyncio.sleep(self._rng.uniform(1, 6))
        filler.unlink(missing_ok=True)
