"""Credit notes as Stripe's JSON, by the shape of an API version."""

from typing import Any

from simulator.rendering.shapes import Shape
from simulator.world.objects import CreditNote

Json = dict[str, Any]


def credit_note_json(note: CreditNote, shape: Shape, livemode: bool) -> Json:
    """A credit note. Until basil it names one refund, then a list; what is before and after payment is told since.

    Source: Stripe, the Credit Note object and its changelog (2025-03-31.basil, 2025-08-27.basil).
    """
    credited = note.id.replace("cn_", "cbtxn_") if note.balance else None
    kind = "mixed" if note.pre and note.post else "pre_payment" if note.pre else "post_payment"
    body: Json = {
        "id": note.id,
        "object": "credit_note",
        "amount": note.amount,
        "created": note.created,
        "currency": note.currency,
        "customer": note.customer,
        "customer_balance_transaction": credited,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice": note.invoice,
        "lines": {
            "object": "list",
            "data": [_credit_line(note, livemode)],
            "has_more": False,
            "url": f"/v1/credit_notes/{note.id}/lines",
        },
        "livemode": livemode,
        "memo": note.memo,
        "metadata": note.metadata,
        "number": note.number,
        "out_of_band_amount": note.outside or None,
        "pdf": f"https://pay.stripe.example/credit_notes/{note.id}/pdf",
        "reason": note.reason,
        "status": note.status,
        "subtotal": note.amount,
        "total": note.amount,
        "type": kind,
        "voided_at": note.voided_at,
    }
    if not shape.old_2020:
        body |= {"amount_shipping": 0, "effective_at": note.created, "shipping_cost": None}
        body |= {"subtotal_excluding_tax": note.amount, "total_excluding_tax": note.amount}
    if not shape.basil:
        return body | {"refund": note.refund, "tax_amounts": []}
    refund = {"amount_refunded": note.refunded, "payment_record_refund": None, "refund": note.refund, "type": "refund"}
    return body | {
        "customer_account": None,
        "post_payment_amount": note.post,
        "pre_payment_amount": note.pre,
        "pretax_credit_amounts": [],
        "refunds": [refund] if note.refund else [],
        "total_taxes": [],
    }


def _credit_line(note: CreditNote, livemode: bool) -> Json:
    return {
        "id": note.id.replace("cn_", "cnli_"),
        "object": "credit_note_line_item",
        "amount": note.amount,
        "description": "Credit",
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": livemode,
        "quantity": 1,
        "type": "custom_line_item",
        "unit_amount": note.amount,
        "unit_amount_decimal": str(note.amount),
    }
