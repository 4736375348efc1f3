"""A stage's account of a partition, kept in its state, so that what is told of it is true of what is durable.

1. add      every event that is taken counts in the open tally, which each checkpoint makes durable
2. close    after some seconds it is closed at a checkpoint, and another one begins
3. tell     the checkpoint after that one tells it: it was durable before, and stays the same whoever tells it
A crash between 2 and 3, or in the middle of 3, has it told by whoever has the partition then, word for word.
"""

import orjson

from schemas.tally import Tally, read_tally
from streams.store import TALLY, PartitionStore

_LARGE = 5_000  # events of a tally: as many can be read again at once


class Tallying:
    """Of one partition; a tally is open for `seconds`."""

    def __init__(self, partition: int, store: PartitionStore, seconds: float) -> None:
        self._partition = partition
        self._store = store
        self._seconds = seconds
        stored = store.get(TALLY)
        kept = orjson.loads(stored) if stored is not None else {}
        self._open, self._closed = (
            read_tally(orjson.dumps(kept[name])) if kept.get(name) else None for name in ("open", "closed")
        )
        self._since: float = kept.get("since", 0.0)

    @property
    def waits(self) -> bool:
        """Whether there is anything to tell, now or later."""
        return self._open is not None or self._closed is not None

    def add(self, offset: int, outcome: str, identity: str, now: float) -> None:
        """The event at `offset` was taken at `now` (Unix seconds)."""
        if self._open is None or offset < self._open.first:  # what is read once more is told once more
            self._open, self._since = Tally(self._partition, offset, offset), now
        if offset < self._open.next:  # after a crash: counted before, unless the log itself went back
            self._open.whole = False
        else:
            self._open.add(offset, outcome, identity)

    def drain(self, now: float) -> Tally | None:
        """Put all into the store for the checkpoint that is being made; what is to be told with it."""
        if not self.waits:
            return None
        told, self._closed = self._closed, None
        old = not 0 <= now - self._since < self._seconds  # also when a clock was set back
        if self._open is not None and (old or self._open.taken >= _LARGE):
            self._open, self._closed = None, self._open
        if self.waits:
            kept = {"open": _plain(self._open), "closed": _plain(self._closed), "since": self._since}
            self._store.put(TALLY, orjson.dumps(kept))
        else:
            self._store.delete(TALLY)
        return told


def _plain(tally: Tally | None) -> orjson.Fragment | None:
    return None if tally is None else orjson.Fragment(tally.as_json())
