"""What an invoice tells: that it was issued, that an attempt failed, that it was paid outside Stripe; never twice."""

import pytest

from processors.rules import invoice as invoices
from schemas.errors import BadEvent
from tests.fixtures.stripe.charges import CUSTOMER, charge, declined
from tests.fixtures.stripe.invoices import invoice, upcoming
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, V2020, V2024, Json, Shape, at
from tests.fixtures.stripe.story import amounts, happened, outcome, told

NAMING = [V2020, V2024]  # shapes in which charges and invoices name each other
MODERN = [BASIL, ENDIVE]
versions = pytest.mark.parametrize("shape", [*NAMING, *MODERN], ids=lambda shape: shape.version)
naming = pytest.mark.parametrize("shape", NAMING, ids=lambda shape: shape.version)
modern = pytest.mark.parametrize("shape", MODERN, ids=lambda shape: shape.version)


def states(*events: Json) -> dict[str, str]:
    """Invoice id to `properties.status` of its Issued Invoice row."""
    rows = outcome(*events).rows().values()
    return {r["invoice_id"]: r["properties"]["status"] for r in rows if r["metric"] == "Issued Invoice"}


def failed(shape: Shape, created: str, attempt: int, **changes: object) -> Json:
    body = invoice(shape, "dune", "open", attempt_count=attempt, attempted=True) | changes
    return happened("invoice.payment_failed", created, body, shape=shape)


# Issued.


@versions
def test_a_draft_is_not_issued_and_a_deleted_draft_never_was(shape: Shape) -> None:
    draft = happened("invoice.created", "09-01 09:00:00", invoice(shape, "amber", "draft"), shape=shape)
    deleted = happened("invoice.deleted", "09-01 09:30:00", invoice(shape, "amber", "draft"), shape=shape)
    assert amounts(draft) == {}
    assert amounts(draft, deleted) == {}


@versions
def test_an_invoice_is_issued_once_when_it_is_finalized_however_often_it_is_sent(shape: Shape) -> None:
    events = [
        happened("invoice.created", "09-01 09:00:00", invoice(shape, "amber", "draft"), shape=shape),
        happened("invoice.finalized", "09-01 09:58:00", invoice(shape, "amber", "open"), shape=shape),
        happened("invoice.sent", "09-01 09:58:01", invoice(shape, "amber", "open"), shape=shape),
        happened("invoice.sent", "09-09 08:00:00", invoice(shape, "amber", "open"), shape=shape),
        happened("invoice.updated", "09-09 08:00:01", invoice(shape, "amber", "open"), shape=shape),
    ]
    assert told(outcome(*events), "amount_minor", "occurred_at") == [
        ("issued:in_amber", 4200, "2026-09-01T09:58:00.000Z")
    ]


@versions
@pytest.mark.parametrize(
    ("type_", "status"),
    [
        ("invoice.voided", "void"),
        ("invoice.marked_uncollectible", "uncollectible"),
        ("invoice.payment_succeeded", "paid"),
        ("invoice.paid", "paid"),
    ],
)
def test_what_became_of_an_invoice_stands_on_its_one_row(type_: str, status: str, shape: Shape) -> None:
    issued = happened("invoice.finalized", "09-01 09:58:00", invoice(shape, "amber", "open"), shape=shape)
    later = happened(type_, "09-20 10:00:05", invoice(shape, "amber", status), shape=shape)
    assert states(issued) == {"in_amber": "open"}
    assert states(issued, later) == {"in_amber": status}


def test_paid_and_payment_succeeded_of_one_invoice_are_no_two_facts() -> None:
    body = invoice(V2020, "amber", "paid", charge="ch_amber")
    events = (
        happened("invoice.payment_succeeded", "09-01 10:00:05", body, shape=V2020),
        happened("invoice.paid", "09-01 10:00:05", body, shape=V2020),
        happened("charge.succeeded", "09-01 10:00:02", charge(V2020, "amber", invoice="in_amber"), shape=V2020),
    )
    assert amounts(*events) == {"issued:in_amber": 4200, "paid:ch_amber": 4200}


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({}, "draft"),
        ({"attempted": True}, "open"),
        ({"closed": True}, "open"),
        ({"closed": True, "forgiven": True}, "uncollectible"),
        ({"closed": True, "paid": True, "attempted": True}, "paid"),
    ],
)
def test_before_there_was_a_status_flags_told_it(flags: dict[str, bool], status: str) -> None:
    core = invoices.normalize({"currency": "usd", "date": at("09-01 09:00:00"), **flags}, "data.object")
    assert (core["status"], core["created"]) == (status, at("09-01 09:00:00"))


# Paid, or not by a charge.


