"""A charge: what is kept of it, and how a further observation changes that. Source: Stripe, the Charge object.

The record (about 1 KB):
    core, at, rank    the newest snapshot and when it was seen
    told              [source, api_version, received_at] of that snapshot
    inv               [at, invoice id]: the explicit link; '' is Stripe's word that there is none; absent: unknown
    failed, succeeded, captured    when it came to that, by the first event that says so: for a bank debit days after it
                      was made. No object tells, so an imported charge has none of them
    noticed           when it succeeded, by a thin event, which does not tell whether it was captured at once
    seen              {amount_refunded: [first seen, last seen, [times of charge.refunded events that showed it]]}
    parts             the same while parts were captured and no final one (multicapture)
    expired           when the rest was released all the same, by the first that says so
    released          what a capture before 2020 gave back of the authorization: no field tells it, its event does
    refunds           {refund id: [at, status rank, amount, created, status, reason]}
    dispute           [at, id, status, reason]: the newest word on any, and `disputes` each of them (see `dispute`)
    rows              what was last told about it (see `emit`)
    erased            see `erasure`
    v, events         see `lattice` and `ledger`
"""

from typing import Any

from processors.rules import fields as f
from processors.rules import stripping
from processors.rules.fields import Obj
from processors.rules.lattice import HORIZON, RULES, Record, newer, newest
from processors.rules.observation import Observation
from schemas.errors import BadEvent

STATUS_RANK = {"pending": 0, "failed": 1, "succeeded": 2}
SUCCEEDED = 2
_REFUND_RANK = {"pending": 0, "requires_action": 0, "succeeded": 1, "canceled": 2, "failed": 3}
_TEXTS = (("reason", "failure_message"), ("code", "failure_code"), ("text", "description"), ("url", "receipt_url"))
_OUTCOME = (
    ("decline", "reason"),
    ("network", "network_decline_code"),
    ("advice", "advice_code"),
    ("risk", "risk_level"),
)
_SOURCES = {"card": "card", "bank_account": "ach_debit"}  # others have a type
_BILLING = (("name", "name"), ("phone", "phone"))
_TELL = {
    "charge.failed": ("failed",),
    "charge.succeeded": ("succeeded", "captured"),  # an authorization isn't captured yet
    "charge.captured": ("captured",),
}
MOMENTS = ("failed", "succeeded", "captured", "noticed")
_BANKS_SECONDS = 15 * 86_400  # until a bank has told at the latest that a debit failed


def normalize(body: Obj, path: str) -> Record:
    """The fields that rows need. Raises BadEvent."""
    currency = f.currency(body, path)
    status = f.opt(body, "status", path) or ("succeeded" if f.flag(body, "paid", path) else "failed")
    if status not in STATUS_RANK:
        raise BadEvent(f"unknown charge status {status!r}"[:80], path=f"{path}.status")
    total = f.amount(body, "amount", path)
    captured = f.flag(body, "captured", path)
    refunded = f.amount(body, "amount_refunded", path, default=0)
    core: Record = {
        "status": status,
        "captured": captured,
        "amount": total,
        # Absent before 2020: then a capture was whole, as far as the object tells.
        "got": f.amount(body, "amount_captured", path, default=total if captured else 0),
        "refunded": refunded,
        "currency": currency,
        "created": f.moment(body, "created", path),
    }
    billing = f.child(body, "billing_details", path)
    address = f.child(billing, "address", f"{path}.billing_details")
    at = f"{path}.payment_method_details.card"
    method = f.child(body, "payment_method_details", path)
    card = f.child(method, "card", f"{path}.payment_method_details")
    source = f.child(body, "source", path) if not method and isinstance(body.get("source"), dict) else {}
    kind = f.opt(source, "object", f"{path}.source")  # before payment methods
    if kind == "card":
        card, at = source, f"{path}.source"
    f.texts(body, _TEXTS, path, core)
    f.texts(billing, _BILLING, f"{path}.billing_details", core)
    outcome = f.child(body, "outcome", path)
    f.texts(outcome, _OUTCOME, f"{path}.outcome", core)
    details: Record = {
        "receipt": f.email(body.get("receipt_email"), f"{path}.receipt_email", core),
        "billing": f.email(billing.get("email"), f"{path}.billing_details.email", core),
        "pi": f.reference(body, "payment_intent", path),
        "via": f.opt(method, "type", f"{path}.payment_method_details")
        or _SOURCES.get(kind)
        or f.opt(source, "type", f"{path}.source"),
        "disputed": f.flag(body, "disputed", path) or bool(body.get("dispute")),
        "transfer": f.reference(body, "source_transfer", path),
        "fee": f.amount(body, "application_fee_amount", path, default=0),
        "dest": f.reference(f.child(body, "transfer_data", path), "destination", f"{path}.transfer_data")
        or f.reference(body, "destination", path),  # until 2018
        "behalf": f.reference(body, "on_behalf_of", path),
        "meta": f.metadata(body, path),
    }
    place = [f.opt(address, k, f"{path}.billing_details.address") for k in ("country", "city", "postal_code")]
    if any(place):
        details["place"] = place
    core |= {name: value for name, value in details.items() if value}
    if status == "failed" and "reason" not in core:
        seller_message = f.opt(outcome, "seller_message", f"{path}.outcome")
        if seller_message:
            core["reason"] = seller_message
    shown = f.child(body, "presentment_details", path)
    if shown.get("presentment_currency"):
        core["shown"] = _presented(shown, f"{path}.presentment_details")
    if card.get("last4"):
        core["card"] = [
            f.opt(card, "brand", at),
            f.opt(card, "last4", at),
            f.count(card, "exp_month", at),
            f.count(card, "exp_year", at),
        ]
    return core


