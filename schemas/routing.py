"""Which partition an observation goes to: everything of one customer goes to one partition."""

from typing import Any


def _id_of(value: Any) -> str:
    """A Stripe reference is an id, or the whole object when it was expanded."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return str(value["id"])
    return ""


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
