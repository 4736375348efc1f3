"""`expand[]`: ids become objects, and members that Stripe leaves out unless asked appear.

Source: Stripe's API reference, "Expanding Responses". Pure.
"""

from collections.abc import Callable
from typing import Any

from simulator.errors import bad_value

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]  # (kind, id) → the object as JSON
Include = Callable[[Json, str], Any]  # (object, member) → its value; raises KeyError when it can't be included
_DEEPEST = 4
_SOURCES = {"ch": "charges", "py": "charges", "re": "refunds", "du": "disputes", "po": "payouts"}  # by their ids
_KINDS = {
    "balance_transaction": "balance_transactions",
    "charge": "charges",
    "customer": "customers",
    "default_payment_method": "payment_methods",
    "dispute": "disputes",
    "invoice": "invoices",
    "latest_charge": "charges",
    "latest_invoice": "invoices",
    "payment_intent": "payment_intents",
    "payment_method": "payment_methods",
    "price": "prices",
    "product": "products",
    "subscription": "subscriptions",
}


def expand(body: Json, paths: list[str], find: Find, include: Include) -> None:
    """Expand `paths` (such as 'customer' or 'data.payments.data.payment.payment_intent') in place. Raises ApiError."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > _DEEPEST + steps.count("data"):
            raise bad_value("expand", f"You cannot expand more than {_DEEPEST} levels of a property. Property: {path}")
        _walk(body, steps, path, find, include)


def _walk(value: Any, steps: list[str], path: str, find: Find, include: Include) -> None:
    if isinstance(value, list):
        for item in value:
            _walk(item, steps, path, find, include)
        return
    if not steps or not isinstance(value, dict):
        return
    member, rest = steps[0], steps[1:]
    if member not in value:
        try:
            value[member] = include(value, member)
        except KeyError:
            raise _not_expandable(path) from None
    elif member == "discounts":
        value[member] = [find(member, one) or one if isinstance(one, str) else one for one in value[member]]
    elif isinstance(value[member], str):
        kind = _SOURCES.get(value[member][:2]) if member == "source" else _KINDS.get(member)
        if kind is None:
            raise _not_expandable(path)
        value[member] = find(kind, value[member]) or value[member]
    _walk(value[member], rest, path, find, include)


def _not_expandable(path: str) -> Exception:
    message = (
        f"This property cannot be expanded ({path}). You may want to try expanding 'data.{path}', or check that the "
        "property exists in this API version."
    )
    return bad_value("expand", message)
