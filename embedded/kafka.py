"""A real Apache Kafka broker on this machine: KRaft, one node, loopback only, its data kept between runs."""

import asyncio
import contextlib
import functools
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded.child import die_with_parent, free_port, port_is_free
from embedded.fetch import jars_directory
from embedded.kafka_storage import prepare, properties, read_properties
from schemas.errors import ConfigurationError, Unavailable
from streams.kafka import Admin, KafkaError

MIN_JAVA = 17
_LOGGING = Path(__file__).with_name("log4j2.properties")
_HEAP = ["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=128m", "-XX:ReservedCodeCacheSize=64m"]
# The quick compiler alone: a broker copies bytes, and over 200,000 messages the thorough one cost more than it saved.
_ONE_COMPILER = "-XX:TieredStopAtLevel=1"
_STOP_TIMEOUT = 20.0  # seconds for a clean stop before the broker is killed; its log is recovered then
_START_TIMEOUT = 180.0
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # size, request ApiVersions, its version, an id, no client name


def command(data: Path, port: int, flush: bool = False) -> list[str]:
    """The java command line that runs the broker on 127.0.0.1:`port` with its data in the directory `data`.

    Formats the directory when it is new, checks it otherwise, and writes server.properties. With port 0 a free one
    is chosen; `bootstrap(data)` tells which. `flush` as in `properties`. Takes a second or two on a new directory: call
    it off the event loop.
    Raises ConfigurationError for a missing Java or jars, a taken port, an unusable or corrupt directory.
    """
    java = _java()
    jars = jars_directory()
    if not jars.is_dir():
        raise ConfigurationError(f"Kafka's jars are not in {jars}.", remedy="python -m embedded.fetch")
    if port and not port_is_free(port):
        raise ConfigurationError(
            f"Port {port} for Kafka is taken by another program.", remedy="choose another with --kafka-port, 0 for any"
        )
    data = data.absolute()
    shared = archive()
    sharing = [f"-XX:SharedArchiveFile={shared}"] if shared.exists() else []
    classpath = [
        *sharing,
        "-cp",
        f"{jars}/*",
        f"-Dlog4j2.configurationFile={_LOGGING}",
        f"-Dkafka.log={data / 'kafka.log'}",
    ]
    tool = [java, _ONE_COMPILER, "-XX:+UseSerialGC", *classpath]
    settings = properties(data, port or free_port(), _controller_port(data), flush)
    config = prepare(data, settings, tool)
    return [java, *_HEAP, _ONE_COMPILER, "-XX:+ExitOnOutOfMemoryError", *classpath, "kafka.Kafka", str(config)]


def bootstrap(data: Path) -> str:
    """`127.0.0.1:PORT` of the broker that was last prepared on `data`."""
    listeners = read_properties(data / "server.properties").get("advertised.listeners", "")
    if not listeners:
        raise ConfigurationError(f"No broker was ever started on {data}.", remedy="tillstream up")
    return listeners.removeprefix("PLAINTEXT://")


async def wait_ready(bootstrap: str, timeout: float = _START_TIMEOUT) -> None:  # noqa: ASYNC109 -- it is the error's too
    """Returns once the broker answers a metadata request; raises Unavailable after `timeout` seconds."""
    host, _, port = bootstrap.rpartition(":")
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            await writer.wait_closed()
            if await _answers(bootstrap):
                return
        await asyncio.sleep(0.05)
    raise Unavailable(f"Kafka at {bootstrap} did not answer within {timeout:.0f} s.", remedy="look into its kafka.log")


