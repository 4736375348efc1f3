"""No statement makes the embedded engine read, write or connect to what is not its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st

from embedded.clickhouse.engine import Engine
from embedded.clickhouse.errors import QueryFailed
from embedded.clickhouse.guard import Guard
from embedded.clickhouse.request import read
from tests.conftest import start_clickhouse, stop

SECRET = "canary_that_nobody_reads"


@dataclass
class Outside:
    """A file to be read, one to be overwritten, a directory for new ones, and an address to connect to."""

    directory: Path
    listener: socket.socket

    @property
    def read(self) -> Path:
        return self.directory / "read.csv"

    @property
    def written(self) -> Path:
        return self.directory / "written.csv"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def untouched(self, answer: str) -> bool:
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            files = {path.name: path.read_text("utf-8") for path in self.directory.iterdir()}
            return SECRET not in answer and files == {"read.csv": f"{SECRET},b\n1,2\n", "written.csv": "kept\n"}
        return False


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        found = Outside(tmp_path_factory.mktemp("outside"), listener)
        found.read.write_text(f"{SECRET},b\n1,2\n", "utf-8")
        found.written.write_text("kept\n", "utf-8")
        yield found


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Guard]]:
    """Without the kernel's wall: here the rules stand alone."""
    engine = Engine(tmp_path_factory.mktemp("engine"))
    guard = Guard(engine)
    yield engine, guard
    guard.close()
    engine.close()


def ran(engine: tuple[Engine, Guard], text: str, **params: str) -> str:
    """What a statement answers that is let through; '' for one that is not, or that the engine refuses."""
    ask = read({f"param_{name}": value for name, value in params.items()}, {}, read_only=False)
    connection = None
    try:
        engine[1].admit(text, ask)
        connection = engine[0].connect()
        return connection.execute(text, "TSVRaw", params).body.decode(errors="replace")
    except QueryFailed as error:
        return str(error).replace(text, "")
    finally:
        if connection is not None:
            connection.close()


