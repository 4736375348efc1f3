"""What an invoice's total is made of, in minor units. Source: Stripe, the Invoice object and its changelog.

`parts` names, each only where it is not 0:
    subtotal    Stripe's: the discounts of single items are in it, and so is tax that the prices include
    discount    of the whole invoice            credits    billing credits (credit grants)
    ship        shipping before tax             tax        tax on top of the prices
    rest        what this API shape does not tell
    items       discounts of single items       within     tax that the prices include
Subtotal - discount - credits + ship + tax + rest is the total, always; `items` and `within` are in it already.
"""

from typing import Any

from processors.rules import fields as f
from processors.rules.fields import Obj
from schemas.errors import BadEvent

Parts = dict[str, int]
Tax = list[Any]  # [tax rate's id or '', amount, is it in the price?]


def parts(body: Obj, path: str) -> Parts:
    """The parts of an invoice's total; {} when it is its subtotal and nothing more is told. Raises BadEvent."""
    if body.get("subtotal") is None:
        return {}
    told = _discounts(body, path) | {
        "credits": sum(
            f.signed_amount(credit, "amount", at)
            for credit, at in _entries(body, "total_pretax_credit_amounts", path)
            if credit.get("type") == "credit_balance_transaction"  # the others are discounts, told before
        ),
        "ship": _shipping(body, path),
        "tax": 0,
        "within": 0,
    }
    for _, amount, included in taxes(body, path):
        told["within" if included else "tax"] += amount
    subtotal, total = f.signed_amount(body, "subtotal", path), f.signed_amount(body, "total", path)
    rest = total - (subtotal - told["discount"] - told["credits"] + told["ship"] + told["tax"])
    if rest and rest == (own := _shipping_tax(body, path)):
        # `total_taxes` are those "of all line items": the shipping's own may be apart from them.
        told["tax"], rest = told["tax"] + own, 0
    told["rest"] = rest
    told = {name: amount for name, amount in told.items() if amount}
    return told | {"subtotal": subtotal} if told else {}


def taxes(body: Obj, path: str) -> list[Tax]:
    """Taxes by rate and whether they are in the price.

    `total_taxes` since basil, `total_tax_amounts` before; until 2019 there was the sum alone, of `tax_percent` on top.
    """
    named: dict[tuple[str, bool], int] = {}
    entries = _entries(body, "total_taxes", path) or _entries(body, "total_tax_amounts", path)
    if not entries and (amount := f.signed_amount(body, "tax", path)):
        return [["", amount, False]]
    for entry, at in entries:
        amount, behavior = f.signed_amount(entry, "amount", at), entry.get("tax_behavior")
        included = behavior == "inclusive" if behavior else entry.get("inclusive")
        if isinstance(included, bool):  # else nobody knows: it is part of the rest
            rate = f.reference(entry, "tax_rate", at)
            rate = rate or f.reference(f.child(entry, "tax_rate_details", at), "tax_rate", f"{at}.tax_rate_details")
            key = rate, included
            named[key] = named.get(key, 0) + amount
    return [[rate, amount, included] for (rate, included), amount in sorted(named.items()) if amount]


def _discounts(body: Obj, path: str) -> Parts:
    """Discounts of the invoice and of single items: its own are named in `discounts`, in old shapes in `discount`."""
    found = {"discount": 0, "items": 0}
    entries = _entries(body, "total_discount_amounts", path)
    if not entries or (body.get("discounts") is None and "discount" not in body):
        return found  # of which kind they are is not told
    own = {_id(discount) for discount in (*_list(body, "discounts", path), body.get("discount"))}
    for entry, at in entries:
        amount = f.signed_amount(entry, "amount", at)
        if identifier := _id(entry.get("discount")):
            found["discount" if identifier in own else "items"] += amount
    return found


def _id(reference: Any) -> str:
    identifier = reference.get("id") if isinstance(reference, dict) else reference
    return identifier if isinstance(identifier, str) else ""


def _shipping(body: Obj, path: str) -> int:
    if body.get("amount_shipping") is not None:
        return f.signed_amount(body, "amount_shipping", path)
    return f.signed_amount(f.child(body, "shipping_cost", path), "amount_subtotal", f"{path}.shipping_cost")


def _shipping_tax(body: Obj, path: str) -> int:
    return f.signed_amount(f.child(body, "shipping_cost", path), "amount_tax", f"{path}.shipping_cost")


def _entries(body: Obj, name: str, path: str) -> list[tuple[Obj, str]]:
    """The objects of a plain list, each with its path; absent or null is []."""
    values = body.get(name)
    if not values:
        return []
    listed = _list(body, name, path)
    if not all(isinstance(value, dict) for value in listed):
        raise BadEvent("expected a list of objects", path=f"{path}.{name}")
    return [(value, f"{path}.{name}.{number}") for number, value in enumerate(listed)]


def _list(body: Obj, name: str, path: str) -> list[Any]:
    values = body.get(name) or []
    if not isinstance(values, list):
        raise BadEvent("expected a list", path=f"{path}.{name}")
    return values
