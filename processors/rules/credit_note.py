"""A credit note: what is kept of it, and its row. Source: Stripe, the Credit Note object, "Issue credit notes".

The record has `core`, `at`, `rank`, `told`, `rows`, `v` and `events` as a charge's. Its invoice keeps which notes there
are (`notes`), since what is learned of the invoice and its charge shows on them.

The amount is Stripe's `total`, "including tax and all discount" (before 2019-03 only `amount` was there, which is the
same): what the invoice is lowered by, always positive. Of it `pre_payment_amount` lowered what was due, and
`post_payment_amount` came after the payment: refunds, credit on the customer's balance and what was given back outside
Stripe add up to it. A voided note keeps its amount; its `status` is void, and sums of notes leave it out.
"""

from collections.abc import Iterator

from processors.rules import fields as f
from processors.rules import receipt, stripping
from processors.rules.fields import Obj
from processors.rules.lattice import RULES, Record, newer
from processors.rules.observation import Observation
from processors.rules.rows import Context, Row, row_of, with_origin
from schemas.errors import BadEvent
from schemas.metrics import Metric
from schemas.money import major
from schemas.times import rfc3339

_STATUS_RANK = {"issued": 0, "void": 1}
_TEXTS = (("number", "number"), ("memo", "memo"), ("pdf", "pdf"), ("why", "reason"), ("type", "type"))
_MOMENTS = (("voided", "voided_at"), ("effective", "effective_at"))
_AMOUNTS = (
    ("PrePaymentAmount", "pre"),
    ("PostPaymentAmount", "post"),
    ("RefundAmount", "refunded"),
    ("CustomerBalanceAmount", "balance"),
    ("OutOfBandAmount", "outside"),
    ("Subtotal", "subtotal"),
    ("Discount", "discount"),
    ("Tax", "tax"),
    ("TaxIncluded", "within"),
)


def fold(record: Record, observation: Observation) -> bool:
    """Take in a credit note; True when anything new was learned. Raises BadEvent before any change."""
    core = stripping.spared(record, normalize(observation.body, observation.path))
    order = [_STATUS_RANK[core["status"]], RULES]
    if not newer(observation.at, order, core, record):
        return False
    told = [observation.source, observation.api_version, observation.received_at]
    record |= {"core": core, "at": observation.at, "rank": order, "told": told}
    return True


def normalize(body: Obj, path: str) -> Record:
    """The fields that the row needs. Raises BadEvent."""
    status = f.opt(body, "status", path) or "issued"
    if status not in _STATUS_RANK:
        raise BadEvent(f"unknown credit note status {status!r}"[:80], path=f"{path}.status")
    amount = f.amount(body, "total" if body.get("total") is not None else "amount", path)
    core: Record = {
        "status": status,
        "currency": f.currency(body, path),
        "amount": amount,
        "created": f.moment(body, "created", path),
        "inv": f.reference(body, "invoice", path),
    }
    f.texts(body, _TEXTS, path, core)
    f.moments(body, _MOMENTS, path, core)
    taxes = receipt.taxes(body | {"total_tax_amounts": body.get("tax_amounts")}, path)
    optional = {
        "subtotal": f.signed_amount(body, "subtotal", path),
        "discount": f.signed_amount(body, "discount_amount", path),
        "tax": sum(tax for _, tax, included in taxes if not included),
        "within": sum(tax for _, tax, included in taxes if included),
        "meta": f.metadata(body, path),
        **_paid_back(body, core, path),
    }
    return core | {name: value for name, value in optional.items() if value}


def _paid_back(body: Obj, core: Record, path: str) -> Record:
    """Which part lowered what was due, and how the rest was given back, as far as this shape tells."""
    before = core["amount"] if core.get("type") == "pre_payment" else 0
    pre = f.amount(body, "pre_payment_amount", path, default=before)
    post = f.amount(body, "post_payment_amount", path, default=max(core["amount"] - pre, 0))
    refunds, refunded = [], 0
    entries = body.get("refunds") or []
    if not isinstance(entries, list):
        raise BadEvent("expected a list of objects", path=f"{path}.refunds")
    for number, entry in enumerate(entries):
        at = f"{path}.refunds.{number}"
        if not isinstance(entry, dict):
            raise BadEvent("expected an object", path=at)
        refunds.append(f.reference(entry, "refund", at))
        refunded += f.amount(entry, "amount_refunded", at, default=0)
    outside = f.amount(body, "out_of_band_amount", path, default=0)
    told: Record = {"pre": pre, "post": post, "refunded": refunded, "outside": outside}
    if single := f.reference(body, "refund", path):  # until basil
        refunds = [single]
    elif f.reference(body, "customer_balance_transaction", path):
        told["balance"] = max(post - refunded - outside, 0)
    return told | {"refunds": [one for one in refunds if one]}


def rows(note_id: str, record: Record, context: Context, charge: Record | None) -> Iterator[Row]:
    """Credit Note. `charge` is the record of the one that paid the invoice, if a note after payment has one."""
    core = record["core"]
    currency = core["currency"]
    paid, invoice = (charge or {}).get("core", {}), (context.invoice or {}).get("core", {})
    own = (paid.get("billing", ""), paid.get("receipt", ""), invoice.get("email", ""))
    refunds = core.get("refunds", [])
    properties = {
        "CreditNote": note_id,
        "CreditNoteNumber": core.get("number"),
        "CreditNoteType": core.get("type"),
        "CreditNotePDF": core.get("pdf"),
        "ReasonCode": core.get("why"),
        "Memo": core.get("memo"),
        "status": core["status"],
        "VoidedAt": rfc3339(core["voided"]) if "voided" in core else None,
        "EffectiveAt": rfc3339(core["effective"]) if "effective" in core else None,
        "Invoice": context.invoice_id,
        "InvoiceNumber": invoice.get("number"),
        "Subscription": invoice.get("sub"),
        "LinkInferred": context.inferred or None,
        "Refund": ", ".join(refunds),
        **{name: major(core[part], currency) for name, part in _AMOUNTS if part in core},
        "metadata": with_origin(
            {"credit_note": core.get("meta"), "invoice": invoice.get("meta"), "subscription": context.submeta}, context
        ),
    }
    yield row_of(
        Metric.CREDIT_NOTE,
        f"{context.prefix}credit_note:{note_id}",
        core["created"],
        currency,
        core["amount"],
        own,
        context,
        properties,
        {
            "charge_id": context.charge_id,
            "invoice_id": context.invoice_id,
            "reason_code": core.get("why", ""),
        },
    )
