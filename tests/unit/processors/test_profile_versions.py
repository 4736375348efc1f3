"""Profiles are versioned by what is known: whatever comes last, comes twice, or comes from a worker that was paused."""

from copy import deepcopy
from functools import cache
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.rules import identity, lattice, people, profiles
from schemas.envelope import MERGE, RELINK
from schemas.profile import floor, profile_key
from simulator.rendering.objects import event_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.history import World as Stripe
from tests.ledger_harness import World, run

START = 1_767_225_600
LATER = START + 60 * 86_400
SEEDS = (1, 2, 3)
CLOCK = 1_790_000_000_000  # what a version was before: milliseconds

Json = dict[str, Any]


@cache
def told(seed: int, version: str) -> list[Json]:
    world = Stripe(seed=seed, start=START, days=40, customers=12, extended=True)
    return [event_json(event, version) for event in world.events]


def shuffled(events: list[Json], rng: Random, again: float = 0.25) -> list[Json]:
    mixed = events + rng.sample(events, int(len(events) * again))
    rng.shuffle(mixed)
    return mixed


def asked(kind: str, customer: str, at: int, **more: Any) -> Json:
    """What a person asks of a customer's rows: a merge, a relink."""
    body = {"id": customer, "object": kind, "customer": customer, **more}
    event = {"id": f"evt_{kind}_{at}", "object": "event", "type": kind, "livemode": True}
    return event | {"created": at, "data": {"object": body}}


def with_changes(events: list[Json], rng: Random) -> list[Json]:
    """A history, and what people ask for in it: one is merged into another and parted again, others are relinked."""
    customers = sorted({e["data"]["object"].get("customer") or "" for e in events} - {""})
    one, two, three = rng.sample(customers, 3)
    asks = [
        asked(MERGE, one, LATER, email="ann@example.com"),
        asked(MERGE, one, LATER + 5, email=""),
        asked(MERGE, two, LATER + 5, email="ann@example.com"),
        asked(RELINK, three, LATER + 7),
    ]
    return [*events, *asks]


def fold(contributions: list[Json]) -> dict[str, Json]:
    """The people stage's state after these contributions."""
    states: dict[str, Json] = {}
    for one in contributions:
        state = states.setdefault(profile_key(one["email"], one["livemode"]), profiles.new())
        if profiles.fold(state, one):
            state["version"] = profiles.version(state)
    return states


def shown(states: dict[str, Json]) -> dict[str, Json]:
    """The profiles that there are, with their versions."""
    return {
        key: profiles.profile(key, True, living, state["version"], "")
        for key, state in states.items()
        if (living := profiles.living(state))
    }


def party_versions(world: World) -> dict[str, int]:
    for store in world.stores:
        store.flush()
    parties = {
        key: orjson.loads(stored)
        for store in world.stores
        for key, stored in store.stored.items()
        if key.endswith("|p")
    }
    # A guest who became a customer on another partition is left behind in some orders, and never was in others.
    customers = {key: party for key, party in parties.items() if party["customer"] and {"ids", "pages"} & party.keys()}
    return {key: identity.version(party) for key, party in customers.items()}


@settings(max_examples=20, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    version=st.sampled_from(VERSIONS),
    partitions=st.integers(1, 5),
    randomness=st.integers(0, 2**32),
)
def test_equal_knowledge_is_an_equal_version_in_any_order(
    seed: int, version: str, partitions: int, randomness: int
) -> None:
    events = told(seed, version)
    world = run(shuffled(events, Random(randomness)), partitions, randomness)
    assert party_versions(world) == party_versions(run(events))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    version=st.sampled_from(VERSIONS),
    partitions=st.integers(1, 4),
    erased=st.booleans(),
    randomness=st.integers(0, 2**32),
)
def test_no_version_goes_down_while_the_content_changes(
    seed: int, version: str, partitions: int, erased: bool, randomness: int
) -> None:
    """Merges, relinks and erasures, guests who become customers: all are newer versions."""
    rng = Random(randomness)
    world = World(partitions)
    events = shuffled(with_changes(told(seed, version), rng), rng)
    for number, event in enumerate(events):
        world.feed(orjson.loads(orjson.dumps(event)))
        if number % 5 == 0:
            world.checkpoint()
            while rng.random() < 0.6 and world.step(rng.randrange(partitions)):
                pass
        if erased and number == len(events) // 2 and world.people:
            world.erase(rng.choice(sorted(world.people)).removeprefix("test:"), START + 20 * 86_400)
    world.settle()
    known: dict[Any, tuple[Any, Json]] = {}
    parts = [((one["party"], one["email"]), tuple(one["version"]), one) for one in world.contributed]
    whole = [(profile_key(one["email"], one["livemode"]), one["version"], one) for one in world.profiles_told]
    for key, newer, content in parts + whole:
        before, content = known.get(key), content | {"version": 0}
        if before is not None and before[1] != content:
            assert newer > before[0], key
        known[key] = newer, content


