"""Conditions as flows ask them, of the facts in hand, against brute force: the same answers as a segment's."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engage.conditions.model import Condition, Group
from engage.flows.conditions import Conditions
from engage.flows.rules.known import Known, Zones
from tests.integration.conditions_oracle import Oracle
from tests.integration.conditions_world import NOW, SEGMENT, ZONE, World, fact, person
from tests.integration.engage.test_conditions_sql import conditions

EMAIL = "ada@example.com"


def somebody(seed: int) -> World:
    """One live person with some facts, with or without a profile."""
    dice = random.Random(seed)
    facts = [fact(dice, number) | {"email": EMAIL, "livemode": True} for number in range(dice.randrange(12))]
    for row in facts:
        row["invoice_id"] = dice.choice(("", "in_1", "in_2"))
    people = [person(dice, EMAIL, True)] if dice.random() < 0.9 else []
    members = frozenset({(EMAIL, True)}) if dice.random() < 0.5 else frozenset()
    client: Any = None  # nobody asks ClickHouse
    return World(client, facts, people, members)


@settings(max_examples=300)
@given(root=conditions, seed=st.integers(0, 1_000_000))
def test_a_flow_finds_what_brute_force_finds(root: Condition, seed: int) -> None:
    world = somebody(seed)
    known = Known(
        facts_of=lambda: world.facts,
        profile_of=lambda: world.people[0] if world.people else None,
        zones=Zones({}, ZONE),
        now=NOW.timestamp(),
        segments=frozenset({SEGMENT} if world.members else ()),
    )
    asked = Conditions(every=True, parts=(root if isinstance(root, Group) else Group(every=True, conditions=(root,)),))
    assert known.holds(asked) == Oracle(world, NOW, ZONE).holds(root, EMAIL, True)
