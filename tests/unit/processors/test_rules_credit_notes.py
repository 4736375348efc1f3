"""A credit note lowers what is due of an invoice, days or months later; what was issued and what failed stay.

Source: Stripe, the Invoice object (`amount_due`, `pre_payment_credit_notes_amount`), and a recorded invoice of
2025-05-28, whose `amount_due` went from 249 to 199 and to 0 by two credit notes while its `total` stayed.
"""

import pytest

from tests.fixtures.stripe.charges import declined
from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, LATE_2018, V2020, V2022, V2024, Json, Shape
from tests.fixtures.stripe.story import happened, outcome, told

MODERN = [BASIL, ENDIVE]
versions = pytest.mark.parametrize("shape", [LATE_2018, V2020, V2022, V2024, *MODERN], ids=lambda shape: shape.version)


def issued(shape: Shape, credited: int, status: str = "open", **changes: object) -> Json:
    """An invoice of 249.00, of which `credited` minor units were credited before any payment."""
    due = 24900 - credited
    body = invoice(shape, "big", status, subtotal=24900, total=24900, amount_due=due, amount_remaining=due, **changes)
    paid = {"amount_paid": due, "amount_remaining": 0} if status == "paid" else {}
    return body | {"pre_payment_credit_notes_amount": credited, "post_payment_credit_notes_amount": 0} | paid


def failed(shape: Shape, *, with_charge: bool) -> list[Json]:
    body = issued(shape, 0, attempt_count=1, attempted=True, charge="ch_big" if with_charge else None)
    events = [happened("invoice.payment_failed", "09-01 10:00:05", body, shape=shape)]
    if with_charge:
        made = declined(shape, "big", amount=24900, invoice="in_big")
        events.append(happened("charge.failed", "09-01 10:00:01", made, shape=shape))
    return events


def credited(shape: Shape) -> list[Json]:
    tried: Json = {"attempt_count": 1, "attempted": True}
    return [
        happened("invoice.updated", "09-10 09:00:00", issued(shape, 5000, **tried), shape=shape),
        happened("invoice.updated", "10-20 09:00:00", issued(shape, 24900, "paid", **tried), shape=shape),
    ]


@versions
def test_credit_notes_change_neither_what_was_issued_nor_the_failure_and_break_no_link(shape: Shape) -> None:
    world = outcome(*failed(shape, with_charge=True), *credited(shape))
    assert told(world, "amount_minor", "attempt_count", "invoice_id", "reason") == [
        ("failed:ch_big", 24900, 1, "in_big", "Your card was declined."),
        ("issued:in_big", 24900, 1, "in_big", ""),
    ]
    (row,) = (row for row in world.rows().values() if row["metric"] == "Issued Invoice")
    told_amounts = {name: row["properties"][name] for name in ("Amount", "Total", "AmountDue", "AmountRemaining")}
    assert told_amounts == {"Amount": "249.00", "Total": "249.00", "AmountDue": "249.00", "AmountRemaining": "0.00"}


@versions
def test_what_is_left_after_a_credit_note_is_what_the_next_attempt_was_about(shape: Shape) -> None:
    again = issued(shape, 5000, attempt_count=2, attempted=True)
    events = [
        *failed(shape, with_charge=False),
        happened("invoice.payment_failed", "09-12 10:00:05", again, shape=shape),
    ]
    world = outcome(*events)
    assert told(world, "amount_minor") == [
        ("failed:in_big:attempt:1", 24900),
        ("failed:in_big:attempt:2", 19900),
        ("issued:in_big", 24900),
    ]


@pytest.mark.parametrize("shape", [V2020, V2024], ids=lambda shape: shape.version)
def test_only_what_credit_notes_left_was_paid_outside_stripe(shape: Shape) -> None:
    body = issued(shape, 5000, "paid", paid_out_of_band=True)
    world = outcome(happened("invoice.paid", "09-10 09:00:00", body, shape=shape))
    assert told(world, "amount_minor") == [("issued:in_big", 24900), ("paid:in_big", 19900)]


@versions
def test_a_credit_invoice_is_negative_and_nothing_of_it_is_due(shape: Shape) -> None:
    nothing = {"amount_due": 0, "amount_remaining": 0, "amount_paid": 0, "attempt_count": 0}
    body = invoice(shape, "credit", "paid", subtotal=-500, total=-500, **nothing)
    world = outcome(happened("invoice.paid", "09-01 10:00:05", body, shape=shape))
    assert told(world, "amount_minor", "amount") == [("issued:in_credit", -500, "-5.00")]
