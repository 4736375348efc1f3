"""An invoice's lines, each as `invoice.normalize_line` makes it, in the words of rows. Pure."""

from typing import Any

from schemas.money import major
from schemas.times import rfc3339

Row = dict[str, Any]

_ITEMS = 50  # lines told with a payment, for receipts; all of them are on the invoice's own row


def items(lines: list[list[Any]] | None) -> list[Row]:
    """What was sold, for receipts, as in `Items` of a payment's properties."""
    return [
        {
            "Product": product,
            "Price": price,
            "Description": description,
            "Quantity": quantity,
            "Amount": major(amount, currency),
            "Currency": currency.upper(),
        }
        for _, _, product, price, description, quantity, currency, amount, *_ in (lines or ())[:_ITEMS]
    ]


def line_items(lines: list[list[Any]]) -> list[Row]:
    """All lines, as in `lines` of an invoice's row."""
    return [
        {
            "line_id": line_id,
            "position": position,
            "product_id": product,
            "price_id": price,
            "description": description,
            "quantity": quantity,
            "currency": currency,
            "amount": major(amount, currency),
            "amount_minor": amount,
            "period_start": rfc3339(start) if start else None,
            "period_end": rfc3339(end) if end else None,
            "metadata": metadata,
        }
        for line_id, position, product, price, description, quantity, currency, amount, start, end, metadata in lines
        or ()
    ]
