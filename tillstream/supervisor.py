"""Runs every part on one machine: starts in order, watches, restarts, and leaves nothing behind.

    1. services   Kafka and ClickHouse (unless they are somebody else's)
    2. topics
    3. roles      sink, process, engage, ingest, connector, console

`DIR/runtime.json` always says where everything is and whether it is ready.
"""

import asyncio
import fcntl
import os
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from embedded.clickhouse.logins import READER
from schemas.addresses import with_login
from schemas.errors import ConfigurationError, Unavailable
from tillstream.child import Child, Say
from tillstream.connections import clickhouse_password, kafka_arguments
from tillstream.parts import Part, Plan, ask, console_url, http_url
from tillstream.state import RoleState, Runtime, read_json, runtime_path, write_json
from tillstream.topics import ensure_topics

_FIRST_DELAY, _LONGEST_DELAY = 0.25, 10.0  # seconds before a restart: doubles with every death
_HEALTHY_AFTER = 10.0  # seconds of being ready after which the delay begins anew
_GIVE_UP_AFTER = 5  # deaths of a part that was never ready: a person is needed
_PROBE_STARTING, _PROBE_READY = 0.1, 1.0  # seconds between probes
_MEND_FIRST = 2  # exit code of a role that a person has to configure
_CAUSE = re.compile(r"\bcause=|^[\w.]+(Error|Exception): ")  # as roles log it, or as a traceback ends
_ANY_ERROR = re.compile("error", re.IGNORECASE)


