"""The parts: each a process that is started again when it ends, as a supervisor does."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from embedded.child import die_with_parent, free_port
from embedded.clickhouse.logins import logins
from embedded.kafka import command, wait_ready
from schemas.addresses import with_login
from tests.conftest import eventually
from tests.e2e.running import SECRET, environment, tillstream_async
from tests.torture.proxy import FaultProxy

_STATE = 64  # MiB of the small disk that one processor has, where one can be had
WORKERS = {"ingest": 2, "process": 3, "engage": 2, "sink": 2}
SUPERVISED_SECONDS = 0.5  # until what has ended is started again


@dataclass
class Part:
    """One process. `arguments` gives the command line anew at each start."""

    name: str
    arguments: Sequence[str]
    env: dict[str, str]
    output: Path
    state: Path | None = None  # its data directory, where it keeps something
    starts: int = 0
    process: asyncio.subprocess.Process | None = None
    codes: list[int] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    older: Path | None = None

    async def supervise(self) -> None:
        """Have it run for as long as this does."""
        self.may_start.set()
        try:
            while True:
                await self.may_start.wait()
                with self.output.open("ab") as output:
                    self.process = await asyncio.create_subprocess_exec(
                        *self.arguments, env=self.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                        preexec_fn=die_with_parent,
                    )  # fmt: skip
                self.starts += 1
                self.ended.clear()
                self.codes.append(await self.process.wait())
                self.ended.set()
                assert self.codes[-1] != 2, f"{self.name} needs a person:\n{self.said()}"
                await asyncio.sleep(SUPERVISED_SECONDS)
        finally:
            if self.process is not None and self.process.returncode is None:
                self.signal(signal.SIGCONT)
                self.process.kill()
                await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """To it, if it is there."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    def said(self) -> str:
        """The end of what it printed."""
        return self.output.read_text("utf-8", "replace")[-3000:]

    async def pause(self, seconds: float) -> None:
        """SIGSTOP: a slow machine, a long collection of garbage."""
        self.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.signal(signal.SIGCONT)

    async def kill(self, away: float = 0.0) -> None:
        """SIGKILL; `away` seconds later it may start again."""
        self.may_start.clear()
        self.signal(signal.SIGKILL)
        await asyncio.sleep(away)
        self.may_start.set()

    async def set_back(self) -> None:
        """Kill it, and have it start on an older copy of its state; the next time, on a copy of now."""
        assert self.state is not None
        self.may_start.clear()
        self.signal(signal.SIGKILL)
        await self.ended.wait()
        copy = self.state.with_name(f"{self.state.name}.copy{self.starts}")
        await asyncio.to_thread(shutil.copytree, self.state, copy)
        if self.older is not None:
            for each in self.state.iterdir():  # not itself: it may be a mount
                await asyncio.to_thread(shutil.rmtree if each.is_dir() else os.unlink, each)
            await asyncio.to_thread(shutil.copytree, self.older, self.state, dirs_exist_ok=True)
            await asyncio.to_thread(shutil.rmtree, self.older)
        self.older = copy
        self.may_start.set()


@dataclass
class Stack:
    """All parts, and how they are reached."""

    parts: dict[str, Part]
    proxy: FaultProxy
    bootstrap: str
    clickhouse: str
    doors: list[str]
    small_disk: Path | None

    def starts(self) -> int:
        """How often any part was started again."""
        return sum(part.starts - 1 for part in self.parts.values())


@asynccontextmanager
async def stack(directory: Path, env: dict[str, str], rng: random.Random) -> AsyncIterator[Stack]:
    """Everything runs, and is ready."""
    kafka_port, ports = free_port(), [free_port() for _ in range(WORKERS["ingest"])]
    async with AsyncExitStack() as exits:
        proxy = await exits.enter_async_context(FaultProxy(kafka_port, free_port(), rng))
        bootstrap = f"127.0.0.1:{proxy.port}"
        parts: dict[str, Part] = {}
        tasks = await exits.enter_async_context(_Supervised())

        def start(name: str, arguments: Sequence[str], env: dict[str, str], state: Path | None = None) -> Part:
            part = parts[name] = Part(name, arguments, env, directory / f"{name}.out", state)
            tasks.begin(part)
            return part

        broker = await asyncio.to_thread(_broker, directory / "kafka", kafka_port, proxy.port)
        start("kafka", broker, environment())
        await wait_ready(bootstrap)
        engine = directory / "clickhouse"
        engine.mkdir()
        http = free_port()
        start(
            "clickhouse",
            [sys.executable, "-m", "embedded.clickhouse", "--data", str(engine), "--port", str(http)],
            environment(),
        )
        await eventually(lambda: (engine / "http_port").exists(), deadline=180)
        url = with_login(f"http://127.0.0.1:{http}", "default", logins(engine).password)
        env = {**env, "KAFKA_BOOTSTRAP_SERVERS": bootstrap, "CLICKHOUSE_URL": url, "STRIPE_WEBHOOK_SECRET": SECRET}
        made = await tillstream_async("topics", env=env)
        assert made.returncode == 0, made.stderr
        small = exits.enter_context(_small_disk(directory / "process-1"))
        for role, count in WORKERS.items():
            for number in range(count):
                state = directory / f"{role}-{number}"
                state.mkdir(exist_ok=True)
                more = ["--http-port", str(ports[number])] if role == "ingest" else []
                arguments = [sys.executable, "-m", "tillstream", role, "--data", str(state), *more]
                start(f"{role}-{number}", arguments, env, state if role in ("process", "engage") else None)
        flows = [part for name, part in parts.items() if name.startswith("engage")]
        await eventually(lambda: all("flows run" in part.said() for part in flows), deadline=240)  # no fact is history
        yield Stack(parts, proxy, bootstrap, url, [f"http://127.0.0.1:{port}" for port in ports], small)


class _Supervised:
    """Tasks that end with the block; one that fails ends the whole."""

    async def __aenter__(self) -> "_Supervised":
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._tasks: list[asyncio.Task[None]] = []
        return self

    def begin(self, part: Part) -> None:
        self._tasks.append(self._group.create_task(part.supervise()))

    async def __aexit__(self, *error: object) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._group.__aexit__(None, None, None)


def _broker(data: Path, port: int, advertised: int) -> list[str]:
    """The broker's command line; its clients are sent to the port `advertised`."""
    arguments = command(data, port)
    config = data / "server.properties"
    told = config.read_text("utf-8").replace(
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}", f"advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}"
    )
    config.write_text(told, "utf-8")
    return arguments


@contextlib.contextmanager
def _small_disk(directory: Path) -> Iterator[Path | None]:
    """A file system of its own for the directory, where this user may have one: its path, else None."""
    directory.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={_STATE}m", "tmpfs", str(directory)]
    mounted = (
        os.geteuid() == 0 and subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    )
    try:
        yield directory if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(directory)], check=False)
