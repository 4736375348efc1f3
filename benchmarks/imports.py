"""An import from the simulated Stripe into ClickHouse, through a running `tillstream up`, every part a process.

The reference of the same run is how fast the simulated Stripe gives its lists away to a client that only reads them,
with as many pages under way. Stripe's own limit (about 100 requests a second) is ten thousand objects a second.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.latency import _SETTINGS, _up
from embedded.child import die_with_parent

KEY = "sk_live_benchmark"
KINDS = ("customers", "invoice_payments", "subscriptions", "invoices", "charges", "refunds")
READERS = 8
ARRIVE_SECONDS = 600
_STRIPE = """
import asyncio, json, sys
from simulator.server import StripeServer
from simulator.virtual import VirtualStripe
from simulator.world import World
async def serve():
    world = World(1, 1_767_225_600, 60, int(sys.argv[1]))
    rows = sum(fact.metric.value != "Upcoming Invoice" and bool(fact.charge_id or fact.metric.value != "Failed Payment")
               for fact in world.truth(lookups=True).facts)
    async with StripeServer(VirtualStripe(world)) as url:
        print(json.dumps({"url": url, "rows": rows, "charges": len(world.accounts["default"].charges)}), flush=True)
        await asyncio.Event().wait()
import uvloop
uvloop.run(serve())
"""


async def measure(customers: int = 1_000) -> dict[str, float]:
    """Objects a second of both, end to end and into Kafka, and what the import's process took."""
    with tempfile.TemporaryDirectory() as data:
        stripe = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _STRIPE, str(customers)),
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        try:
            assert stripe.stdout is not None
            told = json.loads(await stripe.stdout.readline())
            began = time.perf_counter()
            listed = await _read_all(told["url"])
            bare = listed / (time.perf_counter() - began)
            async with _up(Path(data) / "up") as runtime:
                found = await _import(Path(data) / "up", told["url"], runtime, told["rows"])
        finally:
            stripe.kill()
            await stripe.wait()
    assert found["objects"] == listed, (found, listed)
    return {
        "charges": told["charges"],
        "objects": listed,
        "rows": told["rows"],
        "lists alone, objects per s": bare,
        "into Kafka, objects per s": found["objects"] / found["published"],
        "to rows, objects per s": found["objects"] / found["arrived"],
        "import, objects per CPU-s": found["objects"] / found["cpu"],
        "import, most MB resident": found["resident"] / 1e6,
        "ratio": found["objects"] / found["published"] / bare,
    }


async def _import(data: Path, stripe: str, runtime: dict[str, Any], rows: int) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    settings = {"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": stripe, "TILLSTREAM_STRIPE_RATE": "100000"}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillstream", "import", "--json", "--data", str(data), "--only", ",".join(KINDS)),
        env=environment | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    watching = asyncio.create_task(_watch(process.pid))
    out, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(errors.decode()[-2000:])
    published = time.perf_counter() - began
    cpu, resident = await watching
    objects = sum(one["objects"] for one in json.loads(out)["imports"])
    deadline = time.monotonic() + ARRIVE_SECONDS
    async with aiohttp.ClientSession() as session:
        while await _rows(session, runtime) < rows and time.monotonic() < deadline:  # noqa: ASYNC110 -- nobody tells us
            await asyncio.sleep(0.2)
    arrived = time.perf_counter() - began
    return {"objects": objects, "published": published, "arrived": arrived, "cpu": cpu, "resident": resident}


async def _watch(pid: int) -> tuple[float, int]:
    """The process's CPU seconds and its most resident bytes, as last seen."""
    process, cpu, resident = psutil.Process(pid), 0.0, 0
    try:
        while process.status() != psutil.STATUS_ZOMBIE:
            times = process.cpu_times()
            cpu, resident = times.user + times.system, max(resident, process.memory_info().rss)
            await asyncio.sleep(0.05)
    except psutil.NoSuchProcess:
        pass
    return cpu, resident


async def _rows(session: aiohttp.ClientSession, runtime: dict[str, Any]) -> int:
    query = f"SELECT count() FROM {runtime['database']}.metrics"
    async with session.post(runtime["clickhouse_url"], data=query) as response:
        return int(await response.text())


async def _read_all(url: str) -> int:
    """Read every list, side by side, as a client that does nothing else."""
    slots = asyncio.Semaphore(READERS)

    async def read(kind: str) -> int:
        objects, query = 0, "limit=100&status=all" if kind == "subscriptions" else "limit=100"
        after = ""
        while True:
            async with slots, session.get(f"{url}/v1/{kind}?{query}{after}") as response:
                page = json.loads(await response.read())
            objects += len(page["data"])
            if not page["has_more"]:
                return objects
            after = f"&starting_after={page['data'][-1]['id']}"

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        return sum(await asyncio.gather(*(read(kind) for kind in KINDS)))
