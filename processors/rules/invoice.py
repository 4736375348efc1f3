"""An invoice: what is kept of it, and how a further observation changes that. Source: Stripe, the Invoice object.

The record:
    core, at, rank    the newest snapshot and when it was seen
    told              [source, api_version, received_at] of that snapshot
    oob               [at, amount]: paid outside Stripe; -1 is 'all that was due' (before basil: a flag only)
    tries             {"attempt:charge id": [first seen, what was still to be paid]}: failed attempts; the charge is ''
                      when there was none and '?' when the shape does not tell (since basil), then with its time:
                      "2:?:1767607200". Before there were credit notes: only the time. See `attempts`
    charges           {charge id: [status rank, from, amount got, to]}: charges that Stripe's ids link to it, and when
                      they came to that (`charge.happened`); without `to` it is `from`
    cov               {offer: [charge id, amount got]}: charges that were inferred (see `links`)
    offers            {offer: [group, from, to]}: what it offers to `links`
    payments          {payment id: [at, payment intent, charge]}: Stripe's own links since basil; of one that was made
                      outside Stripe (a payment record) [at, '', '', amount, when it was made]
    notes             the ids of its credit notes
    errors            {when seen: why the newest attempt by then failed}: of attempts without a charge (see `attempts`)
    flags             {"overdue" | "requires_action" | "failed": newest event that says so}
    asked, sought     when Stripe was asked for its payments, and the failure of which the reason was asked for
    rows, v, events   as for a charge
Its lines are kept apart (`lines_of`), since they are large and seldom change.
"""

from typing import Any

from processors.rules import attempts, receipt, stripping
from processors.rules import fields as f
from processors.rules.fields import Obj
from processors.rules.lattice import HORIZON, RULES, Record, newer, newest
from processors.rules.observation import Observation, subscription_of
from schemas.errors import BadEvent

_LINES = 50_000  # far beyond what Stripe puts on an invoice; its row has to fit a Kafka message
_STATUS_RANK = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3, "deleted": 4}
_TEXTS = (
    ("number", "number"),
    ("name", "customer_name"),
    ("phone", "customer_phone"),
    ("why", "billing_reason"),
    ("collect", "billing"),  # until 2019, when it became:
    ("collect", "collection_method"),
    ("url", "hosted_invoice_url"),
    ("pdf", "invoice_pdf"),
    ("text", "description"),
)
_MOMENTS = (
    ("due_date", "due_date"),
    ("next", "next_payment_attempt"),
    ("effective", "effective_at"),
    ("begin", "period_start"),
    ("end", "period_end"),
)
_FLAGS = {
    "invoice.overdue": "overdue",
    "invoice.payment_action_required": "requires_action",
    "invoice.payment_failed": "failed",
}
_ATTEMPT_SECONDS = 2  # Stripe tells of an attempt that needs the customer as `payment_failed` too, at about one time


def normalize(body: Obj, path: str, *, deleted: bool = False) -> Record:
    """The fields that rows need. Raises BadEvent."""
    moments = f.child(body, "status_transitions", path)
    at = f"{path}.status_transitions"
    details = f.child(f.child(body, "parent", path), "subscription_details", f"{path}.parent")
    details = details or f.child(body, "subscription_details", path)  # 2023-08-16 until basil
    status = "deleted" if deleted else f.opt(body, "status", path) or _old_status(body, path)
    if status not in _STATUS_RANK:
        raise BadEvent(f"unknown invoice status {status!r}"[:80], path=f"{path}.status")
    core: Record = {
        "status": status,
        "currency": f.currency(body, path),
        "due": f.signed_amount(body, "amount_due", path),
        "paid": f.signed_amount(body, "amount_paid", path),
        "total": f.signed_amount(body, "total", path),
        "created": f.opt_moment(body, "created", path) or f.opt_moment(body, "date", path),
    }
    f.texts(body, _TEXTS, path, core)
    f.moments(body, _MOMENTS, path, core)
    optional: Record = {
        "left": f.signed_amount(body, "amount_remaining", path),
        "credited": f.signed_amount(body, "pre_payment_credit_notes_amount", path),  # is in `due` no more
        "sum": receipt.parts(body, path),
        "taxes": receipt.taxes(body, path),
        "finalized": f.opt_moment(moments, "finalized_at", at) or f.opt_moment(body, "finalized_at", path),
        "paid_at": f.opt_moment(moments, "paid_at", at),
        "email": f.email(body.get("customer_email"), f"{path}.customer_email", core),
        "sub": subscription_of(body, path),
        "count": f.count(body, "attempt_count", path),
        "meta": f.metadata(body, path),
    }
    if details:
        optional["submeta"] = f.metadata(details, f"{path}.parent.subscription_details")
    core |= {name: value for name, value in optional.items() if value}
    if body.get("total_excluding_tax") is not None:
        core["net"] = f.signed_amount(body, "total_excluding_tax", path)
    return core


