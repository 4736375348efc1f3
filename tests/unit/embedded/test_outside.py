"""What a statement would reach outside the engine is noticed; ordinary statements are left alone."""

import pytest

from embedded.clickhouse.outside import Registry, judge, refused_identifier, refused_setting

KNOWN = Registry(
    frozenset(
        "file url s3 python numbers values format null memory kafka filelog filesystem mergetree newfangled".split()
    ),
    frozenset({"format_schema", "log_comment", "newfangled_path"}),
)


@pytest.mark.parametrize(
    ("canonical", "refused"),
    [
        ("SELECT *\nFROM file('/x')", "file"),
        ("SELECT *\nFROM newfangled(1)", "newfangled"),
        ("SELECT file(p)", "file"),
        ("SELECT * APPLY file\nFROM t", "file"),
        ("SELECT arrayMap(file, ['/x'])", "file"),
        ("DESCRIBE TABLE url('http://x')", "url"),
        ("INSERT INTO FUNCTION file('/x') SELECT 1", "file"),
        ("INSERT INTO t FROM INFILE '/x' FORMAT CSV", "FROM INFILE"),
        ("SELECT 1\nINTO OUTFILE '/x'", "INTO OUTFILE"),
        ("CREATE TABLE t\n(\n    `a` Int8\n)\nENGINE = FileLog('/x', 'CSV')", "FileLog"),
        ("CREATE TABLE t\n(\n    `a` Int8\n)\nENGINE = Kafka\nSETTINGS x = 1", "Kafka"),
        ("CREATE DATABASE d\nENGINE = Filesystem", "Filesystem"),
        ("CREATE DICTIONARY d\n(\n    `a` Int8\n)\nPRIMARY KEY a\nSOURCE(HTTP(URL 'http://x'))", "SOURCE(HTTP"),
        ("CREATE DICTIONARY d\n(\n    `a` Int8\n)\nSOURCE(CLICKHOUSE(HOST 'x' TABLE 't'))", "SOURCE(CLICKHOUSE"),
        ("CREATE DICTIONARY d\n(\n    `a` Int8\n)\nSOURCE(CLICKHOUSE(TABLE '/x'))", "SOURCE(CLICKHOUSE"),
        ("ALTER TABLE t\n    (MODIFY SETTING disk = disk(type = local, path = '/x'))", "disk"),
        ("BACKUP TABLE t TO File('/x')", "BACKUP TABLE"),
        ("CREATE USER x", "CREATE USER"),
        ("SYSTEM SHUTDOWN", "SYSTEM SHUTDOWN"),
        ("DROP TABLE a\nPARALLEL WITH\nBACKUP TABLE t TO File('/x')", "PARALLEL WITH"),
        ("ATTACH TABLE t FROM '/x'", "FROM"),
        ("SELECT *\nFROM `/etc/passwd`", "`/etc/passwd`"),
        ("SELECT x IN (`../x`)", "`../x`"),
        ("SELECT 1\nSETTINGS format_schema = '/x'", "format_schema"),
        ("SET newfangled_path = '/x'", "newfangled_path"),
        ("SET dialect = 'kusto'", "dialect"),
        ("SET param_t = '/x'", "'/x'"),
        ("SELECT a\nFROM format(JSONEachRow, 'a String DEFAULT b(1)', '{}')", "format"),
        ("SELECT *\nFROM values(concat('a String DEF', 'AULT b(1)'), 'x')", "values"),
    ],
)  # fmt: skip
def test_what_reaches_outside_is_named(canonical: str, refused: str) -> None:
    assert judge(canonical, KNOWN).refused == refused


@pytest.mark.parametrize(
    ("canonical", "kind"),
    [
        ("SELECT\n    'file(x)',\n    file,\n    url\nFROM t", "SELECT"),
        ("(SELECT 1)\nUNION ALL\n(SELECT 2)", "SELECT"),
        ("CREATE TABLE file\n(\n    `url` String\n)\nENGINE = Memory", "CREATE"),
        ("INSERT INTO file (url) SELECT 1", "INSERT"),
        ("INSERT INTO t FROM INFILE 'spool' COMPRESSION 'none' FORMAT CSV", "INSERT"),
        ("SELECT `a/b` AS `c/d`\nFROM t", "SELECT"),
        ("SELECT *\nFROM numbers(2)\nSETTINGS log_comment = 'x', max_threads = 1", "SELECT"),
        ("SELECT format('{} {}', lower(a), b), values\nFROM t", "SELECT"),
        ("SELECT *\nFROM values('a Int8', 1)", "SELECT"),
        ("WITH\n    1 AS x\nSELECT dialect = 'a'", "WITH"),
        ("CREATE DICTIONARY d\n(\n    `a` Int8\n)\nSOURCE(CLICKHOUSE(TABLE 't' DB 'd'))\nLAYOUT(FLAT())", "CREATE"),
        ("CREATE OR REPLACE VIEW v\nAS SELECT 1", "CREATE"),
        ("ALTER TABLE t\n    (DELETE WHERE engine = 1)", "ALTER"),
    ],
)
def test_ordinary_statements_are_left_alone(canonical: str, kind: str) -> None:
    verdict = judge(canonical, KNOWN)
    assert (verdict.kind, verdict.refused) == (kind, "")


def test_parameters_in_the_place_of_names_are_told() -> None:
    assert judge("SELECT {a:UInt8}\nFROM {t:Identifier}.{u:Identifier}", KNOWN).identifiers == ("t", "u")
    assert [name for name in ("t", "/x", "../x", "file", "a.b") if refused_identifier(name)] == ["/x", "../x", "file"]


def test_settings_that_name_something_outside_are_told_from_others() -> None:
    assert refused_setting("format_schema", KNOWN)
    assert refused_setting("newfangled_path", KNOWN)
    assert not refused_setting("log_comment", KNOWN)
    assert not refused_setting("max_threads", KNOWN)
