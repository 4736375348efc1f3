"""Thin events: notices without the object. What Stripe sends to thin destinations, and what its v2 Events API lists.

Source: Stripe, "Thin events" and the API reference of Events v2: ids of their own, types with `v1.` before, times as
text, the object to fetch, and `snapshot_event`, the v1 event of the same change.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.stripe_types import THIN
from simulator.api_errors import bad_value
from simulator.books import Books
from simulator.kinds import KINDS
from simulator.objects import Event, State
from simulator.query import Query, array, number
from simulator.render import object_json
from simulator.shapes import NEWEST

Json = dict[str, Any]
_KEPT = 30 * 86_400
_PATHS = {kind.noun: name for name, kind in KINDS.items()}


def thin_id(event: Event) -> str:
    """The thin event's own id; it and the v1 event are two objects about one change."""
    return f"evt_65{event.id.removeprefix('evt_')[2:]}"


def moment(at: int) -> str:
    """As v2 writes times."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def thin_json(event: Event) -> Json:
    """The notice that is sent; the Events API shows the same. A preview has no object that could be fetched."""
    noun = _noun(event.object, event.livemode)
    related = None
    if event.object.id:
        related = {"id": event.object.id, "type": noun, "url": f"/v1/{_PATHS[noun]}/{event.object.id}"}
    reason = {"type": "request", "request": {"id": event.request, "idempotency_key": ""}} if event.request else None
    return {
        "id": thin_id(event),
        "object": "v2.core.event",
        "context": event.account if event.account.startswith("acct_") else None,
        "created": moment(event.created),
        "livemode": event.livemode,
        "reason": reason,
        "related_object": related,
        "snapshot_event": event.id,
        "type": THIN + event.type,
    }


def ping_json(destination: str, at: int, livemode: bool) -> Json:
    """What a destination is sent to try it out, at the Unix second `at`."""
    return {
        "id": f"evt_{'' if livemode else 'test_'}65{secrets.token_hex(12)}",
        "object": "v2.core.event",
        "context": None,
        "created": moment(at),
        "livemode": livemode,
        "reason": None,
        "related_object": {
            "id": destination,
            "type": "v2.core.event_destination",
            "url": f"/v2/core/event_destinations/{destination}",
        },
        "type": "v2.core.event_destination.ping",
    }


def _noun(obj: State, livemode: bool) -> str:
    return str(object_json(obj, NEWEST, livemode=livemode)["object"])


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
