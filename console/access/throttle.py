"""What guessing a token costs: a few attempts at once, then one every few seconds, by source and over all.

Nobody is locked out by what others do. A browser that has signed in before has attempts of its own, whatever its
address, and under a flood from many addresses each new one still has its first.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

AT_ONCE: Final = 5  # failures of one source
ANEW_SECONDS: Final = 12.0  # after which one is forgotten
ALL_AT_ONCE: Final = 100  # failures of all sources, beyond which each has one attempt only
ALL_ANEW_SECONDS: Final = 1.0
_SOURCES: Final = 10_000  # that are remembered


@dataclass(slots=True)
class _Bucket:
    """Failures that are not forgotten yet, as of `at`."""

    level: float
    at: float

    def leaked(self, now: float, seconds: float) -> "_Bucket":
        return _Bucket(max(0.0, self.level - (now - self.at) / seconds), now)


class Throttle:
    """One for a console; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()
        self._all = _Bucket(0.0, clock())

    def wait(self, source: str) -> float:
        """Seconds until the source may try again; 0 for now."""
        now = self._clock()
        self._all = self._all.leaked(now, ALL_ANEW_SECONDS)
        most = AT_ONCE if self._all.level < ALL_AT_ONCE else 1
        level = self._of(source, now).level
        return max(0.0, (level + 1 - most) * ANEW_SECONDS) if level > most - 1 else 0.0

    def failed(self, source: str) -> None:
        """One more that was wrong."""
        now = self._clock()
        bucket = self._of(source, now)
        bucket.level += 1
        self._sources[source] = bucket
        self._sources.move_to_end(source)
        while len(self._sources) > _SOURCES:
            self._sources.popitem(last=False)
        self._all = self._all.leaked(now, ALL_ANEW_SECONDS)
        self._all.level = min(self._all.level + 1, ALL_AT_ONCE + 30)  # so that a flood is over soon after its end

    def _of(self, source: str, now: float) -> _Bucket:
        return self._sources.get(source, _Bucket(0.0, now)).leaked(now, ANEW_SECONDS)
