"""What belongs to a customer besides payments: cards of payment methods, and subscriptions with their metadata."""

from typing import Any

import orjson
import pytest

from processors.rules.belongings import _CARDS as MOST_CARDS
from schemas.errors import BadEvent
from tests.fixtures.stripe.belongings import payment_method, subscription
from tests.fixtures.stripe.charges import charge
from tests.fixtures.stripe.invoices import invoice, upcoming
from tests.fixtures.stripe.shapes import ENDIVE, V2020, Json, Shape, at
from tests.fixtures.stripe.story import happened, outcome
from tests.ledger_harness import World, run

PAID = happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "fern"))


def attached(created: str = "09-05 08:00:00", number: int = 1, **changes: object) -> Json:
    body = payment_method(ENDIVE, **changes) | {"id": f"pm_{number}"}
    return happened("payment_method.attached", created, body)


def detached(created: str, number: int = 1) -> Json:
    body = payment_method(ENDIVE, customer=None) | {"id": f"pm_{number}"}
    return happened("payment_method.detached", created, body, {"customer": "cus_Iris01"})


def cards(world: World) -> list[tuple[str, int, int]]:
    (profile,) = world.profiles().values()
    return [(card["last4"], card["month"], card["year"]) for card in profile["card_expirations"]]


def test_the_newest_card_is_the_one_that_the_profile_expires_with() -> None:
    (profile,) = outcome(PAID, attached()).profiles().values()
    assert profile["card_expiration_date"] == "2029-04-30"
    assert cards(outcome(PAID, attached())) == [("4444", 4, 2029), ("4242", 9, 2031)]
    later = happened("charge.succeeded", "09-08 10:00:02", charge(ENDIVE, "elm", created=at("09-08 10:00:00")))
    assert cards(outcome(PAID, attached(), later)) == [("4242", 9, 2031), ("4444", 4, 2029)]


def test_of_cards_seen_at_once_the_one_that_is_good_for_longer_is_newer() -> None:
    events = [attached(number=n, last4=f"000{n}", exp_month=n, exp_year=2027 + n % 2) for n in (1, 2, 3)]
    assert cards(outcome(PAID, *events))[:3] == [("0003", 3, 2028), ("0001", 1, 2028), ("0002", 2, 2027)]


def test_a_payment_method_alone_makes_no_profile_and_no_row() -> None:
    world = outcome(attached())
    assert (world.rows(), world.profiles()) == ({}, {})


def test_a_detached_card_stays_seen_also_when_its_attachment_was_lost() -> None:
    assert cards(outcome(PAID, attached(), detached("09-06 08:00:00"))) == [("4444", 4, 2029), ("4242", 9, 2031)]
    assert cards(outcome(PAID, detached("09-06 08:00:00"))) == [("4444", 4, 2029), ("4242", 9, 2031)]


def test_a_payment_method_that_is_nobodys_is_no_ones_card() -> None:
    loose = happened("payment_method.updated", "09-06 08:00:00", payment_method(ENDIVE, customer=None))
    assert cards(outcome(PAID, loose)) == [("4242", 9, 2031)]


def test_a_payment_method_without_a_card_has_none() -> None:
    body = payment_method(ENDIVE) | {"type": "sepa_debit", "card": None, "sepa_debit": {"last4": "3000"}}
    assert cards(outcome(PAID, happened("payment_method.attached", "09-05 08:00:00", body))) == [("4242", 9, 2031)]


def test_an_imported_payment_method_is_seen_when_it_was_fetched() -> None:
    world = run([PAID])
    world.fetch(payment_method(ENDIVE), at("10-01 00:00:00"))
    world.settle()
    assert cards(world) == [("4444", 4, 2029), ("4242", 9, 2031)]


def test_of_very_many_cards_the_newest_are_kept_in_any_order() -> None:
    events = [
        attached(f"09-05 {n // 60:02}:{n % 60:02}:00", n, last4=f"{n:04}", exp_year=2027) for n in range(MOST_CARDS + 9)
    ]
    expected = cards(run([PAID, *events]))
    assert [last4 for last4, _, _ in expected] == [*(f"{n:04}" for n in range(MOST_CARDS + 8, 8, -1)), "4242"]
    assert cards(run([*events[::-1], PAID], partitions=3)) == expected


