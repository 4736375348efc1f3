"""Dispute: one row a dispute, whatever the order of its events, with what came of it and what it cost.

Source: Stripe, the Dispute object ("amount: disputed amount … usually the amount of the charge"; `status`;
`balance_transactions`: "zero, one, or two"), "How disputes work" (inquiries take no money, and can become disputes).
"""

from typing import Any

import pytest

from schemas.errors import BadEvent
from tests.fixtures.stripe.charges import charge, customer, dispute
from tests.fixtures.stripe.shapes import ENDIVE, SHAPES, Json, Shape, at
from tests.fixtures.stripe.story import happened, outcome
from tests.ledger_harness import World, run

PAID = happened("charge.succeeded", "09-01 10:00:00", charge(ENDIVE, "amber"))
WHO = happened("customer.created", "08-31 18:00:00", customer(ENDIVE))


def told(type_: str, when: str, status: str, shape: Shape = ENDIVE, **changes: object) -> Json:
    return happened(f"charge.dispute.{type_}", when, dispute(shape, "amber", status) | changes, shape=shape)


def row(world: World) -> dict[str, Any]:
    (found,) = (each for each in world.rows().values() if each["metric"] == "Dispute")
    return found


def worth(world: World) -> list[str]:
    return [value["lifetime_value"] for profile in world.profiles().values() for value in profile["value"]]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
def test_an_open_dispute_has_its_amount_reason_and_the_charges_person(shape: Shape) -> None:
    paid = happened("charge.succeeded", "09-01 10:00:00", charge(shape, "amber"), shape=shape)
    found = row(outcome(paid, told("created", "09-05 08:00:01", "needs_response", shape)))
    assert (found["metric_id"], found["charge_id"]) == ("default:live:dispute:dp_amber", "ch_amber")
    assert (found["occurred_at"], found["amount"], found["currency"]) == ("2026-09-05T08:00:00.000Z", "42.00", "usd")
    assert (found["email"], found["reason_code"]) == ("iris.vale@example.com", "fraudulent")
    expected = {"Dispute": "dp_amber", "status": "needs_response", "EvidenceDueBy": "2026-09-12T23:59:59.000Z"}
    assert expected.items() <= found["properties"].items()
    assert not {"Outcome", "OutcomeAt", "Inquiry", "FundsWithdrawnAt"} & found["properties"].keys()


@pytest.mark.parametrize(("status", "left"), [("lost", "0.00"), ("won", "42.00")])
def test_the_outcome_is_a_newer_version_with_its_time_and_what_was_lost_is_worth_no_more(
    status: str, left: str
) -> None:
    before = [PAID, WHO, told("created", "09-05 08:00:01", "needs_response")]
    before.append(told("funds_withdrawn", "09-05 08:00:02", "needs_response"))
    after = told("closed", "09-20 12:00:00", status)
    assert worth(outcome(*before)) == ["42.00"]
    world = outcome(*before, after)
    found = row(world)
    assert found["version"] > row(outcome(*before))["version"]
    expected = {"Outcome": status, "OutcomeAt": "2026-09-20T12:00:00.000Z"}
    expected |= {"FundsWithdrawnAt": "2026-09-05T08:00:02.000Z"}
    assert expected.items() <= found["properties"].items()
    assert worth(world) == [left]


def test_an_inquiry_is_told_apart_and_takes_nothing() -> None:
    asked = told("created", "09-05 08:00:01", "warning_needs_response")
    assert row(outcome(PAID, WHO, asked))["properties"]["Inquiry"] is True
    closed = outcome(PAID, WHO, asked, told("closed", "09-09 08:00:00", "warning_closed"))
    assert (row(closed)["properties"]["Inquiry"], row(closed)["properties"]["Outcome"]) == (True, "warning_closed")
    assert worth(closed) == ["42.00"]
    escalated = outcome(PAID, asked, told("updated", "09-09 08:00:00", "needs_response"))
    assert "Inquiry" not in row(escalated)["properties"]


def test_the_amount_is_that_of_the_opening_whatever_it_becomes() -> None:
    opened = told("created", "09-05 08:00:01", "needs_response", amount=3000)
    assert (
        row(outcome(PAID, opened, told("updated", "09-06 08:00:00", "under_review", amount=3100)))["amount"] == "30.00"
    )


def test_money_that_moved_is_told_by_the_objects_balance_transactions_too() -> None:
    """What an import sees: no event of it has come."""
    moves = [{"amount": -4200, "created": at("09-05 08:00:03")}, {"amount": 4200, "created": at("09-21 08:00:00")}]
    world = run([PAID])
    world.fetch(dispute(ENDIVE, "amber", "won") | {"balance_transactions": moves}, at("10-01 08:00:00"))
    world.settle()
    told_moves = {name: row(world)["properties"].get(name) for name in ("FundsWithdrawnAt", "FundsReinstatedAt")}
    assert [*told_moves.values()] == ["2026-09-05T08:00:03.000Z", "2026-09-21T08:00:00.000Z"]
    assert row(world)["properties"]["Outcome"] == "won"
    assert "OutcomeAt" not in row(world)["properties"]  # Stripe's objects don't say when it was closed


def test_two_disputes_of_one_charge_are_two_rows_and_both_count() -> None:
    two = [told("closed", "09-20 12:00:00", "lost", id=f"dp_{n}", amount=1000 * n) for n in (1, 2)]
    world = outcome(PAID, WHO, *two)
    assert sorted(each["amount"] for each in world.rows().values() if each["metric"] == "Dispute") == ["10.00", "20.00"]
    assert worth(world) == ["12.00"]


def test_a_dispute_of_an_unknown_charge_asks_stripe_for_it_and_is_told_at_once() -> None:
    world = World()
    world.feed(told("created", "09-05 08:00:01", "needs_response"))
    ((_, kind, identifier),) = world.ledgers[0].changes.lookups
    assert (kind, identifier) == ("charge", "ch_amber")
    world.settle()
    assert (row(world)["email"], row(world)["unlinked_reason"]) == ("", "guest: no email on the charge")
    world.fetch(charge(ENDIVE, "amber"), at("09-05 08:00:05"))
    world.settle()
    assert row(world)["email"] == "iris.vale@example.com"


def test_a_new_dispute_of_an_imported_payment_is_news() -> None:
    """Flows act on webhooks, and on what an import brings they don't."""
    world = World()
    world.fetch(charge(ENDIVE, "amber"), at("09-04 08:00:00"))
    world.feed(told("created", "09-05 08:00:01", "needs_response"))
    world.settle()
    assert {each["metric"]: each["source"] for each in world.rows().values()} == {
        "Successfully Paid": "import",
        "Dispute": "webhook",
    }


@pytest.mark.parametrize("changes", [{"amount": -1}, {"amount": "10"}, {"created": None}, {"currency": 7}])
def test_a_dispute_that_makes_no_sense_is_refused_and_names_the_field(changes: Json) -> None:
    with pytest.raises(BadEvent) as refused:
        run([told("created", "09-05 08:00:01", "needs_response", **changes)])
    assert refused.value.path == f"data.object.{next(iter(changes))}"


@pytest.mark.parametrize("moves", [7, [7], [{"amount": "x"}], [{"amount": 1, "created": "now"}]])
def test_balance_transactions_that_make_no_sense_are_refused(moves: object) -> None:
    with pytest.raises(BadEvent):
        run([told("created", "09-05 08:00:01", "needs_response", balance_transactions=moves)])