@naming
def test_an_invoice_paid_outside_stripe_is_a_payment_when_it_was_marked_paid(shape: Shape) -> None:
    body = invoice(shape, "amber", "paid", paid_out_of_band=True)
    world = outcome(happened("invoice.paid", "09-01 10:00:05", body, shape=shape))
    assert told(world, "amount_minor", "occurred_at", "charge_id") == [
        ("issued:in_amber", 4200, "2026-09-01T09:58:00.000Z", ""),
        ("paid:in_amber", 4200, "2026-09-01T10:00:04.000Z", ""),
    ]


@naming
def test_only_the_part_that_no_charge_paid_was_paid_outside_stripe(shape: Shape) -> None:
    part = charge(shape, "part", amount=1200, invoice="in_amber")
    events = (
        happened("charge.succeeded", "09-01 10:00:02", part, shape=shape),
        happened("invoice.paid", "09-01 10:00:05", invoice(shape, "amber", "paid", paid_out_of_band=True), shape=shape),
    )
    assert amounts(*events) == {"issued:in_amber": 4200, "paid:ch_part": 1200, "paid:in_amber": 3000}


@modern
def test_since_basil_the_amount_paid_outside_stripe_is_what_the_api_says(shape: Shape) -> None:
    body = invoice(shape, "amber", "paid") | {"amount_paid_off_stripe": 2000}
    assert amounts(happened("invoice.paid", "09-01 10:00:05", body, shape=shape)) == {
        "issued:in_amber": 4200,
        "paid:in_amber": 2000,
    }


@versions
def test_a_zero_amount_invoice_is_issued_and_is_no_payment(shape: Shape) -> None:
    nothing = {"amount_due": 0, "amount_paid": 0, "amount_remaining": 0, "subtotal": 0, "total": 0}
    body = invoice(shape, "amber", "paid", **nothing, attempt_count=0)
    assert amounts(happened("invoice.paid", "09-01 10:00:05", body, shape=shape)) == {"issued:in_amber": 0}


@naming
def test_a_zero_amount_invoice_marked_paid_outside_stripe_is_no_payment_either(shape: Shape) -> None:
    nothing = {"amount_due": 0, "amount_paid": 0, "amount_remaining": 0, "subtotal": 0, "total": 0}
    body = invoice(shape, "amber", "paid", **nothing, paid_out_of_band=True)
    assert amounts(happened("invoice.paid", "09-01 10:00:05", body, shape=shape)) == {"issued:in_amber": 0}


@versions
def test_an_invoice_settled_from_the_customers_credit_balance_is_no_payment(shape: Shape) -> None:
    settled = {"amount_due": 0, "amount_paid": 0, "amount_remaining": 0, "starting_balance": -4200, "ending_balance": 0}
    body = invoice(shape, "amber", "paid", **settled, attempt_count=0)
    world = outcome(happened("invoice.payment_succeeded", "09-01 10:00:05", body, shape=shape))
    assert told(world, "amount_minor") == [("issued:in_amber", 4200)]
    (row,) = world.rows().values()
    assert (row["properties"]["Total"], row["properties"]["AmountDue"]) == ("42.00", "0.00")


@naming
def test_an_invoice_paid_by_several_charges_is_several_payments_and_each_names_it(shape: Shape) -> None:
    events = (
        happened(
            "charge.succeeded", "09-01 10:00:02", charge(shape, "one", amount=1200, invoice="in_amber"), shape=shape
        ),
        happened(
            "charge.succeeded", "09-01 10:00:03", charge(shape, "two", amount=3000, invoice="in_amber"), shape=shape
        ),
        happened("invoice.paid", "09-01 10:00:05", invoice(shape, "amber", "paid", charge="ch_two"), shape=shape),
    )
    world = outcome(*events)
    assert told(world, "amount_minor", "invoice_id") == [
        ("issued:in_amber", 4200, "in_amber"),
        ("paid:ch_one", 1200, "in_amber"),
        ("paid:ch_two", 3000, "in_amber"),
    ]
    paid = [row["properties"] for row in world.rows().values() if row["metric"] == "Successfully Paid"]
    assert {p["InvoiceNumber"] for p in paid} == {"HARBOR-0007"}
    assert {p["Items"][0]["Product"] for p in paid} == {"prod_berth"}


# Failed attempts.


@naming
def test_a_failed_charge_and_the_invoices_failed_attempt_are_one_failure(shape: Shape) -> None:
    events = (
        happened("charge.failed", "09-01 10:00:01", declined(shape, "dune", invoice="in_dune"), shape=shape),
        failed(shape, "09-01 10:00:05", 1, charge="ch_dune"),
    )
    assert told(outcome(*events), "amount_minor", "attempt_count", "reason", "occurred_at") == [
        ("failed:ch_dune", 4200, 1, "Your card was declined.", "2026-09-01T10:00:00.000Z"),
        ("issued:in_dune", 4200, 1, "", "2026-09-01T09:58:00.000Z"),
    ]


