"""`tillstream` as a user runs it: a process of its own, on free ports and in a temporary directory."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from schemas import topics
from simulator.delivery.sender import sign
from streams.kafka import Admin
from streams.reading import reader
from tests.conftest import eventually, waits
from tests.shapes import differences

SECRET = "whsec_of_the_tests"
ANY_PORTS = [f"--{name}-port=0" for name in ("http", "console", "kafka", "clickhouse")]
PARTS = ("kafka", "clickhouse", "sink", "process", "ingest", "connector", "console")
READY_SECONDS = 240
PROCESSED = (topics.STRIPE_EVENTS, topics.LEDGER_TRANSFERS, topics.LEDGER_PEOPLE)
STORED = (topics.STRIPE_EVENTS, *topics.METRICS.values(), topics.PROFILES, topics.DEAD_LETTERS)


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without any setting of Tillstream but that ports are free ones, plus `extra`."""
    ours = ("TILLSTREAM_", "STRIPE_", "KAFKA_", "CLICKHOUSE_", "SMTP_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**inherited, "TILLSTREAM_ENGAGE_PORT": "0", **extra}


def tillstream(*arguments: str | Path, env: Mapping[str, str] | None = None, seconds: float = 120) -> Any:
    """Run one command to its end; gives the CompletedProcess with text output. JSON must be as docs/cli.md says."""
    command = [sys.executable, "-m", "tillstream", *map(str, arguments)]
    done = subprocess.run(
        command, env=environment() if env is None else env, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert "--json" not in arguments or not differences(arguments, done.stdout), differences(arguments, done.stdout)
    return done


async def tillstream_async(*arguments: str | Path, env: Mapping[str, str] | None = None, seconds: float = 120) -> Any:
    """The same, with the event loop left free."""
    return await asyncio.to_thread(tillstream, *arguments, env=env, seconds=seconds)


@dataclass
class RunningUp:
    """A running `tillstream up`."""

    data: Path
    env: dict[str, str] = field(default_factory=lambda: environment(STRIPE_WEBHOOK_SECRET=SECRET))
    arguments: list[str] = field(default_factory=lambda: list(ANY_PORTS))
    ready_after: float = 0.0
    waited: float = 0.0  # seconds of these that its processes waited for a core
    http_url: str = ""  # as soon as it was known: the file that says it may be gone on a full disk

    async def start(self, *, until_ready: bool = True) -> "RunningUp":
        """Start it; with `until_ready`, wait until runtime.json says so."""
        self.data.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tillstream", "up", "--data", str(self.data), *self.arguments],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        while until_ready and not self.runtime().get("ready"):
            assert self.process.poll() is None, f"`up` ended:\n{self.said()}"
            assert time.monotonic() < began + READY_SECONDS, f"not ready: {self.runtime()}\n{self.said()}"
            await asyncio.sleep(0.05)
        self.ready_after = time.monotonic() - began
        self.waited = sum(self.waits().values())
        return self

    @property
    def output(self) -> Path:
        """Everything that `up` printed."""
        return self.data.parent / f"{self.data.name}.out"

    def said(self) -> str:
        """The end of it."""
        return self.output.read_text("utf-8", "replace")[-4000:]

    def runtime(self) -> dict[str, Any]:
        """runtime.json now; {} when there is none."""
        try:
            content: dict[str, Any] = json.loads((self.data / "runtime.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        self.http_url = content.get("http_url", self.http_url)
        return content

    def family(self) -> list[psutil.Process]:
        """`up` itself and every process below it."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def waits(self) -> dict[int, float]:
        """By pid, how many seconds a thread of the process has waited for a core that others had, at most."""
        return {each.pid: max(waits(each.pid).values(), default=0.0) for each in self.family()}

    async def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 120) -> int:
        """Ctrl-C, and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return await asyncio.to_thread(self.process.wait, seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"`up` did not end within {seconds} s:\n{self.said()}") from None


async def send_event(running: RunningUp, event_id: str, *, padding: int = 0) -> int:
    """Post one signed event, of a customer of its own, to the door; the status of its answer."""
    customer = {
        "id": f"cus_{event_id}",
        "object": "customer",
        "email": f"{event_id}@example.com",
        "name": "x" * padding,
    }
    event = {
        "id": event_id,
        "object": "event",
        "type": "customer.created",
        "created": int(time.time()),
        "livemode": True,
        "api_version": "2026-10-28.endive",
        "data": {"object": customer | {"created": int(time.time()), "livemode": True}},
    }
    body = json.dumps(event).encode()
    url = f"{running.http_url}/webhooks/stripe"
    headers = {"Stripe-Signature": sign(body, SECRET, int(time.time()))}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, data=body, headers=headers) as got:
        return got.status


async def deliver(running: RunningUp, event_id: str, *, padding: int = 0) -> None:
    """The same as Stripe does it: again until it is taken, since Kafka has 0.9 s to acknowledge it."""

    async def taken() -> bool:
        return await send_event(running, event_id, padding=padding) == 200

    await eventually(taken)


async def settled(bootstrap: str, prefix: str = "", sink: str = "tillstream-sink", seconds: float = 240) -> None:
    """Return once everything is processed and stored. Outputs come before commits, so one look is proof."""
    kafka = {"bootstrap_servers": bootstrap}
    groups = {f"{prefix}tillstream": PROCESSED, prefix + sink: STORED}

    async def all_done() -> bool:
        async with Admin(kafka) as admin, reader(kafka) as consumer:
            done = {group: await admin.committed(group) for group in groups}
            for group, read in groups.items():
                places = await admin.partitions(*(prefix + topic.name for topic in read))
                ends = await consumer.end_offsets(places)
                if any(done[group].get(place, 0) < end for place, end in ends.items()):
                    return False
        return True

    await eventually(all_done, deadline=seconds, interval=0.25)
