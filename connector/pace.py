"""How fast one may ask Stripe: below the limit, slower after each refusal, faster again with success.

Source: Stripe, "Rate limits": about 100 requests a second live and 25 in test mode; 429 may carry `Retry-After`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

LIVE, TEST = 80.0, 20.0  # requests/s: a fifth below Stripe's limits, which other programs use up as well
_SLOWEST = 0.5
_BACK_OFF = 0.5  # of the rate that was refused
_RECOVER = 0.05  # of the limit, gained with each second of success
_SETTLE = 1.0  # seconds in which further refusals tell of the same overload
_BURST = 0.25  # seconds' worth of requests that may be asked at once after a pause
_LONGEST_PAUSE = 60.0


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
            self.rate = max(self.rate * _BACK_OFF, _SLOWEST)
            self._refused_at = now
        self._grown_at = now
        self._next = max(self._next, now + min(max(retry_after, 1 / self.rate), _LONGEST_PAUSE))

    def accepted(self, now: float) -> None:
        """An answer came: come back to the limit little by little."""
        if self.rate < self.limit:
            self.rate = min(self.rate + (now - self._grown_at) * _RECOVER * self.limit, self.limit)
        self._grown_at = now


class Turns:
    """A `Pace` that waits."""

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

    async def turn(self) -> None:
        """Return when one more request may be made."""
        if (seconds := self.pace.reserve(self._clock())) > 0:
            await self._sleep(seconds)

    def refused(self, retry_after: float = 0.0) -> None:
        """Stripe answered 429."""
        self.pace.refused(self._clock(), retry_after)

    def accepted(self) -> None:
        """Stripe answered."""
        self.pace.accepted(self._clock())
