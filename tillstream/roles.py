"""Running one role in this process: its loop, its health pages, its signals and its exit code."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Protocol

import structlog
import uvloop

from operations.erasures import followed
from schemas import topics
from schemas.erasures import Erasures
from schemas.errors import ConfigurationError, TillstreamError
from schemas.hosts import reachable
from settings.loading import with_stored
from settings.needs import only_for
from settings.runtime import announce_role
from settings.secrets import stamp
from settings.table import Settings
from streams.address import kafka_arguments
from streams.topics import Partitions, partitions_in_force
from tillstream.health import health_server
from tillstream.logs import configure_logging
from tillstream.ports import claim_port
from tillstream.renewal import begin_anew, changed
from warehouse.address import settings_address

log = structlog.get_logger(__name__)

_SECRETS_SECONDS = 1.0  # how soon the door takes what a new secret signs
_EXPIRY_SECONDS = 60.0  # and how long after its time it may still take what a rolled one does


class Role(Protocol):
    """What a room gives to be run: works until `stop` is set, and can say whether it is ready."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what was begun."""

    def ready(self) -> str:
        """'' when it can do its work, else why not."""


class Knowing:
    """A role that knows who was erased before it does anything, and how many partitions there are.

    `make` makes it with the list and the number.
    """

    def __init__(self, settings: Settings, make: Callable[[Erasures, Partitions], Role]) -> None:
        self._settings = settings
        self._make = make
        self._role: Role | None = None

    def ready(self) -> str:
        """As the role's own."""
        return self._role.ready() if self._role is not None else "the list of erased people is being read"

    async def run(self, stop: asyncio.Event) -> None:
        """As the role's own; also raises Unavailable when the list can't be read, ConfigurationError when partitions
        have been grown half-way.
        """
        kafka, prefix = kafka_arguments(self._settings), self._settings.tillstream_topic_prefix
        async with followed(kafka, prefix) as erasures:
            self._role = self._make(erasures, await partitions_in_force(kafka, prefix))
            await self._role.run(stop)


