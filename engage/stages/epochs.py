"""Since when flows run on each partition of people, and whether they sleep there: see `engage.worker`."""

from collections.abc import Callable

import msgspec
import orjson

from engage.flows.rules.settle import Rest
from schemas.times import unix_seconds
from streams.store import PartitionStore

_EPOCH = b"epoch"


class Epoch(msgspec.Struct, omit_defaults=True):
    """Since when flows run on a partition, and since when after they last slept (Unix seconds).

    It was a number alone when they never slept.
    """

    began: float
    awake: float = 0.0
    rest: Rest = Rest.NONE


def epoch_of(stored: bytes) -> Epoch:
    """As it was kept."""
    return Epoch(orjson.loads(stored)) if stored[:1].isdigit() else msgspec.json.decode(stored, type=Epoch)


class Epochs:
    """Of the partitions that are owned; `changed` is told of one whose record has changed."""

    def __init__(self, store: Callable[[int], PartitionStore], changed: Callable[[int], None]) -> None:
        self._store, self._changed = store, changed
        self._known: dict[int, Epoch] = {}

    def own(self, partition: int, now: float, woken: float | None, *, anew: bool) -> None:
        """Take up a partition that was asleep until `woken`; `anew`: all that was told before now is history."""
        stored = self._store(partition).get(_EPOCH)
        epoch = self._known[partition] = Epoch(0, rest=Rest.WAKING) if stored is None else epoch_of(stored)
        if stored is None or anew:
            epoch.began = int(now)  # no finer than what is told, so that this very moment is no history
        if epoch.rest is Rest.ASLEEP:
            epoch.awake, epoch.rest = int(now if woken is None else woken), Rest.WAKING
        if stored != msgspec.json.encode(epoch):
            self._keep(partition)

    def forget(self, partition: int) -> None:
        """It is another worker's now."""
        self._known.pop(partition, None)

    def waking(self, partition: int) -> bool:
        """Whether nobody may start a flow there yet."""
        return self._known[partition].rest is Rest.WAKING

    def go(self) -> list[int]:
        """Nothing wakes up any more; the partitions that did."""
        woken = [*filter(self.waking, self._known)]
        for partition in woken:
            self._known[partition].rest = Rest.NONE
            self._keep(partition)
        return woken

    def lie_down(self, partition: int) -> None:
        """What is told from now on is history to flows that will be live."""
        self._known[partition].rest = Rest.ASLEEP
        self._keep(partition)

    def asleep(self, partition: int) -> bool:
        """Whether it has lain down, and was not taken up anew since."""
        return self._known[partition].rest is Rest.ASLEEP

    def since(self, partition: int) -> float:
        """What was told before is history."""
        epoch = self._known[partition]
        return max(epoch.began, epoch.awake)

    def is_history(self, partition: int, at: str | None, *, asked: bool = False) -> bool:
        """Was this told before flows ran here? Nobody is to hear of it, once more or at all.

        What a person has `asked` for while flows slept is none.
        """
        since = self._known[partition].began if asked else self.since(partition)
        return at is not None and unix_seconds(at) < since

    def _keep(self, partition: int) -> None:
        self._store(partition).put(_EPOCH, msgspec.json.encode(self._known[partition]))
        self._changed(partition)
