"""What is asked, by whom, and what is known already. Pure.

Many messages may ask the same: one question, answered once, and all of them are done with it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

Place = tuple[int, int]  # partition and offset of a message that asks
Key = tuple[str, bool, str, str]  # account, livemode, object, id


@dataclass(slots=True)
class Question:
    """One thing to ask Stripe, whose answer must hold at `at` or later (Unix seconds).

    `webhook_at`: as in `Lookup`. `places` are the messages that wait for it; `kept` when a record of it is parked;
    `begun` is what `at` was when Stripe was asked, and `told_at` what `webhook_at` was when the answer was written.
    """

    account: str
    livemode: bool
    object: str
    id: str
    reason: str
    at: float = 0.0
    asked_at: float = 0.0
    attempts: int = 0
    webhook_at: str = ""
    begun: float = 0.0
    told_at: str = ""
    kept: bool = False
    places: list[Place] = field(default_factory=list)

    def answered(self, fetched_at: float) -> bool:
        """Does an answer of then, as it was told, do for all who wait by now?"""
        return fetched_at >= self.at and bool(self.told_at or not self.webhook_at)

    @property
    def key(self) -> Key:
        """What makes two questions the same."""
        return self.account, self.livemode, self.object, self.id


class Memory:
    """What was answered and when, the latest `size` of it: asking again soon is free.

    What a webhook asks has to be told as that webhook's, so that flows act: another's answer does not do.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._answered: OrderedDict[Key, tuple[float, float]] = OrderedDict()  # for anybody, for a webhook

    def knows(self, key: Key, at: float, *, webhook: bool = False) -> bool:
        """Was there an answer that was true at `at` or later?"""
        answered = self._answered.get(key)
        return answered is not None and answered[webhook] >= at

    def learn(self, key: Key, fetched_at: float, *, webhook: bool = False) -> None:
        """Remember an answer, also that there is no such object."""
        anybodys, webhooks = self._answered.pop(key, (-1.0, -1.0))
        self._answered[key] = max(fetched_at, anybodys), max(fetched_at, webhooks) if webhook else webhooks
        while len(self._answered) > self._size:
            self._answered.popitem(last=False)


class Offsets:
    """Which messages are done, out of order, and up to where a partition may be committed."""

    def __init__(self) -> None:
        self._open: dict[int, dict[int, None]] = {}  # partition -> offsets that are not done, ascending
        self._next: dict[int, int] = {}

    @property
    def waiting(self) -> int:
        """How many messages are not done."""
        return sum(map(len, self._open.values()))

    def took(self, place: Place) -> None:
        """A message was read; each partition's come in order."""
        partition, offset = place
        self._open.setdefault(partition, {})[offset] = None
        self._next[partition] = offset + 1

    def done(self, place: Place) -> None:
        """A message needs nothing more. One of a partition that was forgotten is ignored."""
        partition, offset = place
        self._open.get(partition, {}).pop(offset, None)

    def committable(self) -> dict[int, int]:
        """Partition to the offset from which on a new reader would have to read."""
        return {partition: next(iter(self._open[partition]), following) for partition, following in self._next.items()}

    def forget(self, partitions: set[int]) -> None:
        """These partitions are another reader's now."""
        for partition in partitions:
            self._open.pop(partition, None)
            self._next.pop(partition, None)
