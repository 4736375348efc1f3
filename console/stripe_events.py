"""The 18 event types that a webhook endpoint needs. Source: Klaviyo, "Getting started with Stripe"."""

from typing import Final

EVENT_TYPES: Final = (
    *(f"charge.{name}" for name in "captured expired failed pending refunded succeeded updated".split()),
    *(
        f"invoice.{name}"
        for name in (
            "created deleted finalized marked_uncollectible payment_action_required payment_failed "
            "payment_succeeded sent upcoming updated voided"
        ).split()
    ),
)


def dashboard_url(kind: str, object_id: str, account: str, *, livemode: bool) -> str:
    """A page of Stripe's dashboard; `kind` is payments, invoices or customers. '' when the id can be none."""
    if not object_id.replace("_", "").isalnum() or not object_id.isascii():
        return ""
    whose = f"{account}/" if account.startswith("acct_") and account.replace("_", "").isalnum() else ""
    return f"https://dashboard.stripe.com/{whose}{'' if livemode else 'test/'}{kind}/{object_id}"
