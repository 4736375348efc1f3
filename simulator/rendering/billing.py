"""Invoices, their lines and payments as Stripe's JSON, by the shape of an API version."""

from typing import Any

from simulator.rendering.shapes import Shape
from simulator.world.objects import Invoice, InvoicePayment, Line, Subscription

Json = dict[str, Any]
FIRST_LINES = 10  # an invoice shows ten lines; the rest is listed by the API

_NO_TAX: Json = {"enabled": False, "status": None}
_NO_TAX_NEW: Json = {
    "disabled_reason": None,
    "enabled": False,
    "liability": None,
    "provider": None,
    "status": None,
}
_SETTINGS: Json = {"payment_method_options": None, "payment_method_types": None}
_SETTINGS_NEW: Json = {"default_mandate": None, **_SETTINGS}


def line_json(line: Line, invoice: Invoice, shape: Shape, livemode: bool) -> Json:
    """One line: `price` and `plan` before basil, `pricing` and `parent` since."""
    body: Json = {
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": invoice.currency,
        "description": line.description,
        "discount_amounts": [],
        "discountable": not line.proration,
        "discounts": [],
        "livemode": livemode,
        "metadata": line.metadata,
        "period": {"end": line.period_end, "start": line.period_start},
        "quantity": line.quantity,
    }
    if not shape.old_2020:
        body["invoice"] = invoice.id or None
    if shape.basil:
        return body | _line_since_basil(line)
    if line.invoice_item:
        body["invoice_item"] = line.invoice_item
    if line.subscription_item:
        body["subscription_item"] = line.subscription_item
    return body | {
        "plan": _plan_json(line, invoice, livemode) if line.subscription else None,
        "price": price_json(line.price, line.product, line.unit_amount, invoice, livemode, bool(line.subscription)),
        "proration": line.proration,
        "proration_details": {"credited_items": None},
        "subscription": line.subscription,
        "tax_amounts": [],
        "tax_rates": [],
        "type": "invoiceitem" if line.invoice_item else "subscription",
    }


def _line_since_basil(line: Line) -> Json:
    if line.invoice_item:
        kind = "invoice_item_details"
        parent: Json = {
            "invoice_item": line.invoice_item,
            "proration": line.proration,
            "proration_details": {"credited_items": None},
            "subscription": line.subscription,
        }
    else:
        kind = "subscription_item_details"
        parent = {
            "invoice_item": None,
            "proration": line.proration,
            "proration_details": {"credited_items": None},
            "subscription": line.subscription,
            "subscription_item": line.subscription_item,
        }
    others = {"invoice_item_details": None, "subscription_item_details": None}
    return {
        "parent": {**others, kind: parent, "type": kind},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": line.price, "product": line.product},
            "type": "price_details",
            "unit_amount_decimal": str(line.unit_amount),
        },
        "quantity_decimal": str(line.quantity),
        "subscription": line.subscription,
        "subtotal": line.amount,
        "taxes": [],
    }


