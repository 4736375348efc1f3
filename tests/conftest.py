"""What every test may use: the real broker, the real engine, and a way to wait for something to become true.

Both services run once a session, on free ports and in temporary directories; tests keep out of each other's way by
`topic_prefix` and `database`.
"""

import asyncio
import contextlib
import inspect
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import clickhouse_connect
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from clickhouse_connect.driver.client import Client
from hypothesis import settings
from stripe import AIOHTTPClient, StripeClient
from xdist.scheduler import LoadFileScheduling

from embedded.child import die_with_parent
from embedded.clickhouse.logins import READER, Logins, logins
from embedded.kafka import KafkaProcess
from schemas import topics
from schemas.addresses import with_login
from simulator.api.virtual import VirtualStripe
from simulator.server import StripeServer
from simulator.world.history import World

EXAMPLES = {"quick": 50, "usual": 250, "many": 2_000, "torture": 100_000}  # `make check`, `make test`, .ci/run after it
for name, examples in EXAMPLES.items():
    settings.register_profile(name, max_examples=examples, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: what tests start must hear a Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

T = TypeVar("T")
MakeTopics = Callable[..., Awaitable[None]]
RunStripe = Callable[..., Awaitable["RunningStripe"]]
DAY = 86_400
E2E = Path(__file__).with_name("e2e")
ON_ONE_WORKER = "tests/e2e/shared/"  # its tests share one `up`


def unit(nodeid: str) -> str:
    """What goes to one worker as a whole: a file, or the folder of those that share one `up`."""
    file = nodeid.partition("::")[0]
    return ON_ONE_WORKER if file.startswith(ON_ONE_WORKER) else file


class _ByUnit(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `--dist loadfile`."""
    return _ByUnit(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what stands in tests/e2e, and begins with what takes long: the short ones fill the gaps at the end."""
    for item in items:
        if item.path.is_relative_to(E2E):
            item.add_marker("e2e")
    long = {unit(item.nodeid) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: unit(item.nodeid) not in long)


async def eventually(
    predicate: Callable[[], T | Awaitable[T]], deadline: float = 60, interval: float | None = None
) -> T:
    """Calls `predicate` (sync or async) until it gives something true, and returns that.

    Between two calls `interval` seconds pass; by default the more, the longer it takes and the longer a call took, so
    that who waits leaves the machine to those waited for.
    Raises AssertionError with the last value, or the last exception, after `deadline` seconds.
    """
    began = time.monotonic()
    while True:
        last: Any
        asked = time.monotonic()
        try:
            last = predicate()
            if inspect.isawaitable(last):
                last = await last
            if last:
                return last  # type: ignore[no-any-return]
        except Exception as error:
            last = error
        now = time.monotonic()
        if now > began + deadline:
            cause = last if isinstance(last, Exception) else None
            raise AssertionError(f"still {last!r} after {deadline} s") from cause
        seldom = max(0.02, min(0.4, (now - began) / 20), min(2.0, now - asked))
        await asyncio.sleep(seldom if interval is None else interval)


def waits(pid: int) -> dict[int, float]:
    """By thread of a process, how many seconds it has waited for a core that others had; nothing but on Linux."""
    found = {}
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # it has ended
            found[int(path.parent.name)] = int(path.read_text("ascii").split()[1]) / 1e9
    return found


@dataclass
class Took:
    """`seconds`: how long it took, less the `late` seconds that a busy machine was late with anything at all."""

    seconds: float = 0.0
    late: float = 0.0


@contextlib.asynccontextmanager
async def timed() -> AsyncIterator[Took]:
    """What is inside, whose time is known afterwards."""
    took, us = Took(), os.getpid()

    async def watch() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.05)
            took.late += time.monotonic() - began - 0.05

    before, watching, began = waits(us), asyncio.create_task(watch()), time.monotonic()
    try:
        yield took
        seconds = time.monotonic() - began
        beside = (waited - before.get(thread, 0.0) for thread, waited in waits(us).items() if thread != us)
        took.late += max(beside, default=0.0)  # what the loop waits for in a thread
        took.seconds = seconds - took.late
    finally:
        watching.cancel()


@contextlib.asynccontextmanager
async def soon(seconds: float) -> AsyncIterator[None]:
    """What is inside takes less."""
    async with timed() as took:
        yield
    assert took.seconds < seconds, took


@pytest.fixture
def nobody() -> Iterator[str]:
    """`127.0.0.1:PORT` where nobody answers: the port is held, and not listened to, so that nobody can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*held.getsockname())


@dataclass
class ClickHouseServer:
    """A running `python -m embedded.clickhouse`."""

    process: subprocess.Popen[bytes]
    port: int
    host: str = "127.0.0.1"

    logins: Logins = field(default_factory=lambda: Logins("", ""))

    @property
    def url(self) -> str:
        """`http://default:PASSWORD@HOST:PORT`: all that a client needs."""
        return with_login(f"http://{self.host}:{self.port}", "default", self.logins.password)

    @property
    def reader_url(self) -> str:
        """The same, of the user who may only read."""
        return with_login(f"http://{self.host}:{self.port}", READER, self.logins.reader_password)


async def start_clickhouse(data: Path, *args: str) -> ClickHouseServer:
    """Starts the engine's server on any free port and waits until it has announced it; the caller stops it."""
    announced = data / "http_port"
    announced.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "embedded.clickhouse", "--data", str(data), "--port", "0", *args],
        preexec_fn=die_with_parent,
    )

    def port() -> int:
        assert process.poll() is None, f"the server ended with exit code {process.returncode}"
        return int(announced.read_text())

    try:
        return ClickHouseServer(process, await eventually(port, deadline=180), logins=logins(data))
    except BaseException:
        process.kill()
        process.wait()
        raise


