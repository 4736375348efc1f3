"""Subscriptions, and what they cost, as Stripe's JSON, by the shape of an API version."""

from typing import Any

from simulator.rendering.billing import price_json
from simulator.rendering.shapes import Shape
from simulator.world.objects import Subscription
from simulator.world.plans import Coupon, Discount, Plan

Json = dict[str, Any]


def plan_price_json(plan: Plan, owner: Subscription, livemode: bool) -> Json:
    """The price of a subscription's item; its tiers are only shown when asked for."""
    body = price_json(plan.price, plan.product, plan.unit_amount, owner, livemode, recurring=True)
    usage = "metered" if plan.metered else "licensed"
    body["recurring"] |= {"interval": plan.interval, "interval_count": plan.interval_count, "usage_type": usage}
    if plan.tiers:
        body |= {"billing_scheme": "tiered", "tiers_mode": "volume", "unit_amount": None, "unit_amount_decimal": None}
    return body


def tiers_json(plan: Plan) -> list[Json]:
    """`price.tiers`."""
    return [
        {"flat_amount": None, "flat_amount_decimal": None, "unit_amount": one, "unit_amount_decimal": str(one)}
        | {"up_to": up_to}
        for up_to, one in plan.tiers
    ]


def coupon_json(coupon: Coupon, livemode: bool) -> Json:
    """A coupon."""
    return {
        "id": coupon.id,
        "object": "coupon",
        "amount_off": coupon.amount_off,
        "created": coupon.created,
        "currency": coupon.currency if coupon.amount_off else None,
        "duration": coupon.duration,
        "duration_in_months": 3 if coupon.duration == "repeating" else None,
        "livemode": livemode,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": coupon.percent_off,
        "redeem_by": None,
        "times_redeemed": 1,
        "valid": True,
    }


def discount_json(discount: Discount, subscription: Subscription, shape: Shape, livemode: bool) -> Json:
    """A discount; since 2025-09-30 its coupon is named by its `source`."""
    body: Json = {
        "id": discount.id,
        "object": "discount",
        "customer": subscription.customer,
        "end": discount.start + 90 * 86_400 if discount.coupon.duration == "repeating" else None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "start": discount.start,
        "subscription": subscription.id,
    }
    if shape.version >= "2025-09-30":
        return body | {"source": {"coupon": discount.coupon.id, "type": "coupon"}}
    return body | {"coupon": coupon_json(discount.coupon, livemode)}


def _item_json(item: str, plan: Plan, quantity: int, owner: Subscription, shape: Shape, livemode: bool) -> Json:
    body: Json = {
        "id": item,
        "object": "subscription_item",
        "created": owner.created,
        "metadata": {},
        "price": plan_price_json(plan, owner, livemode),
        "quantity": quantity,
        "subscription": owner.id,
        "tax_rates": [],
    }
    if shape.basil:
        body |= {
            "current_period_end": owner.current_period_end,
            "current_period_start": owner.current_period_start,
        }
    return body


def subscription_json(subscription: Subscription, shape: Shape, livemode: bool) -> Json:
    """A subscription; since basil the period is on its items."""
    items = [_item_json(*item, subscription, shape, livemode) for item in subscription.items]
    body: Json = {
        "id": subscription.id,
        "object": "subscription",
        "billing_cycle_anchor": subscription.created,
        "cancel_at": subscription.current_period_end if subscription.cancel_at_period_end else None,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": subscription.canceled_at,
        "collection_method": subscription.collection_method,
        "created": subscription.created,
        "currency": subscription.currency,
        "customer": subscription.customer,
        "days_until_due": None,
        "default_payment_method": None,
        "description": None,
        "ended_at": subscription.ended_at,
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={subscription.id}",
        },
        "latest_invoice": subscription.latest_invoice,
        "livemode": livemode,
        "metadata": subscription.metadata,
        "start_date": subscription.created,
        "status": subscription.status,
        "trial_end": subscription.trial_end,
        "trial_start": subscription.created if subscription.trial_end else None,
    }
    if not shape.old_2020:
        body["cancellation_details"] = {
            "comment": subscription.comment,
            "feedback": subscription.feedback,
            "reason": subscription.why,
        }
    if subscription.pause_collection:
        body["pause_collection"] = {"behavior": subscription.pause_collection, "resumes_at": None}
    if shape.named and subscription.discounts:
        body["discounts"] = [one.id for one in subscription.discounts]
    if not shape.basil:
        newest = subscription.discounts[-1] if subscription.discounts else None
        body |= {
            "discount": discount_json(newest, subscription, shape, livemode) if newest else None,
            "current_period_end": subscription.current_period_end,
            "current_period_start": subscription.current_period_start,
        }
    return body
