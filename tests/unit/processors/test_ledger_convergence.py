"""The ledger's first promise: any order, any duplication, any partition, any shape: the same rows and profiles."""

from collections import Counter
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import rfc3339
from simulator.delivery.plan import Faults, plan, told_by
from simulator.rendering.objects import event_json, object_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.history import World as Stripe
from tests.ledger_harness import World, run

START = 1_767_225_600
SEEDS = (1, 2, 3)


@cache
def stripe(seed: int, extended: bool = False, rare: bool = False) -> Stripe:
    return Stripe(seed=seed, start=START, days=40, customers=25, extended=extended, rare=rare)


@cache
def told(seed: int, version: str, extended: bool, rare: bool = False) -> list[dict[str, Any]]:
    """The history of a world in one API version, in its true order."""
    return [event_json(event, version) for event in stripe(seed, extended, rare).events]


@cache
def in_order(seed: int, version: str, extended: bool, rare: bool = False) -> World:
    return run(told(seed, version, extended, rare))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rare", [False, True], ids=["", "rare"])
@pytest.mark.parametrize("versions", [*((version,) for version in VERSIONS), VERSIONS], ids="+".join)
def test_rows_equal_the_truth_in_every_shape(seed: int, versions: tuple[str, ...], rare: bool) -> None:
    """`rare`: with late debits, credit notes, captures and payments in parts, and sellers' transfers."""
    faults = Faults(duplicate=0.2, shuffle_window=10_000, versions=versions)
    account = stripe(seed, extended=rare, rare=rare)
    deliveries, _ = plan(account.events, faults, seed)
    world = run([event_json(d.event, d.version) for d in deliveries], partitions=3, seed=seed)
    truth = told_by(deliveries, account.truth())
    expected = Counter(
        (
            str(f.metric),
            f.charge_id,
            f.invoice_id,
            rfc3339(f.occurred_at),
            f.amount_minor,
            f.currency,
            f.email,
            f.attempt_count,
            f.reason,
        )
        for f in truth.facts
    )
    failed = ("Failed Payment",)
    ours = Counter(
        (
            r["metric"],
            r.get("charge_id", ""),
            r.get("invoice_id", ""),
            r["occurred_at"],
            r["amount_minor"],
            r["currency"],
            r["email"],
            r.get("attempt_count", 0) if r["metric"] in failed else 0,
            r.get("reason", "") if r["metric"] in failed else "",
        )
        for r in world.rows().values()
    )
    assert ours - expected == Counter()
    assert expected - ours == Counter()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    version=st.sampled_from(VERSIONS),
    extended=st.booleans(),
    rare=st.booleans(),
    partitions=st.integers(1, 5),
    randomness=st.integers(0, 2**32),
)
def test_any_order_and_duplication_over_any_partitions_ends_the_same(
    seed: int, version: str, extended: bool, rare: bool, partitions: int, randomness: int
) -> None:
    events, rng = told(seed, version, extended, rare), Random(randomness)
    shuffled = events + rng.sample(events, len(events) // 4)
    rng.shuffle(shuffled)
    world = run(shuffled, partitions, randomness)
    expected = in_order(seed, version, extended, rare)
    assert world.facts() == expected.facts()
    assert world.profiles() == expected.profiles()


@settings(max_examples=15, deadline=None)
@given(seed=st.sampled_from(SEEDS), version=st.sampled_from(VERSIONS), share=st.floats(0.1, 0.9))
def test_state_rebuilt_from_nothing_never_loses_to_what_was_told_before(seed: int, version: str, share: float) -> None:
    """Readers that have seen the rows of a first run are told the same rows by a replay, and keep none twice."""
    events = told(seed, version, True)
    before = run(events[: int(len(events) * share)])
    replay = World()
    replay.told = before.told
    for event in events:
        replay.feed(event)
    replay.settle()
    assert replay.facts() == in_order(seed, version, True).facts()


def imported(world: World, seed: int, version: str) -> World:
    """All that Stripe's API keeps, fetched at the end."""
    books = stripe(seed).accounts["default"]
    at = START + 50 * 86_400
    people = (books.customers, books.payment_methods, books.subscriptions)
    for kind in (
        *people,
        books.charges,
        books.invoices,
        books.refunds,
        books.disputes,
        books.invoice_payments,
        books.credit_notes,
    ):
        for obj in kind.values():
            world.fetch(object_json(obj, version), at)
        world.checkpoint()
    world.settle()
    return world


@settings(max_examples=15, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    versions=st.tuples(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS)),
    lost=st.floats(0, 1),
    randomness=st.integers(0, 2**32),
)
def test_what_was_lost_and_then_imported_is_as_if_it_had_come(
    seed: int, versions: tuple[str, str], lost: float, randomness: int
) -> None:
    """But for what objects do not tell: upcoming invoices, attempts without a charge, payments outside Stripe, and when
    a payment succeeded and was captured.
    """

    def kept(world: World) -> dict[str, Any]:
        facts = world.facts().items()
        unkept = (":upcoming:", ":attempt:", ":paid:in_", ":trial_ending:", ":subscription_changed:")
        return {key: row for key, row in facts if not any(part in key for part in unkept)}

    rng = Random(randomness)
    all_of_it = run(told(seed, versions[0], False), 3)
    some = run([event for event in told(seed, versions[0], False) if rng.random() > lost], 3, randomness)
    expected, ours = kept(imported(all_of_it, seed, versions[1])), kept(imported(some, seed, versions[1]))
    for key in expected.keys() | ours.keys():
        for facts in (expected, ours):  # which attempt made a charge is known from its event alone
            if facts.get(key, {}).get("metric") == "Failed Payment":
                facts[key].pop("attempt_count")
            for name in ("AttemptCount", "AttemptCountDerived", "SucceededAt", "CapturedAt"):
                facts.get(key, {}).get("properties", {}).pop(name, None)
    assert ours == expected


