"""What `TILLSTREAM_FLUSH=on` costs: the same events through two `up`, one of which waits for the disk.

The reference of the same run is the one that doesn't.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.latency import Run, payments, running_up

RATE = 100.0  # events a second
AT_ONCE = 64  # connections, when as much is sent as the door takes
MANY = 3_000  # events then


class _Patient(Run):
    """Sends an event again that was refused, as Stripe does; its time to the answer begins anew."""

    refused = 0

    async def post(self, charge: str, body: bytes) -> None:
        while True:
            try:
                await super().post(charge, body)
            except aiohttp.ClientResponseError:
                self.refused += 1
                await asyncio.sleep(0.05)
            else:
                return


async def _measure(flush: str, found: list[tuple[str, bytes]]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        async with (
            running_up(Path(directory) / "data", TILLSTREAM_FLUSH=flush) as runtime,
            aiohttp.ClientSession() as session,
        ):
            warm_up, run, rush = (_Patient(session, runtime, RATE) for _ in range(3))
            await asyncio.gather(warm_up.send(found[:40]), warm_up.watch(40))
            run.seen = dict.fromkeys(warm_up.posted, 0.0)
            before = _cpu_seconds(runtime)
            await asyncio.gather(run.send(found[40:]), run.watch(len(found)))
            spent = {name: after - before[name] for name, after in _cpu_seconds(runtime).items()}
            bodies = _others(found, MANY)
            began = time.perf_counter()
            await asyncio.gather(*(_post_all(rush, bodies) for _ in range(AT_ONCE)))
            took = time.perf_counter() - began
    rows = [run.seen[charge] - posted for charge, posted in run.posted.items()]
    sent = len(run.posted)
    return {
        "answer_p50_ms": _quantile(run.answers, 50),
        "answer_p99_ms": _quantile(run.answers, 99),
        "row_p50_ms": _quantile(rows, 50),
        "row_p99_ms": _quantile(rows, 99),
        "cpu_ms_kafka": spent["kafka"] / sent * 1000,
        "cpu_ms_clickhouse": spent["clickhouse"] / sent * 1000,
        "cpu_ms_all": sum(spent.values()) / sent * 1000,
        "most_events_per_s": MANY / took,
    }


def _others(found: list[tuple[str, bytes]], count: int) -> Iterator[tuple[str, bytes]]:
    """As many events of the same size, with ids of their own."""
    for number in range(count):
        charge, body = found[number % len(found)]
        event = json.loads(body)
        event["id"] = event["data"]["object"]["id"] = f"{charge}x{number}"
        yield event["id"], json.dumps(event).encode()


async def _post_all(run: _Patient, bodies: Iterator[tuple[str, bytes]]) -> None:
    for charge, body in bodies:
        await run.post(charge, body)


def _cpu_seconds(runtime: dict[str, Any]) -> dict[str, float]:
    """By part; all but this process."""
    parts = {name: role["pid"] for name, role in runtime["roles"].items()}
    times = {name: psutil.Process(pid).cpu_times() for name, pid in parts.items()}
    return {name: spent.user + spent.system for name, spent in times.items()}


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] * 1000


async def measure() -> dict[str, float]:
    """The medians of both by name, and their ratios; takes about five minutes."""
    found = payments()
    rounds: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
    for flush in ("off", "on", "on", "off", "off", "on"):  # in turns: what else the machine does concerns both
        rounds[flush].append(await _measure(flush, found))
    of = {
        flush: {name: statistics.median(one[name] for one in each) for name in each[0]}
        for flush, each in rounds.items()
    }
    figures = {f"{flush}_{name}": value for flush, each in of.items() for name, value in each.items()}
    return figures | {f"ratio_{name}": value / of["off"][name] for name, value in of["on"].items()}
