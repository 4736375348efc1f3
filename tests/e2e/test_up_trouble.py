"""`tillstream up` in trouble that is not its own: the others go on, what is wrong is named, and it mends by itself."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import eventually
from tests.e2e.running import SECRET, RunningUp, deliver, environment, send_event, tillstream_async

RECOVERY = 240.0
HONEST = {200, 503}


def part(running: RunningUp, name: str) -> dict[str, Any]:
    return running.runtime().get("roles", {}).get(name, {})  # type: ignore[no-any-return]


def says(running: RunningUp, name: str, cause: str) -> Callable[[], bool]:
    """Whether the part is red, and names the cause."""
    return lambda: not part(running, name).get("ready", True) and cause in part(running, name)["reason"]


def ready(running: RunningUp) -> bool:
    return bool(running.runtime().get("ready"))


async def answer(running: RunningUp, event_id: str, padding: int = 0) -> int:
    """The door's answer; 0 while it does not listen, as between its end and its next start."""
    try:
        return await send_event(running, event_id, padding=padding)
    except (aiohttp.ClientError, TimeoutError):
        return 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(path: Path) -> None:
    """Whatever is left of the disk."""
    with path.open("ab", buffering=0) as file:
        try:
            while file.write(b"x" * 4096) == 4096:
                pass
        except OSError:
            return


@pytest.mark.slow
async def test_a_full_disk_loses_nothing_and_everything_is_ready_by_itself_when_there_is_room_again(
    small_disk: Path,
) -> None:
    running = RunningUp(small_disk / "data")  # what it prints goes to that disk too
    taken: set[str] = set()
    answers: set[int] = set()

    async def sent(event_id: str) -> int:
        status = await answer(running, event_id, padding=20_000)
        answers.add(status)
        taken.update({event_id} if status == 200 else ())
        return status

    async def taken_up(event_id: str) -> bool:
        return await sent(event_id) == 200

    try:
        await running.start()
        for before in range(5):
            await eventually(lambda name=f"evt_before_{before}": taken_up(name))  # type: ignore[misc]
        fill(small_disk / "ballast")
        number = 0

        async def kafka_is_down() -> bool:
            nonlocal number
            fill(small_disk / "ballast")
            number += 1
            await sent(f"evt_full_{number}")
            return says(running, "kafka", "No space left on device")()

        await eventually(kafka_is_down, 180)
        assert answers <= HONEST
        door = part(running, "ingest")["pid"]
        os.kill(door, signal.SIGKILL)  # the door comes back although its disk is full
        await eventually(lambda: part(running, "ingest")["pid"] not in (None, door), 120)

        async def refuses() -> bool:
            return await sent("evt_full_again") == 503

        await eventually(refuses, 120)
        assert running.process.poll() is None
        told = await tillstream_async("status", "--data", running.data, "--json")
        assert told.returncode == 1
        assert "No space left on device" in json.loads(told.stdout)["parts"]["kafka"]["reason"]

        (small_disk / "ballast").unlink()
        await eventually(lambda: ready(running), RECOVERY)
        await eventually(lambda: taken_up("evt_after"))

        async def all_are_there() -> bool:
            query = "SELECT DISTINCT event_id FROM stripe_events"
            found = await tillstream_async("sql", "--data", running.data, query, "--json")
            assert found.returncode == 0, found.stderr
            return taken <= {row["event_id"] for row in json.loads(found.stdout)}

        await eventually(all_are_there, 180, interval=1)
    finally:
        await running.stop()


@pytest.mark.slow
async def test_events_are_taken_while_the_own_clickhouse_cannot_start(tmp_path: Path) -> None:
    running = RunningUp(tmp_path / "data")
    engine = running.data / "clickhouse" / "engine"
    (engine / "metadata").mkdir(parents=True)
    (engine / "metadata" / "kept.sql").write_bytes(b"\0garbage")
    try:
        await running.start(until_ready=False)
        await eventually(lambda: part(running, "ingest").get("ready"), 180)
        await deliver(running, "evt_1")
        await eventually(says(running, "clickhouse", "can't open its data"), 180)
        await eventually(lambda: part(running, "process")["ready"], 180)
        await eventually(lambda: part(running, "sink")["reason"] == "waiting for clickhouse")
        shutil.rmtree(engine)
        await eventually(lambda: ready(running), RECOVERY)
    finally:
        await running.stop()


@pytest.mark.slow
async def test_what_a_part_lacks_when_it_is_started_again_ends_nothing(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    java = shutil.which("java")
    assert java
    (programs / "java").symlink_to(java)
    running = RunningUp(tmp_path / "data", env=environment(STRIPE_WEBHOOK_SECRET=SECRET, PATH=str(programs)))
    try:
        await running.start()
        (programs / "java").unlink()
        os.kill(part(running, "kafka")["pid"], signal.SIGKILL)
        await eventually(says(running, "kafka", "Java is missing"), 120)
        assert await answer(running, "evt_1") == 503
        (programs / "java").symlink_to(java)

        port = int(running.runtime()["console_url"].rpartition(":")[2])
        os.kill(part(running, "console")["pid"], signal.SIGKILL)
        with await listening(port):
            await eventually(says(running, "console", f"port {port} on 127.0.0.1 is taken"), 120)
        await eventually(lambda: ready(running), RECOVERY)
        await deliver(running, "evt_1")
    finally:
        await running.stop()


async def listening(port: int) -> socket.socket:
    """Another program on that port, as soon as the killed one has let go of it."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    while True:
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            await asyncio.sleep(0.01)
        else:
            taken.listen()
            return taken
