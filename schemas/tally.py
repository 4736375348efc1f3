"""What a stage tells of the events that it has taken, partition by partition: conservation by id. Pure.

A tally is told only when the state that holds what it counts is durable, and word for word the same if it is told
again. Whoever adds tallies up knows which offsets a stage never took, and by `ids` whether it took what is there.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

_IDS = 2**64

#: What brings back an event that is missing: it is published once more, and folding it twice changes nothing.
REMEDY = "tillstream replay --missing"


@dataclass(slots=True)
class Tally:
    """The offsets from `first` until before `next` of a partition of `stripe.events`, but those that were `skipped`.

    `counts`: what became of them → how many. `ids`: the sum of the digests of their ids, so that order is no matter.
    `whole`: both are of just these; some of them were read more than once otherwise.
    """

    partition: int
    first: int
    next: int
    counts: dict[str, int] = field(default_factory=dict)
    skipped: list[tuple[int, int]] = field(default_factory=list)  # (first, next) of each gap
    ids: int = 0
    whole: bool = True

    @property
    def taken(self) -> int:
        """How many events."""
        return sum(self.counts.values())

    def add(self, offset: int, outcome: str, identity: str) -> None:
        """Take in the event at `offset`, which is not below `next`."""
        if offset > self.next:
            self.skipped.append((self.next, offset))
        self.next = offset + 1
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        self.ids = (self.ids + digest(identity)) % _IDS

    def as_json(self) -> bytes:
        """The message on `tallies`."""
        told = {
            "partition": self.partition,
            "first": self.first,
            "next": self.next,
            "counts": self.counts,
            "skipped": self.skipped,
            "whole": self.whole,
            "ids": f"{self.ids:016x}",  # JSON's numbers end at 2⁵³ in many a reader
        }
        return orjson.dumps(told)


def read_tally(value: bytes) -> Tally:
    """A tally from its message. Raises ValueError, KeyError or TypeError for what is none."""
    told = orjson.loads(value)
    return Tally(**told | {"ids": int(told["ids"], 16), "skipped": [(first, end) for first, end in told["skipped"]]})


def identity(envelope: Any) -> str:
    """What an event is known by everywhere: its account and its id. '|' for a message that is no envelope."""
    account, event_id = (envelope.get("account"), envelope.get("event_id")) if isinstance(envelope, dict) else ("", "")
    return f"{account if isinstance(account, str) else ''}|{event_id if isinstance(event_id, str) else ''}"


def digest(text: str) -> int:
    """64 bits of a text, as ClickHouse's `halfMD5` has them."""
    raw = hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return int.from_bytes(raw[:8], "big")


def total(identities: Iterable[str]) -> int:
    """`Tally.ids` of these."""
    return sum(map(digest, identities)) % _IDS