class Supervisor:
    """`await Supervisor(plan, say).run(stop, hurry)` does it all; `up` is set while all can do its work."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._children: dict[str, Child] = {}
        self._states = {part.name: RoleState() for part in (*plan.services, *plan.roles)}
        self._ready = {part.name: asyncio.Event() for part in (*plan.services, *plan.roles)}
        self._stopping = False
        self.data = plan.settings.tillstream_data
        settings = plan.settings
        url, user, password = settings.clickhouse_url, settings.clickhouse_user, clickhouse_password(settings)
        own = bool(plan.reader_password)  # the own engine's logins are told; whoever named another knows it
        self.runtime = Runtime(
            pid=os.getpid(),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            http_url=http_url(settings),
            console_url=console_url(settings) if "console" in self._states else "",
            kafka_bootstrap=settings.kafka_bootstrap_servers,
            clickhouse_url=with_login(url, user, password) if own else url,
            clickhouse_user=user,
            clickhouse_password=password if own else "",
            clickhouse_reader=READER if own else "",
            clickhouse_reader_password=plan.reader_password,
            database=settings.clickhouse_database,
            topic_prefix=settings.tillstream_topic_prefix,
        )
        # Without a webhook secret the door says that it isn't ready, and nothing but a person can change that.
        has_secret = any(settings.webhook_secrets().values())
        self._needed = set(self._states) - (set() if has_secret else {"ingest"})
        self.up = asyncio.Event()

    @property
    def names(self) -> list[str]:
        """The parts, in the order of their start."""
        return list(self._states)

    def state(self, name: str) -> RoleState:
        """How a part is doing now."""
        return self._states[name]

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Run until `stop` is set, then drain part by part; `hurry` kills what is left.

        Raises ConfigurationError or Unavailable when a part can't be brought up; everything has ended by then.
        """
        lock = _lock(self.data)
        try:
            runtime_path(self.data).unlink(missing_ok=True)  # left behind by one that was killed
            await self._work(stop, hurry)
        finally:
            with suppress(OSError):
                runtime_path(self.data).unlink(missing_ok=True)
            lock.close()

    async def _work(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        keepers: list[asyncio.Task[None]] = []

        def keep(part: Part) -> None:
            keepers.append(asyncio.create_task(self._keep(part), name=f"keep-{part.name}"))
            keepers.append(asyncio.create_task(self._probe(part), name=f"probe-{part.name}"))

        async def bring_up() -> None:
            for part in self._plan.services:
                keep(part)
            await self._services_ready()
            for part in self._plan.roles:
                keep(part)

        describing = asyncio.create_task(self._describe_for_ever())
        starting = asyncio.create_task(bring_up())
        stopped = asyncio.create_task(stop.wait())
        try:
            waiting: set[asyncio.Task[None]] = {starting}
            while not stop.is_set():
                done, _ = await asyncio.wait(
                    {*waiting, *keepers, describing, stopped}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done - {stopped}:
                    task.result()  # an error here ends everything
                waiting -= done
        finally:
            self._stopping = True
            for task in (starting, stopped, describing, *keepers):
                task.cancel()
            await asyncio.gather(starting, stopped, describing, *keepers, return_exceptions=True)
            await self._stop_all(hurry)

    async def _services_ready(self) -> None:
        """Wait for the services and create the topics; for those of somebody else, a limited time."""
        settings = self._plan.settings
        own = {part.name for part in self._plan.services}
        await asyncio.gather(*(self._ready[name].wait() for name in own))
        deadline = time.monotonic() + settings.tillstream_startup_seconds
        while True:
            try:
                created = await ensure_topics(
                    kafka_arguments(settings),
                    settings.tillstream_topic_prefix,
                    replication=settings.kafka_replication_factor,
                )
                break
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise
                self._say("kafka", f"waiting: {error}")
                await asyncio.sleep(1.0)
        if created:
            self._say("kafka", f"created {len(created)} topics")
        while "clickhouse" not in own and (reason := await ask(f"{settings.clickhouse_url.rstrip('/')}/ping")):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"ClickHouse at {settings.clickhouse_url} {reason.removesuffix(' yet')}",
                    remedy="check CLICKHOUSE_URL and that ClickHouse runs, or unset it to use Tillstream's own engine",
                )
            self._say("clickhouse", f"waiting: {settings.clickhouse_url} {reason}")
            await asyncio.sleep(1.0)

    async def _keep(self, part: Part) -> None:
        """Start the part whenever it isn't running."""
        state, delay, deaths = self._states[part.name], _FIRST_DELAY, 0
        ever_ready = False
        while True:
            self._say(part.name, "starting")
            try:
                child = await Child.start(part, self._say)
            except ConfigurationError as error:
                if not ever_ready:
                    raise
                cause = str(error)
            else:
                self._children[part.name], state.pid = child, child.process.pid
                code = await child.wait()
                del self._children[part.name]
                was_ready, state.pid, state.ready = state.ready, None, False
                ever_ready = ever_ready or was_ready
                self._ready[part.name].clear()
                if was_ready and time.monotonic() - child.started_at > _HEALTHY_AFTER:
                    delay, deaths = _FIRST_DELAY, 0
                cause = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                if code == _MEND_FIRST:
                    raise ConfigurationError(f"{part.name} can't start: {_last_error(child)}")
            deaths += 1
            if not ever_ready and deaths >= _GIVE_UP_AFTER:
                raise Unavailable(f"{part.name} {cause}, {deaths} times, and was never ready: {_last_error(child)}")
            state.reason = f"{cause}; starting again"
            state.restarts += 1
            self._say(part.name, f"{cause}; starting again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _probe(self, part: Part) -> None:
        """Keep the part's `ready` and `reason` true to what it says of itself."""
        state = self._states[part.name]
        while True:
            pid = state.pid
            if pid is not None:
                reason = await part.probe(pid, state.ready)
                if state.pid == pid:  # else it died meanwhile
                    if reason and state.ready:
                        self._say(part.name, f"not ready: {reason}")
                    elif not reason and not state.ready:
                        self._say(part.name, "ready")
                    state.ready, state.reason = not reason, reason
                    state.health_url = part.health_url()
                    if state.ready:
                        self._ready[part.name].set()
            await asyncio.sleep(_PROBE_READY if state.ready else _PROBE_STARTING)

    async def _describe_for_ever(self) -> None:
        """Keep runtime.json true."""
        written = None
        while True:
            states = self._states
            all_ready = all(state.ready for state in states.values())
            if all(states[name].ready for name in self._needed):
                self.up.set()
            else:
                self.up.clear()
            self.runtime = self.runtime.model_copy(
                update={
                    "roles": {name: state.model_copy() for name, state in states.items()},
                    "kafka_pid": states["kafka"].pid if "kafka" in states else None,
                    "clickhouse_pid": states["clickhouse"].pid if "clickhouse" in states else None,
                    "ready": all_ready,
                }
            )
            if self.runtime != written:
                written = self.runtime
                write_json(runtime_path(self.data), written.model_dump(mode="json"))
            await asyncio.sleep(_PROBE_STARTING)

    async def _stop_all(self, hurry: asyncio.Event) -> None:
        """In reverse order, one after the other: each part still has what it needs to drain."""
        for part in reversed((*self._plan.services, *self._plan.roles)):
            child = self._children.pop(part.name, None)
            if child is not None:
                self._say(part.name, "stopping")
                await child.stop(hurry)
                await child.wait()


def _lock(data: Path) -> IO[str]:
    """One `up` a data directory. Raises ConfigurationError that names the other one."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "up.lock").open("a")
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


def _last_error(child: Child) -> str:
    """The line in which a dead child most likely named the cause."""
    for wanted in (_CAUSE, _ANY_ERROR):
        for line in reversed(child.last_words):
            if wanted.search(line):
                return line.strip()
    return child.last_words[-1].strip() if child.last_words else "it said nothing"
