"""What is due when: a heap in memory, made anew from the records of a partition whenever it is assigned.

A timer is only a hint to look at a record: what has become of it meanwhile is up to the record.
"""

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable

_LONGEST_SLEEP = 60.0  # seconds: the clock on the wall may be set meanwhile
_SLICE = 200  # timers fired before others get their turn


class Timers:
    """Calls `fire(partition, key, now)` when the time has come."""

    def __init__(self, fire: Callable[[int, bytes, float], None], clock: Callable[[], float] = time.time) -> None:
        self._fire = fire
        self._clock = clock
        self._heap: list[tuple[float, int, bytes]] = []
        self._owned: set[int] = set()
        self._earlier = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def own(self, partitions: Iterable[int]) -> None:
        """Timers of these partitions are fired from now on."""
        self._owned.update(partitions)

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are another worker's now."""
        gone = set(partitions)
        self._owned -= gone
        self._heap = [timer for timer in self._heap if timer[1] not in gone]
        heapq.heapify(self._heap)

    def push(self, due: float, partition: int, key: bytes) -> None:
        """Look at `key` at `due` (Unix seconds)."""
        heapq.heappush(self._heap, (due, partition, key))
        if self._heap[0][0] == due:
            self._earlier.set()

    async def run(self) -> None:
        """Fire what is due, for ever."""
        while True:
            self._earlier.clear()
            wait = min(self._heap[0][0] - self._clock(), _LONGEST_SLEEP) if self._heap else _LONGEST_SLEEP
            if wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._earlier.wait()
                except TimeoutError:
                    pass
            else:
                self.fire_due()
                await asyncio.sleep(0)

    def fire_due(self) -> int:
        """Fire at most a slice of what is due now; how many."""
        now, fired = self._clock(), 0
        while self._heap and self._heap[0][0] <= now and fired < _SLICE:
            _, partition, key = heapq.heappop(self._heap)
            if partition in self._owned:
                self._fire(partition, key, now)
            fired += 1
        return fired
