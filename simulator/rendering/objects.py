"""Neutral state → Stripe's JSON, shaped as an API version has it. Field sets follow Stripe's API reference."""

from collections.abc import Callable
from typing import Any

import orjson

from simulator.rendering.billing import invoice_json, invoice_payment_json
from simulator.rendering.credit_notes import credit_note_json
from simulator.rendering.payments import (
    address_json,
    dispute_json,
    payment_method_json,
    payout_json,
    price_json,
    product_json,
)
from simulator.rendering.shapes import NEWEST, Shape, shape_of
from simulator.rendering.subscriptions import subscription_json
from simulator.world.objects import (
    Charge,
    CreditNote,
    Customer,
    Dispute,
    Event,
    Invoice,
    InvoicePayment,
    PaymentMethod,
    Payout,
    Price,
    Product,
    Refund,
    State,
    Subscription,
)

Json = dict[str, Any]

_NOTHING_CHECKED = {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"}


def event_body(event: Event, version: str = NEWEST) -> bytes:
    """The webhook's body, as bytes of UTF-8 JSON."""
    return orjson.dumps(event_json(event, version))


def event_json(event: Event, version: str = NEWEST) -> Json:
    """The event as Stripe's API and webhooks have it; `account` only on connected (`acct_…`) accounts."""
    shape = shape_of(version)
    obj = _render(event.object, shape, event.livemode)
    data: Json = {"object": obj}
    if event.before is not None:
        data["previous_attributes"] = _changed(_render(event.before, shape, event.livemode), obj)
    body: Json = {
        "id": event.id,
        "object": "event",
        "api_version": version,
        "created": event.created,
        "data": data,
        "livemode": event.livemode,
        "pending_webhooks": 1,
        "request": {"id": event.request, "idempotency_key": None},
        "type": event.type,
    }
    if event.account.startswith("acct_"):
        body["account"] = event.account
    return body


def object_json(obj: State, version: str = NEWEST, *, livemode: bool = True) -> Json:
    """Any object as the API answers it. Raises KeyError for a kind that the simulator can't render."""
    return _render(obj, shape_of(version), livemode)


def _changed(before: Json, now: Json) -> Json:
    """The old values of what changed; in nested objects only the changed members, lists whole."""
    changes: Json = {}
    for key, old in before.items():
        new = now.get(key)
        if old == new:
            continue
        changes[key] = _changed(old, new) if isinstance(old, dict) and isinstance(new, dict) else old
    for key in now.keys() - before.keys():  # such as a new metadata key: it was nothing before
        changes[key] = None
    return changes


def _method_details(charge: Charge, shape: Shape) -> Json:
    card = charge.card
    if card is None:
        return {"type": charge.method, charge.method: {"country": "DE", "last4": "3000", "fingerprint": None}}
    details: Json = {
        "brand": card.brand,
        "checks": _NOTHING_CHECKED,
        "country": card.country,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "network": card.brand,
        "three_d_secure": None,
        "wallet": None,
    }
    if not shape.old_2020:
        details |= {
            "amount_authorized": charge.amount if charge.status == "succeeded" else None,
            "authorization_code": None,
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "multicapture": {"status": "unavailable"},
            "network_token": {"used": False},
            "overcapture": {"maximum_amount_capturable": charge.amount, "status": "unavailable"},
        }
    if shape.basil:
        details |= {"network_transaction_id": None, "regulated_status": "unregulated", "transaction_link_id": None}
    return {"card": details, "type": "card"}


def _outcome(charge: Charge, shape: Shape) -> Json | None:
    if charge.status == "pending":
        return None
    if charge.status == "failed":
        outcome: Json = {
            "network_status": "declined_by_network",
            "reason": charge.decline_code,
            "risk_level": "normal",
            "seller_message": f"The bank returned the decline code `{charge.decline_code}`.",
            "type": "issuer_declined",
        }
    else:
        outcome = {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    if shape.named:
        outcome |= {"advice_code": None, "network_advice_code": None, "network_decline_code": None}
    return outcome


def charge_json(charge: Charge, shape: Shape, livemode: bool) -> Json:
    """A charge; `refunds` only where the version always has them."""
    billing = {
        "address": address_json(charge.address),
        "email": charge.billing_email,
        "name": charge.billing_name,
        "phone": None,
    }
    if shape.basil:
        billing["tax_id"] = None
    body: Json = {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount_captured,
        "amount_refunded": charge.amount_refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": charge.balance_transaction,
        "billing_details": billing,
        "calculated_statement_descriptor": "TILLSTREAM DEMO",
        "captured": charge.captured,
        "created": charge.created,
        "currency": charge.currency,
        "customer": charge.customer,
        "description": charge.description,
        "disputed": charge.disputed,
        "failure_balance_transaction": charge.failure_balance_transaction,
        "failure_code": charge.failure_code,
        "failure_message": charge.failure_message,
        "fraud_details": {},
        "livemode": livemode,
        "metadata": charge.metadata,
        "on_behalf_of": None,
        "outcome": _outcome(charge, shape),
        "paid": charge.paid,
        "payment_intent": charge.payment_intent,
        "payment_method": charge.card.id if charge.card else f"pm_{charge.payment_intent[3:]}",
        "payment_method_details": _method_details(charge, shape),
        "receipt_email": charge.receipt_email,
        "receipt_number": None,
        "receipt_url": f"https://pay.stripe.example/receipts/{charge.id}" if charge.paid else None,
        "refunded": charge.refunded,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": charge.source_transfer,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": charge.status,
        "transfer_data": None,
        "transfer_group": None,
    }
    if not shape.basil:
        body |= {"destination": None, "dispute": charge.dispute, "order": None, "invoice": charge.invoice}
    if shape.refunds_on_charge:
        body["refunds"] = refunds_list(charge, shape, livemode)
    return body


def refunds_list(charge: Charge, shape: Shape, livemode: bool) -> Json:
    """`charge.refunds`, newest first: Stripe shows ten, and the API lists the rest."""
    newest = [refund_json(refund, shape, livemode) for refund in reversed(charge.refunds)]
    return {
        "object": "list",
        "data": newest[:10],
        "has_more": len(newest) > 10,
        "total_count": len(newest),
        "url": f"/v1/charges/{charge.id}/refunds",
    }


def refund_json(refund: Refund, shape: Shape, livemode: bool) -> Json:
    """A refund; only newer versions name its customer, and none says whether it is live."""
    body: Json = {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": refund.balance_transaction,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "metadata": refund.metadata,
        "payment_intent": refund.payment_intent,
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund.status,
        "transfer_reversal": None,
    }
    if not shape.old_2020:
        body["destination_details"] = {"card": {"type": "reversal" if refund.release else "refund"}, "type": "card"}
    if refund.failure_reason:
        body |= {
            "failure_balance_transaction": refund.failure_balance_transaction,
            "failure_reason": refund.failure_reason,
        }
    if shape.refund_customer:
        body |= {"customer": refund.customer, "customer_account": None, "payment_method": None}
    return body


def customer_json(customer: Customer, shape: Shape, livemode: bool) -> Json:
    """A customer, its card left out: cards are PaymentMethods, listed apart."""
    return {
        "id": customer.id,
        "object": "customer",
        "address": address_json(customer.address),
        "balance": customer.balance,
        "created": customer.created,
        "currency": customer.currency,
        "default_source": None,
        "delinquent": customer.delinquent,
        "description": None,
        "discount": None,
        "email": customer.email,
        "invoice_prefix": customer.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": customer.card.id if customer.card else None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": livemode,
        "metadata": customer.metadata,
        "name": customer.name,
        "next_invoice_sequence": 1,
        "phone": customer.phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _payout_json(payout: Payout, shape: Shape, livemode: bool) -> Json:
    """As it is when it is made."""
    return payout_json(payout, shape, livemode, payout.created)


_RENDERERS: dict[type[State], Callable[..., Json]] = {
    Charge: charge_json,
    Refund: refund_json,
    Customer: customer_json,
    Invoice: invoice_json,
    CreditNote: credit_note_json,
    InvoicePayment: invoice_payment_json,
    Subscription: subscription_json,
    PaymentMethod: payment_method_json,
    Dispute: dispute_json,
    Product: product_json,
    Price: price_json,
    Payout: _payout_json,
}


def _render(obj: State, shape: Shape, livemode: bool) -> Json:
    return _RENDERERS[type(obj)](obj, shape, livemode)
