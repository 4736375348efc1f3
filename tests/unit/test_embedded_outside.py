"""What a statement would reach outside the engine is noticed; ordinary statements are left alone."""

import pytest

from embedded.clickhouse.outside import outside


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM file('/etc/passwd')", "file"),
        ("SELECT file /* x */ ('/etc/passwd')", "file"),
        ("SELECT `file`('/etc/passwd')", "`file`"),
        ("WITH 'x' AS p SELECT URL(p)", "URL"),
        ("INSERT INTO FUNCTION s3('http://x') SELECT 1", "s3"),
        ("CREATE TABLE t (a Int8) ENGINE = File(CSV, '/x')", "File"),
        ("CREATE DICTIONARY d (a Int8) PRIMARY KEY a SOURCE(FILE(path '/x'))", "FILE"),
        ("BACKUP TABLE t TO Disk('a', 'b')", "Disk"),
        ("SELECT * FROM icebergLocal('/x')", "icebergLocal"),
        ("SELECT * FROM fileCluster('c', '/x')", "fileCluster"),
        ("SELECT * FROM '/etc/passwd'", "'/etc/passwd'"),
        ("SELECT * FROM t JOIN `etc/passwd` USING a", "`etc/passwd`"),
        ('SELECT * FROM default."/etc/passwd"', '"/etc/passwd"'),
    ],
)  # fmt: skip
def test_files_and_other_servers_are_noticed(sql: str, found: str) -> None:
    assert outside(sql) == found


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'file(x)', file, url FROM t -- url(x)",
        "CREATE TABLE IF NOT EXISTS file (url String, remote Bool) ENGINE = Memory",
        "INSERT INTO file (url) SELECT 1",
        "INSERT INTO db.url (a) VALUES",
        "SELECT `a/b`, t.`c/d` AS `e/f` FROM t",
        "SELECT trim(BOTH 'x' FROM 'xax'), extract(url, 'x'), domain(url) FROM t WHERE url IN ('/x')",
        "SELECT * FROM numbers(2), generateRandom('a Int8'), values('a Int8', 1), view(SELECT 1)",
    ],
)
def test_ordinary_statements_are_left_alone(sql: str) -> None:
    assert outside(sql) == ""
