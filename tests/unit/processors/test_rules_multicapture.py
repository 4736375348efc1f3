"""An authorization that is captured in parts counts part by part; a seller's transfer is no customer's payment.

Source: Stripe, "Capture a payment multiple times" (`captured` is true with the final capture), "Overcapture", "Create
destination charges" (the connected account gets a `py_` with `source_transfer`).
"""

import pytest

from connector.reconcile.stripe_side import charge_facts, refund_facts
from tests.fixtures.stripe.charges import charge, refund
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, V2020, V2022, V2024, Json, Shape, at, stripe_list
from tests.fixtures.stripe.story import amounts, happened, outcome, told
from tests.ledger_harness import World

PARTED = [V2020, V2022, V2024, BASIL, ENDIVE]  # shapes in which a charge says how much was captured
versions = pytest.mark.parametrize("shape", PARTED, ids=lambda shape: shape.version)


def parts(shape: Shape, got: int, *refunds: Json, captured: bool = False, amount: int = 9000) -> Json:
    """An authorization of 90.00, of which `got` is captured; the rest is released with the final capture."""
    released = max(amount - got, 0) if captured else 0
    returned = sum(one["amount"] for one in refunds) + released
    more: Json = {"refunds": stripe_list("/v1/charges/ch_parts/refunds", *refunds)} if shape.refunds else {}
    body = charge(shape, "parts", amount=amount, amount_refunded=returned, **more)
    return body | {"captured": captured, "amount_captured": got}


def given_back(shape: Shape, number: int, amount: int, created: str) -> Json:
    return refund(shape, "parts") | {"id": f"re_parts{number}", "amount": amount, "created": at(created)}


@versions
def test_each_part_counts_when_it_is_captured_and_the_final_capture_only_once(shape: Shape) -> None:
    held = happened("charge.succeeded", "09-01 10:00:02", parts(shape, 0), shape=shape)
    first = happened("charge.updated", "09-02 10:00:00", parts(shape, 2000), {"amount_captured": 0}, shape=shape)
    second = happened("charge.updated", "09-04 10:00:00", parts(shape, 5000), {"amount_captured": 2000}, shape=shape)
    final = parts(shape, 6500, captured=True)
    last = happened(
        "charge.captured", "09-06 10:00:00", final, {"amount_captured": 5000, "captured": False}, shape=shape
    )
    assert amounts(held) == {}
    assert amounts(held, first) == {"paid:ch_parts": 2000}
    assert amounts(held, first, second) == {"paid:ch_parts": 5000}
    world = outcome(held, first, second, last)
    assert told(world, "amount_minor", "occurred_at") == [("paid:ch_parts", 6500, "2026-09-01T10:00:00.000Z")]


@versions
@pytest.mark.parametrize("objects", [True, False], ids=["with refund events", "without"])
def test_refunds_of_parts_count_before_and_after_the_final_capture(shape: Shape, objects: bool) -> None:
    """5.00 back of the parts, then the rest of 25.00 is released, then 3.00 back."""
    one, two = given_back(shape, 1, 500, "09-03 12:00:00"), given_back(shape, 2, 300, "09-08 12:00:00")
    early = [
        happened("charge.updated", "09-02 10:00:00", parts(shape, 2000), {"amount_captured": 0}, shape=shape),
        happened("charge.refunded", "09-03 12:00:00", parts(shape, 2000, one), {"amount_refunded": 0}, shape=shape),
    ]
    before = {"amount_captured": 2000, "captured": False, "amount_refunded": 500}
    late = [
        happened("charge.captured", "09-06 10:00:00", parts(shape, 6500, one, captured=True), before, shape=shape),
        happened(
            "charge.refunded",
            "09-08 12:00:00",
            parts(shape, 6500, one, two, captured=True),
            {"amount_refunded": 3000},
            shape=shape,
        ),
    ]
    if objects:
        early.append(happened("refund.created", "09-03 12:00:00", one, shape=shape))
        late.append(happened("refund.created", "09-08 12:00:00", two, shape=shape))
    first = ("refunded:ch_parts:500", 500, "2026-09-03T12:00:00.000Z")
    assert told(outcome(*early), "amount_minor", "occurred_at") == [
        ("paid:ch_parts", 2000, "2026-09-01T10:00:00.000Z"),
        first,
    ]
    assert told(outcome(*early, *late), "amount_minor", "occurred_at") == [
        ("paid:ch_parts", 6500, "2026-09-01T10:00:00.000Z"),
        first,
        ("refunded:ch_parts:800", 300, "2026-09-08T12:00:00.000Z"),
    ]


