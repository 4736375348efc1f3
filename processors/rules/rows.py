"""From state to metric rows of payments and invoices by the ledger's rules. Pure; one function a kind of object.

Each yields rows as JSON-ready dicts without `version`, `received_at`, `source` and `api_version`, which tell of the
telling and not of the fact. Sources: Klaviyo's Stripe metrics; DESIGN, "How a row comes to be".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from processors.rules import attempts, identity, refunds
from processors.rules import charge as charges
from processors.rules import invoice as invoices
from processors.rules.declines import decline_class
from processors.rules.lattice import Record
from processors.rules.lines import items, line_items
from schemas.erasing import Until, marked, strip_row
from schemas.metrics import Metric
from schemas.money import CURRENCIES, major
from schemas.times import rfc3339

Row = dict[str, Any]

# Subtotal - Discount - CreditGrants + Shipping + Tax + NotToldByStripe = Total (see `receipt`)
_PARTS = (
    ("Subtotal", "subtotal"),
    ("Discount", "discount"),
    ("CreditGrants", "credits"),
    ("Shipping", "ship"),
    ("Tax", "tax"),
    ("NotToldByStripe", "rest"),
    ("DiscountIncluded", "items"),
    ("TaxIncluded", "within"),
)
_CONNECT = frozenset(("fee", "dest", "behalf"))  # of a destination charge, see `charge.normalize`
_UNTOLD = ("", "", "", "", "")  # why an attempt failed, see `attempts.Error`


@dataclass(slots=True)
class Context:
    """Whose object it is, and what it hangs together with."""

    account: str
    livemode: bool
    customer: str
    party: Record
    invoice_id: str = ""
    invoice: Record | None = None
    charge_id: str = ""  # of another object's row: the charge that it is about
    inferred: bool = False
    attempt: int = 0
    derived: bool = False  # the attempt is told by no event
    lines: list[list[Any]] | None = None
    submeta: dict[str, str] | None = None  # its subscription's metadata
    refused: str = ""  # why the object's own email is none
    until: Until = identity.nobody  # who is erased
    erased: bool = False  # the object has lost its person

    @property
    def prefix(self) -> str:
        """What every metric id begins with."""
        return f"{self.account}:{'live' if self.livemode else 'test'}:"


def charge_rows(charge_id: str, record: Record, context: Context) -> Iterator[Row]:
    """Successfully Paid or Failed Payment, and Refunded Payment by level."""
    core = record.get("core")
    if core is None:
        yield from _stub_rows(charge_id, context)
        return
    invoice_core = (context.invoice or {}).get("core", {})
    own = (core.get("billing", ""), core.get("receipt", ""), invoice_core.get("email", ""))
    context.refused = core.get("refused", "")
    properties = _charge_properties(core, record, context, invoice_core)
    base = {"charge_id": charge_id, "invoice_id": context.invoice_id}
    if core["status"] == "failed":
        failure = {
            "AttemptCount": context.attempt or None,
            "AttemptCountDerived": context.derived or None,
            "Reason": core.get("reason"),
            "ReasonCode": core.get("code"),
        }
        yield row_of(
            Metric.FAILED_PAYMENT,
            f"{context.prefix}failed:{charge_id}",
            core["created"],
            core["currency"],
            core["amount"],
            own,
            context,
            properties | failure,
            base
            | {
                "attempt_count": context.attempt,
                "reason": core.get("reason", ""),
                "reason_code": core.get("code", ""),
            },
        )
    elif charges.paid(core):
        yield row_of(
            Metric.SUCCESSFULLY_PAID,
            f"{context.prefix}paid:{charge_id}",
            core["created"],
            core["currency"],
            charges.received(record),
            own,
            context,
            properties | _moments(record) | {"Items": items(context.lines)},
            base,
        )
        below = 0
        for level, at, refund_id, reason in refunds.levels(record):
            told = {"Refund": refund_id, "RefundReason": reason, "RefundedInAll": major(level, core["currency"])}
            yield row_of(
                Metric.REFUNDED_PAYMENT,
                f"{context.prefix}refunded:{charge_id}:{level}",
                at,
                core["currency"],
                level - below,
                own,
                context,
                properties | told,
                base | {"reason_code": reason},
            )
            below = level


def _stub_rows(charge_id: str, context: Context) -> Iterator[Row]:
    """A charge of which only its invoice told, with the attempt that failed."""
    record = context.invoice or {}
    core = record.get("core")
    key = f"{context.attempt}:{charge_id}"
    if core is None or not context.attempt or key not in record.get("tries", {}):
        return
    at, amount = attempts.tried(record, key)
    yield row_of(
        Metric.FAILED_PAYMENT,
        f"{context.prefix}failed:{charge_id}",
        at,
        core["currency"],
        amount,
        (core.get("email", ""),),
        context,
        _invoice_properties(core, record, context.invoice_id, context) | {"AttemptCount": context.attempt},
        {"charge_id": charge_id, "invoice_id": context.invoice_id, "attempt_count": context.attempt},
    )


def invoice_rows(
    invoice_id: str,
    record: Record,
    context: Context,
    uncovered: list[tuple[int, attempts.Failure]],
    paid_by_charges: int,
) -> Iterator[Row]:
    """Issued Invoice; Failed Payment of attempts without a charge (`uncovered`); paid outside Stripe.

    `paid_by_charges` is what linked charges got, in minor units. What was paid outside is told by Stripe's records of
    it, each at its own time, and what these don't tell by the invoice once it is paid.
    """
    core = record.get("core")
    if core is None:
        return
    issued = core.get("finalized") and core["status"] != "draft"
    recorded = invoices.recorded(record)
    if not (issued or uncovered or recorded or "oob" in record):
        return  # a draft: half of an invoice's events
    own = (core.get("email", ""),)
    context.refused = core.get("refused", "")
    properties = _invoice_properties(core, record, invoice_id, context)
    if issued:
        yield row_of(
            Metric.ISSUED_INVOICE,
            f"{context.prefix}issued:{invoice_id}",
            core["finalized"],
            core["currency"],
            core["total"],
            own,
            context,
            properties,
            {"invoice_id": invoice_id, "attempt_count": core.get("count", 0), "lines": line_items(context.lines or [])},
        )
    for attempt, (at, amount) in uncovered:
        reason, code, *codes = attempts.why(record, at) or _UNTOLD
        failure = {"AttemptCount": attempt, "Reason": reason, "ReasonCode": code, **_declined(code, *codes)}
        yield row_of(
            Metric.FAILED_PAYMENT,
            f"{context.prefix}failed:{invoice_id}:attempt:{attempt}",
            at,
            core["currency"],
            amount,
            own,
            context,
            properties | failure,
            {"invoice_id": invoice_id, "attempt_count": attempt, "reason": reason, "reason_code": code},
        )
    if "oob" in record and core["status"] == "paid":
        said = record["oob"][1]
        outside = said if said > 0 else core["due"] - paid_by_charges
        outside -= sum(amount for _, amount, _ in recorded)
        if outside > 0:
            paid_at = core.get("paid_at") or core.get("finalized") or core["created"]
            recorded = [*recorded, (invoice_id, outside, paid_at)]
    for identifier, amount, paid_at in recorded:
        yield row_of(
            Metric.SUCCESSFULLY_PAID,
            f"{context.prefix}paid:{identifier}",
            paid_at,
            core["currency"],
            amount,
            own,
            context,
            properties | {"Items": items(context.lines), "PaidOutOfBand": True},
            {"invoice_id": invoice_id},
        )


def upcoming_rows(key: str, record: Record, context: Context) -> Iterator[Row]:
    """Upcoming Invoice: from the event alone, since Stripe's API keeps none. `at` of the record is its time."""
    core = record["core"]
    context.refused = core.get("refused", "")
    properties = _invoice_properties(core, record, "", context) | {"Items": items(context.lines)}
    yield row_of(
        Metric.UPCOMING_INVOICE,
        f"{context.prefix}upcoming:{key}",
        record["first"],
        core["currency"],
        core["due"],
        (core.get("email", ""),),
        context,
        properties,
        {},
    )


