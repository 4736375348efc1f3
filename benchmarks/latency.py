"""Seconds from a webhook's POST to its row in ClickHouse, through a running `tillstream up`.

The reference of the same run is what the measuring itself costs: one query, and the door's answer.
"""

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from embedded.child import die_with_parent
from simulator.delivery.sender import sign
from simulator.rendering.objects import event_body
from simulator.world.history import World

SECRET = "whsec_of_the_benchmark"
EVENTS = 600
RATE = 40.0  # events a second
READY_SECONDS = 90
ARRIVE_SECONDS = 60
_QUERY = "SELECT charge_id FROM metrics WHERE metric = 'Successfully Paid' FORMAT TSV"
_PROGRAM = [sys.executable, "-m", "tillstream", "up"]
_ANY_PORTS = [f"--{name}-port=0" for name in ("http", "console", "kafka", "clickhouse")]
_SETTINGS = ("TILLSTREAM_", "STRIPE_", "KAFKA_", "CLICKHOUSE_", "SMTP_")


@contextlib.asynccontextmanager
async def running_up(data: Path, **settings: str) -> AsyncIterator[dict[str, Any]]:
    """A running `up`; gives its runtime.json."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    with (data.parent / "up.out").open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 -- die_with_parent ties it to the loop's thread
            [*_PROGRAM, "--data", str(data), *_ANY_PORTS],
            env=environment | {"STRIPE_WEBHOOK_SECRET": SECRET} | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
    try:
        yield await _ready(data, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            await asyncio.to_thread(process.wait, 60)
        except subprocess.TimeoutExpired:
            process.kill()


async def _ready(data: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            runtime: dict[str, Any] = json.loads((data / "runtime.json").read_text())
            if runtime["ready"]:
                return runtime
        await asyncio.sleep(0.05)
    raise RuntimeError(f"`up` is not ready:\n{(data.parent / 'up.out').read_text()[-2000:]}")


def payments() -> list[tuple[str, bytes]]:
    """Charge id and event body of payments, each of which makes one row."""
    world = World(seed=1, start=int(time.time()) - 31 * 86_400, days=30, customers=EVENTS)
    found: dict[str, bytes] = {}
    for event in world.events:
        if event.type == "charge.succeeded":
            body = event_body(event, "2020-03-02")
            charge = json.loads(body)["data"]["object"]
            if charge["captured"] and charge["paid"]:
                found.setdefault(charge["id"], body)
    return list(found.items())[:EVENTS]


class Run:
    """What the sender and the watcher share; all times are of one clock."""

    def __init__(self, session: aiohttp.ClientSession, runtime: dict[str, Any], rate: float = RATE) -> None:
        """`rate`: events a second."""
        self._session = session
        self._rate = rate
        self._door = f"{runtime['http_url']}/webhooks/stripe"
        self._clickhouse = runtime["clickhouse_url"]
        self._parameters = {"database": runtime["database"]}
        self.posted: dict[str, float] = {}
        self.seen: dict[str, float] = {}
        self.answers: list[float] = []
        self.queries: list[float] = []

    async def send(self, paid: list[tuple[str, bytes]]) -> None:
        """Post each when its time has come, whatever became of those before."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as posts:
            for number, (charge, body) in enumerate(paid):
                await asyncio.sleep(began + number / self._rate - time.perf_counter())
                posts.create_task(self.post(charge, body))

    async def post(self, charge: str, body: bytes) -> None:
        """One event, signed; raises for any other answer than 200."""
        began = self.posted[charge] = time.perf_counter()
        headers = {"Stripe-Signature": sign(body, SECRET, int(time.time()))}
        async with self._session.post(self._door, data=body, headers=headers) as answer:
            answer.raise_for_status()
            self.answers.append(time.perf_counter() - began)

    async def watch(self, count: int) -> None:
        """Query until every row is there."""
        async with asyncio.timeout(count / self._rate + ARRIVE_SECONDS):
            while len(self.seen) < count:
                began = time.perf_counter()
                async with self._session.post(self._clickhouse, params=self._parameters, data=_QUERY) as answer:
                    answer.raise_for_status()
                    rows = (await answer.text()).split()
                now = time.perf_counter()
                self.queries.append(now - began)
                for charge in rows:
                    self.seen.setdefault(charge, now)
                await asyncio.sleep(0.01)


async def measure() -> dict[str, float]:
    """The figures by name; takes about a minute."""
    paid = payments()
    with tempfile.TemporaryDirectory() as directory:
        async with running_up(Path(directory) / "data") as runtime, aiohttp.ClientSession() as session:
            warm_up, run = Run(session, runtime), Run(session, runtime)
            await asyncio.gather(warm_up.send(paid[:40]), warm_up.watch(40))
            run.seen = dict.fromkeys(warm_up.posted, 0.0)
            await asyncio.gather(run.send(paid[40:]), run.watch(len(paid)))
    took = [run.seen[charge] - posted for charge, posted in run.posted.items()]
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    query, answer = statistics.median(run.queries), statistics.median(run.answers)
    return {
        "events_per_second": RATE,
        "post_to_row_p50_ms": cuts[49] * 1000,
        "post_to_row_p99_ms": cuts[98] * 1000,
        "one_query_p50_ms": query * 1000,
        "door_answer_p50_ms": answer * 1000,
        "ratio_p50_to_query_and_answer": cuts[49] / (query + answer),
    }
