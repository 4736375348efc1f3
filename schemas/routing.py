"""Which partition an observation goes to: everything of one customer goes to one partition."""

from typing import Any


def _id_of(value: Any) -> str:
    """A Stripe reference is an id, or the whole object when it was expanded."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return str(value["id"])
    return ""


def subject(body: Any) -> dict[str, Any]:
    """The object that a body on `stripe.events` is about: an event's `data.object`, a thin event's `related_object`,
    else the body itself, which is an API object, or an event that names none. {} when it is no JSON object.
    """
    if not isinstance(body, dict):
        return {}
    data = body.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    if not isinstance(about, dict):
        about = body.get("related_object")
    if isinstance(about, dict):
        return about
    return {} if body.get("object") in ("event", "v2.core.event") else body


def message_key(body: Any, event_id: str) -> bytes:
    """The key on `stripe.events` of a parsed `body`: whoever publishes it, however often, it is the same."""
    return (partition_key(subject(body)) or event_id).encode("utf-8", "replace")


def partition_key(obj: dict[str, Any]) -> str:
    """The key of a Stripe object: its customer id, else its charge's or invoice's, else its own id ('' if none).

    `obj` is the API object (`data.object` of an event, or `related_object` of a thin event).
    """
    if obj.get("object") == "customer":
        return _id_of(obj)
    if customer := _id_of(obj.get("customer")):
        return customer
    if obj.get("object") in ("refund", "dispute"):
        return _id_of(obj.get("charge")) or _id_of(obj)
    if obj.get("object") == "invoice_payment":
        return _id_of(obj.get("invoice")) or _id_of(obj)
    return _id_of(obj)
