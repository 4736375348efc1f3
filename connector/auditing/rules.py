"""What may be judged when, and which events are missing. Pure.

An event is missing only if whoever lost it says itself that it is done with it: the ledger by a later tally, or by its
commit while it lives; the sink by its commit. So nobody who is slow, stopped or begins anew makes one missing.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum

from connector.auditing.coverage import Coverage, Place, Span, Told

RECENT = 4  # looks

Offsets = Mapping[int, int]  # by partition of `stripe.events`


class Lost(StrEnum):
    """What an event is missing from."""

    LEDGER = "ledger"  # it is in Kafka, and was passed over
    EVENTS = "stripe_events"  # it is in Kafka, and not in ClickHouse
    METRICS = "metrics"  # a row that the ledger told, and ClickHouse has neither this version nor a newer one


@dataclass(frozen=True, slots=True)
class Event:
    """One message of `stripe.events`; `identity` as of `schemas.tally`."""

    identity: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """An event that is missing from `lost`; `since` (Unix seconds) it should have been there."""

    event: Event
    lost: Lost
    since: float


@dataclass(frozen=True, slots=True)
class Mark:
    """How far all were at `at` (Unix seconds): the ledger, the sink, and the `ends` of the topics that they write to
    (topic, partition), which were asked for after the others. `alive`: the ledger had a worker. `written`: how far the
    sink was on all topics.
    """

    at: float
    ledger: Offsets
    sink: Offsets
    ends: Mapping[tuple[str, int], int] = field(default_factory=dict)
    alive: bool = True
    written: Mapping[tuple[str, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """The marks of the last minutes, the oldest first."""

    marks: list[Mark] = field(default_factory=list)

    def add(self, mark: Mark) -> Mark | None:
        """The newest mark whose outputs are all written by now, dead letters of the sink's own too; None so far."""
        written = mark.written
        found = [one for one in self.marks if all(written.get(place, 0) >= end for place, end in one.ends.items())]
        self.marks.append(mark)
        return found[-1] if found else None

    def written_at(self, at: float) -> Mapping[tuple[str, int], int]:
        """How far the sink was by then; {} when nobody knows."""
        before = [one for one in self.marks if one.at <= at]
        return before[-1].written if before else {}

    def lived_since(self, at: float) -> Mark | None:
        """The newest mark from before `at`, if the ledger has lived ever since."""
        before = [number for number, one in enumerate(self.marks) if one.at <= at]
        if not before or not all(one.alive for one in self.marks[before[-1] :]):
            return None
        return self.marks[before[-1]]

    def forget(self, before: float) -> None:
        """Keep those since `before`, and a few from before it."""
        older = [one for one in self.marks if one.at <= before]
        self.marks = [*older[-RECENT:], *(one for one in self.marks if one.at > before)]


def due(coverage: Coverage, horizon: Mark, now: float, grace: float) -> list[Told]:
    """What is to be compared with ClickHouse now: after `grace` seconds, after twice as many, and so on.

    The sink has written all of it, and its dead letters, by its own account.
    """
    return [
        one
        for known in coverage.told.values()
        for one in known
        if one.at + grace * 2**one.looks <= now
        and one.at <= horizon.at
        and one.tally.next <= horizon.sink.get(one.tally.partition, 0)
    ]


def passed_over(coverage: Coverage, horizon: Mark, lived: Mark | None, now: float, grace: float) -> dict[Span, float]:
    """Spans that the ledger went past, and since when: between tallies, and behind the last one while it lives."""
    found = {span: at for span, at in coverage.holes.items() if at + grace <= now}
    if lived is not None:
        for partition, last in coverage.last().items():
            committed, end = lived.ledger.get(partition, 0), last.tally.next
            if committed > end and last.at + grace <= now:  # while it tells, it may be reading once more
                found |= dict.fromkeys(Span(partition, end, committed).pieces(), lived.at)
    return {span: at for span, at in found.items() if span.next <= horizon.sink.get(span.partition, 0)}


def joined(told: Iterable[Told]) -> dict[Span, tuple[int, int]]:
    """Neighbours as one span each, with how many events were taken in it and the sum of their ids."""
    found: dict[Span, tuple[int, int]] = {}
    last: Span | None = None
    for one in sorted(told, key=lambda one: (one.tally.partition, one.tally.first)):
        span, sums = one.span, (one.tally.taken, one.tally.ids)
        if last is not None and (last.partition, last.next) == (span.partition, span.first):
            before = found.pop(last)
            span, sums = (
                Span(last.partition, last.first, span.next),
                (before[0] + sums[0], (before[1] + sums[1]) % 2**64),
            )
        found[span], last = sums, span
    return found


def differs(one: Told, seen: tuple[int, int]) -> bool:
    """Whether its events have to be looked at one by one: ClickHouse has others than the ledger told of, and others
    than it had when they were looked at last. Duplicates make such a difference, and no event that is missing.
    """
    as_told = one.tally.whole and not one.tally.skipped and seen == (one.tally.taken, one.tally.ids)
    return not as_told and seen != one.seen


def missing(
    found: Mapping[Place, Event],
    passed: Set[Place],
    rows: Mapping[str, Set[Place]],
    letters: Set[Place],
    covers: Callable[[Place], bool],
) -> dict[Place, Lost]:
    """Which of the events that Kafka has are nowhere. `passed`: those of them that the ledger went past.

    `rows`: identity → where in Kafka the rows are from that ClickHouse has of it. `letters`: places of dead letters.
    An event that came, or was published, once more is accounted for by whichever of them was taken.
    """
    lost: dict[Place, Lost] = {}
    for place, event in found.items():
        elsewhere = rows.get(event.identity, frozenset())
        if place in letters:
            continue
        if place in passed:
            if not covers(place) and not any(covers(other) for other in elsewhere if other != place):
                lost[place] = Lost.LEDGER
        elif not elsewhere:
            lost[place] = Lost.EVENTS
    return lost
