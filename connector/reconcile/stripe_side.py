"""What Stripe's API objects say happened: pure, and on purpose not a line of the ledger's code.

Sources: Stripe's API reference of the Charge, Refund, Invoice, Credit Note and Dispute objects (API version
`stripe_api.API_VERSION`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connector.reconcile.facts import Fact
from schemas.emails import normal, problem
from schemas.metrics import Metric

Json = dict[str, Any]

_RETURNED = ("failed", "canceled")  # such a refund gave the money back to the seller: it is none
_EXPIRED = "expired_uncaptured_charge"  # nor is the end of an authorization, after parts of it were captured


def charge_facts(charge: Json) -> Iterator[Fact]:
    """What was captured is a payment, failed is a failure; an authorization is neither, nor a transfer to a seller.

    Source: Stripe, "Multicapture" (parts are in `amount_captured` while `captured` is false), "Destination charges".
    """
    amount, metric, details = charge["amount"], Metric.FAILED_PAYMENT, _whose(charge)
    if charge["status"] == "succeeded":
        if not charge["amount_captured"] or charge.get("source_transfer"):
            return
        amount, metric = charge["amount_captured"], Metric.SUCCESSFULLY_PAID
    elif charge["status"] == "failed":
        details |= _told({"reason": charge.get("failure_message"), "reason code": charge.get("failure_code")})
    else:
        return
    yield Fact(metric, charge["id"], charge["id"], charge["currency"], amount, charge["created"], details)


def refund_facts(charge: Json, refunds: Iterable[Json]) -> Iterator[Fact]:
    """One a refund that gave money back. `refunds` are all of the charge's, whenever they were made.

    Of a partial capture, Stripe counts the released rest of the authorization as refunded, in some API versions by a
    refund object of its own, which comes first: that money was never paid.
    """
    if charge["status"] != "succeeded" or not charge["amount_captured"] or charge.get("source_transfer"):
        return
    given_back = (one for one in refunds if one.get("status") not in _RETURNED and one.get("reason") != _EXPIRED)
    counted = sorted(given_back, key=_order)
    released = charge["amount"] - charge["amount_captured"] if partly_captured(charge) else 0
    returned = charge["amount_refunded"] - released
    to_release = max(sum(one["amount"] for one in counted) - returned, 0) if released else 0
    if of_release := [one for one in counted if one["amount"] == to_release]:
        counted.remove(of_release[0])
        to_release = 0
    for refund in counted:
        rest = min(to_release, refund["amount"])
        to_release -= rest
        if refund["amount"] > rest:
            paid_back = refund["amount"] - rest
            identifier, currency, at = charge["id"], charge["currency"], refund["created"]
            details = _told({"reason": refund.get("reason")})
            yield Fact(Metric.REFUNDED_PAYMENT, identifier, refund["id"], currency, paid_back, at, details)


def invoice_facts(invoice: Json) -> Iterator[Fact]:
    """Finalized is issued, whatever came of it later; what was paid outside Stripe is a payment of its own.

    What is issued is the `total`: credit notes lower `amount_due` afterwards, and a customer's credit does before.

    Expects `amount_paid_off_stripe` and `payments` to be expanded. Payment records are a part of the first, and count
    when they were made, whatever becomes of the invoice. Source: Stripe, "Payment Records", the InvoicePayment object.
    """
    moments = invoice.get("status_transitions") or {}
    identifier, currency = invoice["id"], invoice["currency"]
    finalized = moments.get("finalized_at")
    if finalized and invoice["status"] != "draft":
        details = {"status": str(invoice["status"])}
        yield Fact(Metric.ISSUED_INVOICE, identifier, identifier, currency, invoice["total"], finalized, details)
    outside = invoice.get("amount_paid_off_stripe") or 0
    for payment in (invoice.get("payments") or {}).get("data", ()):
        amount = payment.get("amount_paid") or 0
        if payment["payment"]["type"] == "payment_record" and payment["status"] == "paid" and amount:
            outside -= amount
            at = payment["status_transitions"]["paid_at"]
            yield Fact(Metric.SUCCESSFULLY_PAID, identifier, payment["id"], currency, amount, at)
    if outside > 0 and invoice["status"] == "paid":
        at = moments.get("paid_at") or finalized or invoice["created"]
        yield Fact(Metric.SUCCESSFULLY_PAID, identifier, identifier, currency, outside, at)


def credit_note_facts(note: Json) -> Iterator[Fact]:
    """One a credit note, a voided one too: its status says so. Source: Stripe, the Credit Note object."""
    details = {"status": note["status"]}
    yield Fact(Metric.CREDIT_NOTE, note["id"], note["id"], note["currency"], note["total"], note["created"], details)


def dispute_facts(dispute: Json) -> Iterator[Fact]:
    """One a dispute or inquiry, whatever came of it. Source: Stripe, the Dispute object."""
    identifier, details = dispute["id"], {"status": dispute["status"]}
    at, currency = dispute["created"], dispute["currency"]
    yield Fact(Metric.DISPUTE, identifier, identifier, currency, dispute["amount"], at, details)


def charges_of(invoice: Json) -> Iterator[str]:
    """Payment intents and charges that are an invoice's, of its expanded `payments`."""
    for payment in (invoice.get("payments") or {}).get("data", ()):
        told = payment["payment"]
        yield from filter(None, (told.get("payment_intent"), told.get("charge")))


def _whose(charge: Json) -> dict[str, str]:
    """Whose a charge is by its own word. With a customer it is the customer's, whose email may be another by now."""
    named = ((charge.get("billing_details") or {}).get("email"), charge.get("receipt_email"))
    email = next((usable for text in named if text and not problem(usable := normal(text))), "")
    if not email:
        return {}
    return {"linked": "yes"} if charge.get("customer") else {"email": email}


def _told(details: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in details.items() if value}


def partly_captured(charge: Json) -> bool:
    """Was some of the authorization released?"""
    return bool(charge["captured"]) and charge["amount_captured"] < charge["amount"]


def _order(refund: Json) -> tuple[int, str]:
    return refund["created"], refund["id"]