QUOTES = (("", ""), ("`", "`"), ('"', '"'), ("“", "”"), ("‘", "’"))
BLANKS = (
    "",
    " ",
    "\n",
    "\t",
    "/* x */",
    "-- x\n",
    "#! x\n",
    "\u200b",
    "\u2060",
    "\u180e",
    "\ufeff",
    "\u00a0",
    "\u3000",
)
CALLS = (
    "{file}{_}('{read}')",
    "{file}{_}('{read}', 'CSV')",
    "{file}{_}('{read}', LineAsString)",
    "{url}{_}('http://{address}/x', CSV, 'a String')",
    "{s3}{_}('http://{address}/b/x.csv', 'CSV', 'a String')",
    "{remote}{_}('{address}', 'd', 't')",
    "{mysql}{_}('{address}', 'd', 't', 'u', 'p')",
    "{postgresql}{_}('{address}', 'd', 't', 'u', 'p')",
    "{sqlite}{_}('{read}', 't')",
    "{executable}{_}('cat', TSV, 'a String')",
    "{fileCluster}{_}('c', '{read}')",
    "{urlCluster}{_}('c', 'http://{address}/x', CSV, 'a String')",
    "{deltaLakeLocal}{_}('{directory}')",
    "{icebergLocal}{_}('{directory}')",
    "{loop}{_}({file}('{read}'))",
    "{eval}{_}('SELECT * FROM file(''{read}'')')",
    "{format}{_}(JSONEachRow, 'a String DEFAULT file(\\'{read}\\')', '{{}}')",
    "{format}{_}(JSONEachRow, concat('a String DEFAULT fi', 'le(\\'{read}\\')'), '{{}}')",
    "{values}{_}('a String, b String DEFAULT file(\\'{read}\\')', ('x'))",
    "{filesystem}{_}('{directory}')",
)
CONTEXTS = (
    "SELECT{_}*{_} FROM{_} {call}",
    "SELECT * FROM (SELECT * FROM {call}) AS x",
    "WITH x AS (SELECT * FROM {call}) SELECT * FROM x",
    "FROM {call} SELECT *",
    "DESCRIBE TABLE {call}",
    "SELECT 1 IN {call}",
    "SELECT * FROM numbers(1) AS n, {call} AS f",
    "SELECT * FROM numbers(1) AS n CROSS JOIN {call} AS f",
    "SELECT * FROM view(SELECT * FROM {call})",
    "EXPLAIN SELECT * FROM {call}",
    "CREATE TEMPORARY TABLE x AS {call}",
    "CREATE OR REPLACE VIEW v AS SELECT * FROM {call}",
    "INSERT{_} INTO{_} FUNCTION {call} SETTINGS engine_file_truncate_on_insert = 1 SELECT 'x'",
    "INSERT INTO TABLE FUNCTION {call} SELECT 'x'",
    "SELECT * FROM {call} SETTINGS max_threads = 1 FORMAT TSV",
    "(SELECT * FROM {call})",
    "SELECT (SELECT * FROM {call} LIMIT 1)",
)
WHOLE = (
    "SELECT{_} {file}{_}('{read}')",
    "SELECT arrayMap({file}, ['{read}'])",
    "SELECT arrayMap(({file}), ['{read}'])",
    "SELECT arrayMap(x -> {file}(x), ['{read}'])",
    "SELECT *{_} APPLY {file} FROM (SELECT '{read}' AS a)",
    "SELECT * APPLY({file}) FROM (SELECT '{read}' AS a)",
    "SELECT COLUMNS('a') APPLY{_}({file}) FROM (SELECT '{read}' AS a)",
    "SELECT * APPLY(x -> {file}(x)) FROM (SELECT '{read}' AS a)",
    "SELECT * REPLACE({file}(a) AS a) FROM (SELECT '{read}' AS a)",
    "SELECT * FROM '{read}'",
    "SELECT * FROM “{read}”",
    "SELECT * FROM `default`.`{read}`",
    'SELECT * FROM default{_}.{_}"{read}"',
    "SELECT 1 IN `{read}`",
    "SELECT hasColumnInTable('default', '{read}', '{secret}')",
    "INSERT INTO `{written}` VALUES ('x')",
    "INSERT INTO {file}{_}('{written}') SELECT 1",
    "INSERT INTO FUNCTION {file}{_}('{written}', CSV) SETTINGS engine_file_truncate_on_insert = 1 SELECT 'x'",
    "INSERT INTO FUNCTION {file}('{directory}/new.csv') SELECT 1",
    "INSERT INTO FUNCTION {url}{_}('http://{address}/x', CSV, 'a String') SELECT 'x'",
    "SELECT 1 INTO OUTFILE '{directory}/new.csv'",
    "SELECT 1 INTO{_} OUTFILE '{written}' TRUNCATE",
    "CREATE TABLE default.t (a String) ENGINE{_}={_}{File}{_}(CSV, '{written}')",
    "CREATE TABLE default.t (a String) ENGINE {FileLog}('{directory}', 'CSV') SETTINGS a = 1",
    "CREATE TABLE default.t (a String) ENGINE = {URL}('http://{address}/x', CSV)",
    "CREATE TABLE default.t (a String) ENGINE = Buffer('default', '{written}', 1, 0, 0, 0, 0, 0, 0)",
    "CREATE TABLE default.t (a String) ENGINE = Log SETTINGS disk{_}={_}disk(type = local, path = '{directory}/')",
    "CREATE DATABASE d ENGINE = {Filesystem}('{directory}')",
    "CREATE DATABASE d ENGINE = {SQLite}('{written}')",
    "CREATE DATABASE d ENGINE = {MySQL}('{address}', 'd', 'u', 'p')",
    "CREATE MATERIALIZED VIEW default.v TO `{written}` AS SELECT 1",
    "CREATE FUNCTION reads AS (x) -> {file}(x)",
    "BACKUP DATABASE system TO {File}{_}('{directory}/new')",
    "ATTACH TABLE default.t FROM '{directory}' (a String) ENGINE = Log",
    "SELECT '{read}' AS a SETTINGS additional_result_filter = 'file(a) = 1'",
    "SELECT 1 SETTINGS{_} format_schema = '{read}:M' FORMAT Protobuf",
    "SELECT 1 AS a SETTINGS format_template_row = '{read}' FORMAT Template",
    "SELECT * FROM {{t:Identifier}}",
    "SELECT arrayMap({{f:Identifier}}, ['{read}'])",
)


@st.composite
def tricks(draw: st.DrawFn) -> str:
    """A statement that would reach outside, dressed up."""
    template = draw(st.sampled_from((*WHOLE, *CONTEXTS)))
    if "{call}" in template:
        template = template.replace("{call}", draw(st.sampled_from(CALLS)))

    def name(plain: str) -> str:
        dressed = draw(st.sampled_from((plain, plain.lower(), plain.upper())))
        opening, closing = draw(st.sampled_from(QUOTES))
        if opening and draw(st.booleans()):
            return f"{opening}\\x{ord(dressed[0]):02x}{dressed[1:]}{closing}"
        return f"{opening}{dressed}{closing}"

    class Names(dict[str, str]):
        def __missing__(self, key: str) -> str:
            return "{" + key + "}" if key in PLACES else name(key)

    blank = draw(st.sampled_from(BLANKS))
    return draw(st.sampled_from(("", " ", "\ufeff", "/* x */", "("))) + template.format_map(Names(_=blank))


