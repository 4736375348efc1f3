"""An import from the simulated Stripe into ClickHouse, through a running `tillstream up`, every part a process.

The reference of the same run is how fast the simulated Stripe gives its lists away to a client that only reads them,
with as many pages under way. Stripe's own limit (about 100 requests a second) is ten thousand objects a second.

All parts share the machine, so beside the speed stands what each took: CPU seconds for a thousand objects.
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

from benchmarks.latency import _SETTINGS, running_up
from embedded.child import die_with_parent

KEY = "sk_live_benchmark"
CHARGES = int(os.environ.get("IMPORT_CHARGES", "10000"))
READERS = 8
ARRIVE_SECONDS = 600


async def measure(charges: int = CHARGES) -> dict[str, float]:
    """Objects a second of both, end to end and into Kafka, and what each part took."""
    with tempfile.TemporaryDirectory() as data:
        stripe = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulator.bulk", "--charges", str(charges)),
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        try:
            assert stripe.stdout is not None
            told = json.loads(await stripe.stdout.readline())
            listed, began = told["objects"], time.perf_counter()
            objects = await _read_all(told["url"], listed)
            bare = objects / (time.perf_counter() - began)
            async with running_up(Path(data) / "up") as runtime:
                used = {"simulated Stripe": psutil.Process(stripe.pid), **_parts(runtime)}
                found = await _import(Path(data) / "up", told["url"], runtime, _rows_of(listed), used)
        finally:
            stripe.kill()
            await stripe.wait()
    assert found["objects"] == objects == sum(listed.values()), (found, listed)
    cpu = {name: value for name, value in found.items() if name.startswith("CPU-s")}
    return {
        "charges": listed["charges"],
        "objects": objects,
        "lists alone, objects per s": bare,
        "into Kafka, objects per s": objects / found["published"],
        "to rows, objects per s": objects / found["arrived"],
        "import, most MB resident": found["resident"] / 1e6,
        "ratio": objects / found["published"] / bare,
        **{f"{name} per 1,000": value / objects * 1_000 for name, value in cpu.items()},
        "CPU-s of all but Stripe per 1,000": (sum(cpu.values()) - cpu["CPU-s simulated Stripe"]) / objects * 1_000,
    }


def _rows_of(listed: dict[str, int]) -> int:
    """Each charge is a payment, each invoice was issued, each refund is one."""
    return listed["charges"] + listed["invoices"] + listed["refunds"]


def _parts(runtime: dict[str, Any]) -> dict[str, psutil.Process]:
    return {name: psutil.Process(role["pid"]) for name, role in runtime["roles"].items()}


async def _import(
    data: Path, stripe: str, runtime: dict[str, Any], rows: int, parts: dict[str, psutil.Process]
) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    settings = {"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": stripe, "TILLSTREAM_STRIPE_RATE": "100000"}
    before, began = {name: _cpu(process) for name, process in parts.items()}, time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillstream", "import", "--json", "--data", str(data)),
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
        while time.monotonic() < deadline and not (  # noqa: ASYNC110 -- nobody tells us
            await _rows(session, runtime) >= rows and await _folded(session, runtime) >= objects
        ):
            await asyncio.sleep(0.5)
    arrived = time.perf_counter() - began
    took = {f"CPU-s {name}": _cpu(process) - before[name] for name, process in parts.items()}
    figures = {"objects": objects, "published": published, "arrived": arrived, "resident": resident}
    return figures | {"CPU-s import": cpu} | took


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _watch(pid: int) -> tuple[float, int]:
    """The process's CPU seconds and its most resident bytes, as last seen."""
    process, cpu, resident = psutil.Process(pid), 0.0, 0
    try:
        while process.status() != psutil.STATUS_ZOMBIE:
            cpu, resident = _cpu(process), max(resident, process.memory_info().rss)
            await asyncio.sleep(0.05)
    except psutil.NoSuchProcess:
        pass
    return cpu, resident


async def _rows(session: aiohttp.ClientSession, runtime: dict[str, Any]) -> int:
    query = f"SELECT count() FROM {runtime['database']}.metrics"
    async with session.post(runtime["clickhouse_url"], data=query) as response:
        return int(await response.text())


async def _folded(session: aiohttp.ClientSession, runtime: dict[str, Any]) -> float:
    """How many objects the processors have taken in."""
    async with session.get(f"{runtime['roles']['process']['health_url']}/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("tillstream_ledger_events_total{"))


async def _read_all(url: str, kinds: dict[str, int]) -> int:
    """Read every list, side by side, as a client that does nothing else."""
    slots = asyncio.Semaphore(READERS)

    async def read(kind: str) -> int:
        objects, after = 0, ""
        while True:
            async with slots, session.get(f"{url}/v1/{kind}?limit=100{after}") as response:
                page = json.loads(await response.read())
            objects += len(page["data"])
            if not page["has_more"]:
                return objects
            after = f"&starting_after={page['data'][-1]['id']}"

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        return sum(await asyncio.gather(*map(read, kinds)))
