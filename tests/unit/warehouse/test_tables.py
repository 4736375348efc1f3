"""The list of tables says what the migrations make."""

import re
from pathlib import Path

from warehouse.ddl import made, migrations
from warehouse.tables import ALL, BY_NAME, METRICS, OF_TOPIC

ROOT = Path(__file__).parents[3]
ROOMS = ("connector", "console", "doctor", "engage", "operations", "reports", "sinks", "tillstream", "warehouse")
MADE = re.compile(
    r"CREATE TABLE IF NOT EXISTS (\w+_rows)\b.*ORDER BY (?:\(([^;]*?)\)|(\w+))\s*(?:SETTINGS|TTL|$)", re.DOTALL
)


def test_every_table_is_in_it_with_its_key() -> None:
    statements = [statement for migration in migrations() for statement in migration.statements]
    there = made(migrations())
    found = {one[1]: one[2] or one[3] for one in map(MADE.match, statements) if one and one[1] in there}
    assert found.keys() == BY_NAME.keys()
    assert len(BY_NAME) == len(ALL)
    for name, key in found.items():
        columns = tuple(re.sub(r"^toYYYYMM\(\w+\), ", "", key).split(", "))  # of the month, by which it is found sooner
        assert columns == BY_NAME[name].key, name


def test_every_view_is_made() -> None:
    assert {table.view for table in ALL} - {""} <= made(migrations())


def test_a_topic_is_one_tables() -> None:
    assert len(OF_TOPIC) == sum(len(table.topics) for table in ALL)


def test_statements_name_no_other_table() -> None:
    sources = [path.read_text("utf-8") for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"(?:FROM|INTO|TABLE|JOIN) (\w+_rows)\b", text)}
    assert METRICS.name in named <= BY_NAME.keys()
