"""An erased person is gone from rows, profiles and state, in whatever order facts and the erasure come; money stays."""

from collections import Counter
from functools import cache
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.erasing import owners, redact
from schemas.times import unix_seconds
from simulator.rendering.objects import event_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.history import World as Stripe
from tests.ledger_harness import World

START = 1_767_225_600
DAYS = 40
SEEDS = (1, 2, 3)


@cache
def told(seed: int, version: str) -> list[dict[str, Any]]:
    world = Stripe(seed=seed, start=START, days=DAYS, customers=25, extended=True)
    return [event_json(event, version) for event in world.events]


@cache
def people(seed: int, version: str) -> tuple[str, ...]:
    """Emails with rows, in the plain history."""
    return tuple(sorted({row["email"] for row in fed(told(seed, version)).rows().values() if row["email"]}))


@cache
def constant(seed: int, version: str) -> tuple[str, ...]:
    """Those whose customers never had another email: else, which of two people a row was taken for first may show."""
    emails: dict[str, set[str]] = {}
    for event in told(seed, version):
        obj = event["data"]["object"]
        customer = obj["id"] if obj["object"] == "customer" else obj.get("customer")
        before = (event["data"].get("previous_attributes") or {}).get("email")
        emails.setdefault(customer, set()).update({*owners(obj), before} - {"", None})
    mixed = set().union(*(found for customer, found in emails.items() if customer and len(found) > 1))
    return tuple(email for email in people(seed, version) if email not in mixed)


def fed(
    events: list[dict[str, Any]],
    erased: tuple[str, int] | None = None,
    place: int = -1,
    partitions: int = 1,
    randomness: int = 0,
) -> World:
    """A world that has seen `events`, and before the one at `place` the erasure."""
    world, rng = World(partitions), Random(randomness)
    for number, event in enumerate(events):
        if erased is not None and number == place:
            world.erase(*erased)
        world.feed(orjson.loads(orjson.dumps(event)))
        if number % 7 == 0:
            world.checkpoint()
            while rng.random() < 0.6 and world.step(rng.randrange(partitions)):
                pass
    world.settle()
    if erased is not None and place >= len(events):
        world.erase(*erased)
        world.settle()
    return world


def money(world: World) -> Counter[tuple[Any, ...]]:
    rows = world.rows().values()
    return Counter(
        (r["metric_id"], r["occurred_at"], r["currency"], r["amount_minor"], r.get("charge_id"), r.get("invoice_id"))
        for r in rows
    )


def own_events(events: list[dict[str, Any]], email: str) -> set[str]:
    """What is personal on the objects that name the person: names, phones, addresses' towns, cards."""
    found: set[str] = set()
    for event in events:
        obj = event["data"]["object"]
        if email in owners(obj):
            billing = obj.get("billing_details") or {}
            found |= {obj.get("name"), obj.get("phone"), billing.get("name"), billing.get("phone")}
            found |= {obj.get("customer_name"), obj.get("customer_phone"), obj.get("receipt_url")}
    return {text for text in found if text and len(text) > 5}


def nobodys(events: list[dict[str, Any]]) -> set[str]:
    """Names of guests without any email: nothing says whose such a payment was."""
    objects = [event["data"]["object"] for event in events]
    return {
        (o.get("billing_details") or {}).get("name") for o in objects if not o.get("customer") and not any(owners(o))
    }


def state(world: World) -> bytes:
    for store in world.stores:
        store.flush()
    return b"\n".join(key.encode() + stored for store in world.stores for key, stored in store.stored.items())


