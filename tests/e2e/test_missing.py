"""What was taken in and is gone is named wherever one looks, with the command that brings it back; then all is well."""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import eventually
from tests.e2e.running import SECRET, RunningUp, deliver, environment, tillstream_async


async def status(data: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((await tillstream_async("status", "--data", data, "--json")).stdout)
    return told


async def text(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.text()


@pytest.mark.slow
async def test_an_event_that_is_gone_is_named_everywhere(tmp_path: Path) -> None:
    env = environment(STRIPE_WEBHOOK_SECRET=SECRET, TILLSTREAM_MISSING_SECONDS="2")
    running = await RunningUp(tmp_path / "data", env).start()
    try:
        for number in range(20):
            await deliver(running, f"evt_{number}")
        runtime = running.runtime()
        health, console = runtime["roles"]["connector"]["health_url"], runtime["console_url"]

        async def accounted() -> bool:
            found = re.search(r"All of the last (\d+):", await text(f"{console}/health"))
            return found is not None and int(found[1]) >= 20  # what was answered too late came once more

        await eventually(accounted, 120)
        told = await status(running.data)
        assert told["missing_events"] == []
        assert "events-missing" not in {finding["name"] for finding in told["findings"]}

        gone = "ALTER TABLE stripe_event_rows DELETE WHERE event_id = 'evt_7'"
        assert (await tillstream_async("sql", "--write", gone, "--data", running.data)).returncode == 0

        async def named() -> dict[str, Any] | None:
            (found,) = (await status(running.data))["missing_events"]
            return found

        event = await eventually(named, 120)
        assert (event["event_id"], event["missing_from"]) == ("evt_7", "stripe_events")
        place = f"{event['topic']} {event['partition']}/{event['offset']}"
        told = await status(running.data)
        (finding,) = (one for one in told["findings"] if one["name"] == "events-missing")
        assert told["light"] == "red"
        assert f"evt_7 from ClickHouse ({place})" in finding["text"]
        assert finding["remedy"] == "tillstream replay --missing"
        assert "evt_7" in (await tillstream_async("status", "--data", running.data)).stdout

        async def shown() -> bool:  # the verdict is on the page as soon as there is one
            page = await text(f"{console}/health")
            return place in page and finding["remedy"] in page

        await eventually(shown)
        assert 'tillstream_missing_events{lost="stripe_events"} 1.0' in await text(f"{health}/metrics")

        again = await tillstream_async("replay", "--missing", "--yes", "--json", "--data", running.data)
        assert json.loads(again.stdout)["published"] == 1

        async def well() -> bool:
            return not (await status(running.data))["missing_events"]

        await eventually(well, 120)
    finally:
        await running.stop()
