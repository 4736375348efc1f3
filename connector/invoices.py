"""Invoices with all of their lines: Stripe puts ten on the object and keeps the rest in a list of its own."""

from collections.abc import Sequence

from connector.errors import NotFound
from connector.stripe_api import Json, StripeApi

EXPAND = ("payments", "amount_paid_off_stripe")
"""Since basil an invoice tells these only when asked."""


async def completed(api: StripeApi, objects: Sequence[Json]) -> list[Json]:
    """The objects, where invoices among them carry every line."""
    return [await with_all_lines(api, one) for one in objects]


async def with_all_lines(api: StripeApi, invoice: Json) -> Json:
    """The invoice with the complete `lines.data`; as it is when it was deleted meanwhile."""
    if not _is_cut(invoice):
        return invoice
    lines = invoice["lines"]
    try:
        data = [line async for page in api.pages(f"/v1/invoices/{invoice['id']}/lines") for line in page.objects]
    except NotFound:
        return invoice
    return invoice | {"lines": lines | {"data": data, "has_more": False, "total_count": len(data)}}


def _is_cut(obj: Json) -> bool:
    lines = obj.get("lines")
    return obj.get("object") == "invoice" and isinstance(lines, dict) and bool(lines.get("has_more"))
