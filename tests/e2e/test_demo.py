"""`tillstream demo`: our numbers are Stripe's, whatever dies on the way."""

import json
from pathlib import Path

import pytest

from tests.e2e.running import tillstream_async

SMALL = ("--customers", "60", "--exit", "--json")


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_every_count_and_every_sum_equals_stripes() -> None:
    done = await tillstream_async("demo", "--exit", seconds=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every count and every sum equals Stripe's" in done.stdout
    assert "✗" not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_numbers_are_still_equal_when_every_part_is_killed_on_the_way(tmp_path: Path) -> None:
    parts = ("kafka", "process", "clickhouse", "ingest", "sink", "connector", "console")
    kills = [word for part in parts for word in ("--kill", part)]
    done = await tillstream_async("demo", *SMALL, *kills, "--data", tmp_path / "demo", seconds=500)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["equal"]
    assert told["missing"] == told["surplus"] == []
    assert told["events_stored"] == told["events"]
    assert all(told["restarts"][part] >= 1 for part in parts)


async def test_a_directory_with_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    done = await tillstream_async("demo", "--exit", "--data", tmp_path)
    assert done.returncode == 2
    assert "already holds data" in done.stderr


async def test_an_unknown_part_to_kill_is_refused(tmp_path: Path) -> None:
    done = await tillstream_async("demo", "--exit", "--kill", "door", "--data", tmp_path / "demo")
    assert done.returncode == 2
    assert "there is no part 'door'" in done.stderr
