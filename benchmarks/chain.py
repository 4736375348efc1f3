"""What an event costs and how soon it is queryable, through a running `tillstream up` and beside a peer.

At saturation (as fast as 32 connections get their answers), at half of that, at 100 events a second, and at rest. CPU
is that of each process by the kernel's account, until rows and raw events are in; what sends and asks is not in it.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from benchmarks.latency import SECRET, running_up
from benchmarks.load import Answers, Load, bodies
from benchmarks.peer import missing, running_peer

MANY = int(os.environ.get("CHAIN_EVENTS", "12000"))  # at saturation; a quarter of it before, to warm up
CONNECTIONS = 32
RATE = 100.0  # events a second, a shop's
RATE_SECONDS, FRESH_SECONDS, IDLE_SECONDS = 12, 8, 8
ROLES = ("ingest", "process", "engage", "sink")
_LOOK_SECONDS = 0.02  # between two looks at how many rows there are
_ARRIVE_SECONDS = 60
_TICK = os.sysconf("SC_CLK_TCK")

Count = Callable[[], Awaitable[int]]


class Side:
    """One of the two that are compared: `rows` counts what is queryable, `all_in` whatever comes of the events."""

    def __init__(self, load: Load, processes: Mapping[str, int], rows: Count, all_in: Count) -> None:
        self._load, self._processes, self._rows, self._all_in = load, processes, rows, all_in
        self._events: Iterator[bytes] = bodies()
        self._sent = 0

    def _take(self, count: int) -> list[bytes]:
        self._sent += count
        return list(islice(self._events, count))

    async def saturated(self, count: int) -> dict[str, float]:
        """`count` events as fast as they are taken; asked for rows only when all are sent."""
        events, before, began = self._take(count), cpu(self._processes), time.perf_counter()
        answers = await self._load.at_once(events, CONNECTIONS)
        await self._until(self._rows)
        queryable = time.perf_counter() - began
        await self._until(self._all_in)
        return {
            "accepted_per_s": count / answers.seconds,
            "queryable_per_s": count / queryable,
            **_answered(answers),
            **_spent(before, cpu(self._processes), count),
        }

    async def steady(self) -> dict[str, float]:
        """The cost at `RATE`; nobody asks for rows meanwhile."""
        events, before, answers = self._take(int(RATE * RATE_SECONDS)), cpu(self._processes), Answers()
        await self._load.at(RATE, events, answers)
        spent = _spent(before, cpu(self._processes), len(events))
        await self._until(self._all_in)
        return _answered(answers) | spent

    async def fresh(self, rate: float) -> dict[str, float]:
        """Seconds from the POST until as many rows are queryable as were posted, at `rate`."""
        before, answers = self._sent, Answers()
        events = self._take(int(rate * FRESH_SECONDS))
        sending = asyncio.create_task(self._load.at(rate, events, answers))
        fresh: list[float] = []
        async with asyncio.timeout(FRESH_SECONDS + _ARRIVE_SECONDS):
            while len(fresh) < len(events):
                rows = await self._rows() - before
                now = time.perf_counter()
                fresh += [now - answers.began[number] for number in range(len(fresh), rows)]
                await asyncio.sleep(_LOOK_SECONDS)
        await sending
        await self._until(self._all_in)
        return {"fresh_p50_ms": _cut(fresh, 50), "fresh_p99_ms": _cut(fresh, 99)} | _answered(answers)

    async def idle(self) -> dict[str, float]:
        """Cores in use when nothing comes."""
        await asyncio.sleep(2)
        before = cpu(self._processes)
        await asyncio.sleep(IDLE_SECONDS)
        spent = {name: (after - before[name]) / IDLE_SECONDS for name, after in cpu(self._processes).items()}
        return {f"cores_{name}": cores for name, cores in spent.items()} | {"cores": sum(spent.values())}

    async def _until(self, count: Count) -> None:
        async with asyncio.timeout(_ARRIVE_SECONDS):
            while await count() < self._sent:  # noqa: ASYNC110 -- others' rows
                await asyncio.sleep(_LOOK_SECONDS)


async def measure() -> dict[str, float]:
    """The figures by name; takes two to three minutes."""
    found = {f"{name}_{figure}": value for name, values in (await ours()).items() for figure, value in values.items()}
    if reason := missing():
        print(f"without the peer: {reason}")
        return found
    peer = await theirs()
    found |= {f"peer_{name}_{figure}": value for name, values in peer.items() for figure, value in values.items()}
    for figure in ("queryable_per_s", "p99_ms", "cpu_ms"):
        found[f"ratio_{figure}"] = found[f"saturated_{figure}"] / found[f"peer_saturated_{figure}"]
    return found


async def ours() -> dict[str, dict[str, float]]:
    """The figures of `up`."""
    with tempfile.TemporaryDirectory() as directory:
        async with running_up(Path(directory) / "data") as runtime, aiohttp.ClientSession() as session:
            door = URL(runtime["http_url"])
            load = Load(door.host or "", door.port or 0, "/webhooks/stripe", SECRET)

            async def count(table: str) -> int:
                parameters = {"database": runtime["database"], "query": f"SELECT count() FROM {table}"}
                async with session.get(runtime["clickhouse_url"], params=parameters) as answer:
                    answer.raise_for_status()
                    return int(await answer.text())

            async def rows() -> int:
                return await count("metric_rows")

            async def all_in() -> int:
                return min(await rows(), await count("stripe_event_rows"))

            side = Side(load, _processes(runtime), rows, all_in)
            try:
                return await _phases(side)
            finally:
                load.close()


async def theirs() -> dict[str, dict[str, float]]:
    """The peer's figures."""
    with tempfile.TemporaryDirectory() as directory:
        async with running_peer(Path(directory), SECRET) as (port, processes), aiohttp.ClientSession() as session:
            load = Load("127.0.0.1", port, "/", SECRET)

            async def rows() -> int:
                async with session.get(f"http://127.0.0.1:{port}/") as answer:
                    return int(await answer.text())

            try:
                return await _phases(Side(load, processes, rows, rows))
            finally:
                load.close()


