"""MRR of a simulated half year equals the simulated Stripe's own, at each month's end, however its events come.

The truth is reckoned by `simulator.world.pricing` from what its subscriptions were, by Stripe's definition and without
any rule of the ledger's. Look-ups are answered as Stripe would have at the time.
"""

from decimal import Decimal
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.money import exponent
from simulator.delivery.plan import Faults, plan
from simulator.rendering.objects import event_json, object_json
from simulator.rendering.shapes import VERSIONS, shape_of
from simulator.rendering.subscriptions import coupon_json, discount_json, tiers_json
from simulator.world.history import World as Stripe
from simulator.world.objects import Subscription
from simulator.world.pricing import true_mrr
from tests.ledger_harness import World, run

START, DAY = 1_767_225_600, 86_400
DAYS = 184
ENDS = [START + days * DAY - 1 for days in (31, 59, 90, 120, 151, 181)]  # of January … June 2026
SEEDS = (1, 2)


@cache
def stripe(seed: int) -> Stripe:
    return Stripe(seed=seed, start=START, days=DAYS, customers=16, extended=True, rare=True, pricing=True)


@cache
def events(seed: int, version: str) -> list[dict[str, Any]]:
    """Those of subscriptions: no others matter."""
    mine = [event for event in stripe(seed).events if event.type.startswith("customer.subscription.")]
    return [event_json(event, version) for event in mine]


@cache
def truth(seed: int) -> list[dict[tuple[str, str, str], Decimal]]:
    """Of each month's end, in major units."""
    books = stripe(seed).accounts["default"]
    return [
        {key: exact(amount, key[2]) for key, amount in true_mrr(books, end).items() if exact(amount, key[2])}
        for end in ENDS
    ]


def exact(minor: Fraction, currency: str) -> Decimal:
    """To six places of a major unit: finer than anybody is shown, coarser than what twelve places leave of a sum."""
    return Decimal(round(minor * 10 ** (6 - exponent(currency)))).scaleb(-6)


def ours(world: World) -> list[dict[tuple[str, str, str], Decimal]]:
    found = [world.mrr(end) for end in ENDS]
    return [{key: round(amount, 6) for key, amount in one.items() if round(amount, 6)} for one in found]


def looked_up(subscription: Subscription, version: str) -> dict[str, Any]:
    """As Stripe answers who asks for coupons and tiers as well."""
    body, shape = object_json(subscription, version), shape_of(version)
    body["discounts"] = [discount_json(one, subscription, shape, True) for one in subscription.discounts]
    for shown, one in zip(body["discounts"], subscription.discounts, strict=True):
        if "source" in shown:
            shown["source"] = shown["source"] | {"coupon": coupon_json(one.coupon, True)}
    for item, (_, one, _) in zip(body["items"]["data"], subscription.items, strict=True):
        if one.tiers:
            item["price"]["tiers"] = tiers_json(one)
    return body


def answered(world: World, seed: int, version: str) -> World:
    """Every look-up that would have been asked when a subscription changed was answered then."""
    for history in stripe(seed).accounts["default"].terms.values():
        for one in history:
            plans = [plan for _, plan, _ in one.subscription.items]
            if one.told and (one.subscription.discounts or any(plan.tiers for plan in plans)):
                world.fetch(looked_up(one.subscription, version), one.at)
    world.settle()
    return world


def test_the_world_has_all_that_matters() -> None:
    books = stripe(1).accounts["default"]
    shown = [one.subscription for history in books.terms.values() for one in history]
    assert {one.status for one in shown} >= {*"active past_due unpaid paused trialing canceled incomplete".split()}
    assert {plan.interval for one in shown for _, plan, _ in one.items} == {"day", "week", "month", "year"}
    assert {one.coupon.duration for each in shown for one in each.discounts} == {"once", "repeating", "forever"}
    assert any(one.pause_collection for one in shown)
    assert any(one.cancel_at_period_end for one in shown)
    assert {bool(plan.tiers) for one in shown for _, plan, _ in one.items} == {True, False}
    assert len({currency for _, _, currency in truth(1)[-1]}) > 3


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", SEEDS)
def test_each_months_end_equals_the_truth_in_every_shape(seed: int, version: str) -> None:
    assert ours(answered(run(events(seed, version)), seed, version)) == truth(seed)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    versions=st.tuples(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS)),
    partitions=st.integers(1, 4),
    randomness=st.integers(0, 2**32),
)
def test_any_order_and_duplication_ends_in_the_truth(
    seed: int, versions: tuple[str, str], partitions: int, randomness: int
) -> None:
    rng = Random(randomness)
    told = [events(seed, rng.choice(versions))[number] for number in range(len(events(seed, VERSIONS[0])))]
    told += rng.sample(told, len(told) // 4)
    rng.shuffle(told)
    assert ours(answered(run(told, partitions, randomness), seed, versions[0])) == truth(seed)


@pytest.mark.parametrize("whole", [True, False])
def test_readers_of_a_first_run_are_told_the_same_movements_by_a_replay(whole: bool) -> None:
    """State is rebuilt from nothing: no movement loses to what was told before, and none stays that is none."""
    told, rng = events(1, VERSIONS[0]), Random(3)
    replay = World(2)
    replay.moved = run(rng.sample(told, len(told)) if whole else told[: len(told) // 2]).moved
    for event in told:
        replay.feed(event)
    replay.settle()
    assert replay.movements() == in_order(VERSIONS[0]).movements()


@cache
def in_order(version: str) -> World:
    return run(events(1, version))


def test_what_is_lost_and_swept_later_ends_in_the_truth() -> None:
    """One in twenty is lost; the sweep brings the same events a day and more later, after newer ones."""
    mine = [event for event in stripe(1).events if event.type.startswith("customer.subscription.")]
    deliveries, dropped = plan(mine, Faults(drop=0.05, duplicate=0.1, shuffle_window=500), 7)
    version = VERSIONS[-1]
    lost = [event for event in mine if event.id in {*dropped}]
    assert len(lost) > 10
    world = answered(run([event_json(delivery.event, version) for delivery in deliveries]), 1, version)
    for event in lost:
        world.feed(event_json(event, version), source="sweep")
    world.settle()
    assert ours(world) == truth(1)


@settings(max_examples=10, deadline=None)
@given(lost=st.floats(0.05, 0.9), randomness=st.integers(0, 2**32))
def test_whatever_is_lost_opening_and_movements_are_closing(lost: float, randomness: int) -> None:
    """And what the last event of a subscription shows is what it comes to in the end."""
    rng = Random(randomness)
    some = [event for event in events(1, VERSIONS[0]) if rng.random() > lost]
    rng.shuffle(some)
    world = run(some, 2, randomness)
    now: dict[tuple[str, str, str], Decimal] = {}
    for one in world.movements().values():
        for item in one["items"]:
            key = one["subscription_id"], item["product_id"], item["currency"]
            now[key] = now.get(key, Decimal(0)) + Decimal(item["amount"])
            assert now[key] == Decimal(item["mrr"])
    alone = run(list({event["data"]["object"]["id"]: event for event in sorted(some, key=latest)}.values()))
    last = {
        (one["subscription_id"], item["product_id"], item["currency"]): Decimal(item["mrr"])
        for one in alone.movements().values()
        for item in one["items"]
    }
    assert {key: amount for key, amount in now.items() if amount} == last


def latest(event: dict[str, Any]) -> tuple[int, int]:
    return event["created"], list(event["data"]["object"]).count("ended_at")
