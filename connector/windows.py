"""Which of Stripe's events a sweep asks for. Pure.

Source: Stripe, "List all events": events are kept for 30 days; `created` is in whole seconds, `gte` includes its bound.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

KEPT = 30 * 86_400  # seconds
OVERLAP = 3_600  # seconds read once more: an event may be listed a little late, and clocks differ
TYPES_AT_ONCE = 20  # the most that Stripe takes in one question


@dataclass(frozen=True, slots=True)
class Window:
    """Events from `since` on, inclusive. What happened from `gap[0]` to `gap[1]` Stripe has forgotten."""

    since: int
    gap: tuple[int, int] | None = None


def window(swept_until: float | None, now: float) -> Window:
    """The next sweep, when the last one saw everything up to `swept_until` (None: there was none). Unix seconds."""
    oldest = int(now) - KEPT
    if swept_until is None:
        return Window(oldest)
    if swept_until < oldest:
        return Window(oldest, (int(swept_until), oldest))
    return Window(max(oldest, int(swept_until) - OVERLAP))


def joined(gap: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    """Two gaps as one."""
    gaps = [one for one in (gap, other) if one is not None]
    return (min(begin for begin, _ in gaps), max(end for _, end in gaps)) if gaps else None


def chunks(types: Iterable[str]) -> Iterator[list[str]]:
    """The types in as many questions as it takes."""
    every = list(types)
    for start in range(0, len(every), TYPES_AT_ONCE):
        yield every[start : start + TYPES_AT_ONCE]
