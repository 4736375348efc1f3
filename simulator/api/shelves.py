"""The order in which Stripe lists objects, with its cursors: newest first, of one second what was made later first.

Source: Stripe's API reference, "Pagination" and the list methods. Pure.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice

from simulator.world.objects import Event, State

Row = State | Event
Entry = tuple[int, int, Row]  # created, place in the order of making, the object
Test = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a list is wanted: created within `low`..`high` (inclusive), one side of a cursor, at most `limit`.

    `after` and `before` are ids (Stripe's `starting_after` and `ending_before`); `match` is a member that is indexed
    and its value; `tests` are all the filters.
    """

    limit: int
    low: int
    high: int
    after: str | None = None
    before: str | None = None
    match: tuple[str, str] | None = None
    tests: Sequence[Test] = ()


class Shelf:
    """All objects of a kind. `source` may only grow; `indexed` members never change once an object is there."""

    def __init__(self, source: Collection[Row], indexed: Sequence[str] = ()) -> None:
        self._source, self._indexed = source, tuple(indexed)
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._matching: dict[tuple[str, str], list[Entry]] = defaultdict(list)

    def get(self, object_id: str) -> Row | None:
        """The object of this id, if there is one."""
        self._refresh()
        entry = self._by_id.get(object_id)
        return entry[2] if entry else None

    def page(self, cut: Cut) -> tuple[list[Row], bool]:
        """A page, newest first, and whether there is more beyond it. Raises KeyError for an unknown cursor."""
        self._refresh()
        entries = self._matching.get(cut.match, []) if cut.match else self._entries
        low, high = bisect_left(entries, (cut.low,)), bisect_left(entries, (cut.high + 1,))
        if cut.after is not None:
            high = min(high, bisect_left(entries, self._by_id[cut.after][:2]))
        if cut.before is not None:
            created, order, _ = self._by_id[cut.before]
            low = max(low, bisect_left(entries, (created, order + 1)))
        upwards = cut.before is not None and cut.after is None
        found: list[Row] = []
        for place in range(low, high) if upwards else range(high - 1, low - 1, -1):
            row = entries[place][2]
            if all(test(row) for test in cut.tests):
                if len(found) == cut.limit:
                    return (found[::-1] if upwards else found), True
                found.append(row)
        return (found[::-1] if upwards else found), False

    def matching(self, member: str, value: str) -> list[Row]:
        """All objects with this value of an indexed member, oldest first."""
        self._refresh()
        return [row for _, _, row in self._matching.get((member, value), ())]

    def _refresh(self) -> None:
        known = len(self._by_id)
        if len(self._source) == known:
            return
        touched = {id(self._entries): self._entries}
        for order, row in enumerate(islice(self._source, known, None), known):
            entry = (row.created, order, row)
            self._by_id[row.id] = entry
            self._entries.append(entry)
            for member in self._indexed:
                if (value := getattr(row, member, None)) is not None:
                    entries = self._matching[member, value]
                    entries.append(entry)
                    touched[id(entries)] = entries
        for entries in touched.values():
            entries.sort()  # quick: nearly all of it is in order already
