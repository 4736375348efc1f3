"""How long a fetch waits at the broker: for company while messages flow, for the first one while none do.

A fetch that is answered for each message costs broker and reader more than the message does, and at a hundred a second
nothing else costs as much. While nothing comes, one that is answered with nothing is what costs.
"""

import time
from typing import Any

_FLOWING = 64 * 1024, 150  # bytes to wait for, and ms for which at most
_RESTING = 1, 1_500
_REST_SECONDS = 0.5  # without a message, until it is called rest


class Pacing:
    """Of one AIOKafkaConsumer, which is told by `fetched` after each fetch."""

    def __init__(self) -> None:
        self._last = 0.0

    def fetched(self, consumer: Any, *, something: bool) -> None:
        """Have the next fetches wait as befits; `something`: whether this one brought any message."""
        now = time.monotonic()
        if something:
            self._last = now
        fetcher = consumer._fetcher  # aiokafka reads these for each request, and has no other way to set them
        fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = (
            _FLOWING if now - self._last < _REST_SECONDS else _RESTING
        )