def run_role(name: str, work: Callable[[asyncio.Event], Awaitable[None]], settings: Settings) -> None:
    """Run `work` until SIGTERM or SIGINT asks for a drain, then exit; begin anew when its settings were changed.

    Exit code 0 after a drain, 2 when a person has to mend something first, 1 for everything else (start it again).
    """
    configure_logging(settings.tillstream_log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        again = runner.run(_until_signalled(name, work, settings))
    if again:
        begin_anew()


def _reported(name: str, error: Exception) -> int:
    """Say why the role ends; its exit code."""
    if isinstance(error, ConfigurationError):
        log.error("stopped: configuration", role=name, cause=str(error), next=error.remedy)
        return 2
    if isinstance(error, TillstreamError):
        log.error("stopped", role=name, cause=str(error), next=error.remedy)
    else:
        log.error("crashed", role=name, exc_info=error)
    return 1


async def _until_signalled(name: str, work: Callable[[asyncio.Event], Awaitable[None]], settings: Settings) -> bool:
    """Whether it is to begin anew."""
    stop, ended = asyncio.Event(), asyncio.Event()

    def end() -> None:
        ended.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    renewal = asyncio.create_task(changed(name, settings), name="settings")
    renewal.add_done_callback(lambda _: stop.set())
    log.info("started", role=name)
    try:
        await work(stop)
    except Exception as error:
        code = _reported(name, error)
        sys.stdout.flush()
        sys.stderr.flush()
        # At once: what a broken library still has running may wait for ever, and the supervisor waits for this end.
        os._exit(code)
    log.info("stopped", role=name)
    if not renewal.done() or ended.is_set():
        renewal.cancel()
        return False
    renewal.result()
    return True


def _announce(settings: Settings, name: str, url: str) -> None:
    """Without it nobody finds the health pages, but the role can do its work."""
    try:
        announce_role(settings.tillstream_data, name, url)
    except OSError as error:
        log.warning("health pages not announced", cause=error.strerror, url=url)


async def _with_health(name: str, role: Role, settings: Settings, health_port: int, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as stack:
        server = health_server(role.ready, health_port, settings.tillstream_health_host)
        try:
            url = await stack.enter_async_context(server)
        except OSError as error:
            if error.errno is None or not health_port:
                raise
            raise ConfigurationError(
                f"health port {health_port} is taken", remedy="choose another --health-port"
            ) from error
        _announce(settings, name, url)
        await role.run(stop)


class _Door:
    """The door as a role."""

    def __init__(self, settings: Settings) -> None:
        from ingest.app import DoorConfig, create_app

        self._settings = settings
        self._door = create_app(
            DoorConfig(
                kafka=kafka_arguments(settings),
                accounts=settings.signing_secrets(),
                topic=topics.full_name(topics.STRIPE_EVENTS, settings.tillstream_topic_prefix),
                max_body_bytes=settings.tillstream_max_body_bytes,
                account_ids=settings.account_ids(),
            )
        )

    def ready(self) -> str:
        return self._door.ready()

    async def run(self, stop: asyncio.Event) -> None:
        from ingest.app import serve

        host = self._settings.tillstream_http_host
        port = claim_port(self._settings.tillstream_http_port, "--http-port", host)
        log.info("listening", url=f"http://{host}:{port}/webhooks/stripe")
        if not any(self._settings.webhook_secrets().values()):
            log.warning("accepting nothing: no webhook secret", next="tillstream connect")
        watching = asyncio.create_task(_watch_secrets(self._settings, self._door.use_secrets), name="secrets")
        try:
            await serve(self._door, host, port, stop)
        finally:
            watching.cancel()


def ingest(settings: Settings, health_port: int) -> None:
    """The door: POST /webhooks/stripe, on the http port."""

    async def work(stop: asyncio.Event) -> None:
        await _with_health("ingest", _Door(settings), settings, health_port, stop)

    run_role("ingest", work, settings)


async def _watch_secrets(settings: Settings, use: Callable[[dict[str, tuple[str, ...]], dict[str, str]], None]) -> None:
    """Take up what `connect` stores while this runs, and let go of what a roll has ended."""
    data, seen, read_at = settings.tillstream_data, stamp(settings.tillstream_data), time.monotonic()
    in_force = settings.signing_secrets(), settings.account_ids()
    while True:
        await asyncio.sleep(_SECRETS_SECONDS)
        now = stamp(data)
        if now == seen and time.monotonic() - read_at < _EXPIRY_SECONDS:
            continue
        seen, read_at = now, time.monotonic()
        try:
            found = only_for("ingest", with_stored(settings))
            wanted = found.signing_secrets(), found.account_ids()
            use(*wanted)
        except ConfigurationError as error:  # half a file by a person's hand: what was in force stays so
            log.warning("secrets not read", cause=str(error), next=error.remedy)
            continue
        if wanted != in_force:
            log.info("webhook secrets changed", accounts={name: len(secrets) for name, secrets in wanted[0].items()})
            in_force = wanted


def process(settings: Settings, health_port: int) -> None:
    """The processors: dedupe, ledger, profiles."""
    from processors.worker import Processor, ProcessorConfig

    def made(erasures: Erasures, partitions: Partitions) -> Role:
        return Processor(
            ProcessorConfig(
                kafka=kafka_arguments(settings),
                data=settings.tillstream_data / "processors",
                topic_prefix=settings.tillstream_topic_prefix,
                mode=settings.tillstream_mode,
                partitions=partitions.count,
                grown=bool(partitions.grown),
                replication=settings.kafka_replication_factor,
                erasures=erasures,
                tally_seconds=settings.tillstream_missing_seconds / 30,
            )
        )

    async def work(stop: asyncio.Event) -> None:
        await _with_health("process", Knowing(settings, made), settings, health_port, stop)

    run_role("process", work, settings)


def sink(settings: Settings, health_port: int) -> None:
    """The sink: Kafka to ClickHouse."""
    from sinks.config import SinkConfig
    from sinks.worker import Sink

    def made(erasures: Erasures, _: Partitions) -> Role:
        return Sink(
            SinkConfig(
                warehouse=settings_address(settings),
                kafka=kafka_arguments(settings),
                topic_prefix=settings.tillstream_topic_prefix,
                group_id=f"{settings.tillstream_topic_prefix}tillstream-sink",
                timezones=settings.timezones(),
                default_timezone=settings.tillstream_timezone,
                archive_days=settings.tillstream_archive_days,
                losses=settings.tillstream_data / "sink",
                erasures=erasures,
            )
        )

    async def work(stop: asyncio.Event) -> None:
        await _with_health("sink", Knowing(settings, made), settings, health_port, stop)

    run_role("sink", work, settings)


def engage(settings: Settings, health_port: int) -> None:
    """Flows: what people are sent because of a fact, a segment or a date."""
    from engage.config import engage_config
    from engage.worker import Engage

    config = engage_config(settings)

    async def work(stop: asyncio.Event) -> None:
        def made(erasures: Erasures, partitions: Partitions) -> Role:
            grown = bool(partitions.grown)
            return Engage(replace(config, erasures=erasures, partitions=partitions.count, grown=grown))

        role = Knowing(settings, made)
        await _with_health("engage", role, settings, health_port, stop)

    run_role("engage", work, settings)


def connector(settings: Settings, health_port: int) -> None:
    """The connector: look-ups, sweeps, and a comparison with Stripe every day."""
    from connector.keyed import KeyedConnector

    async def work(stop: asyncio.Event) -> None:
        await _with_health("connector", KeyedConnector(settings), settings, health_port, stop)

    run_role("connector", work, settings)


def console(settings: Settings) -> None:
    """The console: web pages and JSON, on the console port."""
    from console.actions import Actions
    from console.alerts import Alerts
    from console.app import create_app, serve
    from console.config import console_config
    from console.engagement import Engagement
    from tillstream.broker import own_broker

    async def work(stop: asyncio.Event) -> None:
        actions = Actions(settings, own_broker)
        app = create_app(console_config(settings), actions, Engagement(settings))
        host = settings.tillstream_console_host
        port = claim_port(settings.tillstream_console_port, "--console-port", host)
        _announce(settings, "console", f"http://{reachable(host)}:{port}")
        log.info("listening", url=f"http://{host}:{port}")
        alerting = asyncio.create_task(Alerts(settings.tillstream_data, actions.judge).run(), name="alerts")
        try:
            await serve(app, host, port, stop)
        finally:
            alerting.cancel()

    run_role("console", work, settings)
