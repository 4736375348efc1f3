"""The schema as text."""

import re

import pytest

from schemas.errors import ConfigurationError
from warehouse import ddl
from warehouse.query import identifier, literal


def test_a_script_is_cut_into_statements_without_comments() -> None:
    script = "-- first; not a statement;\nSELECT 1;\n\n  -- and;\nSELECT ';'\nFROM x;\n"
    assert ddl.statements(script) == ("SELECT 1", "SELECT ';'\nFROM x")


def test_migrations_have_a_number_each_and_can_all_be_run_twice() -> None:
    migrations = ddl.migrations()
    versions = [migration.version for migration in migrations]
    assert versions == sorted(set(versions))
    for statement in (statement for migration in migrations for statement in migration.statements):
        assert statement.startswith(
            ("CREATE TABLE IF NOT EXISTS ", "CREATE OR REPLACE VIEW ", "CREATE MATERIALIZED VIEW IF NOT EXISTS ")
        ) or re.match(
            r"ALTER TABLE \w+\s+(ADD (COLUMN|INDEX) IF NOT EXISTS|COMMENT COLUMN|MODIFY SETTING)\s"
            r"|DROP (TABLE|VIEW) IF EXISTS "
            r"|INSERT INTO metric_history_rows\s",  # of the same rows the first stays
            statement,
        ), statement


def test_names_and_strings_are_quoted() -> None:
    assert identifier("a`b") == r"`a\`b`"
    assert literal("it's \\") == r"'it\'s \\'"


def test_with_one_timezone_the_daily_view_is_one_branch() -> None:
    view = ddl.daily_metrics({"shop": "UTC"}, "UTC")
    assert "UNION" not in view
    assert "WHERE" not in view


def test_each_timezone_is_a_branch_with_its_accounts_and_the_default_has_the_rest() -> None:
    zones = {"us": "America/New_York", "in": "Asia/Kolkata", "us2": "America/New_York", "plain": "UTC"}
    view = ddl.daily_metrics(zones, "UTC")
    assert view.count("UNION ALL") == 2
    assert "account NOT IN ('in', 'us', 'us2')" in view
    assert "account IN ('us', 'us2')" in view
    assert "toDate(rows.occurred_at, 'Asia/Kolkata')" in view


@pytest.mark.parametrize("name", ["Amerika/Neu_York", "../etc/passwd", "", "UTC'; DROP TABLE x"])
def test_what_is_no_timezone_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown timezone"):
        ddl.daily_metrics({"shop": name}, "UTC")