@modern
def test_since_basil_they_are_one_failure_too_though_neither_names_the_other(shape: Shape) -> None:
    events = (
        happened("charge.failed", "09-01 10:00:01", declined(shape, "dune"), shape=shape),
        failed(shape, "09-01 10:00:05", 1),
    )
    world = outcome(*events)
    assert told(world, "attempt_count", "invoice_id") == [
        ("failed:ch_dune", 1, "in_dune"),
        ("issued:in_dune", 1, "in_dune"),
    ]
    assert [r["properties"].get("LinkInferred") for r in world.rows().values() if r.get("charge_id")] == [True]


@naming
def test_several_failed_charges_of_one_invoice_are_several_attempts(shape: Shape) -> None:
    events = []
    for attempt, day in enumerate(("01", "04", "09"), 1):
        body = declined(shape, f"try{attempt}", invoice="in_dune") | {"created": at(f"09-{day} 10:00:00")}
        events.append(happened("charge.failed", f"09-{day} 10:00:01", body, shape=shape))
        events.append(failed(shape, f"09-{day} 10:00:05", attempt, charge=f"ch_try{attempt}"))
    assert told(outcome(*events), "attempt_count") == [
        ("failed:ch_try1", 1),
        ("failed:ch_try2", 2),
        ("failed:ch_try3", 3),
        ("issued:in_dune", 3),
    ]


@naming
def test_an_attempt_that_made_no_charge_is_a_failure_by_invoice_and_attempt(shape: Shape) -> None:
    assert told(outcome(failed(shape, "09-01 10:00:05", 1)), "amount_minor", "attempt_count", "occurred_at") == [
        ("failed:in_dune:attempt:1", 4200, 1, "2026-09-01T10:00:05.000Z"),
        ("issued:in_dune", 4200, 1, "2026-09-01T09:58:00.000Z"),
    ]


@naming
def test_an_attempt_without_a_charge_that_still_names_the_earlier_charge_is_told_apart(shape: Shape) -> None:
    """`invoice.charge` is the newest charge: an attempt that made none shows the one before."""
    events = (
        happened("charge.failed", "09-01 10:00:01", declined(shape, "dune", invoice="in_dune"), shape=shape),
        failed(shape, "09-01 10:00:05", 1, charge="ch_dune"),
        failed(shape, "09-04 10:00:05", 2, charge="ch_dune"),
    )
    assert told(outcome(*events), "attempt_count", "occurred_at") == [
        ("failed:ch_dune", 1, "2026-09-01T10:00:00.000Z"),
        ("failed:in_dune:attempt:2", 2, "2026-09-04T10:00:05.000Z"),
        ("issued:in_dune", 2, "2026-09-01T09:58:00.000Z"),
    ]


@versions
def test_a_failed_attempt_delivered_by_two_events_is_one_failure(shape: Shape) -> None:
    twin = failed(shape, "09-01 10:00:05", 1)
    assert len(amounts(twin, twin | {"id": "evt_twin"})) == 2  # the failure and the invoice


@versions
def test_a_payment_that_needs_action_is_a_state_of_the_invoice_and_no_failure(shape: Shape) -> None:
    body = invoice(shape, "dune", "open", attempt_count=1, attempted=True)
    asked = happened("invoice.payment_action_required", "09-01 10:00:05", body, shape=shape)
    (row,) = outcome(asked).rows().values()
    assert (row["metric"], row["properties"]["requires_action"]) == ("Issued Invoice", True)
    done = happened("invoice.paid", "09-02 10:00:05", invoice(shape, "dune", "paid"), shape=shape)
    (row,) = outcome(asked, done).rows().values()
    assert (row["properties"]["status"], row["properties"].get("requires_action")) == ("paid", None)


@versions
def test_an_invoice_requires_action_no_longer_once_the_attempt_failed_and_again_when_it_is_asked_again(
    shape: Shape,
) -> None:
    def asked(created: str) -> Json:
        body = invoice(shape, "dune", "open", attempt_count=1, attempted=True)
        return happened("invoice.payment_action_required", created, body, shape=shape)

    def requires_action(*events: Json) -> bool:
        (row,) = (row for row in outcome(*events).rows().values() if row["metric"] == "Issued Invoice")
        return bool(row["properties"].get("requires_action"))

    first, gave_up, again = asked("09-01 10:00:05"), failed(shape, "09-01 18:00:00", 1), asked("09-04 10:00:05")
    assert requires_action(first, failed(shape, "09-01 10:00:05", 1))  # Stripe tells of one attempt in both ways
    assert not requires_action(first, gave_up)
    assert requires_action(first, gave_up, again)


