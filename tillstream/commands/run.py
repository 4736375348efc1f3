"""`up` and the single roles."""

import asyncio
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.text import Text

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from settings.runtime import keep_private
from tillstream import screen
from tillstream.commands.options import ClickHousePort, ConsolePort, Data, HealthPort, HttpPort, Json, KafkaPort
from tillstream.up import describe_up, stop_events

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from settings.table import Settings
    from tillstream.supervisor import Supervisor


def up(
    data: Data = None,
    http_port: HttpPort = None,
    console_port: ConsolePort = None,
    kafka_port: KafkaPort = None,
    clickhouse_port: ClickHousePort = None,
    as_json: Json = False,
) -> None:
    """Run every part on this machine, until Ctrl-C.

    Starts a Kafka broker and a ClickHouse engine of its own unless KAFKA_BOOTSTRAP_SERVERS and CLICKHOUSE_URL name
    others. With --json the log goes to standard error, and standard output gets one JSON object when all is ready.

    Example:  STRIPE_WEBHOOK_SECRET=whsec_… tillstream up --data .tillstream --http-port 8080
    """
    from tillstream.parts import make_plan
    from tillstream.supervisor import Supervisor

    settings = load_settings(
        tillstream_data=data,
        tillstream_http_port=http_port,
        tillstream_console_port=console_port,
        tillstream_kafka_port=kafka_port,
        tillstream_clickhouse_port=clickhouse_port,
    )
    if as_json:
        screen.out.stderr = True
    began = time.monotonic()
    keep_private(settings.tillstream_data)
    plan = make_plan(settings)
    for notice in plan.notices:
        screen.err.print(Text(notice, style="yellow"))

    async def work() -> None:
        stop, hurry = stop_events(lambda: screen.out.print(Text("\nstopping; Ctrl-C again to hurry", style="bold")))
        supervisor = Supervisor(plan, screen.say)
        has_secret = any(plan.settings.webhook_secrets().values())
        welcome = asyncio.create_task(_welcome(supervisor, has_secret, began, as_json))
        try:
            await supervisor.run(stop, hurry)
        finally:
            welcome.cancel()
            with suppress(asyncio.CancelledError):
                await welcome
        with suppress(OSError):
            screen.out.print(Text("everything has stopped", style="bold"))

    asyncio.run(work())


async def _welcome(supervisor: "Supervisor", has_secret: bool, began: float, as_json: bool) -> None:
    """Once, when everything that can be ready is."""
    await supervisor.up.wait()
    with suppress(OSError):
        if as_json:
            screen.say_json(supervisor.runtime.shown())
            sys.stdout.flush()
        screen.out.print(describe_up(supervisor.runtime, supervisor.data, has_secret, time.monotonic() - began))


def _settings_of(role: str, **flags: Any) -> "Settings":
    """What the role is told; its files are for this user's eyes alone."""
    from settings.needs import only_for

    settings = load_settings(**flags)
    keep_private(settings.tillstream_data)
    return only_for(role, settings)


def ingest(data: Data = None, http_port: HttpPort = None, health_port: HealthPort = 0) -> None:
    """Run the door alone: Stripe's webhooks to Kafka.

    The http port may face the internet: why the door is not ready, and its metrics, are on the health port alone.

    Example:  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 STRIPE_WEBHOOK_SECRET=whsec_… tillstream ingest --http-port 8080
    """
    from tillstream import roles

    roles.ingest(_settings_of("ingest", tillstream_data=data, tillstream_http_port=http_port), health_port)


def process(data: Data = None, health_port: HealthPort = 0) -> None:
    """Run the processors alone: events to metrics and profiles.

    Example:  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 tillstream process --health-port 8082
    """
    from tillstream import roles

    roles.process(_settings_of("process", tillstream_data=data), health_port)


def sink(data: Data = None, health_port: HealthPort = 0) -> None:
    """Run the sink alone: Kafka to ClickHouse.

    Example:  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 CLICKHOUSE_URL=http://clickhouse:8123 tillstream sink
    """
    from tillstream import roles

    roles.sink(_settings_of("sink", tillstream_data=data), health_port)


def engage(data: Data = None, health_port: HealthPort = 0) -> None:
    """Run flows alone: facts to mails, webhooks and topics.

    Example:  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 SMTP_URL=smtp://mail:25 tillstream engage --health-port 8085
    """
    from tillstream import roles

    roles.engage(_settings_of("engage", tillstream_data=data), health_port)


def connector(data: Data = None, health_port: HealthPort = 0) -> None:
    """Run the connector alone: it answers the ledger's questions to Stripe, and sweeps for events that never came.

    Example:  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 CLICKHOUSE_URL=http://clickhouse:8123 tillstream connector
    """
    from tillstream import roles

    roles.connector(_settings_of("connector", tillstream_data=data), health_port)


def console(data: Data = None, console_port: ConsolePort = None) -> None:
    """Run the console alone: web pages and JSON over ClickHouse.

    Example:  CLICKHOUSE_URL=http://clickhouse:8123 tillstream console --console-port 8081
    """
    from tillstream import roles

    roles.console(_settings_of("console", tillstream_data=data, tillstream_console_port=console_port))


def topics(data: Data = None, as_json: Json = False) -> None:
    """Create the topics that are missing, once, before any role starts; `up` does it by itself.

    Example:  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 tillstream topics
    """
    from streams.address import open_broker
    from streams.topics import ensure_topics

    settings = load_settings(tillstream_data=data)
    try:
        kafka, prefix = open_broker(settings)
    except ConfigurationError:
        if settings.kafka_bootstrap_servers:
            raise
        raise ConfigurationError("no Kafka is named", remedy="export KAFKA_BOOTSTRAP_SERVERS=host:9092") from None
    created = asyncio.run(ensure_topics(kafka, prefix, replication=settings.kafka_replication_factor))
    if as_json:
        screen.say_json({"created": created})
    else:
        screen.out.print(f"created {len(created)} topics" if created else "every topic is there")
