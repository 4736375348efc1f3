"""What is easily told wrongly comes out as written down by hand, in every shape since 2018 and in any order."""

from collections.abc import Iterator

import orjson
import pytest

from ingest.admission import admit
from processors.rules.observation import observe
from schemas.envelope import envelope_fields
from tests.fixtures.stripe.points import NAMES, Fetched, Point, Thing, attempts, captures, people, receipts, shapes_of
from tests.fixtures.stripe.shapes import SHAPES, Shape
from tests.ledger_harness import World
from tests.unit.processors.test_golden_fixtures import line

POINTS: dict[str, Point] = {
    name.lower(): value
    for module in (attempts, receipts, captures, people)
    for name, value in vars(module).items()
    if isinstance(value, Point)
}
CASES = [
    pytest.param(point, shape, id=f"{name}-{shape.version}")
    for name, point in POINTS.items()
    for names in point.rows
    for shape in shapes_of(names)
]


def world_of(things: list[Thing], partitions: int) -> World:
    """What is known after `things`, events by way of the door."""
    world = World(partitions)
    for thing in things:
        if isinstance(thing, Fetched):
            world.fetch(thing.obj, thing.at, livemode=thing.livemode)
        else:
            message = admit(orjson.dumps(thing), "default", thing["created"])
            envelope = envelope_fields(message.value, message.headers)
            observation = observe(envelope, orjson.loads(message.value))
            assert observation is not None
            world.ledger(message.key.decode()).apply(observation)
        world.checkpoint()
    world.settle()
    return world


def orders(things: list[Thing]) -> Iterator[list[Thing]]:
    """As it happened, everything twice, and the last first; over one partition and several."""
    yield from (things, [*things, *things], things[::-1], [*things[::-1], things[0]])


def test_every_shape_is_looked_at_unless_it_is_said_that_stripe_had_no_such_thing() -> None:
    assert len(POINTS) == 19
    for name, point in POINTS.items():
        known = [shape for names in point.rows for shape in shapes_of(names)]
        assert len(known) == len(set(known)), f"{name} expects two things of one shape"
        assert bool(point.later) == (set(known) != set(SHAPES)), name
        assert {shape for names in point.told for shape in shapes_of(names)} <= set(known), name
    assert tuple(NAMES.values()) == SHAPES


@pytest.mark.parametrize(("point", "shape"), CASES)
def test_the_rows_are_those_written_by_hand_in_any_order(point: Point, shape: Shape) -> None:
    [expected] = [rows for names, rows in point.rows.items() if shape in shapes_of(names)]
    worlds = [world_of(order, 1 + number) for number, order in enumerate(orders([*point.history(shape)]))]
    for world in worlds:
        assert sorted(line(row) for row in world.rows().values()) == sorted(expected)
        assert world.facts() == worlds[0].facts()
        assert world.profiles() == worlds[0].profiles()


@pytest.mark.parametrize(("point", "shape"), [case for case in CASES if case.values[0].told])  # type: ignore[union-attr]
def test_their_properties_are_those_written_by_hand(point: Point, shape: Shape) -> None:
    rows = world_of([*point.history(shape)], 3).rows()
    expected = [told for names, told in point.told.items() if shape in shapes_of(names)]
    assert expected
    for metric_id, told in ((metric_id, told) for by_row in expected for metric_id, told in by_row.items()):
        properties = rows[metric_id]["properties"]
        assert {name: properties.get(name) for name in told} == told, metric_id
