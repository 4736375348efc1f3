"""docs/segments.md: every YAML in it is right, and every property and operator that there is stands in it."""

import re
from pathlib import Path

from engage.conditions import parse, validate
from engage.conditions.catalog import EVENT, PERSON
from engage.conditions.reading_filters import OPERATORS
from engage.segments.library import READY, find
from processors.rules.rows import Row
from simulator.rendering.objects import event_json
from simulator.world.history import World
from tests.integration.cookbook_support import DAYS, START
from tests.ledger_harness import run

PAGE = (Path(__file__).parents[3] / "docs" / "segments.md").read_text("utf-8")


def test_every_property_and_operator_is_on_the_page() -> None:
    words = set(re.findall(r"`([^`:]+?)(?::[^`]*)?`", PAGE))
    assert {*EVENT, *PERSON} - words == set()
    assert {name for names in OPERATORS.values() for name in names} - words == set()


def test_every_example_is_a_segment() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    for text in examples:
        assert validate(text if "all:" in text else f"all:\n{text}") == []


def test_the_ready_segments_are_right_and_on_the_page() -> None:
    found = find(Path("/nowhere"))
    assert [each.problem for each in found.values() if each.problems] == []
    assert len(found) == 5
    assert all(f"`{name}`" in PAGE for name in found)
    assert all(parse(path.read_text("utf-8"), path.stem).description for path in READY.glob("*.yaml"))


def test_every_property_that_the_ledger_tells_can_be_asked() -> None:
    world = World(11, START, DAYS, 40)
    ledger = run([event_json(event, "2020-03-02") for event in world.events], partitions=1, seed=1)
    rows: list[Row] = [row for row in ledger.told.values() if not row.get("withdrawn")]
    asked = {name.partition(".")[0] for name in EVENT} | {"metadata"}
    assert {name for row in rows for name in row["properties"]} - asked == set()
    missing = {
        (name, row["metric"])
        for row in rows
        for name in row["properties"]
        if name in EVENT and row["metric"] not in EVENT[name].metrics
    }
    assert missing == set()
