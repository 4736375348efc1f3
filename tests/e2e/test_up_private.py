"""What other users of the machine see of a running `up`, and what its parts know of each other's secrets."""

import os
import stat
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.e2e.running import RunningUp, environment
from tests.unit.settings.test_needs import GIVEN, HAS

SERVERS = ("KAFKA_SASL_PASSWORD", "CLICKHOUSE_PASSWORD")  # of servers elsewhere: these are its own


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no procfs to read environments in")
async def test_a_part_knows_its_own_secrets_and_other_users_see_nothing(tmp_path: Path) -> None:
    given = {name: value for name, value in GIVEN.items() if name not in SERVERS}
    given |= {"STRIPE_API_BASE": "http://127.0.0.1:9", "TILLSTREAM_MAIL_FROM": "billing@shop.example"}
    running = RunningUp(tmp_path / "data", env=environment(**given))
    old = running.data / "kafka"
    old.mkdir(parents=True, mode=0o755)
    before = os.umask(0o022)
    try:
        await running.start(until_ready=False)
        roles = await eventually(lambda: started(running), 180)
        for name, pid in roles.items():
            seen = environment_of(pid)
            held = {known for known in given if known in GIVEN and GIVEN[known].encode() in seen}
            assert held == HAS[name] - set(SERVERS), name
        await eventually(lambda: running.runtime()["ready"], 180)
        assert [path for path in below(running.data) if old not in path.parents and is_wide(path)] == []
        assert stat.S_IMODE(old.stat().st_mode) == 0o700
    finally:
        os.umask(before)
        await running.stop()


def started(running: RunningUp) -> dict[str, int]:
    """Every part's pid; nothing until all run."""
    pids = {name: role["pid"] for name, role in running.runtime().get("roles", {}).items()}
    return pids if all(pids.values()) else {}


def below(folder: Path) -> list[Path]:
    """Whatever is there just now, while parts make files and take them away."""
    return [Path(place, name) for place, folders, files in os.walk(folder) for name in (*folders, *files)]


def is_wide(path: Path) -> bool:
    """Whether another user may do anything with it."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return bool(stat.S_IMODE(mode) & 0o077) and not stat.S_ISLNK(mode)


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()