PLACES = ("read", "written", "directory", "address", "secret")


def placed(trick: str, outside: Outside) -> str:
    values = {"read": outside.read, "written": outside.written, "directory": outside.directory}
    for name, value in {**values, "address": outside.address, "secret": SECRET}.items():
        trick = trick.replace("{" + name + "}", str(value))
    return trick


@given(trick=tricks())
def test_no_trick_gets_out(outside: Outside, engine: tuple[Engine, Guard], trick: str) -> None:
    text = placed(trick, outside)
    answer = ran(engine, text, t=str(outside.read), f="file").replace(text, "")
    assert outside.untouched(answer), (text, answer)


@pytest.mark.parametrize("template", WHOLE)
def test_each_is_refused_as_it_is(outside: Outside, engine: tuple[Engine, Guard], template: str) -> None:
    class Plain(dict[str, str]):
        def __missing__(self, key: str) -> str:
            return "{" + key + "}" if key in PLACES else key

    text = placed(template.format_map(Plain(_=" ")), outside)
    with pytest.raises(QueryFailed):
        engine[1].admit(text, read({"param_t": str(outside.read), "param_f": "file"}, {}, read_only=False))


async def test_over_http_too(outside: Outside, tmp_path: Path) -> None:
    server = await start_clickhouse(tmp_path)
    try:
        async with ClientSession(server.url) as http:
            for text, params in (
                (f"SELECT * FROM “file”('{outside.read}')", {}),
                (f"SELECT * FROM file\u200b('{outside.read}', 'LineAsString')", {}),
                (f"INSERT INTO FUNCTION file('{outside.written}', CSV, 'a String') VALUES ('x')", {}),
                ("SELECT * FROM {t:Identifier}", {"param_t": str(outside.read)}),
                ("SELECT 1", {"database": str(outside.directory)}),
                ("SELECT 1", {"format_schema": f"{outside.read}:M"}),
                ("SELECT 1", {"dialect": "kusto"}),
            ):
                async with http.post("/", data=text.encode(), params=params) as answer:
                    assert answer.headers["X-ClickHouse-Exception-Code"] == "497", text
                    assert outside.untouched((await answer.text()).replace(text, ""))
            async with http.post("/", data=f"INSERT INTO t FROM INFILE '{outside.read}' FORMAT CSV") as answer:
                assert answer.headers["X-ClickHouse-Exception-Code"] == "358"
    finally:
        stop(server)


WALL = """
import sys
from pathlib import Path
from embedded.clickhouse.confinement import confine
if not confine(Path(sys.argv[1])):
    sys.exit(3)
import chdb._chdb
raw = chdb._chdb.connect(sys.argv[1] + "/engine")
for text in sys.argv[2:]:
    try:
        print(raw.query(text, "TSVRaw", params={}).bytes().decode())
    except RuntimeError as error:
        print("REFUSED", str(error).splitlines()[0])
print(raw.query("SELECT count() FROM system.one", "TSVRaw", params={}).bytes().decode())
"""


def test_where_the_rules_would_fail_the_kernel_does_not(outside: Outside, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    texts = (
        f"SELECT * FROM file('{outside.read}', 'LineAsString')",
        f"SELECT file('{outside.read}')",
        "SELECT file('/etc/passwd')",
        f"INSERT INTO FUNCTION file('{outside.directory}/new.csv') SELECT 1",
        f"INSERT INTO FUNCTION file('{outside.written}', CSV) SETTINGS engine_file_truncate_on_insert = 1 SELECT 'x'",
        f"SELECT * FROM url('http://{outside.address}/x', CSV, 'a String') SETTINGS http_max_tries = 1",
    )
    done = subprocess.run(
        [sys.executable, "-c", WALL, str(tmp_path), *texts],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 3:
        pytest.skip("this kernel has no Landlock")
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[-1] == "1", done.stderr[-2000:]
    assert len(lines) == len(texts) + 1, lines
    assert all(line.startswith("REFUSED") for line in lines[:-1]), lines
    assert outside.untouched(done.stdout.replace(str(outside.read), ""))