async def ask_versions(port: int) -> None:
    """Returns when a running broker has answered the smallest question there is: its threads work.

    An open port says less: the kernel also takes connections for a process that is stopped. Raises OSError or EOFError;
    waits for as long as the broker is silent.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_API_VERSIONS)
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        await reader.readexactly(size)
    finally:
        writer.close()


async def _answers(bootstrap: str) -> bool:
    try:
        async with Admin({"bootstrap_servers": bootstrap}, request_timeout_ms=5000) as admin:
            return await admin.brokers() > 0
    except KafkaError:
        return False


def _controller_port(data: Path) -> int:
    """The controller's port of the last run if it is still free, so that it stays the same while it can."""
    voters = read_properties(data / "server.properties").get("controller.quorum.voters", "")
    kept = voters.rpartition(":")[2]
    if kept.isdigit() and 0 < int(kept) < 65536 and port_is_free(int(kept)):
        return int(kept)
    return free_port()


def _java() -> str:
    """The path of a java that is new enough."""
    remedy = "apt-get install openjdk-17-jre-headless"
    java = shutil.which("java")
    if java is None:
        raise ConfigurationError(f"Java is missing: Kafka needs version {MIN_JAVA} or newer.", remedy=remedy)
    if (version := java_version()) < MIN_JAVA:
        found = version or "an unknown version"
        raise ConfigurationError(f"Kafka needs Java {MIN_JAVA} or newer, {java} is {found}.", remedy=remedy)
    return java


def java_version() -> int:
    """The major version of the machine's java; 0 when there is none, or it does not say."""
    return int(_release(shutil.which("java")).removeprefix("1.").partition(".")[0] or 0)


def archive() -> Path:
    """Where the archive of the broker's classes for this machine's java is, or would be: see `embedded.archive`."""
    jars = jars_directory()
    return jars.with_name(f"{jars.name}-java-{_release(shutil.which('java'))}.jsa")


@functools.cache
def _release(java: str | None) -> str:
    """The full version of this java, such as `17.0.15`; '' when there is none, or it does not say."""
    if java is None:
        return ""
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    version = re.search(r'version "(\d[\w.]*)', shown)
    return version[1] if version else ""


class KafkaProcess:
    """`async with KafkaProcess(data) as kafka:` runs a broker and ends it, whatever happens in between."""

    def __init__(self, data: Path, port: int = 0, *, flush: bool = False) -> None:
        self._data = data
        self._port = port
        self._flush = flush
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:PORT`."""
        return bootstrap(self._data)

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._process is None:
            raise Unavailable("The broker is not running.")
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self._start(self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def restart(self) -> None:
        """Ends the broker cleanly (if it runs at all) and starts it on the same port and data."""
        port = int(self.bootstrap.rpartition(":")[2])
        await self.stop()
        await self._start(port)

    async def kill(self) -> None:
        """kill -9, as a crash does; `restart()` brings it back."""
        if self._process is not None:
            self._process.kill()
            await self._ended()

    async def stop(self) -> None:
        """Ends the broker cleanly; kills it if that takes longer than 20 s."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self._ended()
        except TimeoutError:
            await self.kill()

    async def _start(self, port: int) -> None:
        argv = await asyncio.to_thread(command, self._data, port, self._flush)
        with (self._data / "kafka.out").open("wb") as out:  # the JVM's own complaints; the broker logs to kafka.log
            self._process = subprocess.Popen(  # noqa: ASYNC220 -- started from the loop's thread: see die_with_parent
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, preexec_fn=die_with_parent
            )
        ready = asyncio.create_task(wait_ready(self.bootstrap))
        ended = asyncio.create_task(self._ended())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise Unavailable(f"The broker ended: {self._last_words()}", remedy=f"look into {self._data}/kafka.log")
            await ready
        except BaseException:
            await self.kill()
            raise
        finally:
            for task in (ready, ended):
                task.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    async def _ended(self) -> None:
        while self._process is not None and self._process.poll() is None:  # noqa: ASYNC110 -- another process's end
            await asyncio.sleep(0.02)
        self._process = None

    def _last_words(self) -> str:
        for name in ("kafka.out", "kafka.log"):
            path = self._data / name
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            errors = [line for line in lines if "ERROR" in line or "FATAL" in line] or lines[-3:]
            if errors:
                return errors[-1]
        return "it said nothing"
