"""Imported failures are numbered by time, and say so: only Stripe's events tell which attempt one was."""

import pytest

from tests.fixtures.stripe.charges import charge, declined
from tests.fixtures.stripe.invoices import invoice, invoice_payment
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, V2020, V2024, Json, Shape, at
from tests.fixtures.stripe.story import happened
from tests.ledger_harness import World

versions = pytest.mark.parametrize("shape", [V2020, V2024, BASIL, ENDIVE], ids=lambda shape: shape.version)
FETCHED = at("09-20 10:00:00")


def objects(shape: Shape, count: int, *, known: int = 2) -> list[Json]:
    """An invoice that was paid with the last of `count` attempts; of the failed ones `known` made a charge."""
    made = [
        declined(shape, f"try{day}", invoice="in_amber", created=at(f"09-0{day} 10:00:00")) for day in (1, 4)[:known]
    ]
    made.append(charge(shape, "ok", invoice="in_amber", created=at("09-07 10:00:00")))
    for body in made:
        if "payment_intent" in body:
            body["payment_intent"] = "pi_amber"
    if shape.basil:
        made.append(invoice_payment("amber"))
    return [*made, invoice(shape, "amber", "paid", charge="ch_ok", attempt_count=count)]


def attempts(world: World) -> list[tuple[str, int, bool]]:
    found = [
        (row["charge_id"], row["properties"]) for row in world.rows().values() if row["metric"] == "Failed Payment"
    ]
    return sorted((name, told.get("AttemptCount", 0), told.get("AttemptCountDerived", False)) for name, told in found)


def imported(made: list[Json]) -> World:
    worlds = []
    for order in (made, made[::-1]):
        world = World()
        for obj in order:
            world.fetch(obj, FETCHED)
        world.settle()
        worlds.append(world)
    assert worlds[0].facts() == worlds[1].facts()
    return worlds[0]


@versions
def test_no_number_is_invented_where_some_attempt_made_no_charge(shape: Shape) -> None:
    assert attempts(imported(objects(shape, count=3, known=1))) == [("ch_try1", 0, False)]


@versions
def test_what_an_event_says_is_no_guess(shape: Shape) -> None:
    world = imported(objects(shape, count=3))
    body = invoice(shape, "amber", "open", charge="ch_try4", attempt_count=2, attempted=True)
    world.feed(happened("invoice.payment_failed", "09-04 10:00:05", body, shape=shape))
    world.settle()
    assert attempts(world) == [("ch_try1", 1, True), ("ch_try4", 2, False)]