def _presented(shown: Obj, path: str) -> list[Any]:
    """What the buyer paid in a currency of their own (Adaptive Pricing), as [amount, currency]."""
    currency = f.currency({"currency": shown.get("presentment_currency")}, path)
    return [f.amount(shown, "presentment_amount", path), currency]


def rank(core: Record, before: int) -> list[int]:
    """Which of two snapshots of one second is the later: further in the charge's life cycle.

    `before` is what had been refunded until then. After a reversal it is more: that comes after the refund itself.
    """
    refunded = core["refunded"]
    step = [max(refunded, before), before > refunded]
    return [STATUS_RANK[core["status"]] + bool(core["captured"]), *step, bool(core.get("disputed")), core["got"], RULES]


def fold(record: Record, observation: Observation) -> bool:
    """Take in a charge observation; True when anything new was learned. Raises BadEvent before any change."""
    body, at, path = observation.body, observation.at, observation.path
    core = stripping.spared(record, normalize(body, path))
    invoice = f.reference(body, "invoice", path) if "invoice" in body else None
    listed = f.listed(body, "refunds", path)
    refunds = [_refund(item, f"{path}.refunds.data.{number}") for number, item in enumerate(listed)]
    before = observation.previous.get("amount_refunded")
    if before is not None:
        before = f.amount(observation.previous, "amount_refunded", "data.previous_attributes")
    changed = False
    if newer(at, order := rank(core, before or 0), core, record):
        told = [observation.source, observation.api_version, observation.received_at]
        record |= {"core": core, "at": at, "rank": order, "told": told}
        changed = True
    if invoice is not None:
        changed |= link(record, at, invoice)
    for name in _TELL.get(observation.type, ()):
        if at < record.get(name, HORIZON) and (name != "captured" or core["captured"]):
            record[name] = at
            changed = True
    if observation.type == "charge.captured" and "amount_captured" not in body:
        changed |= "released" not in record
        record["released"] = core["refunded"]
    own_event = observation.type == "charge.refunded"
    in_parts = bool(core["got"]) and not core["captured"]
    if in_parts and (observation.type == "charge.expired" or core["refunded"] > core["got"]):
        changed |= _expired(record, at)
    changed |= _saw_refunded(record, core["refunded"], at, own=own_event, in_parts=in_parts)
    if before is not None:
        # The value before this event was true until just before it; when it became so is not known.
        open_then = observation.previous.get("captured", core["captured"]) is False and before > 0
        then = at - 1 if before > core["refunded"] or observation.type == "charge.expired" else at
        changed |= _saw_refunded(record, before, then, own=False, in_parts=open_then)
    for refund_id, refund in refunds:
        changed |= learn_refund(record, refund_id, at, *refund)
    return changed


def _expired(record: Record, at: int) -> bool:
    """Learn that by `at` the rest of what was captured in parts had been released."""
    if at >= record.get("expired", HORIZON):
        return False
    record["expired"] = at
    return True


def link(record: Record, at: int, invoice: str) -> bool:
    """Learn the explicit link to an invoice. An id beats Stripe's '' whatever the time: links never come undone."""
    known = record.get("inv")
    if known is None or (bool(invoice), at, invoice) > (bool(known[1]), known[0], known[1]):
        record["inv"] = [at, invoice]
        return True
    return False


def _saw_refunded(record: Record, level: int, at: int, *, own: bool, in_parts: bool) -> bool:
    seen = record.setdefault("parts" if in_parts else "seen", {})
    return join_seen(seen, str(level), at, at, [at] if own else [])


