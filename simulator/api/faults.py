"""What may go wrong with the simulated API: plain values that a test sets on the running server.

Source: Stripe, "Rate limits", "Advanced error handling".
"""

from dataclasses import dataclass, field
from typing import Literal

LIVE_RATE, TEST_RATE = 100.0, 25.0  # requests a second that Stripe takes

What = Literal["error", "too_many", "hang", "reset", "repeat_page", "cursor_gone", "revoked"]


@dataclass
class Fault:
    """One thing that happens to requests whose path begins with `path`: `after` so many good ones, `times` times.

    `error`: 500. `too_many`: 429, with `Retry-After` when `retry_after` (seconds) is given. `hang`: no answer ever.
    `reset`: the connection breaks. `repeat_page`: the page before is sent again. `cursor_gone`: the object of
    `starting_after` or `ending_before` is no more (only requests with a cursor count). `revoked`: the key is revoked
    from this request on. `times` None is for ever.
    """

    what: What
    path: str = "/v1/"
    after: int = 0
    times: int | None = 1
    retry_after: int | None = None


@dataclass
class ApiFaults:
    """Of the API. `live_rate` and `test_rate` limit the requests a second (None: no limit) by a token bucket of one
    second; `retry_after` is what its 429 answers say (None: they don't). `down`: every request is answered 503.
    `flaky`: this share of requests is answered 500. `latency_seconds` is waited before each answer.
    `clock_skew_seconds`: how far Stripe's clock is ahead of ours, in `Date` and in signatures. `planned`: in order.
    """

    live_rate: float | None = None
    test_rate: float | None = None
    retry_after: int | None = None
    down: bool = False
    flaky: float = 0.0
    latency_seconds: float = 0.0
    clock_skew_seconds: float = 0.0
    planned: list[Fault] = field(default_factory=list)

    def strikes(self, path: str, *, cursor: bool) -> Fault | None:
        """The planned fault that this request meets, if any. Counts the request."""
        for fault in self.planned:
            if not path.startswith(fault.path) or (fault.what == "cursor_gone" and not cursor):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if fault.times is None:
                return fault
            if fault.times > 0:
                fault.times -= 1
                return fault
        return None


class Bucket:
    """A token bucket that holds a second's worth of requests and starts full."""

    def __init__(self) -> None:
        self._tokens, self._at = -1.0, 0.0

    def take(self, rate: float, now: float) -> bool:
        """Whether a request at `now` (seconds of any steady clock) is within `rate` requests a second."""
        full = max(1.0, rate)
        if self._tokens < 0:
            self._tokens, self._at = full, now
        self._tokens = min(full, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