def row_of(
    metric: Metric,
    metric_id: str,
    occurred_at: float,
    currency: str,
    amount: int,
    own: tuple[str, ...],
    context: Context,
    properties: Row,
    more: Row,
) -> Row:
    """One row. `own` are the object's own emails, in the order of `identity.email_of`; `more` are further columns."""
    email = identity.email_of(context.party, occurred_at, own, context.until)
    gone = bool(marked(email)) or (context.erased and not email)
    if gone:
        email = ""
    decimal = major(amount, currency)
    told = {"Amount": decimal, "Currency": currency.upper(), **properties}
    if currency not in CURRENCIES:
        told["DecimalsAssumed"] = True
    row = {
        "metric": metric.value,
        "metric_id": metric_id,
        "occurred_at": rfc3339(occurred_at),
        "email": email,
        "unlinked_reason": ""
        if email or gone
        else identity.unlinked_reason(context.party, context.customer, context.refused),
        "account": context.account,
        "livemode": context.livemode,
        "customer_id": context.customer,
        "currency": currency,
        "amount": decimal,
        "amount_minor": amount,
        "properties": {name: value for name, value in told.items() if value},
    }
    row.update(more)
    return strip_row(row) if gone else row


def _charge_properties(core: Record, record: Record, context: Context, invoice_core: Record) -> Row:
    card = core.get("card", ("", "", 0, 0))
    properties: Row = {
        "Description": core.get("text"),
        "PaymentIntent": core.get("pi"),
        "ReceiptURL": core.get("url"),
        "CardBrand": card[0],
        "CardLast4": card[1],
        "PaymentMethodType": core.get("via"),
        "RiskLevel": core.get("risk"),
        "Disputed": core.get("disputed"),
    }
    if core["status"] == "failed":
        properties |= _declined(*(core.get(name, "") for name in ("code", "decline", "network", "advice")))
    if "shown" in core:
        amount, currency = core["shown"]
        properties |= {"PresentmentAmount": major(amount, currency), "PresentmentCurrency": currency.upper()}
    if not core.keys().isdisjoint(_CONNECT):
        properties |= {
            "ApplicationFee": major(core["fee"], core["currency"]) if "fee" in core else None,
            "Destination": core.get("dest"),
            "OnBehalfOf": core.get("behalf"),
        }
    if "dispute" in record:
        properties |= {"Disputed": True, "DisputeStatus": record["dispute"][1][1]}
    metadata = {"charge": core.get("meta")}
    if context.invoice_id:
        properties["Invoice"] = context.invoice_id
        properties["LinkInferred"] = context.inferred or None
    if invoice_core:
        properties |= _about_invoice(invoice_core)
        metadata |= {"invoice": invoice_core.get("meta"), "subscription": context.submeta}
    properties["metadata"] = with_origin(metadata, context)
    return properties