@settings(max_examples=10, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    version=st.sampled_from(VERSIONS),
    who=st.integers(0, 1000),
    share=st.floats(0, 1),
    day=st.floats(0.2, 1.2),
    partitions=st.integers(1, 4),
    randomness=st.integers(0, 2**32),
)
@example(3, "2022-11-15", 419, 0.44971, 0.38276, 1, 78)  # paid after the erasure, and told before it
def test_any_order_of_facts_and_erasure_ends_the_same(
    seed: int, version: str, who: int, share: float, day: float, partitions: int, randomness: int
) -> None:
    events, rng = told(seed, version), Random(randomness)
    email = constant(seed, version)[who % len(constant(seed, version))]
    erased = email, int(START + DAYS * 86_400 * day)
    shuffled = events + rng.sample(events, len(events) // 4)
    rng.shuffle(shuffled)
    world = fed(shuffled, erased, int(len(shuffled) * share), partitions, randomness)
    expected = fed(events, erased, 0)
    assert world.facts() == expected.facts()
    assert world.profiles() == expected.profiles()
    assert money(world) == money(fed(events))


@pytest.mark.parametrize(("seed", "version"), list(zip((*SEEDS, *SEEDS), VERSIONS, strict=False)))
def test_nothing_of_the_person_is_left_and_everybody_else_is_as_before(seed: int, version: str) -> None:
    events = told(seed, version)
    before = fed(events, partitions=3)
    guests = nobodys(events)
    for email in people(seed, version)[seed::12]:
        world = fed(events, (email, START + 2 * DAYS * 86_400), len(events), partitions=3)
        personal = own_events(events, email)
        others = set().union(*(own_events(events, other) for other in people(seed, version) if other != email))
        kept = state(world) + orjson.dumps(list(world.rows().values())) + orjson.dumps(world.profiles())
        assert email.encode() not in kept
        for text in personal - others - guests:
            assert text.encode() not in kept, text
        assert money(world) == money(before)
        mine = {key for key, row in before.rows().items() if row["email"] == email}
        assert mine
        customers = {before.rows()[key]["customer_id"] for key in mine} - {""}  # whose email may have been another
        for key, row in world.facts().items():
            if key in mine:
                assert (row["email"], row["unlinked_reason"], row["customer_id"]) == ("", "erased", "")
            elif row["customer_id"] not in customers:
                assert row == before.facts()[key]
        assert email not in world.profiles()
        kept_profiles = before.profiles()
        for key, value in world.profiles().items():
            assert value == kept_profiles[key] or customers & {*value["customer_ids"]}
        assert kept_profiles.keys() - world.profiles().keys() == {email}


@pytest.mark.parametrize("version", VERSIONS[::2])
def test_the_erased_version_of_a_row_is_the_newest_also_after_a_rebuild(version: str) -> None:
    events = told(1, version)
    email = people(1, version)[3]
    live = fed(events, (email, START + 2 * DAYS * 86_400), len(events))
    rebuilt = World()
    rebuilt.told = dict(live.told)
    rebuilt.erase(email, START + 2 * DAYS * 86_400)
    for event in events:
        rebuilt.feed(orjson.loads(orjson.dumps(event)))
    rebuilt.settle()
    assert rebuilt.facts() == live.facts()
    assert email.encode() not in orjson.dumps(list(rebuilt.rows().values()))


@pytest.mark.parametrize("version", VERSIONS[::2])
def test_redacted_events_lead_to_the_same_rows_as_erased_ones(version: str) -> None:
    """A replay from ClickHouse, where bodies are redacted, changes nothing."""
    events, at = told(1, version), START + 2 * DAYS * 86_400
    email = people(1, version)[3]
    live = fed(events, (email, at), len(events))
    redacted = [
        event | {"data": redact(event["data"], at)} if email in owners(event["data"]["object"]) else event
        for event in events
    ]
    versions = {key: row["version"] for key, row in live.told.items()}
    for event in redacted:
        live.feed(event)
    live.settle()
    assert live.facts() == fed(redacted, (email, at), 0).facts()
    assert {key: row["version"] for key, row in live.told.items()} == versions


def test_a_payment_after_the_erasure_is_a_new_person() -> None:
    version = VERSIONS[0]
    events = told(2, version)
    for email in people(2, version):
        own = [e for e in events if e["type"] == "charge.succeeded" and email in owners(e["data"]["object"])]
        if len(own) >= 2:
            break
    last = own[-1]["data"]["object"]["created"]
    world = fed(events, (email, last - 1), len(events))
    rows = [row for row in world.rows().values() if row["email"] == email]
    assert rows
    assert all(unix_seconds(row["occurred_at"]) >= last for row in rows)
    profile = world.profiles()[email]
    assert unix_seconds(profile["first_seen"]) >= last
