"""What can be listed, by which filters, under which permission of a restricted key.

Source: the list methods of Stripe's API reference; "Restricted API keys" for the permissions' names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PAGING = ("limit", "starting_after", "ending_before", "expand")
TIMES = ("created", "created[gt]", "created[gte]", "created[lt]", "created[lte]")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: its `noun`, and query parameter → the member that must be equal."""

    noun: str
    permission: str
    equal: Mapping[str, str] = field(default_factory=dict)
    indexed: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # parameters with a fixed set of values
    by_time: bool = True

    def knows(self, parameter: str) -> bool:
        """Whether Stripe takes this query parameter when it lists the kind."""
        return parameter in PAGING or parameter in self.equal or (self.by_time and parameter in TIMES)


_COLLECTION = ("charge_automatically", "send_invoice")
KINDS: Mapping[str, Kind] = {
    "balance_transactions": Kind(
        "balance_transaction",
        "balance_transaction_source",
        {"currency": "currency", "payout": "payout", "source": "source", "type": "type"},
        indexed=("source",),
    ),
    "charges": Kind(
        "charge",
        "charge",
        {"customer": "customer", "payment_intent": "payment_intent", "transfer_group": "transfer_group"},
        indexed=("customer", "payment_intent"),
    ),
    "credit_notes": Kind(
        "credit_note",
        "credit_note",
        {"customer": "customer", "invoice": "invoice"},
        indexed=("customer", "invoice"),
    ),
    "customers": Kind("customer", "customer", {"email": "email"}),
    "disputes": Kind(
        "dispute",
        "dispute",
        {"charge": "charge", "payment_intent": "payment_intent"},
        indexed=("charge", "payment_intent"),
    ),
    "events": Kind("event", "event", {"type": "type", "types": "type", "delivery_success": "delivered"}),
    "invoices": Kind(
        "invoice",
        "invoice",
        {
            "customer": "customer",
            "subscription": "subscription",
            "status": "status",
            "collection_method": "collection_method",
        },
        indexed=("customer", "subscription"),
        values={"status": ("draft", "open", "paid", "uncollectible", "void"), "collection_method": _COLLECTION},
    ),
    "invoice_payments": Kind(
        "invoice_payment",
        "invoice",
        {
            "invoice": "invoice",
            "status": "status",
            "payment[type]": "payment_type",
            "payment[payment_intent]": "payment_intent",
        },
        indexed=("invoice", "payment_intent"),
        values={"status": ("open", "paid", "canceled"), "payment[type]": ("payment_intent", "payment_record")},
    ),
    "payment_methods": Kind(
        "payment_method",
        "payment_method",
        {"customer": "customer", "type": "type"},
        indexed=("customer",),
        by_time=False,
    ),
    "payouts": Kind("payout", "payout"),
    "prices": Kind(
        "price", "plan", {"product": "product", "currency": "currency", "type": "type"}, indexed=("product",)
    ),
    "products": Kind("product", "product"),
    "refunds": Kind(
        "refund",
        "charge",
        {"charge": "charge", "payment_intent": "payment_intent"},
        indexed=("charge", "payment_intent"),
    ),
    "subscriptions": Kind(
        "subscription",
        "subscription",
        {"customer": "customer", "status": "status", "collection_method": "collection_method"},
        indexed=("customer",),
        values={
            "status": (
                *("active", "past_due", "unpaid", "canceled", "incomplete", "incomplete_expired", "trialing", "paused"),
                *("all", "ended"),
            ),
            "collection_method": _COLLECTION,
        },
    ),
}
