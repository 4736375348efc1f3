"""Subscriptions with what MRR needs and events do not tell: their coupons, and the tiers of their prices."""

from collections.abc import Iterator
from urllib.parse import quote

from connector.errors import NotFound
from connector.stripe_api import Json, StripeApi

EXPAND = ("discounts", "items.data.discounts", "items.data.price.tiers")
"""Discounts are only named since 2024-09-30, and tiers were never shown unless asked for."""


async def with_coupons(api: StripeApi, found: Json) -> Json:
    """The subscription, in which each discount shows its coupon; since 2025-09-30 Stripe only names it.

    One that was deleted meanwhile stays a name. Raises what `connector.errors` names.
    """
    if found.get("object") == "subscription":
        for source in _sources(found):
            try:
                source["coupon"] = await api.get(f"/v1/coupons/{quote(source['coupon'], safe='')}")
            except NotFound:
                continue
    return found


def _sources(subscription: Json) -> Iterator[Json]:
    items = (subscription.get("items") or {}).get("data") or []
    for owner in (subscription, *items):
        for discount in owner.get("discounts") or []:
            source = discount.get("source") if isinstance(discount, dict) else None
            if isinstance(source, dict) and isinstance(source.get("coupon"), str):
                yield source
