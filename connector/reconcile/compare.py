"""Two lists of facts against each other: pure. Every number of every day, and the name of every difference."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo

from connector.reconcile.facts import Fact, Span
from schemas.metrics import Metric

CellKey = tuple[Metric, str, date]  # metric, currency, day
Pair = tuple[Fact | None, Fact | None]  # ours, Stripe's


class Kind(StrEnum):
    """How a fact differs."""

    MISSING = "missing"  # Stripe has it, we don't
    EXTRA = "extra"  # we have it, Stripe doesn't
    DIFFERENT = "different"  # in what `Difference.what` names


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same on both sides, or (without `stripes`) one that can't be as our rows have it.

    `what` differs: amount, currency, day, or names of `Fact.details`; of the second kind, what can't be.
    """

    kind: Kind
    ours: Fact | None
    stripes: Fact | None
    what: tuple[str, ...] = ()

    @property
    def fact(self) -> Fact:
        """Stripe's word where there is one."""
        found = self.stripes or self.ours
        assert found is not None
        return found

    @property
    def id(self) -> str:
        """The charge, refund or invoice."""
        return self.fact.object or (self.ours.owner if self.ours else "")


@dataclass(slots=True)
class Cell:
    """A metric, a currency and a day, on both sides."""

    ours: tuple[int, int] = (0, 0)  # count, sum in minor units
    stripes: tuple[int, int] = (0, 0)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    def names(self, kind: Kind) -> list[str]:
        """The ids of one kind of difference."""
        return {Kind.MISSING: self.missing, Kind.EXTRA: self.extra, Kind.DIFFERENT: self.different}[kind]

    @property
    def equal(self) -> bool:
        """Counts, sums and every single fact."""
        return self.ours == self.stripes and not (self.missing or self.extra or self.different)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`apart` are facts of ours that Stripe's API can't know; they are in no number here.

    `right_zone`: the timezone in which everything is equal, when our days are those of another one; else ''.
    """

    cells: dict[CellKey, Cell]
    differences: tuple[Difference, ...]
    apart: tuple[Fact, ...] = ()
    right_zone: str = ""

    @property
    def equal(self) -> bool:
        """No difference at all."""
        return not self.differences and all(cell.equal for cell in self.cells.values())


def compare(
    ours: Iterable[Fact],
    stripes: Iterable[Fact],
    span: Span,
    our_zone: ZoneInfo,
    stripes_zone: ZoneInfo,
    apart: Iterable[Fact] = (),
    impossible: Iterable[tuple[Fact, str]] = (),
) -> Comparison:
    """Compare what falls on the days of `span`; our days are those of `our_zone`, Stripe's those of its dashboard.

    `impossible` are rows of ours that can't be, whatever Stripe says, with the reason.
    """
    pairs = list(_pairs(ours, stripes))
    inside = tuple(fact for fact in apart if fact.day(our_zone) in span)
    found = _compared(pairs, span, our_zone, stripes_zone, inside)
    other_zone = not found.equal and our_zone.key != stripes_zone.key
    if other_zone and _compared(pairs, span, stripes_zone, stripes_zone, ()).equal:
        found = Comparison(found.cells, found.differences, inside, stripes_zone.key)
    return _with_impossible(found, impossible, span, our_zone)


def _with_impossible(
    found: Comparison, impossible: Iterable[tuple[Fact, str]], span: Span, zone: ZoneInfo
) -> Comparison:
    cells, differences = defaultdict(Cell, found.cells), list(found.differences)
    for fact, why in impossible:
        if (day := fact.day(zone)) in span:
            difference = Difference(Kind.DIFFERENT, fact, None, (why,))
            differences.append(difference)
            cells[fact.metric, fact.currency, day].different.append(difference.id)
    if len(differences) == len(found.differences):
        return found
    return Comparison(dict(sorted(cells.items())), tuple(differences), found.apart)


def _compared(
    pairs: Iterable[Pair], span: Span, our_zone: ZoneInfo, stripes_zone: ZoneInfo, apart: tuple[Fact, ...]
) -> Comparison:
    cells: dict[CellKey, Cell] = defaultdict(Cell)
    differences = []
    for ours, stripes in pairs:
        our_day = ours.day(our_zone) if ours else None
        their_day = stripes.day(stripes_zone) if stripes else None
        if our_day not in span and their_day not in span:
            continue
        if ours and our_day and our_day in span:
            cell = cells[ours.metric, ours.currency, our_day]
            cell.ours = cell.ours[0] + 1, cell.ours[1] + ours.amount
        if stripes and their_day and their_day in span:
            cell = cells[stripes.metric, stripes.currency, their_day]
            cell.stripes = cell.stripes[0] + 1, cell.stripes[1] + stripes.amount
        what = _differing(ours, stripes, same_day=our_day == their_day) if ours and stripes else ()
        if ours and stripes and not what:
            continue
        kind = Kind.DIFFERENT if what else Kind.EXTRA if ours else Kind.MISSING
        difference = Difference(kind, ours, stripes, what)
        differences.append(difference)
        day = next(day for day in (their_day, our_day) if day and day in span)
        cells[difference.fact.metric, difference.fact.currency, day].names(kind).append(difference.id)
    differences.sort(key=lambda one: (one.fact.at, one.fact.metric, one.id))
    return Comparison(dict(sorted(cells.items())), tuple(differences), apart)


def _differing(ours: Fact, stripes: Fact, *, same_day: bool) -> tuple[str, ...]:
    """What is not the same; a detail only where both sides tell it."""
    same = {"amount": ours.amount == stripes.amount, "currency": ours.currency == stripes.currency, "day": same_day}
    same |= {name: ours.details.get(name, said) == said for name, said in stripes.details.items()}
    return tuple(name for name, equal in same.items() if not equal)


def _pairs(ours: Iterable[Fact], stripes: Iterable[Fact]) -> Iterator[Pair]:
    """Each fact with its counterpart: by Stripe's id where both tell it, else by amount, else by order in time."""
    groups: dict[tuple[Metric, str], tuple[list[Fact], list[Fact]]] = defaultdict(lambda: ([], []))
    for side, facts in enumerate((ours, stripes)):
        for fact in facts:
            groups[fact.metric, fact.owner][side].append(fact)
    for mine, theirs in groups.values():
        if len(mine) == len(theirs) == 1:
            yield mine[0], theirs[0]
        else:
            yield from _matched(sorted(mine, key=_by_time), sorted(theirs, key=_by_time))


def _matched(mine: list[Fact], theirs: list[Fact]) -> Iterator[Pair]:
    for alike in (_same_name, _same_amount, _any):
        for fact in list(mine):
            other = next((one for one in theirs if alike(fact, one)), None)
            if other is not None:
                mine.remove(fact)
                theirs.remove(other)
                yield fact, other
    for fact in mine:
        yield fact, None
    for fact in theirs:
        yield None, fact


def _by_time(fact: Fact) -> tuple[float, str]:
    return fact.at, fact.object


def _same_name(one: Fact, other: Fact) -> bool:
    return one.object == other.object


def _same_amount(one: Fact, other: Fact) -> bool:
    return not one.object and (one.currency, one.amount) == (other.currency, other.amount)


def _any(one: Fact, _: Fact) -> bool:
    return not one.object
