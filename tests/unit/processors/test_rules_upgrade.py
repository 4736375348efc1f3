"""State and rows that other rules left: a replay of the same events ends as if these rules had always been."""

from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from engage.flows.rules.settle import Epoch, is_live
from processors.rules import lattice
from schemas.envelope import Source
from schemas.times import unix_seconds
from tests.ledger_harness import World, run

#: Events, and what the rules of revision 1 made of them: state (`book`), rows, and the state of profiles.
WRITTEN = Path(__file__).parents[2] / "fixtures" / "upgrade" / "rules_1.json"
FIRST = lattice.RULES << lattice.RULES_BIT

Json = dict[str, Any]


def written() -> Json:
    found: Json = orjson.loads(WRITTEN.read_bytes())
    return found


def upgraded(old: Json) -> World:
    """A world that goes on from what the rules before it left."""
    world = World()
    world.stores[0].stored = {key: value.encode() for key, value in old["book"].items()}
    world.told = {(row["metric_id"], row["occurred_at"]): row for row in old["rows"]}
    world.people = old["profiles"]
    return world


def replay(world: World, events: list[Json], checkpoint_every: int = 5) -> None:
    for number, event in enumerate(events):
        world.feed(orjson.loads(orjson.dumps(event)), Source.REPLAY)
        if number % checkpoint_every == 0:
            world.checkpoint()
    world.settle()


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_ends_in_the_rows_and_profiles_of_a_new_start(seed: int) -> None:
    old = written()
    events, wrong = old["events"], {row["metric_id"] for row in old["rows"]}
    fresh, world = run(events), upgraded(old)
    assert world.facts() != fresh.facts()
    assert wrong - fresh.facts().keys(), "some rows are to be taken back"
    replay(world, events if not seed else Random(seed).sample(events, len(events)), 1 + seed)
    assert world.facts() == fresh.facts()
    assert world.profiles() == fresh.profiles()
    assert all(row["version"] >= FIRST for row in world.told.values())


def test_what_other_rules_told_never_comes_back_whatever_arrives_last() -> None:
    old = written()
    world = upgraded(old)
    replay(world, old["events"])
    for row in old["rows"]:
        assert world.told[row["metric_id"], row["occurred_at"]]["version"] > row["version"]


def test_a_second_replay_tells_nothing_more() -> None:
    old = written()
    world = upgraded(old)
    replay(world, old["events"])
    facts, people = world.facts(), len(world.profiles_told)
    replay(world, old["events"])
    assert (world.facts(), len(world.profiles_told)) == (facts, people)


def test_nobody_is_sent_anything_for_rows_that_change_by_it() -> None:
    old = written()
    world = upgraded(old)
    replay(world, old["events"])
    told = [row for row in world.told.values() if row["version"] >= FIRST]
    now = max(unix_seconds(row["occurred_at"]) for row in told)
    assert told
    assert not any(is_live(row | {"received_at": row["occurred_at"]}, Epoch(0.0, now), now) for row in told)


def test_an_object_of_which_only_older_events_come_again_is_told_by_what_is_known_of_it() -> None:
    """Its newest snapshot stays as the rules before read it."""
    old = written()
    world = upgraded(old)
    replay(world, [event for event in old["events"] if event["type"] == "invoice.payment_failed"])
    facts = world.facts()
    assert "default:live:failed:in_big:attempt:1" not in facts
    assert facts["default:live:failed:ch_slow"]["attempt_count"] == 0  # when it failed, only its own event tells
