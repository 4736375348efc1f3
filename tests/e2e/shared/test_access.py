"""Who gets at the ClickHouse of a running `up`: programs by `tillstream env`, `sql` to read, and nobody else."""

import json
import os
import shlex
import stat
import subprocess
from typing import Any

import aiohttp
import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.e2e.running import RunningUp, tillstream_async


async def told(up: RunningUp, *arguments: str) -> dict[str, str]:
    """What a shell has after `eval "$(tillstream env …)"`, and that `--json` says the same."""
    done = await tillstream_async("env", *arguments, "--data", up.data)
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        ["bash", "-c", f"{done.stdout}\nenv -0"], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True
    ).stdout.decode()
    names = [line.removeprefix("export ").partition("=")[0] for line in done.stdout.splitlines()[1:]]
    values = dict(pair.split("=", 1) for pair in shown.split("\0") if pair)
    as_json = json.loads((await tillstream_async("env", *arguments, "--json", "--data", up.data)).stdout)
    assert as_json == {name: values[name] for name in names}
    return as_json  # type: ignore[no-any-return]


async def sql(up: RunningUp, *arguments: str) -> Any:
    return await tillstream_async("sql", *arguments, "--data", up.data)


async def test_other_programs_are_told_of_a_login_that_reads(up: RunningUp) -> None:
    given = await told(up)
    assert given["KAFKA_BOOTSTRAP_SERVERS"] == up.runtime()["kafka_bootstrap"]
    for client in (
        clickhouse_connect.get_client(dsn=given["CLICKHOUSE_URL"]),
        clickhouse_connect.get_client(
            host=given["CLICKHOUSE_HOST"],
            port=int(given["CLICKHOUSE_PORT"]),
            username=given["CLICKHOUSE_USER"],
            password=given["CLICKHOUSE_PASSWORD"],
            database=given["CLICKHOUSE_DATABASE"],
        ),
    ):
        assert client.query("SELECT count() >= 0 FROM tillstream.metrics").result_rows == [(1,)]
        with pytest.raises(DatabaseError, match="readonly"):
            client.command("DROP TABLE tillstream.metric_rows")
        client.close()


async def test_or_of_one_that_may_write(up: RunningUp) -> None:
    client = clickhouse_connect.get_client(dsn=(await told(up, "--write"))["CLICKHOUSE_URL"])
    client.command("CREATE DATABASE analytics")
    client.command("DROP DATABASE analytics")
    client.close()


async def test_sql_changes_nothing_unless_it_is_told_to(up: RunningUp) -> None:
    for statement in (
        "DROP TABLE metric_rows",
        "TRUNCATE TABLE metric_rows",
        "CREATE TABLE mine (a Int8) ENGINE = Log",
    ):
        refused = await sql(up, statement)
        assert refused.returncode == 2
        assert "this statement would change something" in refused.stderr
        assert "tillstream sql --write" in refused.stderr
    made = await sql(up, "--write", "CREATE TABLE mine (a Int8) ENGINE = Log")
    assert made.returncode == 0, made.stderr
    assert (await sql(up, "INSERT INTO mine VALUES (1)")).returncode == 2
    assert (await sql(up, "--write", "INSERT INTO mine SELECT 7")).returncode == 0
    assert (await sql(up, "SELECT a FROM mine", "--format", "TSV")).stdout == "7\n"
    assert (await sql(up, "--write", "DROP TABLE mine")).returncode == 0


async def test_without_a_password_there_is_nothing_to_be_had(up: RunningUp) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{(await told(up))['CLICKHOUSE_PORT']}/"
        async with session.post(url, data="SELECT * FROM tillstream.metrics") as answer:
            assert answer.status == 403
            assert "Authentication failed" in await answer.text()
        rebound = {"Host": "rebound.example"}
        async with session.post(up.runtime()["clickhouse_url"], data="SELECT 1", headers=rebound) as answer:
            assert answer.status == 403


async def test_the_passwords_are_shown_to_nobody_else(up: RunningUp) -> None:
    runtime = up.runtime()
    passwords = (runtime["clickhouse_password"], runtime["clickhouse_reader_password"])
    assert all(len(password) >= 32 for password in passwords)
    assert runtime["clickhouse_url"].startswith(f"http://{runtime['clickhouse_user']}:{passwords[0]}@127.0.0.1:")
    for name in ("runtime.json", "clickhouse/logins.json"):
        assert stat.S_IMODE((up.data / name).stat().st_mode) == 0o600
    status = await tillstream_async("status", "--json", "--data", up.data)
    settings = await tillstream_async("settings", "--data", up.data)
    argv = [shlex.join(process.cmdline()) for process in up.family()]
    said = up.output.read_text("utf-8", "replace")
    for password in passwords:
        assert password not in "\n".join((status.stdout, settings.stdout, said, *argv))
