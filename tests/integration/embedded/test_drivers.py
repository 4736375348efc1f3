"""ClickHouse's own drivers for Java and Go reach the engine as they reach a server, however they compress."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from embedded.fetch import fetch
from tests.conftest import ClickHouseServer

DRIVERS = Path(__file__).parents[2] / "drivers"
MINUTES = 60

pytestmark = pytest.mark.timeout(15 * MINUTES)  # drivers may have to be fetched and compiled


def run(command: Sequence[str | Path], minutes: float = 4, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=minutes * MINUTES, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def jdbc(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class path of the compiled program; a Java runtime is enough, since the compiler is among the jars."""
    jars = fetch(DRIVERS / "jdbc" / "pom.xml", "test-jdbc")
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.glob("*.jar")}
    pinned = (line.split() for line in (DRIVERS / "jdbc" / "jars.sha256").read_text().splitlines())
    assert found == {name: digest for digest, name in pinned}
    classes = tmp_path_factory.mktemp("jdbc")
    compiler = ["java", "-jar", next(jars.glob("ecj-*.jar")), "-17", "-encoding", "UTF-8"]
    run([*compiler, "-d", classes, DRIVERS / "jdbc" / "Drive.java"])
    return f"{classes}:{jars}/*"


@pytest.mark.parametrize(
    "properties",
    [[], ["compress=false"], ["client.use_http_compression=true"], ["decompress=true"]],
    ids=["default", "none", "http", "both-ways"],
)
def test_the_jdbc_driver(
    clickhouse_server: ClickHouseServer, clickhouse: Client, database: str, jdbc: str, properties: list[str]
) -> None:
    url = f"jdbc:clickhouse://{clickhouse_server.host}:{clickhouse_server.port}/{database}"
    said = run(
        [
            "java",
            "-cp",
            jdbc,
            "Drive",
            url,
            "user=default",
            f"password={clickhouse_server.logins.password}",
            *properties,
        ]
    )
    assert dict(line.split("=", 1) for line in said.splitlines()) == {
        "updated": "1",
        "batch": "20000",
        "refused": "469",
        "found": "2",
        "sum": "44999850000",
        "unknown": "60",
        "syntax": "62",
        "late": "395",
        "columns": "abcdef",
    }
    assert clickhouse.query(f"SELECT count(), sum(a) FROM {database}.j").result_rows == [(20_000, 199_990_000)]


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built program. Its modules go to Go's own cache, each of the digest that go.sum names."""
    found = shutil.which("go")
    if found is None:
        pytest.skip("there is no `go` here: apt-get install golang")
    wanted = re.search(r"^go (\d+)\.(\d+)", (DRIVERS / "go" / "go.mod").read_text(), re.MULTILINE)
    actual = re.search(r"go(\d+)\.(\d+)", run([found, "env", "GOVERSION"]))
    assert wanted
    assert actual
    if tuple(map(int, actual.groups())) < tuple(map(int, wanted.groups())):
        pytest.skip(f"the driver needs Go {'.'.join(wanted.groups())}, and {actual[0]} is here")
    program = tmp_path_factory.mktemp("go") / "drive"
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    run([found, "build", "-o", program, "."], minutes=10, cwd=DRIVERS / "go", env=environment)
    return program


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "gzip", "deflate"])
def test_the_go_driver(
    clickhouse_server: ClickHouseServer, clickhouse: Client, database: str, go: Path, compression: str
) -> None:
    address = f"{clickhouse_server.host}:{clickhouse_server.port}"
    said = json.loads(run([go, address, database, "default", clickhouse_server.logins.password, compression]))
    assert said == {
        "refused": 469,
        "found": 2,
        "sum": 4_999_950_000,
        "rows": 100_000,
        "unknown": 60,
        "syntax": 62,
        "late": 395,
    }
    assert clickhouse.query(f"SELECT count(), sum(a) FROM {database}.g").result_rows == [(100_000, 4_999_950_000)]
