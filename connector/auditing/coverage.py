"""Which offsets the ledger has told of, from its tallies, in whatever order and however often they come. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from schemas.tally import Tally

_PIECE = 5_000  # offsets

Place = tuple[int, int]  # partition and offset, of `stripe.events`


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets from `first` until before `next` of a partition."""

    partition: int
    first: int
    next: int

    def places(self) -> Iterator[Place]:
        """Each of them."""
        return ((self.partition, offset) for offset in range(self.first, self.next))

    def __len__(self) -> int:
        return max(self.next - self.first, 0)

    def pieces(self) -> Iterator["Span"]:
        """The same in spans that can be read at once."""
        for first in range(self.first, self.next, _PIECE):
            yield Span(self.partition, first, min(first + _PIECE, self.next))

    def within(self, other: "Span") -> "Span":
        """What of it is in `other`, of the same partition; it may be empty."""
        return Span(self.partition, max(self.first, other.first), min(self.next, other.next))

    def holds(self, other: "Span") -> bool:
        """Whether all of `other` is in it."""
        return self.partition == other.partition and self.first <= other.first and other.next <= self.next


@dataclass(slots=True)
class Told:
    """A tally, and when it was told (Unix seconds).

    `doubted`: its ids are not those that Kafka has.
    `seen`: what ClickHouse had of it (events, sum of ids) when each of its events was found accounted for. `looks`: how
    often it was looked at.
    """

    tally: Tally
    at: float
    doubted: bool = False
    seen: tuple[int, int] | None = None
    looks: int = 0

    @property
    def span(self) -> Span:
        """Its offsets."""
        return Span(self.tally.partition, self.tally.first, self.tally.next)

    def skips(self, place: Place) -> bool:
        """Whether the ledger says of itself that it went past it."""
        return any(first <= place[1] < end for first, end in self.tally.skipped)


@dataclass(slots=True)
class Coverage:
    """What was told, by partition and in order; `holes` are what was passed over, and since when that is known."""

    told: dict[int, list[Told]] = field(default_factory=dict)
    holes: dict[Span, float] = field(default_factory=dict)

    def add(self, tally: Tally, at: float) -> None:
        """Take in a tally that was told at `at`.

        What is told of once more, since state went back and events were read again, takes the place of what was known.
        One that is older than all that is looked at says nothing.
        """
        known = self.told.setdefault(tally.partition, [])
        if any(one.tally == tally for one in known):
            return  # by who took the partition over, or by who lost it
        if known and tally.next <= known[0].tally.first:
            return
        while known and known[-1].tally.next > tally.first:
            last = known.pop()
            if last.tally.first < tally.first:
                known.append(replace(last, tally=_cut(last.tally, tally.first), seen=None))
        read_again = [span for span in self.holes if span.partition == tally.partition and span.next > tally.first]
        for span in read_again:
            del self.holes[span]
        if known and known[-1].tally.next < tally.first:
            self._miss(Span(tally.partition, known[-1].tally.next, tally.first), at)
        for first, end in tally.skipped:
            self._miss(Span(tally.partition, first, end), at)
        known.append(Told(tally, at))

    def _miss(self, span: Span, at: float) -> None:
        self.holes |= dict.fromkeys(span.pieces(), at)

    def covers(self, place: Place, committed: Mapping[int, int]) -> bool:
        """Whether the ledger took the event there. What is older than all that is known was looked at in its time;
        where nothing is known, what the ledger has `committed` counts.
        """
        partition, offset = place
        known = self.told.get(partition)
        if not known:
            return offset < committed.get(partition, 0)
        if offset < known[0].tally.first:
            return True
        for one in known:
            if one.tally.first <= offset < one.tally.next:
                return not one.doubted and not one.skips(place)
        return False

    def last(self) -> dict[int, Told]:
        """By partition, the last that was told."""
        return {partition: known[-1] for partition, known in self.told.items() if known}

    def settle(self, holes: Iterable[Span]) -> None:
        """These have been looked at: whichever of their events are nowhere have been named."""
        for span in holes:
            self.holes.pop(span, None)

    def forget(self, before: float) -> None:
        """What was told before then is not looked at again; the last of a partition is where the next one begins."""
        for partition, known in self.told.items():
            self.told[partition] = [one for one in known if one.at >= before] or known[-1:]


def _cut(tally: Tally, end: int) -> Tally:
    """The part of it before `end`; what of its counts belongs to that is not known."""
    skipped = [(first, min(after, end)) for first, after in tally.skipped if first < end]
    return Tally(tally.partition, tally.first, end, dict(tally.counts), skipped, tally.ids, whole=False)
