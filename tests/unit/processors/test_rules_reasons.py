"""Why an attempt failed that made no charge stands on its payment intent, and on the row once that is known.

Source: Stripe, the PaymentIntent object: `last_payment_error`, "The payment error encountered in the previous
PaymentIntent confirmation. It will be cleared if the PaymentIntent is later updated for any reason."
"""

from itertools import permutations

import pytest

from tests.fixtures.stripe.charges import CUSTOMER, declined
from tests.fixtures.stripe.invoices import invoice, invoice_payment
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, SHAPES, V2020, Json, Shape, at
from tests.fixtures.stripe.story import happened
from tests.ledger_harness import World

SENTENCE = "The provided PaymentMethod has failed authentication."
CODE = "payment_intent_authentication_failure"
KNOWING_INTENTS = [shape for shape in SHAPES if not shape.sources]
versions = pytest.mark.parametrize("shape", KNOWING_INTENTS, ids=lambda shape: shape.version)


def intent(**error: object) -> Json:
    told = {"type": "invalid_request_error", "code": CODE, "message": SENTENCE} | error
    body = {"id": "pi_dune", "object": "payment_intent", "customer": CUSTOMER, "created": at("09-01 09:58:00")}
    return body | {"livemode": True, "last_payment_error": told, "status": "requires_payment_method"}


def failed(shape: Shape, count: int = 1, when: str = "09-01 10:00:05", **changes: object) -> Json:
    body = invoice(shape, "dune", "open", attempt_count=count, attempted=True, **changes)
    return happened("invoice.payment_failed", when, body, shape=shape)


def payment() -> Json:
    body = invoice_payment("dune") | {"status": "open", "amount_paid": None}
    return body | {"status_transitions": {"canceled_at": None, "paid_at": None}}


def arrived(*things: tuple[Json, int]) -> World:
    """Events, and objects with the time at which they were fetched (0 for events)."""
    world = World(partitions=2)
    for body, fetched_at in things:
        world.fetch(body, fetched_at) if fetched_at else world.feed(body)
        world.checkpoint()
    world.settle()
    return world


def in_any_order(*things: tuple[Json, int]) -> World:
    worlds = [arrived(*order) for order in permutations(things)]
    assert all(world.facts() == worlds[0].facts() for world in worlds)
    return worlds[0]


def failures(world: World) -> list[tuple[int, str, str]]:
    rows = [row for row in world.rows().values() if row["metric"] == "Failed Payment"]
    return sorted((row["attempt_count"], row["reason"], row["reason_code"]) for row in rows)


def links(shape: Shape) -> list[tuple[Json, int]]:
    return [(payment(), at("09-01 10:00:06"))] if shape.basil else []


@pytest.mark.parametrize("shape", [V2020, ENDIVE], ids=lambda shape: shape.version)
def test_an_expanded_payment_intent_tells_it_too(shape: Shape) -> None:
    body = invoice(shape, "dune", "open", attempt_count=1, attempted=True)
    if shape.basil:
        made = payment()
        made["payment"] = made["payment"] | {"payment_intent": intent()}
        body["payments"] = {"object": "list", "data": [made], "has_more": False}
    else:
        body["payment_intent"] = intent()
    world = in_any_order((failed(shape), 0), (body, at("09-01 10:00:08")))
    assert failures(world) == [(1, SENTENCE, CODE)]


@versions
def test_the_error_of_a_later_attempt_is_not_that_of_an_earlier_one(shape: Shape) -> None:
    other = intent(message="Authenticate again.", code="authentication_required")
    world = in_any_order(
        (failed(shape), 0),
        *links(shape),
        (failed(shape, 2, "09-04 10:00:05"), 0),
        (other, at("09-04 10:00:08")),
    )
    assert failures(world) == [(1, "", ""), (2, "Authenticate again.", "authentication_required")]


@versions
def test_an_error_that_made_a_charge_is_told_by_the_charge(shape: Shape) -> None:
    body = declined(shape, "dune", invoice="in_dune", created=at("09-01 10:00:03"))
    event = happened("charge.failed", "09-01 10:00:04", body, shape=shape)
    told = intent(charge="ch_dune", code="card_declined", message="Your card was declined.")
    made = failed(shape, charge="ch_dune")
    world = in_any_order((made, 0), *links(shape), (event, 0), (told, at("09-01 10:00:08")))
    assert failures(world) == [(1, "Your card was declined.", "card_declined")]


def asked(*things: tuple[Json, int]) -> list[tuple[str, int]]:
    """The questions about payment intents: id, and from when on an answer must hold."""
    world, found = World(), []
    for body, fetched_at in things:
        world.fetch(body, fetched_at) if fetched_at else world.feed(body)
        lookups = world.ledgers[0].changes.lookups
        found += [(key[2], wanted.at) for key, wanted in lookups.items() if key[1] == "payment_intent"]
        world.checkpoint()
    return found


@versions
def test_the_payment_intent_is_asked_once_for_an_attempt_without_a_charge(shape: Shape) -> None:
    told = [(failed(shape), 0), *links(shape), (failed(shape), 0)]
    assert asked(*told) == [("pi_dune", at("09-01 10:00:05"))]
    assert asked(*told, (intent(), at("09-01 10:00:08")), (failed(shape), 0)) == [("pi_dune", at("09-01 10:00:05"))]


@versions
def test_a_declined_card_needs_no_question(shape: Shape) -> None:
    body = declined(shape, "dune", invoice="in_dune", created=at("09-01 10:00:03"))
    event = happened("charge.failed", "09-01 10:00:04", body, shape=shape)
    assert asked((event, 0), *links(shape), (failed(shape, charge="ch_dune"), 0)) == []


@pytest.mark.parametrize("shape", [BASIL, ENDIVE], ids=lambda shape: shape.version)
def test_what_went_wrong_when_an_invoice_was_issued_is_another_thing(shape: Shape) -> None:
    error = {"code": "customer_tax_location_invalid", "message": "No address.", "type": "invalid_request_error"}
    assert failures(arrived((failed(shape, last_finalization_error=error), 0))) == [(1, "", "")]
