"""`tillstream up`: starts everything or says what is in its way, and leaves nothing behind."""

import json
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tests.conftest import eventually, soon
from tests.e2e.running import ANY_PORTS, PARTS, SECRET, RunningUp, deliver, environment, tillstream_async


async def test_a_taken_port_is_named_with_its_flag_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag in ("--http-port", "--kafka-port", "--clickhouse-port"):
            done = await tillstream_async("up", "--data", tmp_path / "data", *ANY_PORTS, f"{flag}={port}")
            assert done.returncode == 2
            assert f"port {port} on 127.0.0.1 is taken" in done.stderr
            assert flag in done.stderr
    assert not (tmp_path / "data" / "kafka").exists()


@pytest.mark.slow
async def test_ctrl_c_leaves_nothing_behind_and_kill_9_neither_and_a_door_without_secret_says_so(
    tmp_path: Path,
) -> None:
    running = RunningUp(tmp_path / "data", env=environment())
    await running.start(until_ready=False)
    try:
        await eventually(lambda: "is up" in running.said(), deadline=180)
        runtime = running.runtime()
        assert "It accepts nothing yet" in running.said()
        assert not runtime["ready"]
        assert "STRIPE_WEBHOOK_SECRET" in runtime["roles"]["ingest"]["reason"]
        status = await tillstream_async("status", "--data", running.data, "--json")
        assert status.returncode == 1
        assert json.loads(status.stdout)["verdict"] == "not ready: ingest"

        family = running.family()
        assert len(family) >= len(PARTS)
        running.process.kill()
        running.process.wait()
        await eventually(lambda: not any(map(runs, family)))

        running.env["STRIPE_WEBHOOK_SECRET"] = SECRET  # the directory of a killed `up` is as good as new
        await running.start()
        family = running.family()
        assert await running.stop() == 0
        assert not any(map(runs, family))
        assert not (running.data / "runtime.json").exists()
    finally:
        await running.stop()


async def test_a_second_ctrl_c_hurries(tmp_path: Path) -> None:
    running = RunningUp(tmp_path / "data")
    await running.start(until_ready=False)
    try:
        await eventually(lambda: running.runtime().get("kafka_pid"), deadline=120)
        family = running.family()
        running.process.send_signal(signal.SIGINT)
        await eventually(lambda: "Ctrl-C again" in running.said())
        async with soon(10):  # and not the time that each part would have had
            await running.stop()
        assert not any(map(runs, family))
    finally:
        await running.stop()


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


NOWHERE = "127.0.0.1:9"  # the discard port: nothing listens there


async def test_a_kafka_of_somebody_else_that_does_not_answer_is_named(tmp_path: Path) -> None:
    env = environment(STRIPE_WEBHOOK_SECRET=SECRET, KAFKA_BOOTSTRAP_SERVERS=NOWHERE, TILLSTREAM_STARTUP_SECONDS="2")
    done = await tillstream_async("up", "--data", tmp_path / "data", *ANY_PORTS, env=env)
    assert done.returncode == 2
    assert f"Kafka at {NOWHERE}" in done.stderr
    assert "KAFKA_BOOTSTRAP_SERVERS" in done.stderr


async def test_events_are_taken_while_a_clickhouse_of_somebody_else_does_not_answer(tmp_path: Path) -> None:
    running = RunningUp(tmp_path / "data")
    running.env["CLICKHOUSE_URL"] = f"http://{NOWHERE}"
    try:
        await running.start(until_ready=False)
        await eventually(lambda: running.runtime()["roles"]["ingest"]["ready"], 180)
        await deliver(running, "evt_1")
        await eventually(lambda: running.runtime()["roles"]["process"]["ready"], 180)
        waits = f"waiting for ClickHouse at http://{NOWHERE}"
        await eventually(lambda: running.runtime()["roles"]["sink"]["reason"].startswith(waits))
        assert not running.runtime()["ready"]
        await eventually(lambda: "CLICKHOUSE_URL" in running.said())
    finally:
        await running.stop()


async def test_a_missing_java_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    done = await tillstream_async("up", "--data", tmp_path, *ANY_PORTS, env=environment(PATH=""))
    assert done.returncode == 2
    assert "Java" in done.stderr
    assert "next: apt-get install openjdk" in done.stderr


async def test_a_corrupt_directory_is_named(tmp_path: Path) -> None:
    storage = tmp_path / "data" / "kafka" / "storage"
    storage.mkdir(parents=True)
    (storage / "meta.properties").write_text("garbage\n", "utf-8")
    done = await tillstream_async("up", "--data", tmp_path / "data", *ANY_PORTS)
    assert done.returncode == 2
    assert "corrupt" in done.stderr
    assert str(tmp_path / "data") in done.stderr


async def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory", "utf-8")
    done = await tillstream_async("up", "--data", tmp_path / "file", *ANY_PORTS)
    assert done.returncode == 2
    assert f"data directory {tmp_path / 'file'} can't be used" in done.stderr


async def test_wrong_settings_are_named_before_anything_starts(tmp_path: Path) -> None:
    wrong = {
        "TILLSTREAM_TIMEZONE": ("Europe/Berln", "did you mean Europe/Berlin?"),
        "STRIPE_WEBHOOK_SECRET": (" ", "a webhook secret is blank"),
        "TILLSTREAM_CONFIG": (str(tmp_path / "missing.toml"), "can't be read"),
        "TILLSTREAM_CONSOLE_HOST": ("0.0.0.0", "nobody would have to sign in"),
        "TILLSTREAM_CONSOLE_TOKEN": ("letmein", "openssl rand -hex 24"),
    }
    for name, (value, cause) in wrong.items():
        done = await tillstream_async("up", "--data", tmp_path / "data", *ANY_PORTS, env=environment(**{name: value}))
        assert done.returncode == 2
        assert cause in done.stderr
        assert "next: " in done.stderr
    assert not (tmp_path / "data").exists()
