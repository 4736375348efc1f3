"""Thin events: notices without the object. What Stripe sends to thin destinations, and what its v2 Events API lists.

Source: Stripe, "Thin events" and the API reference of Events v2: ids of their own, types with `v1.` before, times as
text, the object to fetch, and `snapshot_event`, the v1 event of the same change.
"""

import secrets
from datetime import UTC, datetime
from typing import Any

from schemas.stripe_types import THIN
from simulator.rendering.kinds import KINDS
from simulator.rendering.objects import object_json
from simulator.rendering.shapes import NEWEST
from simulator.world.objects import Event, Invoice, State

Json = dict[str, Any]
_PATHS = {kind.noun: name for name, kind in KINDS.items()}


def thin_id(event: Event) -> str:
    """The thin event's own id; it and the v1 event are two objects about one change."""
    return f"evt_65{event.id.removeprefix('evt_')[2:]}"


def moment(at: int) -> str:
    """As v2 writes times."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def thin_json(event: Event) -> Json:
    """What the Events API shows. A preview has no object that could be fetched: whose it is stands in `data`."""
    noun = _noun(event.object, event.livemode)
    related = None
    if event.object.id:
        related = {"id": event.object.id, "type": noun, "url": f"/v1/{_PATHS[noun]}/{event.object.id}"}
    reason = {"type": "request", "request": {"id": event.request, "idempotency_key": ""}} if event.request else None
    told: Json = {
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
    if event.type == "invoice.upcoming":
        assert isinstance(event.object, Invoice)
        told["data"] = {"customer": event.object.customer, "subscription": event.object.subscription}
    return told


def notice_json(event: Event) -> Json:
    """What is sent of it: the rest is told when the event is fetched."""
    return {name: value for name, value in thin_json(event).items() if name not in ("data", "snapshot_event")}


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
