"""What is a payment, and what is a failure: one row a charge, whatever its events' order."""

import pytest

from processors.rules import charge as charges
from tests.fixtures.stripe.charges import charge, customer, declined, dispute
from tests.fixtures.stripe.shapes import ENDIVE, V2020, Json, Shape, at
from tests.fixtures.stripe.story import amounts, happened, outcome, told


def authorization(**changes: object) -> Json:
    return charge(ENDIVE, "birch", **{"amount": 9000, "amount_captured": 0, "captured": False, **changes})


HELD = happened("charge.succeeded", "09-01 10:00:02", authorization())
PENDING = happened("charge.pending", "09-01 10:00:01", charge(ENDIVE, "elm", status="pending", paid=False))


def test_a_captured_charge_is_one_payment() -> None:
    assert amounts(happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber"))) == {"paid:ch_amber": 4200}


def test_an_authorization_alone_is_no_payment() -> None:
    assert amounts(HELD) == {}


def test_a_captured_authorization_is_a_payment_at_the_time_of_the_charge() -> None:
    captured = happened("charge.captured", "09-03 10:00:00", authorization(amount_captured=9000, captured=True))
    assert told(outcome(HELD, captured), "amount_minor", "occurred_at") == [
        ("paid:ch_birch", 9000, "2026-09-01T10:00:00.000Z")
    ]


def test_a_partial_capture_pays_what_was_captured_and_the_released_rest_is_no_refund() -> None:
    partly = authorization(amount_captured=6500, captured=True, amount_refunded=2500)
    assert amounts(HELD, happened("charge.captured", "09-03 10:00:00", partly)) == {"paid:ch_birch": 6500}


def test_a_refund_after_a_partial_capture_counts_only_what_was_given_back() -> None:
    partly = authorization(amount_captured=6500, captured=True, amount_refunded=2500)
    back = partly | {"amount_refunded": 4000}
    events = (
        HELD,
        happened("charge.captured", "09-03 10:00:00", partly),
        happened("charge.refunded", "09-04 10:00:00", back, {"amount_refunded": 2500}),
    )
    assert amounts(*events) == {"paid:ch_birch": 6500, "refunded:ch_birch:1500": 1500}


def test_an_expired_authorization_is_neither_payment_nor_refund() -> None:
    expired = authorization(amount_refunded=9000, refunded=True)
    assert amounts(HELD, happened("charge.expired", "09-08 10:00:00", expired)) == {}


def test_a_pending_payment_counts_once_it_succeeds_and_at_the_time_it_began() -> None:
    assert amounts(PENDING) == {}
    succeeded = happened("charge.succeeded", "09-05 04:00:00", charge(ENDIVE, "elm"))
    assert told(outcome(PENDING, succeeded), "occurred_at") == [("paid:ch_elm", "2026-09-01T10:00:00.000Z")]


def test_a_pending_payment_that_fails_is_a_failure_at_the_time_it_began() -> None:
    failed = happened("charge.failed", "09-05 04:00:00", declined(ENDIVE, "elm"))
    assert told(outcome(PENDING, failed), "occurred_at", "reason") == [
        ("failed:ch_elm", "2026-09-01T10:00:00.000Z", "Your card was declined.")
    ]


def test_a_late_older_failure_never_overwrites_a_later_success() -> None:
    failed = happened("charge.failed", "09-02 10:00:00", declined(ENDIVE, "elm"))
    succeeded = happened("charge.succeeded", "09-03 10:00:00", charge(ENDIVE, "elm"))
    assert amounts(succeeded, failed) == {"paid:ch_elm": 4200}


def test_of_two_events_of_one_second_the_one_further_on_counts() -> None:
    succeeded = happened("charge.succeeded", "09-01 10:00:01", charge(ENDIVE, "elm"))
    assert amounts(PENDING, succeeded) == {"paid:ch_elm": 4200}


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({}, "Your card was declined.", "card_declined"),
        ({"failure_message": None}, "The bank did not return any further details with this decline.", "card_declined"),
        ({"failure_message": None, "failure_code": None, "outcome": None}, "", ""),
    ],
)
def test_a_failure_gives_stripes_sentence_as_its_reason(changes: Json, reason: str, code: str) -> None:
    body = declined(ENDIVE, "dune") | changes
    world = outcome(happened("charge.failed", "09-01 10:00:01", body))
    assert told(world, "reason", "reason_code") == [("failed:ch_dune", reason, code)]


def test_each_failed_charge_of_one_payment_intent_is_a_failure_of_its_own() -> None:
    tries = [
        happened("charge.failed", f"09-01 10:0{n}:01", declined(ENDIVE, f"try{n}") | {"payment_intent": "pi_one"})
        for n in range(3)
    ]
    done = happened("charge.succeeded", "09-01 10:05:00", charge(ENDIVE, "done") | {"payment_intent": "pi_one"})
    assert amounts(*tries, done) == {
        "failed:ch_try0": 4200,
        "failed:ch_try1": 4200,
        "failed:ch_try2": 4200,
        "paid:ch_done": 4200,
    }


def test_a_dispute_that_comes_before_its_charge_still_marks_it() -> None:
    opened = happened("charge.dispute.created", "09-05 08:00:00", dispute(ENDIVE, "amber", "needs_response"))
    paid = happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber"))
    (row,) = (row for row in outcome(opened, paid).rows().values() if row["metric"] == "Successfully Paid")
    assert (row["metric"], row["amount_minor"]) == ("Successfully Paid", 4200)
    assert row["properties"]["DisputeStatus"] == "needs_response"


def test_a_card_seen_on_a_failed_charge_is_on_the_profile_newest_first() -> None:
    card = {"type": "card", "card": {"brand": "mastercard", "last4": "0341", "exp_month": 2, "exp_year": 2028}}
    failed = declined(ENDIVE, "dune", payment_method_details=card) | {"created": at("09-02 10:00:00")}
    world = outcome(
        happened("customer.created", "08-31 18:00:00", customer(ENDIVE)),
        happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber")),
        happened("charge.failed", "09-02 10:00:01", failed),
    )
    (profile,) = world.profiles().values()
    assert [(c["brand"], c["last4"], c["month"], c["year"]) for c in profile["card_expirations"]] == [
        ("mastercard", "0341", 2, 2028),
        ("visa", "4242", 9, 2031),
    ]
    assert profile["card_expiration_date"] == "2028-02-29"


@pytest.mark.parametrize("shape", [V2020, ENDIVE], ids=lambda shape: shape.version)
def test_metadata_arrives_with_every_row_as_it_was(shape: Shape) -> None:
    odd = {"Ключ": "значение", "a.b": " spaced ", "empty": "", "emoji": "🚤"}
    (row,) = (
        outcome(happened("charge.succeeded", "09-01 10:00:02", charge(shape, "amber", metadata=odd), shape=shape))
        .rows()
        .values()
    )
    assert row["properties"]["metadata"] == {"charge": odd}


def test_a_charge_from_before_there_was_a_status_tells_by_its_flags() -> None:
    old = {"id": "ch_1", "amount": 500, "currency": "usd", "created": at("09-01 10:00:00")}
    assert charges.normalize(old | {"paid": True, "captured": True}, "data.object")["status"] == "succeeded"
    assert charges.normalize(old | {"paid": False}, "data.object")["status"] == "failed"
