"""When a payment succeeded and was captured is told by the events of that moment, whatever the order they come in."""

import pytest

from tests.fixtures.stripe.charges import charge, refunded
from tests.fixtures.stripe.shapes import SHAPES, V2020, Json, Shape, at
from tests.fixtures.stripe.story import happened, outcome
from tests.ledger_harness import World

versions = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
TOLD = ("SucceededAt", "CapturedAt")


def moments(world: World) -> tuple[str | None, ...]:
    [row] = [row for row in world.rows().values() if row["metric"] == "Successfully Paid"]
    return tuple(row["properties"].get(name) for name in TOLD)


def says(type_: str, when: str, shape: Shape, **changes: object) -> Json:
    return happened(type_, when, charge(shape, "amber", **changes), shape=shape)


@versions
def test_a_card_payment_succeeds_and_is_captured_at_once(shape: Shape) -> None:
    first, again = (says("charge.succeeded", when, shape) for when in ("09-01 10:00:02", "09-01 10:00:03"))
    later = says("charge.updated", "09-04 10:00:00", shape)
    both = "2026-09-01T10:00:02.000Z"
    assert moments(outcome(first, again, later)) == (both, both)


@versions
def test_a_debit_succeeds_days_after_it_was_made(shape: Shape) -> None:
    pending = says("charge.pending", "09-01 10:00:01", shape, status="pending", paid=False)
    came = says("charge.succeeded", "09-06 04:00:00", shape)
    world = outcome(pending, came)
    assert moments(world) == ("2026-09-06T04:00:00.000Z", "2026-09-06T04:00:00.000Z")
    [row] = world.rows().values()
    assert row["occurred_at"] == "2026-09-01T10:00:00.000Z"  # which stays the time of the payment


@versions
def test_what_only_shows_that_it_was_paid_does_not_say_when(shape: Shape) -> None:
    """A refund a month later, or an imported object, would make it a month late."""
    given_back = happened("charge.refunded", "10-03 10:00:00", refunded(shape, "amber"), shape=shape)
    assert moments(outcome(given_back)) == (None, None)
    world = World()
    world.fetch(charge(shape, "amber"), at("09-20 10:00:00"))
    world.settle()
    assert moments(world) == (None, None)


def test_a_guests_payment_keeps_them_when_it_is_given_a_customer() -> None:
    alone = says("charge.succeeded", "09-01 10:00:02", V2020, customer=None)
    named = says("charge.updated", "09-02 10:00:00", V2020)
    assert moments(outcome(alone, named)) == ("2026-09-01T10:00:02.000Z", "2026-09-01T10:00:02.000Z")
