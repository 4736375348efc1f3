"""What Stripe's own objects say happened, without the ledger's code; and that both come to the same."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from connector.reconcile.facts import COMPARED, Fact
from connector.reconcile.stripe_side import (
    charge_facts,
    charges_of,
    credit_note_facts,
    dispute_facts,
    invoice_facts,
    partly_captured,
    refund_facts,
)
from schemas.metrics import Metric
from simulator.rendering.objects import object_json
from simulator.rendering.shapes import NEWEST
from simulator.world.history import World

CREATED = 1_767_607_200


def charge(**more: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "status": "succeeded",
        "captured": True,
        "amount": 1000,
        "amount_captured": 1000,
        "amount_refunded": 0,
        "currency": "usd",
        "created": CREATED,
    } | more


def refund(name: str, amount: int, after: int, status: str = "succeeded") -> dict[str, Any]:
    return {"id": name, "amount": amount, "created": CREATED + after, "status": status}


def invoice(**more: Any) -> dict[str, Any]:
    moments = {"finalized_at": CREATED + 60, "paid_at": CREATED + 120}
    return {
        "id": "in_1",
        "status": "paid",
        "currency": "eur",
        "total": 700,
        "amount_due": 200,  # after credit notes
        "created": CREATED,
        "status_transitions": moments,
        "amount_paid_off_stripe": 0,
    } | more


def steps(one: dict[str, Any], *refunds: dict[str, Any]) -> list[tuple[str, int]]:
    return [(fact.object, fact.amount) for fact in refund_facts(one, refunds)]


@pytest.mark.parametrize(
    ("one", "facts"),
    [
        (charge(), [(Metric.SUCCESSFULLY_PAID, 1000)]),
        (charge(amount_captured=600, amount_refunded=400), [(Metric.SUCCESSFULLY_PAID, 600)]),
        (charge(captured=False, amount_captured=0), []),  # an authorization, expired or not
        (charge(status="pending"), []),
        (charge(status="failed", captured=False, amount_captured=0), [(Metric.FAILED_PAYMENT, 1000)]),
    ],
)
def test_a_charge_is_a_payment_a_failure_or_nothing(one: dict[str, Any], facts: list[tuple[Metric, int]]) -> None:
    assert [(fact.metric, fact.amount) for fact in charge_facts(one)] == facts


@pytest.mark.parametrize(
    ("one", "details"),
    [
        (charge(), {}),
        (charge(billing_details={"email": " Ada@Example.com"}), {"email": "ada@example.com"}),
        (charge(billing_details={"email": "no address"}, receipt_email="a@b.example"), {"email": "a@b.example"}),
        (charge(customer="cus_1", receipt_email="a@b.example"), {"linked": "yes"}),  # the customer's may be another
        (
            charge(status="failed", failure_message="Your card was declined.", failure_code="card_declined"),
            {"reason": "Your card was declined.", "reason code": "card_declined"},
        ),
        (charge(status="failed", failure_message=None, failure_code=None), {}),
    ],
)
def test_whose_a_charge_is_and_why_it_failed(one: dict[str, Any], details: dict[str, str]) -> None:
    assert [dict(fact.details) for fact in charge_facts(one)] == [details]


def test_an_invoice_names_its_charges_by_its_payments() -> None:
    told = [{"payment_intent": "pi_1", "type": "payment_intent"}, {"charge": "ch_2", "type": "charge"}]
    told.append({"payment_record": "prec_1", "type": "payment_record"})
    assert list(charges_of(invoice(payments={"data": [{"payment": one} for one in told]}))) == ["pi_1", "ch_2"]
    assert list(charges_of(invoice())) == []


def test_each_refund_counts_once_and_those_that_came_back_do_not() -> None:
    refunds = [refund("re_2", 200, 2), refund("re_1", 300, 1), refund("re_3", 9, 3, "failed")]
    refunds.append(refund("re_4", 9, 3, "canceled"))
    assert steps(charge(amount_refunded=500), *refunds) == [("re_1", 300), ("re_2", 200)]


def test_a_refund_says_why_it_was_made() -> None:
    (fact,) = refund_facts(charge(amount_refunded=9), [refund("re_1", 9, 1) | {"reason": "duplicate"}])
    assert fact.details == {"reason": "duplicate"}


def test_a_refund_under_way_is_in_stripes_sum_and_so_in_ours() -> None:
    assert steps(charge(amount_refunded=300), refund("re_1", 300, 1, "pending")) == [("re_1", 300)]


def test_the_released_rest_of_a_partial_capture_was_never_paid_and_is_no_refund() -> None:
    one = charge(amount_captured=600, amount_refunded=400)
    assert partly_captured(one)
    assert steps(one) == []
    assert steps(one, refund("re_release", 400, 1)) == []  # in some API versions it has an object of its own


def test_a_refund_after_a_partial_capture_counts_in_every_shape() -> None:
    one = charge(amount_captured=600, amount_refunded=500)
    assert steps(one, refund("re_1", 100, 9)) == [("re_1", 100)]
    assert steps(one, refund("re_release", 400, 1), refund("re_1", 100, 9)) == [("re_1", 100)]


def test_an_authorization_that_expired_has_no_refund() -> None:
    assert steps(charge(captured=False, amount_captured=0, amount_refunded=1000), refund("re_1", 1000, 1)) == []


@pytest.mark.parametrize("status", ["open", "paid", "void", "uncollectible"])
def test_a_finalized_invoice_is_issued_whatever_came_of_it(status: str) -> None:
    assert list(invoice_facts(invoice(status=status))) == [
        Fact(Metric.ISSUED_INVOICE, "in_1", "in_1", "eur", 700, CREATED + 60)
    ]


def test_a_draft_is_not_issued() -> None:
    assert list(invoice_facts(invoice(status="draft", status_transitions={"finalized_at": None}))) == []


def test_what_was_paid_outside_stripe_is_a_payment_at_the_time_it_was_marked_so() -> None:
    paid = Fact(Metric.SUCCESSFULLY_PAID, "in_1", "in_1", "eur", 250, CREATED + 120)
    assert paid in invoice_facts(invoice(amount_paid_off_stripe=250))
    assert paid not in invoice_facts(invoice(amount_paid_off_stripe=250, status="open"))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_objects_of_rare_stories_say_what_is_true(seed: int) -> None:
    """Late debits, credit notes, captures and payments in parts, sellers' transfers; but what events alone tell."""
    world = World(seed=seed, start=CREATED, days=40, customers=25, extended=True, rare=True)
    (books,) = world.accounts.values()
    payments: dict[str, list[Any]] = defaultdict(list)
    for payment in books.invoice_payments.values():
        payments[payment.invoice].append(object_json(payment, NEWEST))
    facts: list[Fact] = []
    for one in books.charges.values():
        body = object_json(one, NEWEST)
        facts += [*charge_facts(body), *refund_facts(body, [object_json(each, NEWEST) for each in one.refunds])]
    for issued in books.invoices.values():
        body = object_json(issued, NEWEST) | {"payments": {"data": payments[issued.id]}}
        facts += invoice_facts(body | {"amount_paid_off_stripe": issued.paid_off_stripe})
    for note in books.credit_notes.values():
        facts += credit_note_facts(object_json(note, NEWEST))
    for dispute in books.disputes.values():
        facts += dispute_facts(object_json(dispute, NEWEST))
    kept = [fact for fact in world.truth().facts if fact.metric in COMPARED]
    kept = [fact for fact in kept if fact.charge_id or fact.metric is not Metric.FAILED_PAYMENT]
    about = Metric.CREDIT_NOTE, Metric.DISPUTE  # whose truth names the charge and the invoice
    assert Counter(
        (fact.metric, "" if fact.metric in about else fact.owner, fact.amount, fact.at) for fact in facts
    ) == Counter(
        (
            fact.metric,
            "" if fact.metric in about else fact.charge_id or fact.invoice_id,
            fact.amount_minor,
            fact.occurred_at,
        )
        for fact in kept
    )
    assert {fact.metric for fact in facts} == set(COMPARED)