def stop(server: ClickHouseServer) -> None:
    """Ends the server cleanly."""
    server.process.terminate()
    try:
        server.process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
        raise


@pytest.fixture(scope="session")
async def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaProcess]:
    """The session's broker. A test that kills or restarts a broker runs one of its own."""
    async with KafkaProcess(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka_broker: KafkaProcess) -> str:
    """`127.0.0.1:PORT`."""
    return kafka_broker.bootstrap


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of topic names that no other test has, such as `t3f9a1c.`."""
    return f"t{secrets.token_hex(3)}."


@pytest.fixture
def make_topics(kafka_bootstrap: str) -> MakeTopics:
    """`await make_topics(prefix)` creates every topic of `schemas.topics.ALL`; `partitions=2` unless told otherwise."""

    async def make(prefix: str, partitions: int = 2) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        await admin.start()
        try:
            wanted = [
                NewTopic(topics.full_name(topic, prefix), partitions, 1, topic_configs=topic.config)
                for topic in topics.ALL
            ]
            answer = await admin.create_topics(wanted)
            failed = [error for error in answer.topic_errors if error[1]]
            assert not failed, failed
        finally:
            await admin.close()

    return make


@pytest.fixture(scope="session")
async def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClickHouseServer]:
    """The session's engine; its `url` has the login; `reader_url`, `host`, `port`."""
    server = await start_clickhouse(tmp_path_factory.mktemp("clickhouse"))
    yield server
    stop(server)


@pytest.fixture(scope="session")
def clickhouse(clickhouse_server: ClickHouseServer) -> Iterator[Client]:
    """clickhouse-connect's sync client, in the database `default`; one query at a time."""
    client = clickhouse_connect.get_client(dsn=clickhouse_server.url)
    yield client
    client.close()


@pytest.fixture
def database(clickhouse: Client) -> Iterator[str]:
    """The name of a new database, dropped after the test."""
    name, usual = f"t_{secrets.token_hex(4)}", clickhouse.database
    clickhouse.command(f"CREATE DATABASE {name}")
    yield name
    clickhouse.database = usual  # a test may have made the new one the client's own
    clickhouse.command(f"DROP DATABASE {name} SYNC")


@dataclass
class RunningStripe:
    """A simulated Stripe behind HTTP.

    `stripe` has its clock (`await stripe.advance(seconds)`), faults, webhooks, keys and accounts; `world` the truth.
    """

    url: str
    stripe: VirtualStripe
    world: World
    closing: contextlib.AsyncExitStack

    def client(self, key: str = "sk_live_simulated") -> StripeClient:
        """stripe-python's client for it, which tries each request once."""
        http = AIOHTTPClient()
        self.closing.push_async_callback(http.close_async)
        return StripeClient(key, base_addresses={"api": self.url}, max_network_retries=0, http_client=http)


@pytest.fixture
async def run_stripe() -> AsyncIterator[RunStripe]:
    """`await run_stripe(world, timezone=…)` serves that world until the test ends."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(world: World, **options: Any) -> RunningStripe:
            stripe = VirtualStripe(world, **options)
            return RunningStripe(await stack.enter_async_context(StripeServer(stripe)), stripe, world, stack)

        yield run


@pytest.fixture
async def stripe_api(run_stripe: RunStripe) -> RunningStripe:
    """A live account with a month of history up to now, all event types, and two more weeks to come."""
    now = int(time.time())
    world = World(1, now - 30 * DAY, days=44, customers=60, extended=True, until=now)
    return await run_stripe(world)
