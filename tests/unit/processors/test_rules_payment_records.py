"""What was paid outside Stripe counts part by part, each when it was paid, whatever becomes of the invoice.

Source: Stripe, the InvoicePayment object (`payment.type` of `payment_record`), "Payment Records";
`amount_paid_off_stripe` on the invoice "supports full and partial" (2026-05-27).
"""

import pytest

from connector.reconcile.stripe_side import invoice_facts
from schemas.metrics import Metric
from tests.fixtures.stripe.charges import charge
from tests.fixtures.stripe.invoices import invoice, invoice_payment
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, Json, Shape, at, stripe_list
from tests.fixtures.stripe.story import amounts, happened, outcome, told
from tests.ledger_harness import World

modern = pytest.mark.parametrize("shape", [BASIL, ENDIVE], ids=lambda shape: shape.version)


def record(number: int, amount: int, paid: str, status: str = "paid") -> Json:
    """One payment of `in_cash` outside Stripe, which was made at `paid`."""
    body = invoice_payment("cash") | {"id": f"inpay_cash{number}", "amount_paid": amount, "amount_requested": amount}
    moments = {"canceled_at": None, "paid_at": at(paid)}
    payment = {"payment_record": f"pr_{number}", "type": "payment_record"}
    return body | {"payment": payment, "status_transitions": moments, "status": status}


FIRST, SECOND = record(1, 1200, "09-02 09:00:00"), record(2, 3000, "09-06 09:00:00")


def paid(one: Json, created: str, shape: Shape) -> Json:
    return happened("invoice_payment.paid", created, one, shape=shape)


@modern
def test_each_part_is_a_payment_at_its_own_time(shape: Shape) -> None:
    events = (
        happened("invoice.finalized", "09-01 09:58:00", invoice(shape, "cash", "open"), shape=shape),
        paid(FIRST, "09-02 10:00:00", shape),
        paid(SECOND, "09-06 10:00:00", shape),
        happened("invoice.paid", "09-06 10:00:00", invoice(shape, "cash", "paid"), shape=shape),
    )
    world = outcome(*events)
    assert told(world, "amount_minor", "occurred_at", "invoice_id") == [
        ("issued:in_cash", 4200, "2026-09-01T09:58:00.000Z", "in_cash"),
        ("paid:inpay_cash1", 1200, "2026-09-02T09:00:00.000Z", "in_cash"),
        ("paid:inpay_cash2", 3000, "2026-09-06T09:00:00.000Z", "in_cash"),
    ]
    assert [r["properties"].get("PaidOutOfBand") for r in world.rows().values()].count(True) == 2


@modern
def test_one_that_was_canceled_is_taken_back(shape: Shape) -> None:
    gone = record(1, 1200, "09-02 09:00:00", status="canceled")
    events = (
        happened("invoice.finalized", "09-01 09:58:00", invoice(shape, "cash", "open"), shape=shape),
        paid(FIRST, "09-02 10:00:00", shape),
        happened("invoice_payment.updated", "09-03 10:00:00", gone, shape=shape),
    )
    assert amounts(*events) == {"issued:in_cash": 4200}


@modern
def test_what_the_invoice_says_counts_only_as_far_as_no_record_tells_it(shape: Shape) -> None:
    body = invoice(shape, "cash", "paid") | {"amount_paid_off_stripe": 4200}
    said = happened("invoice.paid", "09-06 10:00:00", body, shape=shape)
    assert amounts(said) == {"issued:in_cash": 4200, "paid:in_cash": 4200}
    one = (said, paid(FIRST, "09-02 10:00:00", shape))
    assert amounts(*one) == {"issued:in_cash": 4200, "paid:inpay_cash1": 1200, "paid:in_cash": 3000}
    both = (*one, paid(SECOND, "09-06 10:00:00", shape))
    assert amounts(*both) == {"issued:in_cash": 4200, "paid:inpay_cash1": 1200, "paid:inpay_cash2": 3000}


@modern
def test_what_a_card_paid_of_the_same_invoice_is_found_by_what_is_left(shape: Shape) -> None:
    events = (
        paid(FIRST, "09-01 09:59:00", shape),
        happened("charge.succeeded", "09-01 10:00:02", charge(shape, "rest", amount=3000), shape=shape),
        happened("invoice.paid", "09-01 10:00:05", invoice(shape, "cash", "paid"), shape=shape),
    )
    assert told(outcome(*events), "amount_minor", "invoice_id") == [
        ("issued:in_cash", 4200, "in_cash"),
        ("paid:ch_rest", 3000, "in_cash"),
        ("paid:inpay_cash1", 1200, "in_cash"),
    ]


@modern
@pytest.mark.parametrize("status", ["paid", "uncollectible", "open"])
def test_stripes_side_of_the_comparison_says_the_same(shape: Shape, status: str) -> None:
    parts = [FIRST, SECOND] if status == "paid" else [FIRST]
    body = invoice(shape, "cash", status) | {"payments": stripe_list("/v1/invoice_payments", *parts)}
    body |= {"amount_paid_off_stripe": sum(part["amount_paid"] for part in parts)}
    theirs = {
        (fact.object, fact.amount, fact.at) for fact in invoice_facts(body) if fact.metric is Metric.SUCCESSFULLY_PAID
    }
    assert theirs == {(part["id"], part["amount_paid"], part["status_transitions"]["paid_at"]) for part in parts}
    world = World()
    world.fetch(body, at("09-25 10:00:00"))
    world.settle()
    assert {key.removeprefix("paid:") for key, *_ in told(world) if key.startswith("paid:")} == {p["id"] for p in parts}
