"""The door against a bare aiohttp handler that reads the body and answers ok: same server set-up, same load.

Three processes: the driver (with a real broker), one server at a time, and the load. CPU-seconds are the server's own.

    events per CPU-second, at saturation: a closed loop of connections, each posting as soon as it is answered
    p50 and p99 of the answer, at half load: posts on a schedule, at half of what the door took at saturation
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil
import uvloop
from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from embedded.child import die_with_parent, free_port
from embedded.kafka import KafkaProcess
from ingest.app import DoorConfig, create_app, serve
from schemas import topics
from simulator.delivery.sender import sign
from simulator.rendering.objects import event_body
from simulator.world.history import World

SECRET = "whsec_of_the_benchmark"
PATH = "/webhooks/stripe"
CONNECTIONS = 256
SECONDS = 2.0  # of each measurement
ROUNDS = 4
WARM_UP_SECONDS = 1.5
_SHAPES = ("2020-03-02", "2026-09-30.endive")


@dataclass(frozen=True)
class Round:
    """One measurement: 200s a second, 200s per CPU-second of the server, seconds to the 200, and other answers."""

    rate: float
    per_cpu_second: float
    p50: float
    p99: float
    refused: float


# The server's process


async def _read_and_answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(text="ok")


async def _bare(port: int) -> None:
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post(PATH, _read_and_answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def _door(port: int, bootstrap: str) -> None:
    config = DoorConfig({"bootstrap_servers": bootstrap}, {"default": (SECRET,)}, topics.STRIPE_EVENTS.name)
    await serve(create_app(config), "127.0.0.1", port, asyncio.Event())


# The load's process


class _Connection(asyncio.Protocol):
    """Posts one prepared request at a time; as little work as can be, so that the server is what is measured."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bool] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's only looks like one

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if separator and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0]):
            self._received = b""
            assert self._answer is not None
            self._answer.set_result(head.startswith(b"HTTP/1.1 200 "))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server hung up"))

    async def post(self, request: bytes) -> bool:
        """Whether the answer was 200."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


def _requests(count: int) -> list[bytes]:
    """Signed posts of a simulated month's events, in two API shapes."""
    events = World(seed=1, start=1_767_225_600, days=30, customers=count // 10 + 1).events[:count]
    requests = []
    for number, event in enumerate(events):
        body = event_body(event, _SHAPES[number % 2])
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
            f"Accept: */*; q=0.5, application/xml\r\nCache-Control: no-cache\r\nConnection: keep-alive\r\n"
            f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            f"Stripe-Signature: {sign(body, SECRET, int(time.time()))}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


async def _load(port: int, seconds: float, rate: float) -> dict[str, Any]:
    """Post for `seconds`; at `rate` a second in all, or as fast as answers come when it is 0."""
    loop, clock = asyncio.get_running_loop(), time.perf_counter  # uvloop's own clock only knows milliseconds
    requests = _requests(2000)
    connections = [(await loop.create_connection(_Connection, "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
    took: list[float] = []
    refused = 0
    began = clock()

    async def work(number: int, connection: _Connection) -> None:
        nonlocal refused
        turn = number
        while clock() < began + seconds:
            due = began + turn / rate if rate else clock()
            if due > clock():
                await asyncio.sleep(due - clock())
                due = clock()  # a timer's own lateness is the load's, not the server's
            if await connection.post(requests[turn % len(requests)]):
                took.append(clock() - due)
            else:
                refused += 1
            turn += CONNECTIONS

    async with asyncio.timeout(seconds + 20):
        await asyncio.gather(*(work(number, connection) for number, connection in enumerate(connections)))
    elapsed = clock() - began
    for connection in connections:
        connection.close()
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return {"count": len(took), "refused": refused, "seconds": elapsed, "p50": cuts[49], "p99": cuts[98]}


# The driver's process


@contextlib.contextmanager
def _server(kind: str, bootstrap: str) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.door", "serve", kind, str(port), bootstrap],
        preexec_fn=die_with_parent,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid), port
    finally:
        process.kill()
        process.wait()


def _measure(server: psutil.Process, port: int, seconds: float, rate: float = 0) -> Round:
    command = [sys.executable, "-m", "benchmarks.door", "load", str(port), str(seconds), str(rate)]
    before = server.cpu_times()
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60)
    after = server.cpu_times()
    result = json.loads(done.stdout)
    cpu = after.user + after.system - before.user - before.system
    return Round(
        result["count"] / result["seconds"], result["count"] / cpu, result["p50"], result["p99"], result["refused"]
    )


def _warm_up(server: psutil.Process, port: int) -> None:
    """Wait until it listens and answers ok, then let it run for a moment."""
    deadline = time.monotonic() + 30
    while True:
        try:
            _measure(server, port, WARM_UP_SECONDS)
            return
        except subprocess.CalledProcessError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server does not answer: {error.stderr[-2000:]}") from error


def _median(rounds: list[Round]) -> Round:
    """Each figure's own median."""
    return Round(*(statistics.median(getattr(r, name) for r in rounds) for name in Round.__dataclass_fields__))


async def measure() -> dict[str, float]:
    """The figures by name; takes about a minute."""
    with tempfile.TemporaryDirectory() as directory:
        async with KafkaProcess(Path(directory)) as kafka:
            admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
            await admin.start()
            topic = topics.STRIPE_EVENTS
            await admin.create_topics([NewTopic(topic.name, topics.PARTITIONS, 1, topic_configs=topic.config)])
            await admin.close()
            return await asyncio.to_thread(_compare, kafka.bootstrap)


def _compare(bootstrap: str) -> dict[str, float]:
    with _server("door", bootstrap) as door, _server("bare", bootstrap) as bare:
        _warm_up(*door)
        _warm_up(*bare)
        # In turns, so that whatever else the machine does meets both.
        full = [(_measure(*door, SECONDS), _measure(*bare, SECONDS)) for _ in range(ROUNDS)]
        door_full, bare_full = (_median(list(rounds)) for rounds in zip(*full, strict=True))
        rate = door_full.rate / 2
        half = [(_measure(*door, SECONDS, rate), _measure(*bare, SECONDS, rate)) for _ in range(ROUNDS)]
        door_half, bare_half = (_median(list(rounds)) for rounds in zip(*half, strict=True))
    return {
        "door_events_per_cpu_second": door_full.per_cpu_second,
        "bare_events_per_cpu_second": bare_full.per_cpu_second,
        "ratio_per_cpu_second": door_full.per_cpu_second / bare_full.per_cpu_second,
        "door_events_per_second": door_full.rate,
        "bare_events_per_second": bare_full.rate,
        "half_load_events_per_second": rate,
        "door_refused": door_full.refused + door_half.refused,
        "door_p50_ms": door_half.p50 * 1000,
        "door_p99_ms": door_half.p99 * 1000,
        "bare_p50_ms": bare_half.p50 * 1000,
        "bare_p99_ms": bare_half.p99 * 1000,
        "ratio_p50": door_half.p50 / bare_half.p50,
        "ratio_p99": door_half.p99 / bare_half.p99,
    }


def _main() -> None:
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("serve")
    server.add_argument("kind", choices=("door", "bare"))
    server.add_argument("port", type=int)
    server.add_argument("bootstrap")
    load = roles.add_parser("load")
    load.add_argument("port", type=int)
    load.add_argument("seconds", type=float)
    load.add_argument("rate", type=float)
    given = parser.parse_args()
    if given.role == "load":
        print(json.dumps(uvloop.run(_load(given.port, given.seconds, given.rate))))
    elif given.kind == "door":
        uvloop.run(_door(given.port, given.bootstrap))
    else:
        uvloop.run(_bare(given.port))


if __name__ == "__main__":
    _main()
