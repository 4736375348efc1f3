"""Where an INSERT's data begin, and what format an answer has."""

import pytest

from embedded.clickhouse.statement import header_length, read


@pytest.mark.parametrize(
    ("text", "sql", "format", "data"),
    [
        ("INSERT INTO t FORMAT CSV\n1,2", "INSERT INTO t ", "CSV", "1,2"),
        ("insert into t (a, format) format JSONEachRow {}", "insert into t (a, format) ", "JSONEachRow", "{}"),
        ("INSERT INTO t VALUES (1, 'FORMAT CSV')", "INSERT INTO t ", "Values", " (1, 'FORMAT CSV')"),
        ("/* FORMAT x */ INSERT INTO `a format b` FORMAT TSV\r\n\n1", None, "TSV", "\n1"),
        ("INSERT INTO t SETTINGS a=1 FORMAT Native\n\x00", "INSERT INTO t SETTINGS a=1 ", "Native", "\0"),
        ("INSERT INTO FUNCTION null('a Int8') FORMAT CSV 1", "INSERT INTO FUNCTION null('a Int8') ", "CSV", "1"),
        ("INSERT INTO format FORMAT CSV 1", "INSERT INTO format ", "CSV", "1"),
        ("INSERT INTO t", "INSERT INTO t", "", ""),
    ],
)  # fmt: skip
def test_an_inserts_data_begin_after_its_format(text: str, sql: str | None, format: str, data: str) -> None:
    found = read(text)
    assert found.verb == "INSERT"
    assert found.format == format
    assert found.data_at is not None
    assert text[found.data_at :] == data
    assert sql is None or text[: found.sql_end] == sql


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("INSERT INTO t SETTINGS a=1 FORMAT Native\n", "SETTINGS a=1 "),
        ("INSERT INTO t (settings) settings a=1, b='x' VALUES (1)", "settings a=1, b='x' "),
        ("INSERT INTO settings FORMAT CSV\n1", ""),
        ("INSERT INTO t SETTINGS a=1", "SETTINGS a=1"),
    ],
)
def test_the_source_of_an_insert_stands_before_its_settings(text: str, settings: str) -> None:
    found = read(text)
    assert text[found.source_at : found.sql_end] == settings


@pytest.mark.parametrize(
    "text", ["INSERT INTO t SELECT 1", "INSERT INTO t (a) WITH 1 AS x SELECT x FORMAT CSV", "SELECT 1 -- INSERT"]
)
def test_other_statements_take_no_data(text: str) -> None:
    assert read(text).data_at is None


@pytest.mark.parametrize(
    ("text", "verb", "format"),
    [
        ("select 1", "SELECT", ""),
        ("select 1 format JSON", "SELECT", "JSON"),
        ("select 1 format JSON ;", "SELECT", "JSON"),
        ("select 1 FORMAT JSON settings max_threads=1", "SELECT", "JSON"),
        ("select format from t", "SELECT", ""),
        ("select format('{}', 1) as format, 2", "SELECT", ""),
        ("select 'FORMAT CSV'", "SELECT", ""),
        ("select 1 -- format CSV", "SELECT", ""),
        ("(select 1) union all (select 2) format CSV", "SELECT", "CSV"),
        ("with x as (select 1) select * from x", "WITH", ""),
        ("", "", ""),
    ],
)
def test_the_format_of_an_answer_is_the_one_at_the_end(text: str, verb: str, format: str) -> None:
    found = read(text)
    assert (found.verb, found.format) == (verb, format)


def test_files_of_the_machine_are_noticed() -> None:
    assert read("select 1 into outfile '/x' format CSV").touches_files
    assert read("insert into t from infile '/x' format CSV").touches_files
    assert not read("select 'into outfile'").touches_files


@pytest.mark.parametrize(
    ("chunk", "lines", "header"),
    [
        (b"a\tb\n1\t2\n", 1, b"a\tb\n"),
        (b"a\nUInt8\n1\n", 2, b"a\nUInt8\n"),
        (b'"a\nb"\n1\n', 1, b'"a\nb"\n'),
        (b"", 1, b""),
    ],
)
def test_a_header_is_whole_lines(chunk: bytes, lines: int, header: bytes) -> None:
    assert chunk[: header_length(chunk, lines)] == header
