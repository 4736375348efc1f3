"""One verdict: `status`, `doctor`, the console's page and its JSON say the same of a running `up`, wherever asked."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import eventually, soon
from tests.e2e.running import SECRET, RunningUp, environment, tillstream_async

LIVE = """\
name: receipts
status: live
trigger: {metric: Successfully Paid}
steps:
  - email: {template: thanks}
"""


async def told(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/api/v1/health") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def page(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/part/judged") as answer:
        return await answer.text()


async def commands(data: Path) -> tuple[Any, Any]:
    """What `status` and `doctor` say in a shell that has none of the settings of `up`."""
    pair = await asyncio.gather(
        *(tillstream_async(name, "--data", data, "--json", env=environment()) for name in ("status", "doctor"))
    )
    return json.loads(pair[0].stdout), json.loads(pair[1].stdout)


@pytest.mark.slow
async def test_what_is_live_and_cannot_work_is_red_everywhere_and_green_by_itself_when_mended(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    for folder in ("flows", "segments", "templates"):
        (project / folder).mkdir(parents=True)
    receipts, vips = project / "flows" / "receipts.yaml", project / "segments" / "vips.yaml"
    receipts.write_text(LIVE, "utf-8")
    vips.write_text("all:\n  - person: {contry: DE}\n", "utf-8")
    env = environment(
        STRIPE_WEBHOOK_SECRET=SECRET,
        TILLSTREAM_PROJECT=str(project),
        SMTP_URL="smtp://127.0.0.1:9",
        TILLSTREAM_MAIL_FROM="Shop <shop@example.com>",
    )
    running = await RunningUp(tmp_path / "data", env).start()
    try:
        url, wanted = running.runtime()["console_url"], {"flow-broken", "segment-unreadable"}

        async def agreed() -> tuple[Any, Any, Any]:  # on a busy machine there may be more to say for a moment
            status, doctor = await commands(running.data)
            health = await told(url)
            assert (status["light"], doctor["light"], health["verdict"]) == ("red", "red", "red")
            assert status["verdict"] == doctor["title"] == health["title"] == "2 things do not work"
            return status, doctor, health

        status, doctor, health = await eventually(agreed, deadline=120)
        for findings in (status["findings"], doctor["findings"], health["findings"]):
            assert {one["name"] for one in findings if one["severity"] == "error"} == wanted
            by_name = {one["name"]: one for one in findings}
            assert f"{project}/templates/thanks.html" in by_name["flow-broken"]["remedy"]
            assert by_name["segment-unreadable"]["remedy"] == f"mend {vips}:2"

        async def shown() -> bool:
            said = await page(url)
            return "the live flow receipts would not work" in said and f"mend {vips}:2" in said

        await eventually(shown)

        receipts.write_text(LIVE.replace("email", "emial"), "utf-8")
        vips.write_text("all:\n  - person: {country: DE}\n", "utf-8")

        async def unreadable() -> bool:
            return f"mend {receipts}:5" in await page(url)

        await eventually(unreadable)
        receipts.write_text(LIVE, "utf-8")
        (project / "templates" / "thanks.html").write_text("<p>Thank you</p>", "utf-8")

        async def mended() -> bool:
            return (await told(url))["verdict"] == "waiting"  # for the first event

        await eventually(mended)

        async def all_waiting() -> bool:
            status, doctor = await commands(running.data)
            return bool(status["light"] == doctor["light"] == "waiting")

        await eventually(all_waiting, deadline=120)

        await hangs(running, url)
    finally:
        await running.stop()


async def hangs(running: RunningUp, url: str) -> None:
    """ClickHouse is stopped: everything says so soon, and is well again when it goes on."""
    pid = running.runtime()["clickhouse_pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        async with soon(20):  # strictly measured in tests/integration/doctor/test_hanging.py
            assert "hangs" in (await told(url))["error"]
        assert "clickhouse" in (await page(url)).lower()
        for command in (["status"], ["doctor"], ["metrics"], ["sql", "SELECT 1"]):
            done = await tillstream_async(*command, "--data", running.data, env=environment(), seconds=90)
            assert done.returncode != 0
            assert "does not answer" in done.stdout + done.stderr, command
    finally:
        os.kill(pid, signal.SIGCONT)

    async def well() -> bool:
        return (await told(url)).get("verdict") == "waiting"

    await eventually(well, deadline=60)
