"""Payment methods, payment intents, disputes, products, prices and the account as Stripe's JSON."""

from collections.abc import Sequence
from typing import Any

from simulator.rendering.shapes import Shape
from simulator.world.balance import payout_status, reconciliation_status
from simulator.world.objects import (
    Address,
    BalanceTransaction,
    Charge,
    Dispute,
    Invoice,
    PaymentMethod,
    Payout,
    Price,
    Product,
)

Json = dict[str, Any]


def address_json(address: Address) -> Json:
    """A postal address with nulls for what is unknown."""
    return {
        "city": address.city or None,
        "country": address.country or None,
        "line1": address.line1 or None,
        "line2": None,
        "postal_code": address.postal_code or None,
        "state": None,
    }


def payment_method_json(method: PaymentMethod, shape: Shape, livemode: bool) -> Json:
    """A saved card; `customer` is null once it is detached."""
    card = method.card
    body: Json = {
        "id": method.id,
        "object": "payment_method",
        "billing_details": {
            "address": address_json(method.address),
            "email": method.email,
            "name": method.name,
            "phone": None,
        },
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": card.country,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "fingerprint": card.fingerprint,
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": method.created,
        "customer": method.customer,
        "livemode": livemode,
        "metadata": {},
        "type": "card",
    }
    if shape.named:
        body |= {"allow_redisplay": "unspecified"}
        body["card"]["display_brand"] = card.brand
    if shape.basil:
        body |= {"customer_account": None}
    return body


_OPEN, _DONE = "requires_payment_method", "succeeded"


def payment_intent_json(
    intent: str, charges: Sequence[Charge], invoice: Invoice | None, shape: Shape, livemode: bool
) -> Json:
    """The payment intent that `charges` (oldest first) tried to fulfil; without any, it is the `invoice`'s, untried."""
    last = charges[-1] if charges else None
    of = last or invoice
    assert of is not None, "a payment intent has a charge or an invoice"
    amount = last.amount if last else invoice.amount_due if invoice else 0
    status = _intent_status(last)
    body: Json = {
        "id": intent,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": amount if status == "requires_capture" else 0,
        "amount_received": last.amount_captured if last and status == _DONE else 0,
        "canceled_at": None,
        "capture_method": "automatic",
        "created": (charges[0] if charges else of).created,
        "currency": of.currency,
        "customer": of.customer,
        "description": of.description,
        "last_payment_error": _last_error(last, invoice) if status == _OPEN else None,
        "latest_charge": last.id if last else None,
        "livemode": livemode,
        "metadata": last.metadata if last else {},
        "payment_method": last.card.id if last and last.card and status == _DONE else None,
        "payment_method_types": [last.method if last else "card"],
        "receipt_email": last.receipt_email if last else None,
        "status": status,
    }
    if not shape.basil:
        body["invoice"] = (last.invoice if last else None) or (invoice.id if invoice else None)
    if shape.refunds_on_charge:  # until 2022-11-15 an intent listed its charges
        del body["latest_charge"]
    return body


def _last_error(last: Charge | None, invoice: Invoice | None) -> Json | None:
    """Why the newest attempt failed: without a charge it is only told here."""
    if invoice is not None and invoice.failure is not None:
        code, decline, message = invoice.failure
        return {"code": code, "decline_code": decline, "message": message, "type": "invalid_request_error"}
    if last is None or last.failure_code is None:
        return None
    told = {"charge": last.id, "code": last.failure_code, "decline_code": last.decline_code}
    return told | {"message": last.failure_message, "type": "card_error"}


def _intent_status(last: Charge | None) -> str:
    if last is None or last.status == "failed":
        return _OPEN
    if last.status == "pending":
        return "processing"
    if not last.captured:
        return "canceled" if last.refunded else "requires_capture"
    return _DONE


def dispute_json(dispute: Dispute, shape: Shape, livemode: bool) -> Json:
    """A dispute; its evidence is left empty."""
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [transaction_json(one, shape, one.created) for one in dispute.transactions],
        "charge": dispute.charge,
        "created": dispute.created,
        "currency": dispute.currency,
        "evidence": {},
        "evidence_details": {
            "due_by": dispute.created + 9 * 86_400,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": livemode,
        "metadata": dispute.metadata,
        "payment_intent": dispute.payment_intent,
        "reason": dispute.reason,
        "status": dispute.status,
    }


