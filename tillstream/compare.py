"""Ours against Stripe's: pure rules that say whether the numbers are equal, and name every difference."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

Key = tuple[date, str, str]  # day in the account's timezone, metric, currency
Sum = tuple[int, int]  # count, sum in minor units

_NOTHING: Sum = (0, 0)


@dataclass(frozen=True, slots=True, order=True)
class FactKey:
    """One fact, as both sides can name it."""

    metric: str
    object_id: str  # the charge, else the invoice
    currency: str
    amount_minor: int
    occurred_at: int  # Unix seconds

    def __str__(self) -> str:
        return f"{self.metric} {self.object_id} {self.amount_minor} {self.currency} at {self.occurred_at}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Daily numbers side by side, and the facts that only one side has."""

    ours: Mapping[Key, Sum]
    theirs: Mapping[Key, Sum]
    missing: tuple[FactKey, ...]
    surplus: tuple[FactKey, ...]

    @property
    def equal(self) -> bool:
        """Every count and every sum of every day is the same, and so is every single fact."""
        return dict(self.ours) == dict(self.theirs) and not self.missing and not self.surplus

    @property
    def days(self) -> list[date]:
        """Every day on which anything happened."""
        return sorted({key[0] for key in (*self.ours, *self.theirs)})

    def cell(self, day: date, metric: str) -> tuple[int, int, bool]:
        """(our count, their count, whether the counts and sums of every currency are equal)."""
        keys = [key for key in {*self.ours, *self.theirs} if key[0] == day and key[1] == metric]
        return (
            sum(self.ours.get(key, _NOTHING)[0] for key in keys),
            sum(self.theirs.get(key, _NOTHING)[0] for key in keys),
            all(self.ours.get(key) == self.theirs.get(key) for key in keys),
        )

    def totals(self) -> list[tuple[str, str, Sum, Sum]]:
        """(metric, currency, ours, theirs) over all days, in order."""
        pairs = sorted({(metric, currency) for _, metric, currency in (*self.ours, *self.theirs)})
        return [
            (metric, currency, _total(self.ours, metric, currency), _total(self.theirs, metric, currency))
            for metric, currency in pairs
        ]


def compare(
    ours: Mapping[Key, Sum], theirs: Mapping[Key, Sum], our_facts: Iterable[FactKey], their_facts: Iterable[FactKey]
) -> Comparison:
    """`missing` are Stripe's facts that we don't have (as often as they are missing), `surplus` the reverse."""
    mine, stripes = Counter(our_facts), Counter(their_facts)
    return Comparison(
        ours,
        theirs,
        missing=tuple(sorted((stripes - mine).elements())),
        surplus=tuple(sorted((mine - stripes).elements())),
    )


def _total(side: Mapping[Key, Sum], metric: str, currency: str) -> Sum:
    found = [value for key, value in side.items() if key[1:] == (metric, currency)]
    return (sum(count for count, _ in found), sum(amount for _, amount in found))
