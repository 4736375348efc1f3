"""Options that several commands share."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigurationError

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Directory of local state, also of a running `up`.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
HttpPort = Annotated[int | None, typer.Option("--http-port", help="Port of the door; 0 for any free one.")]
ConsolePort = Annotated[int | None, typer.Option("--console-port", help="Port of the console; 0 for any free one.")]
KafkaPort = Annotated[int | None, typer.Option("--kafka-port", help="Port of the own broker; 0 for any free one.")]
ClickHousePort = Annotated[
    int | None, typer.Option("--clickhouse-port", help="Port of the own ClickHouse; 0 for any free one.")
]
HealthPort = Annotated[int, typer.Option("--health-port", help="Port of /readyz, /livez and /metrics; 0 for any.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def agree(question: str, yes: bool) -> None:
    """Ask a person, unless `yes`. Raises ConfigurationError where nobody can be asked, typer.Abort for a no."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError(f"nobody is here to be asked: {question}", remedy="the same command with --yes")
    typer.confirm(question, abort=True, err=True)