@versions
def test_what_expires_after_parts_were_captured_is_no_refund(shape: Shape) -> None:
    gone = parts(shape, 2000) | {"amount_refunded": 7000}
    events = (
        happened("charge.updated", "09-02 10:00:00", parts(shape, 2000), {"amount_captured": 0}, shape=shape),
        happened("charge.expired", "09-08 10:00:00", gone, {"amount_refunded": 0}, shape=shape),
    )
    assert amounts(*events) == {"paid:ch_parts": 2000}


@versions
def test_a_refund_of_a_part_is_one_whatever_expires_after_it(shape: Shape) -> None:
    """20.00 captured, 5.00 of them given back; a week later the rest of 70.00 is released, then 3.00 are given back."""
    one, two = given_back(shape, 1, 500, "09-03 12:00:00"), given_back(shape, 2, 300, "09-09 12:00:00")
    gone = parts(shape, 2000, one) | {"amount_refunded": 7500}
    after = parts(shape, 2000, one, two) | {"amount_refunded": 7800}
    events = (
        happened("charge.updated", "09-02 10:00:00", parts(shape, 2000), {"amount_captured": 0}, shape=shape),
        happened("charge.refunded", "09-03 12:00:00", parts(shape, 2000, one), {"amount_refunded": 0}, shape=shape),
        happened("charge.expired", "09-08 10:00:00", gone, {"amount_refunded": 500}, shape=shape),
        happened("charge.refunded", "09-09 12:00:00", after, {"amount_refunded": 7500}, shape=shape),
    )
    assert told(outcome(*events), "amount_minor", "occurred_at") == [
        ("paid:ch_parts", 2000, "2026-09-01T10:00:00.000Z"),
        ("refunded:ch_parts:500", 500, "2026-09-03T12:00:00.000Z"),
        ("refunded:ch_parts:800", 300, "2026-09-09T12:00:00.000Z"),
    ]


@versions
@pytest.mark.parametrize("got", [2000, 8000])
def test_an_imported_charge_tells_by_its_refunds_that_the_rest_expired(shape: Shape, got: int) -> None:
    one = given_back(shape, 1, 500, "09-03 12:00:00")
    release = given_back(shape, 3, 9000 - got, "09-08 10:00:00") | {"reason": "expired_uncaptured_charge"}
    body = parts(shape, got, one, release)
    worlds = []
    for things in ((body, one, release), (release, one, body)):
        world = World()
        for obj in things:
            world.fetch(obj, at("09-20 10:00:00"))
        world.settle()
        worlds.append(dict(told(world, "amount_minor")))
    assert worlds == [{"paid:ch_parts": got, "refunded:ch_parts:500": 500}] * 2
    assert [fact.object for fact in refund_facts(body, [one, release])] == ["re_parts1"]


@versions
def test_stripes_side_of_the_comparison_says_the_same(shape: Shape) -> None:
    one, two = given_back(shape, 1, 500, "09-03 12:00:00"), given_back(shape, 2, 300, "09-08 12:00:00")
    release = given_back(shape, 3, 2500, "09-06 10:00:00")  # some API versions have an object for it
    assert [fact.amount for fact in charge_facts(parts(shape, 2000, one))] == [2000]
    sellers = charge(shape, "seller", source_transfer="tr_1") | {"id": "py_seller"}
    assert list(charge_facts(sellers)) == []
    assert [fact.amount for fact in refund_facts(parts(shape, 2000, one), [one])] == [500]
    whole = parts(shape, 6500, one, two, captured=True)
    for refunds in ([one, two], [one, release, two]):
        assert [(fact.object, fact.amount) for fact in refund_facts(whole, refunds)] == [
            ("re_parts1", 500),
            ("re_parts2", 300),
        ]
        world = World()
        for obj in (whole, *refunds):
            world.fetch(obj, at("09-20 10:00:00"))
        world.settle()
        assert dict(told(world, "amount_minor")) == {
            "paid:ch_parts": 6500,
            "refunded:ch_parts:500": 500,
            "refunded:ch_parts:800": 300,
        }