async def _phases(side: Side) -> dict[str, dict[str, float]]:
    await side.saturated(MANY // 4)
    found = {"saturated": await side.saturated(MANY)}
    found["at_half"] = await side.fresh(found["saturated"]["queryable_per_s"] / 2)
    found["at_100"] = await side.steady()
    found["at_100"] |= {name: value for name, value in (await side.fresh(RATE)).items() if name.startswith("fresh")}
    found["idle"] = await side.idle()
    return found


def cpu(processes: Mapping[str, int]) -> dict[str, float]:
    """CPU-seconds so far of each of `processes` with its children; a child that is named counts only for itself."""
    stats: dict[int, tuple[int, float]] = {}  # the parent, and the seconds
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        stats[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / _TICK
    names = {pid: name for name, pid in processes.items()}
    spent = dict.fromkeys(processes, 0.0)
    for pid, (_, seconds) in stats.items():
        above = pid
        while above not in names and above in stats:
            above = stats[above][0]
        if above in names:
            spent[names[above]] += seconds
    return spent


def _processes(runtime: Mapping[str, Any]) -> dict[str, int]:
    named = {name: runtime["roles"][name]["pid"] for name in ROLES}
    return named | {"kafka": runtime["kafka_pid"], "clickhouse": runtime["clickhouse_pid"], "others": runtime["pid"]}


def _spent(before: Mapping[str, float], after: Mapping[str, float], events: int) -> dict[str, float]:
    each = {f"cpu_ms_{name}": (after[name] - before[name]) / events * 1000 for name in before}
    return each | {"cpu_ms": sum(each.values())}


def _answered(answers: Answers) -> dict[str, float]:
    return {"p50_ms": _cut(answers.took, 50), "p99_ms": _cut(answers.took, 99), "refused": answers.refused}


def _cut(seconds: list[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000
