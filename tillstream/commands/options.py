"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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
