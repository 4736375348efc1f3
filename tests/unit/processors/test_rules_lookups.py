"""What the ledger asks Stripe about: only what the events can't tell, and no more often than it has to."""

import pytest

from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, SHAPES, Json, Shape, at, stripe_list
from tests.fixtures.stripe.story import happened
from tests.ledger_harness import World

REASON = "payments are not on the invoice"


def asked(*events: Json) -> list[tuple[str, str, int]]:
    """The questions about invoices, one after another: id, reason, and from when on an answer must hold."""
    world, found = World(), []
    for event in events:
        world.feed(event)
        lookups = world.ledgers[0].changes.lookups
        found += [(key[2], asked.reason, asked.at) for key, asked in lookups.items() if key[1] == "invoice"]
        world.checkpoint()
    return found


def told(type_: str, created: str, status: str, shape: Shape = ENDIVE, **changes: object) -> Json:
    return happened(type_, created, invoice(shape, "fern", status, **changes), shape=shape)


@pytest.mark.parametrize("shape", [BASIL, ENDIVE])
def test_who_paid_an_invoice_is_asked_since_basil_and_once_for_all_events_of_a_moment(shape: Shape) -> None:
    paid = [
        told("invoice.payment_succeeded", "09-01 10:00:04", "paid", shape),
        told("invoice.paid", "09-01 10:00:04", "paid", shape),
        told("invoice.updated", "09-01 10:00:04", "paid", shape),
    ]
    assert asked(*paid, *paid) == [("in_fern", REASON, at("09-01 10:00:04"))]


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if not shape.basil])
def test_before_basil_the_invoice_itself_tells(shape: Shape) -> None:
    assert asked(told("invoice.payment_succeeded", "09-01 10:00:04", "paid", shape)) == []


def test_a_draft_a_new_invoice_and_one_of_nothing_have_no_payment_to_ask_about() -> None:
    nothing = {"total": 0, "amount_due": 0, "amount_paid": 0, "subtotal": 0}
    assert asked(told("invoice.created", "09-01 09:00:02", "draft")) == []
    assert asked(told("invoice.finalized", "09-01 09:58:00", "open")) == []
    assert asked(told("invoice.paid", "09-01 10:00:04", "paid", **nothing)) == []


def test_a_failed_attempt_is_asked_about_and_the_payment_that_follows_too() -> None:
    failed = told("invoice.payment_failed", "09-01 10:00:04", "open", attempt_count=1, attempted=True)
    paid = told("invoice.paid", "09-02 10:00:04", "paid", attempt_count=2)
    assert asked(failed, paid) == [
        ("in_fern", REASON, at("09-01 10:00:04")),
        ("in_fern", REASON, at("09-02 10:00:04")),
    ]


def test_an_answer_asks_nothing() -> None:
    world = World()
    cut = stripe_list("/v1/invoices/in_fern/lines") | {"has_more": True}
    world.fetch(invoice(ENDIVE, "fern", "paid") | {"lines": cut}, at("09-02 10:00:00"))
    world.fetch({"id": "re_1", "object": "refund", "amount": 1, "created": at("09-02 10:00:00")}, at("09-02 10:00:00"))
    assert [key for key in world.ledgers[0].changes.lookups if key[1] in ("invoice", "refund")] == []
