"""Time in pieces: a list of Stripe's, newest first, read by several workers at once, each second exactly once.

A list can be asked for by `created` only, in whole seconds and inclusive on both sides. How many objects there are in
a piece nobody knows beforehand: so a piece that proves to hold more than a page is divided when a worker is idle.
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

DAY = 86_400
_STRETCH_PAGES = 4
FOUNDED = 1_262_304_000  # 2010-01-01: no account of Stripe's is older


@dataclass(frozen=True, slots=True)
class Range:
    """What is left of a piece: created from `since` up to `until`, both included, in Unix seconds.

    `cursor` is the last object that is done, '' when none is; it was created at `until`, where others may be left.
    """

    since: int
    until: int
    cursor: str = ""

    @property
    def seconds(self) -> int:
        """How many seconds of time it covers."""
        return self.until - self.since + 1


def created_times(objects: Iterable[Mapping[str, Any]]) -> list[int]:
    """When they were created, in Unix seconds, of those that tell it."""
    return [one["created"] for one in objects if type(one.get("created")) is int]


def rest(piece: Range, last_created: int, last_id: str, has_more: bool) -> Range | None:
    """What is left after a page that ended with this object; None when nothing is."""
    if not has_more:
        return None
    # Objects come newest first; one outside the bounds would be a mistake of Stripe's, and must not widen the piece.
    return Range(piece.since, max(min(last_created, piece.until), piece.since), last_id)


def divide(piece: Range, newest: int = 0) -> tuple[Range, Range] | None:
    """The newer part and the older one, without overlap or gap; None for a single second. The newer keeps the cursor.

    The newer one has `newest` seconds, or half of them when that is 0 or more than there are.
    """
    if piece.until <= piece.since:
        return None
    half = piece.since + (piece.until - piece.since) // 2
    middle = piece.until - newest if 0 < newest < piece.seconds else half
    return Range(middle + 1, piece.until, piece.cursor), Range(piece.since, middle)


class Stretch:
    """How much of a list one worker reads before it goes on with the newest that is left: some pages' worth of seconds.

    So the workers stay close together. Spread over years, they would bring rows of every month at once, and each month
    in a batch is a part of its own for ClickHouse to write.
    """

    def __init__(self) -> None:
        self.seconds = 0  # not known yet

    def read(self, seconds: int, full: bool) -> None:
        """A page covered so much time; when it was not `full`, there is less in the list than was thought."""
        self.seconds = _STRETCH_PAGES * max(seconds, 1) if full else 2 * self.seconds

    def cut(self, piece: Range) -> tuple[Range, Range] | None:
        """A stretch of it, and the rest; None when it is hardly longer than one."""
        return divide(piece, self.seconds) if 0 < 2 * self.seconds < piece.seconds else None


def oldest_day(since: int, until: int) -> Generator[int, bool, int]:
    """Find where a list begins: yields a moment, is sent whether anything was created up to then; returns the bound.

    The bound is at most a day before the oldest object, so that pieces are divided where objects are. About 13
    questions for the whole life of Stripe.
    """
    low, high = since, until  # nothing is before `low`; something is at or before `high`
    while high - low > DAY:
        middle = (low + high) // 2
        if (yield middle):
            high = middle
        else:
            low = middle + 1
    return low
