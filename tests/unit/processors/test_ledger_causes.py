"""Each version of a row names the event that made it, whatever object that was about and wherever it came in."""

import pytest

from tests.fixtures.stripe.charges import charge, customer, refund
from tests.fixtures.stripe.shapes import ENDIVE, Json, at
from tests.ledger_harness import World

BEGIN = at("09-01 10:00:00")


def event(number: int, type_: str, obj: Json) -> Json:
    body = {"id": f"evt_{number}", "object": "event", "type": type_, "created": BEGIN + number, "livemode": True}
    return body | {"api_version": ENDIVE.version, "data": {"object": obj}}


def cause(world: World, kind: str) -> str:
    (row,) = [row for name, row in world.rows().items() if f":{kind}:" in name]
    return str(row["event_id"])


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_version_names_what_made_it(partitions: int) -> None:
    world = World(partitions)
    nobody: Json = {"billing_details": {"email": None}}
    world.feed(event(1, "charge.succeeded", charge(ENDIVE, "one", **nobody)))
    world.settle()
    assert cause(world, "paid") == "evt_1"
    world.feed(event(2, "customer.updated", customer(ENDIVE, email="iris@example.com")))
    world.settle()
    assert cause(world, "paid") == "evt_2"  # the charge is as it was, and its row has an email
    world.feed(event(3, "charge.succeeded", charge(ENDIVE, "one", **nobody)))
    world.settle()
    assert cause(world, "paid") == "evt_2"  # nothing changed by it
    world.feed(event(4, "refund.created", refund(ENDIVE, "one", charge="ch_one", amount=700)))
    world.settle()
    assert cause(world, "refunded") == "evt_4"


@pytest.mark.parametrize("partitions", [1, 2, 3, 4, 5])
def test_what_joins_a_customer_later_names_the_event_by_which_it_did(partitions: int) -> None:
    world = World(partitions)
    world.feed(event(1, "refund.created", refund(ENDIVE, "one", charge="ch_one", amount=700)))
    world.settle()
    world.feed(event(2, "charge.succeeded", charge(ENDIVE, "one")))
    world.settle()
    assert cause(world, "refunded") == cause(world, "paid") == "evt_2"


def test_an_object_that_was_fetched_is_named() -> None:
    world = World()
    world.fetch(charge(ENDIVE, "one"), BEGIN)
    world.settle()
    assert cause(world, "paid") == f"ch_one@{BEGIN}"