@pytest.mark.parametrize(
    ("body", "previous", "path"),
    [
        (payment_method(ENDIVE) | {"card": "visa"}, None, "data.object.card"),
        (payment_method(ENDIVE, exp_year="2029"), None, "data.object.card.exp_year"),
        (payment_method(ENDIVE, customer=None, last4=4), {"customer": "cus_Iris01"}, "data.object.card.last4"),
        (payment_method(ENDIVE), {"card": {"exp_month": -1}}, "data.previous_attributes.card.exp_month"),
        (payment_method(ENDIVE) | {"id": None}, None, "data.object.id"),
        (subscription(ENDIVE, metadata={"tier": 1}), None, "data.object.metadata.tier"),
        (subscription(ENDIVE, status=7), None, "data.object.status"),
        (subscription(ENDIVE, created="today"), None, "data.object.created"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_path(body: Json, previous: Json | None, path: str) -> None:
    type_ = "payment_method.updated" if body["object"] == "payment_method" else "customer.subscription.updated"
    with pytest.raises(BadEvent) as error:
        run([happened(type_, "09-05 08:00:00", body, previous)])
    assert error.value.path == path


# Subscriptions.


def told_of(created: str, tier: str, status: str = "active", shape: Shape = ENDIVE) -> Json:
    body = subscription(shape, status, metadata={"tier": tier})
    return happened("customer.subscription.updated", created, body, shape=shape)


def issued(name: str = "amber", tier: str | None = "skipper", shape: Shape = ENDIVE) -> Json:
    """Finalized on the first of September at 9:58."""
    body = invoice(shape, name, "open")
    if shape.basil:
        body["parent"]["subscription_details"]["metadata"] = {"tier": tier} if tier else {}
    return happened("invoice.finalized", "09-01 09:58:00", body, shape=shape)


def tiers(world: World) -> dict[str, Any]:
    """Metric to the subscription's metadata on it, of payments and invoices."""
    rows = [row for row in world.rows().values() if not row["metric"].startswith("Subscription")]
    return {row["metric"]: row["properties"]["metadata"].get("subscription", {}).get("tier") for row in rows}


@pytest.mark.parametrize(
    ("events", "tier"),
    [
        ([issued()], "skipper"),
        ([issued(), told_of("09-01 09:00:00", "mate")], "skipper"),  # the invoice saw them later
        ([issued(), told_of("09-02 09:00:00", "captain")], "captain"),
        ([issued(), told_of("09-02 09:00:00", "captain"), told_of("09-03 09:00:00", "admiral")], "admiral"),
        # A change back, of which the event in between was lost: only the invoice shows it.
        ([issued(), told_of("09-01 09:00:00", "mate"), told_of("09-03 09:00:00", "mate")], "mate"),
        ([issued(tier=None), told_of("09-01 09:00:00", "mate")], "mate"),
        ([issued(shape=V2020), told_of("09-01 09:00:00", "mate", shape=V2020)], "mate"),  # it told nothing of them
    ],
)
def test_the_newest_word_on_a_subscriptions_metadata_is_on_its_invoice(events: list[Json], tier: str) -> None:
    assert tiers(outcome(*events)) == {"Issued Invoice": tier}


def test_every_row_of_the_subscriptions_invoices_has_its_metadata_and_no_other_row() -> None:
    body = charge(V2020, "amber", invoice="in_amber")
    world = outcome(
        happened("charge.succeeded", "09-01 10:00:02", body, shape=V2020),
        happened("invoice.paid", "09-01 10:00:05", invoice(V2020, "amber", "paid", charge="ch_amber"), shape=V2020),
        happened("invoice.upcoming", "09-24 09:00:00", upcoming(V2020), shape=V2020),
        told_of("09-02 09:00:00", "captain", shape=V2020),
    )
    captain = dict.fromkeys(("Issued Invoice", "Successfully Paid", "Upcoming Invoice"), "captain")
    assert tiers(world) == captain
    alone = happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "fern"))
    assert tiers(outcome(alone, told_of("09-02 09:00:00", "captain"))) == {"Successfully Paid": None}


def test_another_subscriptions_metadata_stay_with_it() -> None:
    other = subscription(ENDIVE, id="sub_other", metadata={"tier": "stowaway"})
    world = outcome(issued(), happened("customer.subscription.created", "09-05 09:00:00", other))
    assert tiers(world) == {"Issued Invoice": "skipper"}


def test_a_row_is_not_told_again_when_a_renewal_changes_no_metadata() -> None:
    world = run([issued(), told_of("09-02 09:00:00", "captain")])
    told = {key: row["version"] for key, row in world.rows().items()}
    world.feed(told_of("09-09 09:00:00", "captain", "past_due"))
    assert not world.ledgers[0].changes.rows
    assert {key: row["version"] for key, row in world.rows().items()} == told


def test_a_subscriptions_state_is_on_the_profile_the_later_one_of_a_second() -> None:
    world = outcome(
        PAID,
        happened("customer.subscription.created", "09-01 09:00:00", subscription(ENDIVE, "incomplete")),
        told_of("09-01 09:00:00", "captain", "active"),
    )
    assert [profile["subscriptions"] for profile in world.profiles().values()] == [{"sub_harbor": "active"}]
    ended = told_of("09-01 09:00:00", "captain", "canceled")
    world.feed(ended)
    world.settle()
    assert [profile["subscriptions"] for profile in world.profiles().values()] == [{"sub_harbor": "canceled"}]


def test_an_imported_subscription_counts_as_one_that_was_told() -> None:
    world = run([issued()])
    world.fetch(orjson.loads(orjson.dumps(subscription(ENDIVE))), at("10-01 00:00:00"))
    world.settle()
    assert tiers(world) == {"Issued Invoice": "captain"}
