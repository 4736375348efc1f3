"""The event types that an endpoint asks Stripe for.

Sources: Klaviyo, "Getting started with Stripe" (the 18); Stripe, "Types of events" (the further ones), "Thin events".
"""

from typing import Final

THIN: Final = "v1."
"""What a thin event's type begins with: `v1.charge.succeeded` tells of the change that `charge.succeeded` tells of."""

_CHARGE = "captured expired failed pending refunded succeeded updated"
_INVOICE = (
    "created deleted finalized marked_uncollectible payment_action_required payment_failed payment_succeeded sent "
    "upcoming updated voided"
)
EVENT_TYPES: Final = (
    *(f"charge.{name}" for name in _CHARGE.split()),
    *(f"invoice.{name}" for name in _INVOICE.split()),
)
"""The 18 that every endpoint needs."""

FURTHER_TYPES: Final = (
    "invoice.paid",
    "invoice.overdue",
    "invoice_payment.paid",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.refund.updated",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "payment_method.attached",
    "payment_method.updated",
    "payment_method.automatically_updated",
    "payment_method.detached",
    *(f"customer.subscription.{name}" for name in "created updated deleted trial_will_end paused resumed".split()),
    *(f"payout.{name}" for name in "created updated paid failed canceled reconciliation_completed".split()),
    *(f"credit_note.{name}" for name in "created updated voided".split()),
    *(f"charge.dispute.{name}" for name in "created updated closed funds_withdrawn funds_reinstated".split()),
)
"""What `connect --extended` asks for in addition: fewer look-ups, exact refunds, cards, subscriptions, disputes,
credit notes."""


def wanted_types(*, extended: bool = False, thin: bool = False) -> tuple[str, ...]:
    """The types to enable, in order; as thin types when `thin`."""
    types = EVENT_TYPES + (FURTHER_TYPES if extended else ())
    return tuple(THIN + name for name in types) if thin else types
