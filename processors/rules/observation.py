"""From an envelope to a normalized observation, by structure and never by version string.

Sources: Stripe's API reference of the objects, its changelog (2018 to 2026-09-30.endive), and the shape changes:
`charge.refunds` left with 2022-11-15; `charge.invoice`, `invoice.charge`, `invoice.subscription`,
`invoice.paid_out_of_band` and the lines' `price`, `plan` left with 2025-03-31.basil.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from processors.rules import fields as f
from processors.rules.fields import Obj
from schemas.envelope import MERGE, RELINK, TELL_AGAIN, Source
from schemas.errors import BadEvent
from schemas.times import unix_seconds

#: Event type (or its prefix) to the kind of object it carries. All other types are kept raw and not mapped.
_PREFIXES = (
    ("charge.refund.", "refund"),
    ("charge.dispute.", "dispute"),
    ("charge.", "charge"),
    ("credit_note.", "credit_note"),
    ("invoice_payment.", "invoice_payment"),
    ("invoice.", "invoice"),
    ("refund.", "refund"),
    ("customer.created", "customer"),
    ("customer.updated", "customer"),
    ("customer.deleted", "customer"),
    ("customer.subscription.", "subscription"),
    ("payment_method.", "payment_method"),
)

#: The kinds of API object that are mapped, by their `object` field.
KINDS = frozenset(
    {
        "charge",
        "credit_note",
        "invoice",
        "refund",
        "dispute",
        "customer",
        "invoice_payment",
        "payment_intent",
        "payment_method",
        "subscription",
        RELINK,
        MERGE,
    }
)

#: Types that tell what the object never shows, or only until its next change: attempts, flags, when it came to that.
TOLD_BY_EVENTS = frozenset(
    {
        "charge.captured",
        "charge.dispute.closed",
        "charge.expired",
        "charge.failed",
        "charge.refunded",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",
        "invoice.overdue",
        "invoice.payment_action_required",
        "invoice.payment_failed",
    }
)

#: The kind of observation that a thin event is by itself: see `noticed`.
NOTICE = "notice"

_A_DAY = 86_400

#: Sources whose bodies may be API objects rather than events.
_FETCHED = frozenset({Source.IMPORT, Source.SWEEP, Source.LOOKUP, Source.REPLAY})


@dataclass(slots=True)  # not frozen: that would be a tenth of what observing costs
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

    @property
    def fetched(self) -> bool:
        """Is it an object as Stripe's API gave it, rather than an event's?"""
        return not self.path

    @property
    def negative(self) -> str:
        """'deleted' or 'missing' for the API's answer that there is no such object (any more), which tells no more.

        Source: Stripe, "Retrieve a customer" (a deleted one is its id and `deleted`); `missing` is a look-up's 404.
        """
        body = self.body
        if self.fetched and body.get("missing") is True:
            return "missing"
        return "deleted" if body.get("deleted") is True and "created" not in body else ""


@lru_cache(maxsize=1024)
def kind_of(event_type: str) -> str:
    """The kind of object that `event_type` carries, '' when the type is not mapped."""
    for prefix, kind in _PREFIXES:
        if event_type.startswith(prefix):
            return kind
    return ""


def observe(envelope: dict[str, Any], body: Any) -> Observation | None:
    """The observation in `body` (an event, or an API object that was fetched), None when it is of no mapped kind.

    Raises BadEvent when the kind is mapped and the body makes no sense.
    """
    if envelope["source"] in _FETCHED and isinstance(body, dict) and body.get("object") != "event":
        return _of_object(envelope, body)
    event_type = envelope["type"]
    kind = kind_of(event_type)
    if not kind:
        return None
    if not isinstance(body, dict):
        raise BadEvent("the body is not an object")
    data = f.child(body, "data", "")
    obj = f.child(data, "object", "data")
    if not obj:
        raise BadEvent("the event carries no object", path="data.object")
    if event_type == "invoice.upcoming":
        kind = "upcoming"
    previous = f.child(data, "previous_attributes", "data")
    at = f.moment(body, "created", "")
    return _observation(envelope, kind, obj, at, body.get("livemode"), "data.object", event_type, previous)


def thin(event: Any) -> list[tuple[str, str, int]] | None:
    """What to ask Stripe for, as (kind, id, when), since a thin event tells of it; None when it is of no mapped type.

    Source: Stripe, "Thin events": `v2.core.event` with a `v1.*` type carries a reference instead of the object. The
    event itself ("event", "upcoming") is known by the thin event's id. An upcoming invoice has no object to refer to.
    Raises BadEvent when the reference is missing.
    """
    if not isinstance(event, dict) or event.get("object") != "v2.core.event":
        return None
    event_type = f.opt(event, "type", "").removeprefix("v1.")
    kind, at = kind_of(event_type), _thin_moment(event)
    if not kind:
        return None
    if event_type == "invoice.upcoming":
        return [("upcoming", f.required_id(event, ""), at)]
    wanted = [(kind, f.required_id(f.child(event, "related_object", ""), "related_object"), at)]
    if event_type in TOLD_BY_EVENTS:
        wanted.append(("event", f.required_id(event, ""), at))
    return wanted


def noticed(envelope: dict[str, Any], event: Obj) -> Observation | None:
    """What a thin event tells by itself: that a charge succeeded, and when. No object shows that.

    None for every other. Whose charge it is, it does not tell.
    """
    at = _thin_moment(event)
    if event["type"] != "v1.charge.succeeded" or not at:
        return None
    about = {"object": NOTICE, "charge": event["related_object"]["id"]}
    told = envelope | {"type": NOTICE}
    return _observation(told, NOTICE, about | {"id": event["id"]}, at, envelope["livemode"], "")


def _thin_moment(event: Obj) -> int:
    """A thin event's time is RFC 3339 text; 0 when it makes no sense, since the object matters alone."""
    try:
        return int(unix_seconds(event["created"]))
    except (KeyError, TypeError, ValueError):
        return 0


