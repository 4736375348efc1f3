"""From an envelope to a normalized observation, by structure and never by version string.

Sources: Stripe's API reference of the objects, its changelog (2018 to 2026-09-30.endive), and the shape changes:
`charge.refunds` left with 2022-11-15; `charge.invoice`, `invoice.charge`, `invoice.subscription`,
`invoice.paid_out_of_band` and the lines' `price`, `plan` left with 2025-03-31.basil.
"""

from dataclasses import dataclass
from typing import Any

from processors.rules import fields as f
from processors.rules.fields import Obj
from schemas.errors import BadEvent

#: Event type (or its prefix) to the kind of object it carries. All other types are kept raw and not mapped.
_PREFIXES = (
    ("charge.refund.", "refund"),
    ("charge.dispute.", "dispute"),
    ("charge.", "charge"),
    ("invoice_payment.", "invoice_payment"),
    ("invoice.", "invoice"),
    ("refund.", "refund"),
    ("customer.created", "customer"),
    ("customer.updated", "customer"),
    ("customer.deleted", "customer"),
)


@dataclass(frozen=True, slots=True)
class Observation:
    """What Stripe said of one object at one moment.

    `at` is Unix seconds: the event's time, or when the object was fetched. `body` is the API object, `previous`
    the event's `previous_attributes`. `path` leads to the object inside the message, for error messages.
    """

    kind: str
    id: str
    body: Obj
    previous: Obj
    type: str
    at: int
    account: str
    livemode: bool
    event_id: str
    source: str
    api_version: str
    received_at: str
    customer: str
    path: str = "data.object"

    @property
    def scope(self) -> str:
        """Account and mode: ids are unique only within these."""
        return f"{self.account}|{'live' if self.livemode else 'test'}"


def kind_of(event_type: str) -> str:
    """The kind of object that `event_type` carries, '' when the type is not mapped."""
    for prefix, kind in _PREFIXES:
        if event_type.startswith(prefix):
            return kind
    return ""


def observe(envelope: dict[str, Any], event: Any) -> Observation | None:
    """The observation in `event` (the parsed body of `envelope`), or None when its type is not mapped.

    Raises BadEvent when the type is mapped and the event makes no sense.
    """
    event_type = envelope["type"]
    kind = kind_of(event_type)
    if not kind:
        return None
    if not isinstance(event, dict):
        raise BadEvent("the body is not an object")
    obj = f.child(f.child(event, "data", ""), "object", "data")
    if not obj:
        raise BadEvent("the event carries no object", path="data.object")
    livemode = event.get("livemode")
    if not isinstance(livemode, bool):
        raise BadEvent("expected true or false", path="livemode")
    upcoming = event_type == "invoice.upcoming"
    identifier = _upcoming_id(obj) if upcoming else f.required_id(obj, "data.object")
    return Observation(
        kind="upcoming" if upcoming else kind,
        id=identifier,
        body=obj,
        previous=f.child(f.child(event, "data", ""), "previous_attributes", "data"),
        type=event_type,
        at=f.moment(event, "created", ""),
        account=envelope["account"],
        livemode=livemode,
        event_id=envelope["event_id"],
        source=envelope["source"],
        api_version=envelope["api_version"],
        received_at=envelope["received_at"],
        customer=identifier if kind == "customer" else f.reference(obj, "customer", "data.object"),
    )


def _upcoming_id(obj: Obj) -> str:
    """An upcoming invoice has no id of its own: the subscription (or customer) and the period name it."""
    owner = subscription_of(obj, "data.object") or f.reference(obj, "customer", "data.object")
    if not owner:
        raise BadEvent("an upcoming invoice needs a subscription or a customer", path="data.object.subscription")
    return f"{owner}:{f.moment(obj, 'period_end', 'data.object')}"


def subscription_of(obj: Obj, path: str) -> str:
    """An invoice's subscription: its own field before basil, `parent.subscription_details` since."""
    details = f.child(f.child(obj, "parent", path), "subscription_details", f"{path}.parent")
    return f.reference(obj, "subscription", path) or f.reference(details, "subscription", f"{path}.parent")
