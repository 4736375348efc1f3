"""What is kept of a person: the runs that are under way, the messages that are on their way, and what was.

One record a person, written whole: a run that goes on and the message that it leaves behind are durable together or
not at all. Everything else (timers, queues) is made from these records.
"""

from enum import StrEnum
from typing import Any

import msgspec

Row = dict[str, Any]

_REMEMBERED = 200  # values of a re-entry rule, and ended runs, that are kept a flow


class State(StrEnum):
    """Where a message is. `held` waits for a person to release it; what has ended is not kept here."""

    WAITING = "waiting"
    SENDING = "sending"
    HELD = "held"


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """One person on the way through one flow, because of one fact.

    `at` is the id of the step that it waits at, '' before the first; `wake` is when that wait is over, None when it
    does not wait. `acted`: some step was done. `value` is what the re-entry rule remembers. `event` is what started it
    when that is no metric row (a segment, a date) or one that is not kept.
    """

    flow: str
    fact: str
    began: float
    at: str = ""
    wake: float | None = None
    acted: bool = False
    value: str = ""
    event: Row | None = None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message in the outbox. `due` is when it may be tried (again), `attempts` how often it was.

    `value` is its run's.
    """

    id: str
    flow: str
    step: str
    fact: str
    channel: str
    since: float
    state: State = State.WAITING
    attempts: int = 0
    due: float = 0
    event: Row | None = None
    value: str = ""


class Aside(msgspec.Struct, omit_defaults=True):
    """What came of a fact that does not stand just now, or whose row is still to come here: it goes on with the row.

    `released`: the fact may act, and has not.
    """

    runs: dict[str, Run] = msgspec.field(default_factory=dict)
    outbox: dict[str, Entry] = msgspec.field(default_factory=dict)
    released: bool = False

    def __bool__(self) -> bool:
        return bool(self.runs or self.outbox or self.released)

    def flows(self) -> list[str]:
        """Those that it is about."""
        return [*dict.fromkeys([run.flow for run in self.runs.values()] + [each.flow for each in self.outbox.values()])]


class Person(msgspec.Struct, omit_defaults=True):
    """The record. Keys of `runs` and `outbox` are theirs; `entered`: flow → value of the re-entry rule → when.

    `aside`: by fact. `handed`: what others have handed over, so that it is taken once. `later`: messages that may start
    flows, and wait for the past to be read.
    """

    runs: dict[str, Run] = msgspec.field(default_factory=dict)
    outbox: dict[str, Entry] = msgspec.field(default_factory=dict)
    entered: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    properties: dict[str, Any] = msgspec.field(default_factory=dict)
    segments: list[str] = msgspec.field(default_factory=list)
    mailed: float = 0.0
    suppressed: str = ""
    aside: dict[str, Aside] = msgspec.field(default_factory=dict)
    handed: list[str] = msgspec.field(default_factory=list)
    later: list[Row] = msgspec.field(default_factory=list)

    def remember(self, flow: str, value: str, now: float) -> None:
        """This person started `flow` for `value` (a property's value, or the fact's id) now."""
        known = self.entered.setdefault(flow, {})
        known.pop(value, None)
        known[value] = now
        while len(known) > _REMEMBERED:
            del known[next(iter(known))]

    def forget(self, flow: str, value: str) -> None:
        """Nothing was done: what started `flow` does not stand, and may start it again."""
        self.entered.get(flow, {}).pop(value, None)

    def set_aside(self, fact: str) -> Aside:
        """What came of the fact and waits for its row."""
        return self.aside.setdefault(fact, Aside())

    def take_in(self, name: str) -> bool:
        """Whether what is handed over under this name is news."""
        if name in self.handed:
            return False
        self.handed = [*self.handed, name][-_REMEMBERED:]
        return True

    @property
    def busy(self) -> bool:
        """Something is under way."""
        return bool(self.runs or self.outbox)


_decoder = msgspec.json.Decoder(Person)
_encoder = msgspec.json.Encoder()


def load(stored: bytes) -> Person:
    """A record as it was kept."""
    return _decoder.decode(stored)


def dump(person: Person) -> bytes:
    """A record as it is kept."""
    return _encoder.encode(person)


def run_key(flow: str, fact: str) -> str:
    """The key of a run."""
    return f"{flow}|{fact}"