@versions
def test_a_retry_that_succeeds_is_a_payment_beside_the_failure_before_it(shape: Shape) -> None:
    settled = invoice(shape, "dune", "paid", attempt_count=2, charge="ch_ok")
    settled["status_transitions"] = settled["status_transitions"] | {"paid_at": at("09-04 10:00:03")}
    retry = charge(shape, "ok", invoice="in_dune", created=at("09-04 10:00:00"))
    events = (
        happened("charge.failed", "09-01 10:00:01", declined(shape, "dune", invoice="in_dune"), shape=shape),
        failed(shape, "09-01 10:00:05", 1, **({"charge": "ch_dune"} if shape in NAMING else {})),
        happened("charge.succeeded", "09-04 10:00:01", retry, shape=shape),
        happened("invoice.paid", "09-04 10:00:05", settled, shape=shape),
    )
    assert told(outcome(*events), "attempt_count", "invoice_id", "occurred_at") == [
        ("failed:ch_dune", 1, "in_dune", "2026-09-01T10:00:00.000Z"),
        ("issued:in_dune", 2, "in_dune", "2026-09-01T09:58:00.000Z"),
        ("paid:ch_ok", "", "in_dune", "2026-09-04T10:00:00.000Z"),
    ]


@modern
def test_since_basil_each_failed_charge_finds_the_attempt_nearest_in_time(shape: Shape) -> None:
    events = []
    for attempt, minute in enumerate(("00", "20"), 1):
        body = declined(shape, f"try{attempt}", created=at(f"09-01 10:{minute}:00"))
        events.append(happened("charge.failed", f"09-01 10:{minute}:01", body, shape=shape))
        events.append(failed(shape, f"09-01 10:{minute}:05", attempt))
    assert told(outcome(*events), "attempt_count") == [
        ("failed:ch_try1", 1),
        ("failed:ch_try2", 2),
        ("issued:in_dune", 2),
    ]


@modern
def test_since_basil_a_failed_attempt_never_takes_a_charge_that_succeeded(shape: Shape) -> None:
    paid = charge(shape, "ok", created=at("09-01 10:30:00"))
    events = (
        failed(shape, "09-01 10:00:05", 1),
        happened("charge.succeeded", "09-01 10:30:01", paid, shape=shape),
    )
    assert told(outcome(*events), "invoice_id") == [
        ("failed:in_dune:attempt:1", "in_dune"),
        ("issued:in_dune", "in_dune"),
        ("paid:ch_ok", ""),
    ]


@naming
def test_an_invoice_paid_outside_stripe_after_failures_keeps_the_failures(shape: Shape) -> None:
    events = (
        happened("charge.failed", "09-01 10:00:01", declined(shape, "dune", invoice="in_dune"), shape=shape),
        failed(shape, "09-01 10:00:05", 1, charge="ch_dune"),
        happened(
            "invoice.paid",
            "09-05 10:00:05",
            invoice(shape, "dune", "paid", charge="ch_dune", paid_out_of_band=True),
            shape=shape,
        ),
    )
    assert amounts(*events) == {"failed:ch_dune": 4200, "issued:in_dune": 4200, "paid:in_dune": 4200}


# Upcoming.


def notice(created: str, shape: Shape = ENDIVE, **changes: object) -> Json:
    return happened("invoice.upcoming", created, upcoming(shape) | changes, shape=shape)


@versions
def test_an_upcoming_invoice_has_no_id_and_is_named_by_subscription_and_period(shape: Shape) -> None:
    assert told(outcome(notice("09-24 09:00:00", shape)), "amount_minor", "occurred_at") == [
        ("upcoming:sub_harbor:1790845200", 4200, "2026-09-24T09:00:00.000Z")
    ]


def test_two_notices_of_one_period_are_one_row_of_the_first_ones_time_and_the_newest_amount() -> None:
    world = outcome(notice("09-24 09:00:00"), notice("09-28 09:00:00", amount_due=5000, total=5000))
    assert told(world, "amount_minor", "occurred_at") == [
        ("upcoming:sub_harbor:1790845200", 5000, "2026-09-24T09:00:00.000Z")
    ]


def test_the_next_period_is_another_row() -> None:
    later = notice("10-24 09:00:00", period_end=at("11-01 09:00:00"))
    assert len(amounts(notice("09-24 09:00:00"), later)) == 2


def test_without_a_subscription_the_customer_names_it_and_without_both_it_makes_no_sense() -> None:
    assert list(amounts(notice("09-24 09:00:00", parent=None))) == [f"upcoming:{CUSTOMER}:1790845200"]
    with pytest.raises(BadEvent) as error:
        amounts(notice("09-24 09:00:00", parent=None, customer=None))
    assert error.value.path == "data.object.subscription"
