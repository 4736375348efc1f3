"""How fast one may ask Stripe: below the limit, slower after each refusal, faster again with success.

The connector has one pace an account: look-ups, sweeps, comparisons and imports wait for it in this order. Commands and
the console, which are processes of their own, have another of `BESIDE` of it: both together reach Stripe's limit.
Source: Stripe, "Rate limits": about 100 requests a second live and 25 in test mode; 429 may carry `Retry-After`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count

LIVE, TEST = 80.0, 20.0  # requests/s: a fifth below Stripe's limits, which other programs use up as well
BESIDE = 0.25
_SLOWEST = 0.5
_BACK_OFF = 0.5  # of the rate that was refused
_RECOVER = 0.05  # of the limit, gained with each second of success
_SETTLE = 1.0  # seconds in which further refusals tell of the same overload
_BURST = 0.25  # seconds' worth of requests that may be asked at once after a pause
_LONGEST_PAUSE = 60.0


class Priority(IntEnum):
    """Who goes first when several wait."""

    LOOKUP = 0  # a row waits for the answer
    SWEEP = 1
    COMPARISON = 2
    IMPORT = 3


class Pace:
    """Additive increase, multiplicative decrease. No clock in here: every call is told the time in seconds."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.rate = limit
        self._next = 0.0
        self._refused_at = float("-inf")
        self._grown_at = 0.0

    def reserve(self, now: float) -> float:
        """Take the next turn; the seconds to wait for it."""
        turn = max(self._next, now - _BURST)
        self._next = turn + 1 / self.rate
        return max(turn - now, 0.0)

    def refused(self, now: float, retry_after: float = 0.0) -> None:
        """Stripe answered 429: ask more slowly, and nothing at all for as long as Stripe says."""
        if now - self._refused_at >= _SETTLE:
            self.rate = min(max(self.rate * _BACK_OFF, _SLOWEST), self.limit)
            self._refused_at = now
        self._grown_at = now
        self._next = max(self._next, now + min(max(retry_after, 1 / self.rate), _LONGEST_PAUSE))

    def accepted(self, now: float) -> None:
        """An answer came: come back to the limit little by little."""
        if self.rate < self.limit:
            self.rate = min(self.rate + (now - self._grown_at) * _RECOVER * self.limit, self.limit)
        self._grown_at = now


class Turns:
    """A `Pace` that waits: of those that wait, the first is who has the highest priority, then who came first."""

    def __init__(
        self,
        pace: Pace,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.pace = pace
        self._clock = clock
        self._sleep = sleep
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._giving: asyncio.Task[None] | None = None

    async def turn(self, priority: Priority = Priority.LOOKUP) -> None:
        """Return when one more request may be made."""
        mine = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (priority, next(self._numbers), mine))
        if self._giving is None or self._giving.done():
            self._giving = asyncio.create_task(self._give())
        await mine

    async def _give(self) -> None:
        """A turn after the other: to whom is decided when it has come, so that nobody's is taken far ahead."""
        while self._drop_who_gave_up():
            if (seconds := self.pace.reserve(self._clock())) > 0:
                await self._sleep(seconds)
            if self._drop_who_gave_up():
                heappop(self._waiting)[-1].set_result(None)

    def _drop_who_gave_up(self) -> bool:
        """Whether somebody still waits."""
        while self._waiting and self._waiting[0][-1].done():
            heappop(self._waiting)
        return bool(self._waiting)

    def refused(self, retry_after: float = 0.0) -> None:
        """Stripe answered 429."""
        self.pace.refused(self._clock(), retry_after)

    def accepted(self) -> None:
        """Stripe answered."""
        self.pace.accepted(self._clock())