def _plan_json(line: Line, invoice: Invoice, livemode: bool) -> Json:
    return {
        "id": line.price,
        "object": "plan",
        "active": True,
        "aggregate_usage": None,
        "amount": line.unit_amount,
        "amount_decimal": str(line.unit_amount),
        "billing_scheme": "per_unit",
        "created": 1_600_000_000,
        "currency": invoice.currency,
        "interval": "month",
        "interval_count": 1,
        "livemode": livemode,
        "metadata": {},
        "nickname": None,
        "product": line.product,
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def price_json(
    price: str, product: str, unit_amount: int, owner: Invoice | Subscription, livemode: bool, recurring: bool
) -> Json:
    """A price object, in the currency of the invoice or subscription that shows it."""
    interval = {"aggregate_usage": None, "interval": "month", "interval_count": 1, "usage_type": "licensed"}
    return {
        "id": price,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": 1_600_000_000,
        "currency": owner.currency,
        "livemode": livemode,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product,
        "recurring": interval if recurring else None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }


def lines_list(invoice: Invoice, shape: Shape, livemode: bool) -> Json:
    """`invoice.lines` with its first page."""
    first = [line_json(line, invoice, shape, livemode) for line in invoice.lines[:FIRST_LINES]]
    where = f"{invoice.id}/lines" if invoice.id else f"upcoming/lines?customer={invoice.customer}"
    return {
        "object": "list",
        "data": first,
        "has_more": len(invoice.lines) > FIRST_LINES,
        "total_count": len(invoice.lines),
        "url": f"/v1/invoices/{where}",
    }


def invoice_json(invoice: Invoice, shape: Shape, livemode: bool) -> Json:
    """An invoice; a preview has no `id`, and the link to its charge went away with basil."""
    issued = invoice.finalized_at is not None
    hosted = f"https://invoice.stripe.example/i/{invoice.id}"
    address = invoice.customer_address
    body: Json = {
        "id": invoice.id,
        "object": "invoice",
        "account_country": "DE",
        "account_name": "Harbour Software",
        "account_tax_ids": None,
        "amount_due": invoice.amount_due,
        "amount_paid": invoice.amount_paid,
        "amount_remaining": invoice.amount_due - invoice.amount_paid,
        "attempt_count": invoice.attempt_count,
        "attempted": invoice.attempted,
        "auto_advance": invoice.auto_advance and invoice.status in ("draft", "open"),
        "automatic_tax": _NO_TAX if shape.old_2020 else _NO_TAX_NEW,
        "billing_reason": invoice.billing_reason,
        "collection_method": invoice.collection_method,
        "created": invoice.created,
        "currency": invoice.currency,
        "custom_fields": None,
        "customer": invoice.customer,
        "customer_address": {
            "city": address.city,
            "country": address.country,
            "line1": address.line1,
            "line2": None,
            "postal_code": address.postal_code,
            "state": None,
        },
        "customer_email": invoice.customer_email,
        "customer_name": invoice.customer_name,
        "customer_phone": invoice.customer_phone,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": invoice.description,
        "discounts": [],
        "due_date": invoice.due_date,
        "ending_balance": invoice.ending_balance,
        "footer": invoice.footer,
        "hosted_invoice_url": hosted if issued else None,
        "invoice_pdf": f"{hosted}/pdf" if issued else None,
        "last_finalization_error": None,
        "lines": lines_list(invoice, shape, livemode),
        "livemode": livemode,
        "metadata": invoice.metadata,
        "next_payment_attempt": invoice.next_payment_attempt,
        "number": invoice.number,
        "on_behalf_of": None,
        "payment_settings": _SETTINGS if shape.old_2020 else _SETTINGS_NEW,
        "period_end": invoice.period_end,
        "period_start": invoice.period_start,
        "post_payment_credit_notes_amount": invoice.credited_after,
        "pre_payment_credit_notes_amount": invoice.credited,
        "receipt_number": None,
        "starting_balance": invoice.starting_balance,
        "statement_descriptor": None,
        "status": "draft" if shape.named and invoice.status == "deleted" else invoice.status,
        "status_transitions": {
            "finalized_at": invoice.finalized_at,
            "marked_uncollectible_at": invoice.marked_uncollectible_at,
            "paid_at": invoice.paid_at,
            "voided_at": invoice.voided_at,
        },
        "subtotal": invoice.total,
        "total": invoice.total,
        "total_discount_amounts": [],
        "webhooks_delivered_at": None if invoice.status == "draft" else invoice.created,
    }
    if not invoice.id:
        del body["id"]
    if not shape.old_2020:
        body |= {
            "amount_shipping": 0,
            "application": None,
            "effective_at": invoice.finalized_at,
            "from_invoice": None,
            "latest_revision": None,
            "shipping_cost": None,
            "shipping_details": None,
            "subtotal_excluding_tax": invoice.total,
            "test_clock": None,
            "total_excluding_tax": invoice.total,
        }
    return body | (_since_basil(invoice) if shape.basil else _before_basil(invoice, shape))


def _since_basil(invoice: Invoice) -> Json:
    parent = None
    if invoice.subscription:
        details = {"metadata": invoice.subscription_metadata, "subscription": invoice.subscription}
        parent = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    return {
        "amount_overpaid": 0,
        "automatically_finalizes_at": invoice.created + 3600 if invoice.status == "draft" else None,
        "customer_account": None,
        "issuer": {"type": "self"},
        "parent": parent,
        "rendering": None,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }


def _before_basil(invoice: Invoice, shape: Shape) -> Json:
    body: Json = {
        "application_fee_amount": None,
        "charge": invoice.charge,
        "discount": None,
        "paid": invoice.status == "paid",
        "paid_out_of_band": invoice.paid_off_stripe > 0,
        "payment_intent": invoice.payment_intent,
        "quote": None,
        "subscription": invoice.subscription,
        "tax": None,
        "total_tax_amounts": [],
        "transfer_data": None,
    }
    if shape.version >= "2023-08-16":
        with_details = {"metadata": invoice.subscription_metadata} if invoice.subscription else {"metadata": None}
        body |= {"subscription_details": with_details, "rendering": None, "issuer": {"type": "self"}}
    elif shape.old_2020:
        body["tax_percent"] = None
    return body


def invoice_payment_json(payment: InvoicePayment, shape: Shape, livemode: bool) -> Json:
    """The link between invoice and payment intent; it has one shape."""
    return {
        "id": payment.id,
        "object": "invoice_payment",
        "amount_paid": payment.amount_paid,
        "amount_requested": payment.amount_requested,
        "created": payment.created,
        "currency": payment.currency,
        "invoice": payment.invoice,
        "is_default": True,
        "livemode": livemode,
        "payment": {payment.payment_type: payment.payment_intent, "type": payment.payment_type},
        "status": payment.status,
        "status_transitions": {"canceled_at": payment.canceled_at, "paid_at": payment.paid_at},
    }
