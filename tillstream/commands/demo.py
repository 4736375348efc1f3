"""`demo`: a month of Stripe's life through the real path, and our numbers beside Stripe's."""

import asyncio
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from settings.runtime import keep_private
from tillstream import screen
from tillstream.commands import completion
from tillstream.commands.options import ClickHousePort, ConsolePort, Data, HttpPort, Json, KafkaPort

_PARTS = "kafka clickhouse sink process engage ingest connector".split()


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop everything afterwards instead of leaving it open.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another month.")] = 1,
    customers: Annotated[int, typer.Option("--customers", min=1, max=100_000, help="About 10 events each.")] = 350,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How many days, up to yesterday.")] = 30,
    kill: Annotated[
        list[str] | None,
        typer.Option(
            "--kill",
            metavar="PART",
            help="kill -9 that part on the way, to see it recover; may be repeated.",
            autocompletion=completion.one_of(*_PARTS),
        ),
    ] = None,
    data: Data = None,
    http_port: HttpPort = 0,
    console_port: ConsolePort = 0,
    kafka_port: KafkaPort = 0,
    clickhouse_port: ClickHousePort = 0,
    as_json: Json = False,
) -> None:
    """See it all work: a seeded month of Stripe traffic.

    Starts everything, sends signed webhooks through the real door, and compares every number with Stripe's own. They
    come twice, out of order and in the shapes of two API versions, as in life. Exit code 0 when every count and every
    sum is equal, 1 when one is not (each difference is named), 2 when it could not be done.

    Example:  tillstream demo --exit --seed 7 --kill process
    """
    from tillstream.demonstration import Demonstration

    given = data is not None
    directory = Path(data) if data is not None else Path(tempfile.mkdtemp(prefix="tillstream-demo-"))
    if (directory / "kafka").exists():
        raise ConfigurationError(
            f"{directory} already holds data, and the demo's numbers would be added to it",
            remedy="choose a new directory by --data, or leave it out for a temporary one",
        )
    kept = ("TILLSTREAM_TIMEZONE", "TILLSTREAM_LOG_LEVEL")  # the demo has services and a secret of its own
    settings = load_settings(
        {name: os.environ[name] for name in kept if name in os.environ},
        tillstream_data=directory.absolute(),
        tillstream_http_port=http_port,
        tillstream_console_port=console_port,
        tillstream_kafka_port=kafka_port,
        tillstream_clickhouse_port=clickhouse_port,
        tillstream_engage_port=0,
        stripe_webhook_secret=f"whsec_{secrets.token_hex(16)}",
    )
    if as_json:
        screen.out.stderr = True
    keep_private(directory)
    try:
        equal = asyncio.run(Demonstration(settings, seed, customers, days, kill or [], leave, as_json).run())
    except BaseException:
        screen.err.print(Text(f"the logs are in {directory / 'logs'}", style="dim"))
        raise
    if equal and not given:
        shutil.rmtree(directory, ignore_errors=True)
    elif not equal:
        screen.err.print(Text(f"data and logs are kept in {directory}", style="dim"))
        raise typer.Exit(1)
