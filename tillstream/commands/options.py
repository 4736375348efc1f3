"""Options that several commands share."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigurationError
from tillstream.commands import completion

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
Csv = Annotated[bool, typer.Option("--csv", help="Print lines for a spreadsheet.")]
Test = Annotated[bool, typer.Option("--test", help="Test mode instead of live mode: the two never mix.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")]
MetricName = Annotated[
    str,
    typer.Option(
        "--metric",
        metavar="METRIC",
        help="One metric only, such as failed_payment or 'Failed Payment'.",
        autocompletion=completion.metric_names,
    ),
]
Timezone = Annotated[
    str,
    typer.Option(
        "--timezone",
        metavar="ZONE",
        help="Whose days, such as Europe/Berlin; the account's else.",
        autocompletion=completion.timezone_names,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="KEY=VALUE", help="Only these, such as currency=usd or properties.CardBrand=visa."),
]
Account = Annotated[
    str,
    typer.Option(
        "--account", metavar="NAME", help="One configured account only.", autocompletion=completion.account_names
    ),
]
Segment = Annotated[
    str,
    typer.Argument(metavar="SEGMENT", help="Its file's name without .yaml.", autocompletion=completion.segment_names),
]
Flow = Annotated[
    str,
    typer.Argument(metavar="FLOW", help="Its file's name without .yaml.", autocompletion=completion.flow_names),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def agree(question: str, yes: bool) -> None:
    """Ask a person, unless `yes`. Raises ConfigurationError where nobody can be asked, typer.Abort for a no."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError(f"nobody is here to be asked: {question}", remedy="the same command with --yes")
    typer.confirm(question, abort=True, err=True)
