"""Runs every part on one machine: starts in order, watches, restarts, and leaves nothing behind.

    1. services    Kafka and ClickHouse (unless they are somebody else's), and the console, which shows how all are
    2. topics
    3. roles       the door and the processors; with ClickHouse the sink, engage and the connector

Only a mistake that a person has to mend ends it, and only at the start: what dies, hangs or can't be started is tried
again (`keeper.py`) while the others go on, the door above all. `DIR/runtime.json` says where everything is, whether it
is ready, and else why not.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from doctor.health import ask
from embedded.clickhouse.logins import READER
from schemas import topics
from schemas.addresses import with_login
from schemas.errors import ConfigurationError, TillstreamError
from settings.runtime import RoleState, Runtime, make_directory, read_json, runtime_path, write_json
from settings.table import plain
from streams.address import kafka_arguments
from streams.losses import all_losses
from streams.topics import ensure_topics
from tillstream import machine, revision
from tillstream.child import Say
from tillstream.keeper import Keeper
from tillstream.parts import CLICKHOUSE, KAFKA, Plan, console_url, http_url

_DESCRIBE_OFTEN, _DESCRIBE_SELDOM = 0.1, 0.5  # seconds between two looks: while something is not ready, and later
_WAIT_SECONDS = 1.0  # between two looks at what others run
_SAY_SECONDS = 30.0  # between two lines that say the same
_WENT_DOWN = (
    "the machine went down while everything ran with TILLSTREAM_FLUSH=off: what was answered or written in the last "
    "half minute may be lost. Next: tillstream sweep; to be sure of every row stop `up`, tillstream replay --rebuild, "
    "tillstream replay --rebuild --role sink, and start it again"
)


class Supervisor:
    """`await Supervisor(plan, say).run(stop, hurry)` does it all; `up` is set while all can do its work."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self._plan = plan
        self._say = _heard_or_not(say)
        parts = (*plan.services, *plan.roles)
        self._keepers = {part.name: Keeper(part, self._say) for part in parts}
        self._open = {KAFKA: asyncio.Event(), CLICKHOUSE: asyncio.Event()}  # what parts wait for before they start
        self._trouble = {KAFKA: "", CLICKHOUSE: ""}
        self.data = plan.settings.tillstream_data
        settings = plan.settings
        url, user, password = settings.clickhouse_url, settings.clickhouse_user, plain(settings.clickhouse_password)
        own = bool(plan.reader_password)  # the own engine's logins are told; whoever named another knows it
        self.runtime = Runtime(
            pid=os.getpid(),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            http_url=http_url(settings),
            console_url=console_url(settings) if "console" in self._keepers else "",
            kafka_bootstrap=settings.kafka_bootstrap_servers,
            clickhouse_url=with_login(url, user, password) if own else url,
            clickhouse_user=user,
            clickhouse_password=password if own else "",
            clickhouse_reader=READER if own else "",
            clickhouse_reader_password=plan.reader_password,
            database=settings.clickhouse_database,
            topic_prefix=settings.tillstream_topic_prefix,
            project=str(settings.project.absolute()),
            mails=settings.smtp_url is not None and "smtp_url" not in settings.from_browser,
        )
        # Without a webhook secret the door says that it isn't ready, and nothing but a person can change that.
        has_secret = any(settings.webhook_secrets().values())
        self._needed = set(self._keepers) - (set() if has_secret else {"ingest"})
        self.up = asyncio.Event()

    @property
    def names(self) -> list[str]:
        """The parts, in the order of their start."""
        return list(self._keepers)

    def state(self, name: str) -> RoleState:
        """How a part is doing now."""
        return self._keepers[name].state

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Run until `stop` is set, then drain part by part; `hurry` kills what is left.

        Raises ConfigurationError for what a person has to mend before a part can be started, and Unavailable when a
        Kafka of somebody else does not answer; everything has ended by then.
        """
        lock = _lock(self.data)
        try:
            with suppress(OSError):
                runtime_path(self.data).unlink(missing_ok=True)  # left behind by one that was killed
            if machine.went_down(lock) and any(part.name in (KAFKA, CLICKHOUSE) for part in self._plan.services):
                self._say("up", _WENT_DOWN)
            machine.note(lock, flushes=self._plan.settings.flushes)
            for loss in all_losses(self.data):
                self._say("up", f"{loss.cause}, and nobody has seen to it ({loss.what}). Next: {loss.remedy}")
            if revision.behind(self.data):
                self._say("up", revision.MENDED)
            else:
                revision.note(self.data)
            await self._work(stop, hurry)
        finally:
            machine.note_end(lock)
            with suppress(OSError):
                runtime_path(self.data).unlink(missing_ok=True)
            lock.close()

    async def _work(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        works: list[Awaitable[None]] = [self._describe_for_ever(), self._open_kafka(), self._open_clickhouse()]
        for keeper in self._keepers.values():
            works += [keeper.keep(self._gate(keeper)), keeper.probe()]
        working = {asyncio.ensure_future(work) for work in works}
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                done, _ = await asyncio.wait({*working, stopped}, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopped}:
                    task.result()  # an error here ends everything
                working -= done
        finally:
            for task in (stopped, *working):
                task.cancel()
            await asyncio.gather(stopped, *working, return_exceptions=True)
            await self._stop_all(hurry)

    def _gate(self, keeper: Keeper) -> Callable[[], Awaitable[None]]:
        """Returns when all that the part can't do without has been there."""

        async def passed() -> None:
            for name in keeper.part.needs:
                while not self._open[name].is_set():
                    own = self._keepers.get(name)
                    young = ", which is starting" if own is not None and not own.state.restarts else ""
                    keeper.state.reason = f"waiting for {self._trouble[name] or name + young}"
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._open[name].wait(), _WAIT_SECONDS)

        return passed

    async def _open_kafka(self) -> None:
        """Wait for Kafka and create the topics; that of somebody else must answer in a limited time."""
        settings = self._plan.settings
        own = self._keepers.get(KAFKA)
        deadline = time.monotonic() + settings.tillstream_startup_seconds
        said = _Seldom(self._say)
        while True:
            if own is not None:
                await own.ready.wait()
            try:
                created = await ensure_topics(
                    kafka_arguments(settings),
                    settings.tillstream_topic_prefix,
                    usual=topics.PARTITIONS if own is None else topics.EMBEDDED_PARTITIONS,
                    replication=settings.kafka_replication_factor,
                )
                break
            except TillstreamError as error:
                if own is None and (isinstance(error, ConfigurationError) or time.monotonic() > deadline):
                    raise
                self._trouble[KAFKA] = str(error)
                said.say(KAFKA, f"waiting: {error}")
                await asyncio.sleep(_WAIT_SECONDS)
        if created:
            self._say(KAFKA, f"created {len(created)} topics")
        self._open[KAFKA].set()

    async def _open_clickhouse(self) -> None:
        """Wait for ClickHouse, for as long as it takes: events are taken without it."""
        own = self._keepers.get(CLICKHOUSE)
        if own is not None:
            await own.ready.wait()
        url, place = self._plan.settings.clickhouse_url, self.runtime.clickhouse_place
        said = _Seldom(self._say)
        while own is None and (reason := await ask(f"{url.rstrip('/')}/ping")):
            self._trouble[CLICKHOUSE] = f"ClickHouse at {place}, which {reason.removesuffix(' yet')} (CLICKHOUSE_URL)"
            said.say(CLICKHOUSE, f"waiting: {place} {reason}; check CLICKHOUSE_URL and that ClickHouse runs")
            await asyncio.sleep(_WAIT_SECONDS)
        self._open[CLICKHOUSE].set()

    async def _describe_for_ever(self) -> None:
        """Keep runtime.json true; where it can't be written everything else goes on."""
        written, said = None, _Seldom(self._say)
        while True:
            states = {name: keeper.state for name, keeper in self._keepers.items()}
            all_ready = all(state.ready for state in states.values())
            if all(states[name].ready for name in self._needed):
                self.up.set()
            else:
                self.up.clear()
            self.runtime = self.runtime.model_copy(
                update={
                    "roles": {name: state.model_copy() for name, state in states.items()},
                    "kafka_pid": states[KAFKA].pid if KAFKA in states else None,
                    "clickhouse_pid": states[CLICKHOUSE].pid if CLICKHOUSE in states else None,
                    "ready": all_ready,
                }
            )
            if self.runtime != written:
                try:
                    write_json(runtime_path(self.data), self.runtime.model_dump(mode="json"))
                    written = self.runtime
                except OSError as error:
                    said.say("up", f"{runtime_path(self.data)} can't be written: {error.strerror}")
            await asyncio.sleep(_DESCRIBE_SELDOM if all_ready else _DESCRIBE_OFTEN)

    async def _stop_all(self, hurry: asyncio.Event) -> None:
        """In reverse order, one after the other: each part still has what it needs to drain."""
        for keeper in reversed(self._keepers.values()):
            child, keeper.child = keeper.child, None
            if child is not None:
                self._say(keeper.part.name, "stopping")
                await child.stop(hurry)
                await child.wait()


class _Seldom:
    """Says one line, and the same again only after a while."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last, self._at = "", 0.0

    def say(self, name: str, line: str) -> None:
        if line != self._last or time.monotonic() - self._at > _SAY_SECONDS:
            self._last, self._at = line, time.monotonic()
            self._say(name, line)


def _heard_or_not(say: Say) -> Say:
    """What is said for people must not end anything: the terminal may be gone, the file's disk full."""

    def said(name: str, line: str) -> None:
        with suppress(OSError, ValueError):
            say(name, line)

    return said


def _lock(data: Path) -> IO[str]:
    """One `up` a data directory. Raises ConfigurationError that names the other one."""
    make_directory(data)
    try:
        lock = (data / "up.lock").open("a+", encoding="ascii")
    except OSError as error:
        raise ConfigurationError(
            f"data directory {data} can't be used: {error.strerror}", remedy="choose another one by --data DIR"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        pid = (read_json(runtime_path(data)) or {}).get("pid", "unknown")
        raise ConfigurationError(
            f"{data} is in use: already running as pid {pid}",
            remedy=f"tillstream status --data {data}, or choose another directory by --data DIR",
        ) from None
    return lock
