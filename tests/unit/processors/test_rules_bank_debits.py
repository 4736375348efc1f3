"""A bank debit fails days after it was made: one failure all the same, at the charge's own time, with its attempt.

Source: Stripe, "ACH Direct Debit payments" (up to 4 business days) and "SEPA Direct Debit payments" (up to 14).
"""

import pytest

from tests.fixtures.stripe.charges import charge, declined
from tests.fixtures.stripe.invoices import invoice, invoice_payment
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, LATE_2018, V2020, V2022, V2024, Json, Shape, at
from tests.fixtures.stripe.story import happened, outcome, told
from tests.ledger_harness import World

NAMING, MODERN = [LATE_2018, V2020, V2022, V2024], [BASIL, ENDIVE]
versions = pytest.mark.parametrize("shape", [*NAMING, *MODERN], ids=lambda shape: shape.version)
modern = pytest.mark.parametrize("shape", MODERN, ids=lambda shape: shape.version)
WHY = "The customer's account has insufficient funds."


def debit(shape: Shape, name: str, created: str, status: str) -> Json:
    """A SEPA debit for `in_slow`; Stripe shows a pending one as captured."""
    made: Json = {"invoice": "in_slow", "created": at(created), "currency": "eur"}
    if not shape.sources:
        made["payment_method_details"] = {"sepa_debit": {"last4": "3000"}, "type": "sepa_debit"}
    if status == "failed":
        return declined(shape, name, **made) | {"failure_code": "insufficient_funds", "failure_message": WHY}
    return charge(shape, name, status=status, paid=status == "succeeded", **made)


def tried(shape: Shape, name: str, day: int, fails: int, attempt: int) -> list[Json]:
    """One attempt, made on the `day` of September at ten and failed on another at seven."""
    created, failed = f"09-{day:02} 10:00", f"09-{fails:02} 07:00"
    body = invoice(shape, "slow", "open", charge=f"ch_{name}", currency="eur", attempt_count=attempt, attempted=True)
    pending = debit(shape, name, f"{created}:00", "pending")
    return [
        happened("charge.pending", f"{created}:01", pending, shape=shape),
        happened("charge.failed", f"{failed}:00", debit(shape, name, f"{created}:00", "failed"), shape=shape),
        happened("invoice.payment_failed", f"{failed}:02", body, shape=shape),
    ]


@versions
def test_each_debit_that_was_tried_again_has_the_attempt_at_whose_time_it_failed(shape: Shape) -> None:
    events = [*tried(shape, "one", 1, 5, attempt=1), *tried(shape, "two", 5, 9, attempt=2)]
    assert told(outcome(*events), "attempt_count", "reason") == [
        ("failed:ch_one", 1, WHY),
        ("failed:ch_two", 2, WHY),
        ("issued:in_slow", 2, ""),
    ]


@modern
def test_stripes_own_link_makes_it_certain(shape: Shape) -> None:
    link = invoice_payment("slow") | {"status": "open", "currency": "eur", "amount_paid": None}
    linked = happened("invoice_payment.paid", "09-05 07:00:02", link, shape=shape)
    world = outcome(*tried(shape, "slow", 1, 5, attempt=1), linked)
    assert told(world, "attempt_count") == [("failed:ch_slow", 1), ("issued:in_slow", 1)]
    assert not any(row["properties"].get("LinkInferred") for row in world.rows().values())


@versions
def test_a_debit_that_was_only_imported_answers_for_the_attempt_within_the_days_that_banks_take(shape: Shape) -> None:
    _, failure, attempt = tried(shape, "slow", 1, 5, attempt=1)
    objects = [failure["data"]["object"]]
    if shape in MODERN:
        objects.append(invoice_payment("slow"))
    for events_first in (True, False):
        world = World()
        if events_first:
            world.feed(attempt)
        for obj in objects:
            world.fetch(obj, at("09-20 10:00:00"))
        if not events_first:
            world.feed(attempt)
        world.settle()
        assert told(world, "attempt_count") == [("failed:ch_slow", 1), ("issued:in_slow", 1)]


@versions
def test_one_that_comes_through_is_a_payment_of_the_time_at_which_it_was_made(shape: Shape) -> None:
    paid = invoice(shape, "slow", "paid", charge="ch_slow", currency="eur")
    if "status_transitions" in paid:
        paid["status_transitions"] = paid["status_transitions"] | {"paid_at": at("09-05 07:00:02")}
    events = (
        happened("charge.pending", "09-01 10:00:01", debit(shape, "slow", "09-01 10:00:00", "pending"), shape=shape),
        happened(
            "charge.succeeded", "09-05 07:00:00", debit(shape, "slow", "09-01 10:00:00", "succeeded"), shape=shape
        ),
        happened("invoice.payment_succeeded", "09-05 07:00:02", paid, shape=shape),
    )
    assert told(outcome(*events), "amount_minor", "occurred_at", "invoice_id") == [
        ("issued:in_slow", 4200, "2026-09-01T09:58:00.000Z", "in_slow"),
        ("paid:ch_slow", 4200, "2026-09-01T10:00:00.000Z", "in_slow"),
    ]