def _moments(record: Record) -> Row:
    told = zip(("SucceededAt", "CapturedAt"), charges.moments(record), strict=True)
    return {name: rfc3339(at) for name, at in told if at}


def _declined(code: str, decline: str, network: str, advice: str) -> Row:
    told = {"DeclineCode": decline, "NetworkDeclineCode": network, "AdviceCode": advice}
    return told | {"DeclineClass": decline_class(code, decline, advice)}


def with_origin(metadata: Row, context: Context) -> Row:
    """Metadata by the object that carries it. Of lines with the same key, the first one's value."""
    lines: dict[str, str] = {}
    for line in reversed(context.lines or ()):
        if line[10]:
            lines |= line[10]
    if lines:
        metadata["line"] = lines
    if "cust" in context.party:
        metadata["customer"] = context.party["cust"].get("meta")
    return {origin: value for origin, value in metadata.items() if value}


def _about_invoice(core: Record) -> Row:
    """What payments and invoices both tell. The parts of the total only where there are any."""
    currency, parts = core["currency"], core.get("sum", {})
    return {name: major(parts[part], currency) for name, part in _PARTS if part in parts} | {
        "Total": major(core["total"], currency),
        "TotalExcludingTax": major(core["net"], currency) if "net" in core else None,
        "Taxes": [
            {"Rate": rate, "Amount": major(amount, currency), "Included": included}
            for rate, amount, included in core.get("taxes", ())
        ],
        "InvoiceNumber": core.get("number"),
        "InvoiceURL": core.get("url"),
        "InvoicePDF": core.get("pdf"),
        "Subscription": core.get("sub"),
        "BillingReason": core.get("why"),
    }


def _invoice_properties(core: Record, record: Record, invoice_id: str, context: Context) -> Row:
    currency = core["currency"]
    metadata = {"invoice": core.get("meta"), "subscription": context.submeta}
    return _about_invoice(core) | {
        "Invoice": invoice_id,
        "Description": core.get("text"),
        "status": core["status"],
        "overdue": invoices.overdue(record) or None,
        "requires_action": invoices.requires_action(record) or None,
        "AmountDue": major(core["due"] + core.get("credited", 0), currency),  # credit notes lower Stripe's own later
        "AmountRemaining": major(core.get("left", 0), currency),
        "AmountPaid": major(core["paid"], currency),
        "CollectionMethod": core.get("collect"),
        "EffectiveAt": rfc3339(core["effective"]) if "effective" in core else None,
        "DueDate": rfc3339(core["due_date"]) if "due_date" in core else None,
        "NextPaymentAttempt": rfc3339(core["next"]) if "next" in core else None,
        "PeriodStart": rfc3339(core["begin"]) if "begin" in core else None,
        "PeriodEnd": rfc3339(core["end"]) if "end" in core else None,
        "metadata": with_origin(metadata, context),
    }
