"""A made-up payment by a made-up person: what a template is tried with before there is a real one."""

from functools import cache

from engage.templates.context import Organization, Values, values

_MONEY = {"Amount": "1249.50", "Total": "1249.50", "Subtotal": "1050.00", "Tax": "199.50", "Discount": "0.00"}
_EVENT = {
    "metric": "Successfully Paid",
    "metric_id": "default:live:successfully_paid:ch_1",
    "occurred_at": "2026-01-05T23:30:00.000Z",
    "email": "ada@example.com",
    "account": "default",
    "livemode": True,
    "customer_id": "cus_1",
    "charge_id": "ch_1",
    "invoice_id": "in_1",
    "currency": "eur",
    "amount": "1249.50",
    "attempt_count": 1,
    "reason": "Your card was declined.",
    "reason_code": "card_declined",
    "source": "webhook",
    "properties": {
        **_MONEY,
        "InvoiceNumber": "2026-0042",
        "InvoiceURL": "https://invoice.stripe.com/i/1",
        "CardBrand": "visa",
        "CardLast4": "4242",
        "Items": [
            {"Product": f"prod_{n}", "Description": "A product", "Quantity": n, "Amount": "10.00", "Currency": "EUR"}
            for n in range(1, 4)
        ],
        "metadata": {"charge": {"order": "77"}, "customer": {"plan": "gold"}},
    },
}
_PERSON = {
    "email": "ada@example.com",
    "livemode": True,
    "name": "Ada Lovelace",
    "country": "DE",
    "currency": "eur",
    "card_expirations": [{"brand": "visa", "last4": "4242", "month": 1, "year": 2026}],
    "card_expiration_date": "2026-01-31",
    "first_seen": "2025-01-01T00:00:00.000Z",
    "last_seen": "2026-01-05T23:30:00.000Z",
}


@cache
def payment() -> Values:
    """All that one mail is made from."""
    shop = Organization("Shop", "https://shop.example", "1 Main Street", "https://billing.example")
    return values(_EVENT, _PERSON, shop, unsubscribe_url="https://unsubscribe.invalid/sample")


def made_up(organization: Organization, metric: str) -> Values:
    """The same of an organization, as an event of the metric; without an event when that is ''."""
    event = {**_EVENT, "metric": metric} if metric else None
    return values(event, _PERSON, organization, unsubscribe_url="https://unsubscribe.invalid/sample")
