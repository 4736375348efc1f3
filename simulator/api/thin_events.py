"""What Stripe's v2 Events API lists: the notices of one account."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.stripe_types import THIN
from simulator.api.query import Query, array, number
from simulator.errors import bad_value
from simulator.rendering.thin import moment, thin_id, thin_json
from simulator.world.books import Books
from simulator.world.objects import Event

Json = dict[str, Any]
_KEPT = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list: `start` and `limit` as places in it, of `total`."""

    data: Sequence[Json]
    start: int
    limit: int
    total: int


class ThinEvents:
    """The v2 Events API of one account: the last 30 days, newest first."""

    def __init__(self, books: Books, now: Callable[[], int]) -> None:
        self._books, self._now = books, now
        self._by_id: dict[str, Event] = {}

    def find(self, event_id: str) -> Json | None:
        """The event of this thin id."""
        for event in self._books.events[len(self._by_id) :]:
            self._by_id[thin_id(event)] = event
        found = self._by_id.get(event_id)
        return thin_json(found) if found and self._is_kept(found) else None

    def page(self, query: Query) -> Page:
        """Raises ApiError."""
        types = set(array(query, "types"))
        if len(types) > 20:
            raise bad_value("types", "You can only specify up to 20 event types.")
        about = query.get("object_id")
        low, high = _times(query)
        rows = [
            event
            for event in sorted(self._kept(), key=lambda event: event.created, reverse=True)
            if low <= moment(event.created) <= high
            and (not types or THIN + event.type in types)
            and (about is None or event.object.id == about)
        ]
        start, limit = number(query, "page", 0, 0, 2**30), number(query, "limit", 20, 1, 100)
        data = [thin_json(event) for event in rows[start : start + limit]]
        return Page(data, start, limit, len(rows))

    def _kept(self) -> list[Event]:
        return [event for event in self._books.events if self._is_kept(event)]

    def _is_kept(self, event: Event) -> bool:
        now = self._now()
        return now - _KEPT <= event.created <= now


def _times(query: Query) -> tuple[str, str]:
    """Bounds as text: v2's times are all of one length and zone, so that their order is the order of time.

    '~' comes after every character of a time, and a time without its last character before the whole one.
    """
    after, before = query.get("created[gt]"), query.get("created[lt]")
    low = max(query.get("created[gte]") or "", f"{after}~" if after else "")
    high = min(query.get("created[lte]") or "9", before[:-1] if before else "9")
    return low, high