def transaction_json(one: BalanceTransaction, shape: Shape, now: int) -> Json:
    """A balance transaction as it is `now`: pending until it is available. It does not say whether it is live."""
    body: Json = {
        "id": one.id,
        "object": "balance_transaction",
        "amount": one.amount,
        "available_on": one.available_on,
        "created": one.created,
        "currency": one.currency,
        "description": None,
        "exchange_rate": one.exchange_rate,
        "fee": one.fee,
        "fee_details": [
            {
                "amount": amount,
                "application": None,
                "currency": one.currency,
                "description": words,
                "type": "stripe_fee",
            }
            for words, amount in one.fees
        ],
        "net": one.net,
        "reporting_category": one.reporting_category,
        "source": one.source,
        "status": "available" if one.available_on <= now else "pending",
        "type": one.type,
    }
    return body | {"balance_type": "payments"} if shape.basil else body


def payout_json(payout: Payout, shape: Shape, livemode: bool, now: int) -> Json:
    """A payout as it is `now`."""
    status = payout_status(payout, now)
    failed = status == "failed"
    return {
        "id": payout.id,
        "object": "payout",
        "amount": payout.amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": payout.arrival_date,
        "automatic": payout.automatic,
        "balance_transaction": payout.balance_transaction,
        "created": payout.created,
        "currency": payout.currency,
        "description": "STRIPE PAYOUT",
        "destination": f"ba_1{payout.id[4:]}",
        "failure_balance_transaction": payout.failure_balance_transaction if failed else None,
        "failure_code": "account_closed" if failed else None,
        "failure_message": "The bank account has been closed." if failed else None,
        "livemode": livemode,
        "metadata": {},
        "method": payout.method,
        "original_payout": None,
        "reconciliation_status": reconciliation_status(payout, now),
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": status,
        "type": "bank_account",
    }


def balance_json(totals: dict[str, dict[str, int]], livemode: bool) -> Json:
    """`/v1/balance`, of available and pending money by currency."""
    parts = {
        part: [{"amount": of[part], "currency": currency, "source_types": {"card": of[part]}} for currency, of in told]
        for told in [sorted(totals.items())]
        for part in ("available", "pending")
    }
    return {"object": "balance", "livemode": livemode, **parts}


def product_json(product: Product, shape: Shape, livemode: bool) -> Json:
    """A product."""
    return {
        "id": product.id,
        "object": "product",
        "active": True,
        "attributes": [],
        "created": product.created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": livemode,
        "metadata": {},
        "name": product.name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": product.created,
        "url": None,
    }


def price_json(price: Price, shape: Shape, livemode: bool) -> Json:
    """A price, per month when it is recurring."""
    interval = {"aggregate_usage": None, "interval": "month", "interval_count": 1, "usage_type": "licensed"}
    return {
        "id": price.id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "livemode": livemode,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": price.product,
        "recurring": interval if price.type == "recurring" else None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": price.type,
        "unit_amount": price.unit_amount,
        "unit_amount_decimal": str(price.unit_amount),
    }


def account_json(account_id: str, display_name: str, timezone: str, currency: str) -> Json:
    """`/v1/account`. `settings.dashboard.timezone` (an IANA name) is whose days Stripe's own reports have."""
    return {
        "id": account_id,
        "object": "account",
        "business_profile": {
            "mcc": "5734",
            "name": display_name,
            "support_address": {
                "city": "London",
                "country": "GB",
                "line1": "1 Harbour Street",
                "line2": None,
                "postal_code": "E1W 1AA",
                "state": None,
            },
            "support_email": "help@harbour.example",
            "url": "https://harbour.example",
        },
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "DE",
        "created": 1_600_000_000,
        "default_currency": currency,
        "details_submitted": True,
        "email": "owner@example.com",
        "payouts_enabled": True,
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "dashboard": {"display_name": display_name, "timezone": timezone},
            "payments": {"statement_descriptor": "TILLSTREAM DEMO"},
        },
        "type": "standard",
    }