@settings(max_examples=20, deadline=None)
@given(seed=st.sampled_from(SEEDS), version=st.sampled_from(VERSIONS), randomness=st.integers(0, 2**32))
def test_contributions_come_in_any_order_and_any_number_and_make_the_same_profiles_of_the_same_versions(
    seed: int, version: str, randomness: int
) -> None:
    rng = Random(randomness)
    world = run(shuffled(with_changes(told(seed, version), rng), rng), 3, randomness, checkpoint_every=3)
    expected = shown(fold(world.contributed))
    assert {key: one | {"version": 0} for key, one in expected.items()} == world.profiles()
    mixed = world.contributed + rng.choices(world.contributed, k=len(world.contributed))
    rng.shuffle(mixed)
    assert shown(fold(mixed)) == expected
    backwards = world.contributed[::-1]  # each party's oldest comes last
    assert shown(fold(backwards)) == expected


@settings(max_examples=20, deadline=None)
@given(seed=st.sampled_from(SEEDS), version=st.sampled_from(VERSIONS), randomness=st.integers(0, 2**32))
def test_a_ledger_that_was_paused_tells_the_people_stage_nothing_that_stands(
    seed: int, version: str, randomness: int
) -> None:
    """It goes on from its last checkpoint, as its successor does, and what it tells comes any time."""
    rng = Random(randomness)
    events = shuffled(with_changes(told(seed, version), rng), rng)
    world, late = World(), []
    for number, event in enumerate(events):
        world.feed(orjson.loads(orjson.dumps(event)))
        if number % 7 == 0:
            world.settle()
            if rng.random() < 0.1:
                paused = deepcopy(world)
                for one in events[number + 1 : number + 1 + rng.randrange(25)]:
                    paused.feed(orjson.loads(orjson.dumps(one)))
                sent = len(paused.contributed)
                paused.checkpoint()
                late += paused.contributed[sent:]
    world.settle()
    mixed = world.contributed + late
    rng.shuffle(mixed)
    assert {key: one | {"version": 0} for key, one in shown(fold(mixed)).items()} == world.profiles()


@settings(max_examples=15, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    kept=st.floats(0, 1),
    further=st.floats(0, 1),
    again=st.floats(0, 1),
    randomness=st.integers(0, 2**32),
)
def test_whatever_two_people_stages_tell_the_newest_version_is_the_right_profile(
    seed: int, kept: float, further: float, again: float, randomness: int
) -> None:
    """One is paused after a checkpoint and goes on; the other begins at the checkpoint, or further back."""
    rng = Random(randomness)
    contributions = run(shuffled(told(seed, VERSIONS[0]), rng), 3, randomness, checkpoint_every=3).contributed
    checkpoint = int(len(contributions) * kept)
    states = fold(contributions[:checkpoint])
    tellings: list[Json] = []

    def work(states: dict[str, Json], some: list[Json]) -> None:
        every = rng.choice([1, 5, 40])
        changed: set[str] = set()
        for number, one in enumerate(some, 1):
            key = profile_key(one["email"], one["livemode"])
            if profiles.fold(states.setdefault(key, profiles.new()), one):
                changed.add(key)
            if number % every == 0 or number == len(some):
                for key in changed:
                    if profiles.tellable(state := states[key]):
                        state["version"] = profiles.version(state)
                        living = profiles.living(state)
                        tellings.append(deepcopy(profiles.profile(key, True, living, state["version"], "")))
                changed.clear()

    paused = deepcopy(states)
    work(paused, contributions[checkpoint : checkpoint + int((len(contributions) - checkpoint) * further)])
    begin = int(checkpoint * again)
    work(states, contributions[begin:])
    rng.shuffle(tellings)
    by_version: dict[tuple[str, int], Json] = {}
    newest: dict[str, Json] = {}
    for one in tellings:
        same = by_version.setdefault((one["email"], one["version"]), one)
        assert same | {"first_seen": "", "last_seen": ""} == one | {"first_seen": "", "last_seen": ""}
        if one["version"] >= newest.get(one["email"], one)["version"]:
            newest[one["email"]] = one
    final = shown(fold(contributions))
    for key, one in newest.items():
        assert one == final[key] if not one.get("withdrawn") else key not in final