def _old_status(body: Obj, path: str) -> str:
    """`status` came in 2018-11: before it, flags told."""
    if f.flag(body, "paid", path):
        return "paid"
    if f.flag(body, "forgiven", path):
        return "uncollectible"
    return "open" if f.flag(body, "closed", path) or f.flag(body, "attempted", path) else "draft"


def normalize_line(body: Obj, position: int, path: str) -> list[Any]:
    """A line as [id, position, product, price, description, quantity, currency, amount, start, end, metadata, sub]."""
    pricing = f.child(f.child(body, "pricing", path), "price_details", f"{path}.pricing")
    price = body.get("price")
    if not isinstance(price, dict):
        price = f.child(body, "plan", path) if isinstance(body.get("plan"), dict) else {}
    period = f.child(body, "period", path)
    return [
        f.opt(body, "id", path) or f"line_{position}",
        position,
        f.reference(pricing, "product", path) or f.reference(price, "product", path),
        f.reference(pricing, "price", path) or f.opt(price, "id", path),
        f.opt(body, "description", path),
        f.signed_amount(body, "quantity", path),
        f.currency(body, path),
        f.signed_amount(body, "amount", path),
        f.opt_moment(period, "start", f"{path}.period"),
        f.opt_moment(period, "end", f"{path}.period"),
        f.metadata(body, path),
    ]


def lines_of(body: Obj, path: str) -> list[list[Any]]:
    """All lines that the snapshot carries (Stripe puts ten on it; the rest needs a look-up)."""
    data = f.listed(body, "lines", path)
    if len(data) > _LINES:
        raise BadEvent(f"{len(data)} lines are more than an invoice can have", path=f"{path}.lines.data")
    return [normalize_line(line, n, f"{path}.lines.data.{n}") for n, line in enumerate(data)]


def fold(record: Record, observation: Observation) -> bool:
    """Take in an invoice observation; True when anything new was learned. Raises BadEvent before any change."""
    body, at, path = observation.body, observation.at, observation.path
    core = normalize(body, path, deleted=observation.type == "invoice.deleted" or body.get("deleted") is True)
    core = stripping.spared(record, core)
    charge = f.reference(body, "charge", path) if "charge" in body else None
    outside = _outside(body, path)
    payments = [_payment(payment, f"{path}.payments.data") for payment in f.listed(body, "payments", path)]
    intent = f.reference(body, "payment_intent", path)  # before basil: an invoice had one intent
    error = attempts.error_of(body, path)
    changed = attempts.learn_error(record, at, error) if error else False
    order = [_STATUS_RANK[core["status"]], core.get("count", 0), bool(core.get("finalized")), core["paid"], RULES]
    if newer(at, order, core, record):
        told = [observation.source, observation.api_version, observation.received_at]
        record |= {"core": core, "at": at, "rank": order, "told": told}
        changed = True
    if outside and (update := newest(record.get("oob"), at, outside)):
        record["oob"] = update
        changed = True
    if observation.type == "invoice.payment_failed":
        changed |= attempts.learn(record, core.get("count", 0), charge, [at, core.get("left") or core["due"]])
    if charge:
        changed |= link(record, charge)
    if intent:
        changed |= learn_payment(record, intent, 0, intent, "")
    for payment_id, *payment in payments:
        changed |= learn_payment(record, payment_id, at, *payment)
    if flag := _FLAGS.get(observation.type):
        flags = record.setdefault("flags", {})
        changed |= at > flags.get(flag, 0)
        flags[flag] = max(at, flags.get(flag, 0))
    return changed


def _outside(body: Obj, path: str) -> int:
    """What was paid outside Stripe: an amount, -1 for 'all that was due', 0 for nothing."""
    off_stripe = f.amount(body, "amount_paid_off_stripe", path, default=0)
    return off_stripe or (-1 if f.flag(body, "paid_out_of_band", path) else 0)