def join_seen(seen: Record, level: str, first: int, last: int, owns: list[int]) -> bool:
    """Learn that a level was seen from `first` to `last`, and by `charge.refunded` events at `owns`."""
    known = seen.get(level, [first, last, []])
    update = [min(known[0], first), max(known[1], last), sorted({*known[2], *owns})]
    if seen.get(level) == update:
        return False
    seen[level] = update
    return True


def _refund(body: Obj, path: str) -> tuple[str, tuple[int, int, str, str]]:
    status = f.opt(body, "status", path) or "succeeded"  # absent in the oldest shapes, which only had such
    refund = (f.amount(body, "amount", path), f.moment(body, "created", path), status, f.opt(body, "reason", path))
    return f.required_id(body, path), refund


def fold_refund(record: Record, observation: Observation) -> bool:
    """Take in a refund object of its own (`refund.*`, `charge.refund.updated`, import, look-up)."""
    refund_id, refund = _refund(observation.body, observation.path)
    return learn_refund(record, refund_id, observation.at, *refund)


def learn_refund(record: Record, refund_id: str, at: int, size: int, created: int, status: str, reason: str) -> bool:
    """Learn a refund's state; the newest wins, in one second the later status."""
    refunds = record.setdefault("refunds", {})
    update = [at, _REFUND_RANK.get(status, 0), size, created, status, reason]
    if refund_id in refunds and refunds[refund_id] >= update:
        return False
    refunds[refund_id] = update
    if reason == "expired_uncaptured_charge":
        _expired(record, created)
    return True


def fold_notice(record: Record, observation: Observation) -> bool:
    """Take in that it succeeded by then (see `observation.noticed`)."""
    if observation.at >= record.get("noticed", HORIZON):
        return False
    record["noticed"] = observation.at
    return True


def moments(record: Record) -> tuple[int, int]:
    """When it succeeded and when it was captured; 0 where no event tells.

    A card's payment is captured as it succeeds, unless an event tells of the capture.
    """
    succeeded = record.get("succeeded", 0)
    noticed = record.get("noticed", 0) if not succeeded else 0
    return succeeded or noticed, record.get("captured", 0) or (noticed if record["core"]["captured"] else 0)


def fold_dispute(record: Record, observation: Observation) -> bool:
    """Take in a dispute: it marks the charge's rows, and is no refund."""
    body, path = observation.body, observation.path
    # The oldest shapes have no id.
    value = [f.opt(body, "id", path), f.opt(body, "status", path), f.opt(body, "reason", path)]
    update = newest(record.get("dispute"), observation.at, value)
    if update is not None:
        record["dispute"] = update
    return update is not None


def knowledge(record: Record) -> int:
    """The sum that grows with everything learned (see `lattice`)."""
    total: int = record.get("at", 0)
    if "inv" in record:
        total += record["inv"][0] + (HORIZON if record["inv"][1] else 0)
    if "released" in record:
        total += HORIZON
    for levels_seen in (record.get("seen", {}), record.get("parts", {})):
        for first, last, owns in levels_seen.values():
            total += last + HORIZON - first + sum(owns)
    if "expired" in record:
        total += HORIZON - record["expired"]
    for refund in record.get("refunds", {}).values():
        total += refund[0]
    if "dispute" in record:
        total += record["dispute"][0]
    for name in MOMENTS:
        if name in record:
            total += HORIZON - record[name]
    return total


def happened(record: Record) -> tuple[int, int]:
    """From when to when it may have come to what it is: a bank debit fails days after it was made.

    Where no event tells when that was, as of an imported charge, it was within the days that banks take.
    """
    core = record["core"]
    if core["status"] != "failed":
        return core["created"], core["created"]
    if "failed" in record:
        return record["failed"], record["failed"]
    return core["created"], core["created"] + (0 if "card" in core else _BANKS_SECONDS)


def paid(core: Record) -> bool:
    """Is it a customer's payment, of which anything is captured? A seller's `py_` is a transfer of the platform's."""
    return core["status"] == "succeeded" and bool(core["captured"] or core["got"]) and "transfer" not in core


def received(record: Record) -> int:
    """What was captured and so paid, in minor units: with overcapture more than was authorized."""
    core = record["core"]
    got: int = core["got"]
    return min(got, core["amount"] - record["released"]) if "released" in record else got


def released(record: Record) -> int:
    """What of the authorization came to nothing, which Stripe counts as refunded; while parts are captured, nothing."""
    core = record["core"]
    return max(core["amount"] - received(record), 0) if core["captured"] or "expired" in record else 0