def test_a_guests_refund_whose_time_the_customers_partition_knows_better_is_one_row() -> None:
    """Both partitions tell of it before they know of each other, each at the time that it knows of."""
    charge = {"id": "ch_1", "object": "charge", "amount": 5000, "amount_captured": 5000, "amount_refunded": 5000}
    charge |= {"currency": "usd", "status": "succeeded", "captured": True, "created": START, "customer": None}

    def event(number: int, **more: Any) -> dict[str, Any]:
        data = {"object": charge | {"customer": "cus_7" if number else None}, **more}
        body = {"id": f"evt_{number}", "type": "charge.refunded", "created": START + number, "livemode": True}
        return body | {"data": data}

    history = [event(0), event(1, previous_attributes={"amount_refunded": 0})]
    for partitions in (1, 2, 3, 5, 8):
        for order in range(24):
            world = run(Random(order).sample(history, 2), partitions, order, checkpoint_every=1)
            times = {row["metric"]: row["occurred_at"] for row in world.rows().values()}
            assert times == {"Successfully Paid": rfc3339(START), "Refunded Payment": rfc3339(START + 1)}


def test_a_guest_who_is_given_a_customer_later_is_one_fact() -> None:
    charge = {
        "id": "ch_1",
        "object": "charge",
        "amount": 5000,
        "amount_captured": 5000,
        "amount_refunded": 0,
        "currency": "usd",
        "status": "succeeded",
        "paid": True,
        "captured": True,
        "created": START,
        "customer": None,
        "billing_details": {"email": "Ann@Example.com"},
    }

    def event(number: int, type_: str, **changes: Any) -> dict[str, Any]:
        return {
            "id": f"evt_{number}",
            "type": type_,
            "livemode": True,
            "created": START + number,
            "data": {"object": charge | changes},
        }

    history = [
        event(1, "charge.succeeded"),
        event(2, "charge.refunded", amount_refunded=1500),
        event(3, "charge.updated", amount_refunded=1500, customer="cus_7"),
        event(4, "charge.refunded", amount_refunded=5000, customer="cus_7"),
    ]
    for partitions in (1, 2, 3, 5, 8):
        for order in range(24):
            rng = Random(order)
            world = run(rng.sample(history, 4), partitions, order)
            rows = {r["metric_id"]: (r["amount_minor"], r["customer_id"], r["email"]) for r in world.rows().values()}
            assert rows == {
                "default:live:paid:ch_1": (5000, "cus_7", "ann@example.com"),
                "default:live:refunded:ch_1:1500": (1500, "cus_7", "ann@example.com"),
                "default:live:refunded:ch_1:5000": (3500, "cus_7", "ann@example.com"),
            }
            (profile,) = world.profiles().values()
            assert [(m["metric"], m["count"]) for m in profile["metrics"]] == [
                ("Refunded Payment", 2),
                ("Successfully Paid", 1),
            ]
            assert profile["value"][0]["lifetime_value"] == "0.00"
