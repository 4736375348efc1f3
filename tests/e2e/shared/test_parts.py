"""The parts of a running `up`: ready within the promised time, and back by themselves whatever ends them."""

import json
import os
import signal
import time

import aiohttp
import pytest

from tests.conftest import eventually
from tests.e2e.running import ANY_PORTS, PARTS, RunningUp, deliver, tillstream, tillstream_async
from tests.e2e.test_up_trouble import RECOVERY, part, ready

START_PROMISE = 15.0  # for a machine of its own
RECOVERY_PROMISE = 60.0


def test_everything_is_ready_within_the_promised_time(up: RunningUp) -> None:
    assert up.ready_after <= START_PROMISE + up.waited


async def test_every_part_has_its_health_pages(up: RunningUp) -> None:
    runtime = up.runtime()
    assert set(PARTS) <= set(runtime["roles"])
    async with aiohttp.ClientSession() as session:
        for name in ("sink", "process", "ingest", "connector", "console"):
            url = runtime["roles"][name]["health_url"]
            for page in ("readyz", "livez", "metrics"):

                async def well(asked: str = f"{url}/{page}") -> bool:
                    async with session.get(asked) as response:
                        assert response.status == 200, (asked, await response.text())
                        return True

                await eventually(well)
        door = runtime["http_url"]
        assert runtime["roles"]["ingest"]["health_url"] != door
        for path, status in (("readyz", 200), ("livez", 200), ("metrics", 404), ("", 404), ("anything", 404)):
            async with session.get(f"{door}/{path}") as response:
                assert (response.status, await response.text()) == (status, "")


def test_the_broker_of_a_new_directory_has_topics_of_two_partitions(up: RunningUp) -> None:
    done = tillstream("partitions", "--json", "--data", up.data)
    assert json.loads(done.stdout)["partitions"] == 2


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_is_killed_comes_back_at_the_same_place(up: RunningUp, part: str) -> None:
    before, waits, began = up.runtime(), up.waits(), time.monotonic()
    os.kill(before["roles"][part]["pid"], signal.SIGKILL)

    def back() -> bool:
        now = up.runtime()
        return bool(now["ready"]) and now["roles"][part]["pid"] not in (None, before["roles"][part]["pid"])

    await eventually(back, deadline=240)
    took = time.monotonic() - began
    assert took <= RECOVERY_PROMISE + sum(max(now - waits.get(pid, 0.0), 0.0) for pid, now in up.waits().items())
    after = up.runtime()
    assert after["roles"][part]["restarts"] == before["roles"][part]["restarts"] + 1
    places = ("http_url", "console_url", "kafka_bootstrap", "clickhouse_url")
    assert [after[place] for place in places] == [before[place] for place in places]


async def test_a_second_up_on_the_same_directory_is_refused(up: RunningUp) -> None:
    done = await tillstream_async("up", "--data", up.data, *ANY_PORTS)
    assert done.returncode == 2
    assert f"already running as pid {up.process.pid}" in done.stderr
    assert "next: tillstream status" in done.stderr


@pytest.mark.slow
async def test_a_role_that_hangs_is_ended_and_started_again(up: RunningUp) -> None:
    before = part(up, "sink")
    os.kill(before["pid"], signal.SIGSTOP)
    await eventually(lambda: part(up, "sink")["restarts"] == before["restarts"] + 1, 180)
    assert "did not answer for 30 s and was ended" in up.output.read_text("utf-8")
    await deliver(up, "evt_while_the_sink_hung")
    await eventually(lambda: ready(up), RECOVERY)
    assert part(up, "sink")["pid"] != before["pid"]
