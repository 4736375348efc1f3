"""The ledger's promise on the small: the history of one customer or guest, in every way it can arrive.

The number of examples is the Hypothesis profile's: from 50 in `quick` to 100,000 in `torture` (see tests/conftest.py).
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from simulator.rendering.objects import event_json, object_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.history import World as Stripe
from simulator.world.objects import Event, State
from tests.ledger_harness import World

START = 1_767_225_600
LATER = START + 80 * 86_400


@dataclass(frozen=True)
class History:
    """All events of one customer or guest, and the objects that Stripe's API keeps of them."""

    events: tuple[Event, ...]
    objects: tuple[State, ...]


def owner(obj: Any, customers: dict[str, str]) -> str:
    """The customer an object belongs to, else the guest's charge; `customers` by id of charge or invoice."""
    for name in ("customer", "charge", "invoice"):
        value = getattr(obj, name, None)
        identifier = getattr(value, "id", value)
        if name == "customer" and identifier:
            return str(identifier)
        if identifier in customers:
            return customers[identifier]
    return str(obj.id)


@cache
def histories() -> list[History]:
    found: list[History] = []
    for seed in range(1, 7):
        world = Stripe(seed=seed, start=START, days=70, customers=25, extended=seed % 2 == 0)
        books = world.accounts["default"]
        owners = {thing.id: owner(thing, {}) for thing in (*books.charges.values(), *books.invoices.values())}
        events: dict[str, list[Event]] = defaultdict(list)
        objects: dict[str, list[State]] = defaultdict(list)
        for event in world.events:
            whose = event.before if event.type == "payment_method.detached" else event.object
            events[owner(whose, owners)].append(event)
        payments = (books.charges, books.invoices, books.refunds, books.invoice_payments)
        for kind in (*payments, books.credit_notes, books.disputes, books.subscriptions, books.payment_methods):
            for obj in kind.values():
                objects[owner(obj, owners)].append(obj)
        found += [History(tuple(told), tuple(objects[name])) for name, told in sorted(events.items())]
    return found


def arrive(events: list[dict[str, Any]], objects: list[dict[str, Any]], partitions: int, rng: Random) -> World:
    """Events and fetched objects in this order, with checkpoints and messages between partitions in between."""
    world = World(partitions)
    for thing in [*events, *objects]:
        if thing["object"] == "event":
            world.feed(thing)
        else:
            world.fetch(thing, LATER)
        if rng.random() < 0.4:
            world.checkpoint()
            while rng.random() < 0.5 and world.step(rng.randrange(8)):
                world.checkpoint()
    world.settle()
    return world


history = st.integers(0, 10_000)
partitions = st.integers(1, 4)
randomness = st.integers(0, 2**32)


def chosen(number: int, rng: Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One history, each event and object in some API version."""
    one = histories()[number % len(histories())]
    shapes = rng.sample(VERSIONS, rng.randint(1, len(VERSIONS)))
    events = [event_json(event, rng.choice(shapes)) for event in one.events]
    return events, [object_json(obj, rng.choice(shapes)) for obj in one.objects]


@given(history, partitions, randomness)
def test_any_order_any_duplication_any_split_between_sources(number: int, split: int, seed: int) -> None:
    rng = Random(seed)
    events, objects = chosen(number, rng)
    objects = [obj for obj in objects if rng.random() < 0.5]
    straight = arrive(events, objects, 1, Random(0))
    mixed = [*events, *objects]
    mixed += rng.choices(mixed, k=rng.randint(0, len(mixed)))
    rng.shuffle(mixed)
    world = arrive(mixed, [], split, rng)
    assert world.facts() == straight.facts()
    assert world.profiles() == straight.profiles()


@given(history, partitions, randomness)
def test_no_prefix_tells_a_fact_that_later_knowledge_doubles(number: int, split: int, seed: int) -> None:
    """Whatever has come so far: the refunds of a charge never exceed what was paid, and one payment is one row."""
    rng = Random(seed)
    events, _ = chosen(number, rng)
    rng.shuffle(events)
    world = arrive(events[: rng.randint(1, len(events))], [], split, rng)
    paid: dict[str, int] = defaultdict(int)
    refunded: dict[str, int] = defaultdict(int)
    for row in world.rows().values():
        if row["metric"] == "Successfully Paid" and row.get("charge_id"):
            assert row["charge_id"] not in paid
            paid[row["charge_id"]] = row["amount_minor"]
        if row["metric"] == "Refunded Payment":
            refunded[row["charge_id"]] += row["amount_minor"]
    for charge, amount in refunded.items():
        assert amount <= paid[charge]
    for profile in world.profiles().values():
        assert all(summary["count"] > 0 for summary in profile["metrics"])


@given(history, partitions, randomness, st.floats(0, 1))
def test_dropping_any_events_and_then_importing_is_as_if_none_was_dropped(
    number: int, split: int, seed: int, lost: float
) -> None:
    """But for what objects do not tell: upcoming invoices, which failed attempt was which, payments outside Stripe, and
    when a payment succeeded and was captured, a dispute was closed, and what a subscription was like at first.

    Customers come by neither way here: their email's history is in events alone.
    """
    rng = Random(seed)
    events, objects = chosen(number, rng)
    events = [event for event in events if event["data"]["object"]["object"] != "customer"]
    some = [event for event in events if rng.random() >= lost]
    rng.shuffle(some)
    assert _kept(arrive(some, objects, split, rng)) == _kept(arrive(events, objects, 1, Random(0)))


def _kept(world: World) -> dict[str, Any]:
    unkept = (":upcoming:", ":attempt:", ":paid:in_", ":trial_ending:", ":subscription_changed:")
    facts = {key: row for key, row in world.facts().items() if not any(part in key for part in unkept)}
    for key, row in facts.items():
        if row["metric"] == "Subscription Started":  # what it started with is what was seen of it first
            facts[key] = {name: row[name] for name in ("metric", "occurred_at", "email", "customer_id")}
            continue
        if row["metric"] == "Failed Payment":
            row.pop("attempt_count")
        for name in ("AttemptCount", "AttemptCountDerived", "SucceededAt", "CapturedAt", "OutcomeAt"):
            row["properties"].pop(name, None)
    return facts