def _of_object(envelope: dict[str, Any], obj: Obj) -> Observation | None:
    """An object as the API gave it: true when it was fetched."""
    kind = "upcoming" if envelope["type"] == "invoice.upcoming" else obj.get("object")  # a preview is an invoice
    if kind not in KINDS and kind != "upcoming":
        return None
    at = int(unix_seconds(envelope["observed_at"]))
    asked = TELL_AGAIN if envelope["type"] == TELL_AGAIN else ""
    return _observation(envelope, kind, obj, at, obj.get("livemode", envelope["livemode"]), "", asked)


def _observation(
    envelope: dict[str, Any],
    kind: str,
    obj: Obj,
    at: int,
    livemode: Any,
    path: str,
    event_type: str = "",
    previous: Obj | None = None,
) -> Observation:
    if not isinstance(livemode, bool):
        raise BadEvent("expected true or false", path="livemode")
    if kind == "upcoming":
        identifier = _upcoming_id(obj)
    elif kind == "dispute" and "id" not in obj:  # the oldest shapes: it is known by its charge
        identifier = f.reference(obj, "charge", path) or f.required_id(obj, path)
    else:
        identifier = f.required_id(obj, path)
    source, received_at = _came(envelope)
    return Observation(
        kind=kind,
        id=identifier,
        body=obj,
        previous=previous or {},
        type=event_type,
        at=at,
        account=envelope["account"],
        livemode=livemode,
        event_id=envelope["event_id"],
        source=source,
        api_version=envelope["api_version"],
        received_at=received_at,
        customer=identifier if kind == "customer" else f.reference(obj, "customer", path),
        path=path,
    )


def _came(envelope: dict[str, Any]) -> tuple[str, str]:
    """How it came, and when. What a webhook's thin event had looked up is that webhook's fact, and so news.

    Not when it took more than a day, as without an API key: nobody wants that mail any more.
    """
    webhook_at: str = envelope.get("webhook_at", "")
    if webhook_at and unix_seconds(envelope["received_at"]) - unix_seconds(webhook_at) <= _A_DAY:
        return Source.WEBHOOK, webhook_at
    return envelope["source"], envelope["received_at"]


def expanded_customer(observation: Observation) -> Observation | None:
    """What an object says of its customer, when it has the whole of it instead of the id."""
    customer = observation.body.get("customer")
    if type(customer) is not dict or customer.get("object") != "customer" or observation.kind == "customer":
        return None
    path = f"{observation.path}.customer" if observation.path else ""
    return replace(
        observation, kind="customer", id=observation.customer, body=customer, previous={}, type="", path=path
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
    return f.reference(obj, "subscription", path) or f.reference(
        details, "subscription", f"{path}.parent.subscription_details"
    )