def contribution(version: int = 0, party: str = "default|cus_1", count: int = 1, rules: int = lattice.RULES) -> Json:
    """As the ledger makes them; without a `version` as it made them before there was any."""
    at = "2026-01-01T00:00:00.000Z"
    made: Json = {"party": party, "account": "default", "livemode": True, "email": "ann@example.com"}
    made |= {"customer": party[8:], "who": {}, "meta": {}}
    made |= {"m": {"Successfully Paid": [count, at, at]} if count else {}, "money": {"usd": [count * 100, 0]}}
    if version:
        made["version"] = [rules, version]
    people.check(made)
    return made


def count(state: Json) -> int:
    return sum(part["m"]["Successfully Paid"][0] for part in profiles.living(state).values())


def test_what_was_taken_back_stays_so_when_an_older_word_comes_late() -> None:
    (state,) = fold([contribution(7, count=1), contribution(9, count=0), contribution(8, count=2)]).values()
    assert profiles.living(state) == {}
    (state,) = fold([contribution(9, count=0), contribution(8, count=2)]).values()
    assert profiles.living(state) == {}
    assert profiles.fold(state, contribution(10, count=3))
    assert count(state) == 3


def test_a_profile_of_the_clock_s_time_is_behind_whatever_is_told_now() -> None:
    """State as it was kept, and messages that were on their way when the processors were changed."""
    state = {"parties": {f"default|cus_{n}": contribution(party=f"default|cus_{n}") for n in (1, 2)}, "version": CLOCK}
    assert profiles.fold(state, contribution(count=2))
    assert (count(state), profiles.version(state) > CLOCK) == (3, True)
    state["version"] = first = profiles.version(state)
    assert profiles.fold(state, contribution(count=4)), "of those without a version the last one counts, as before"
    assert profiles.version(state) > first
    state["version"] = second = profiles.version(state)
    assert profiles.fold(state, contribution(5, count=6))
    assert not profiles.fold(state, contribution(count=4)), "but none against one with a version"
    assert (count(state), profiles.version(state) > second) == (7, True)
    assert profiles.fold(state, contribution(party="default|cus_2", count=0))
    assert not profiles.tellable(profiles.new() | {"parties": {"default|cus_9": {"version": [1, 5]}}})


def test_a_profile_is_above_the_version_that_it_was_told_with_before_a_rebuild() -> None:
    """Before it, a guest had added to the profile for a while; after it, nobody knows of that any more."""
    before = fold([contribution(900, "default|ch_1"), contribution(950, "default|ch_1", 0), contribution(100)])
    version = before["ann@example.com"]["version"]
    told_before = floor("ann@example.com", True, version)
    people.check(told_before)
    after = fold([told_before, contribution(100), told_before])
    assert after["ann@example.com"]["version"] > version
    assert after["ann@example.com"]["floor"] == version


def test_a_mended_rule_goes_before_what_the_one_before_told_of_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    events = told(1, VERSIONS[0])
    before = run(events, 3)
    profiles_before = shown(fold(before.contributed))
    monkeypatch.setattr(lattice, "RULES", lattice.RULES + 1)
    after = run(events, 3)
    for name, row in before.rows().items():
        assert after.rows()[name]["version"] > row["version"]
    profiles_after = shown(fold(after.contributed))
    assert profiles_before.keys() == profiles_after.keys()
    for state in (fold(before.contributed + after.contributed), fold(after.contributed + before.contributed)):
        for key, one in shown(state).items():
            assert one["version"] > profiles_before[key]["version"]
            assert one | {"version": 0} == profiles_after[key] | {"version": 0}
            assert {part["version"][0] for part in profiles.living(state[key]).values()} == {lattice.RULES}


def test_an_email_that_is_seen_again_and_again_out_of_order_never_makes_a_customer_s_version_lower() -> None:
    def seen(at: int) -> Json:
        body = {"id": "cus_1", "object": "customer", "email": "ann@example.com", "created": START}
        event = {"id": f"evt_{at}", "object": "event", "type": "customer.updated", "livemode": True, "created": at}
        return event | {"data": {"object": body}}

    moments = [START + number * 86_400 for number in range(150)]
    Random(3).shuffle(moments)
    world, versions = World(), []
    for at in moments:
        world.feed(seen(at))
        world.checkpoint()
        versions += party_version(world)
    assert versions == sorted(versions)


def party_version(world: World) -> list[int]:
    (stored,) = (stored for key, stored in world.stores[0].stored.items() if key.endswith("|p"))
    return [identity.version(orjson.loads(stored))]
