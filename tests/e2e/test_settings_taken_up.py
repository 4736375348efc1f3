"""A running role takes up what is set in the browser by itself: drained, and begun anew in the same process."""

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil

from settings.browser import browser_path, changing
from settings.runtime import read_json
from tests.conftest import eventually
from tests.e2e.running import environment


async def footer(url: str) -> str:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/settings") as answer:
            return (await answer.text()).rpartition("<footer>")[2]
    except aiohttp.ClientError:
        return ""


async def test_a_role_begins_anew_with_what_was_set_and_stays_the_same_process(tmp_path: Path) -> None:
    env = environment(TILLSTREAM_DATA=str(tmp_path), CLICKHOUSE_URL="http://127.0.0.1:9")
    command = [sys.executable, "-P", "-m", "tillstream", "console", "--console-port", "0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    said = (tmp_path / "log").read_text

    def url() -> str:
        return str((read_json(tmp_path / "roles" / "console.json") or {}).get("health_url", ""))

    try:

        async def told(zone: str) -> bool:
            return bool(url()) and zone in await footer(url())

        await eventually(lambda: told("UTC"), deadline=60)
        first = url()
        browser_path(tmp_path).write_text('{"tillstream_timezone": "Nowhere"}')  # half a file by a person's hand
        await eventually(lambda: "settings not read" in said(), deadline=30)
        assert "UTC" in await footer(first)
        with changing(tmp_path) as kept:
            kept["tillstream_timezone"] = "Asia/Tokyo"
        await eventually(lambda: told("Asia/Tokyo"), deadline=60)
        assert process.poll() is None
        assert read_json(tmp_path / "roles" / "console.json") == {"pid": process.pid, "health_url": url()}
        with changing(tmp_path) as kept:
            kept["tillstream_organization"] = "Tea"  # nothing that this role holds
        assert len(psutil.Process(process.pid).open_files()) < 20
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert said().count("begins anew") == 1
    finally:
        process.kill()
        process.wait()