def link(record: Record, charge: str, status: int = -1, when: tuple[int, int] = (0, 0), got: int = 0) -> bool:
    """Learn that `charge` belongs to this invoice and how far it is; a status of -1 is 'not seen yet'."""
    charges = record.setdefault("charges", {})
    begin, end = when
    update = [status, begin, got] if begin == end else [status, begin, got, end]
    if charge in charges and (status < 0 or charges[charge] == update):
        return False
    charges[charge] = update
    return True


def fold_payment(record: Record, observation: Observation) -> bool:
    """Take in an invoice payment: the link that neither charge nor invoice carries since basil."""
    payment_id, *payment = _payment(observation.body, observation.path)
    return learn_payment(record, payment_id, observation.at, *payment)


def _payment(body: Obj, path: str) -> list[Any]:
    """[id, payment intent, charge] of an invoice payment, and of a payment record that is paid [amount, when]."""
    payment = f.child(body, "payment", path)
    intent = f.reference(payment, "payment_intent", f"{path}.payment")
    charge = f.reference(payment, "charge", f"{path}.payment")
    known = [f.required_id(body, path), intent, charge]
    if payment.get("type") != "payment_record" or f.opt(body, "status", path) != "paid":
        return known
    amount = f.amount(body, "amount_paid", path, default=0)
    moments = f.child(body, "status_transitions", path)
    paid_at = f.opt_moment(moments, "paid_at", f"{path}.status_transitions") or f.moment(body, "created", path)
    return [*known, amount, paid_at]


def learn_payment(record: Record, payment_id: str, at: int, *payment: Any) -> bool:
    """Learn that a payment intent or charge is meant for this invoice, or what was paid of it outside Stripe."""
    payments = record.setdefault("payments", {})
    update = [at, *payment]
    if payment_id in payments and payments[payment_id] >= update:
        return False
    payments[payment_id] = update
    return True


def knowledge(record: Record) -> int:
    """The sum that grows with everything learned (see `lattice`)."""
    total: int = record.get("at", 0)
    if "oob" in record:
        total += record["oob"][0]
    for told in record.get("tries", {}).values():
        total += HORIZON - (told if isinstance(told, int) else told[0])
    total += sum(record.get("flags", {}).values()) + sum(map(int, record.get("errors", ())))
    for at, *_ in record.get("payments", {}).values():
        total += at
    return total + len(record.get("charges", {}))


def overdue(record: Record) -> bool:
    """Was it due, and still is?"""
    return "overdue" in record.get("flags", ()) and record["core"]["status"] in ("open", "uncollectible")


def requires_action(record: Record) -> bool:
    """Does it wait for the customer to authenticate? Not any more once it was paid, or once the attempt failed."""
    flags = record.get("flags", {})
    if "requires_action" not in flags or record["core"]["status"] != "open":
        return False
    return bool(flags["requires_action"] + _ATTEMPT_SECONDS >= flags.get("failed", 0))


def recorded(record: Record) -> list[tuple[str, int, int]]:
    """The payments outside Stripe that it keeps a record of, as (payment id, amount, when), in order of time."""
    payments = record.get("payments", {}).items()
    known = [(payment_id, payment[3], payment[4]) for payment_id, payment in payments if len(payment) > 3]
    return sorted((one for one in known if one[1] > 0), key=lambda one: (one[2], one[0]))


def wanted(record: Record) -> int:
    """How much of it was paid by a charge that no id names; 0 for nothing."""
    core = record["core"]
    said = record["oob"][1] if "oob" in record else 0
    if core["status"] != "paid" or said < 0:
        return 0
    if any(status != attempts.FAILED for status, *_ in record.get("charges", {}).values()):
        return 0
    outside: int = max(said, sum(amount for _, amount, _ in recorded(record)))
    return int(max(core["paid"] - outside, 0))


def payments_untold(record: Record, observation: Observation) -> bool:
    """Does only Stripe's API know what paid, or tried to pay, the invoice?

    Since 2025-03-31.basil neither the invoice nor the charge names the other, and what was paid outside Stripe is
    told when asked alone. Asked once it was tried, and once more when it is paid.
    """
    core, at = record["core"], record["at"]
    if observation.fetched or "charge" in observation.body or core["total"] <= 0 or record.get("asked", 0) >= at:
        return False
    known = max((payment[0] for payment in record.get("payments", {}).values()), default=0)
    return known < at if core["status"] == "paid" else not known and core.get("count", 0) > 0
