"""What a person sees: the console, the parts' log lines in colour, errors with their remedy."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from schemas.errors import TillstreamError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_COLOURS = {
    "kafka": "magenta",
    "clickhouse": "yellow",
    "sink": "cyan",
    "process": "blue",
    "ingest": "green",
    "console": "bright_magenta",
}
_NAME_WIDTH = 10


def say(name: str, line: str) -> None:
    """One line of a part, after the part's name in its colour."""
    text = Text(f"{name:>{_NAME_WIDTH}} ", style=_COLOURS.get(name, "white"))
    text.append("│ ", style="dim")
    style = "bold red" if "[error" in line else "yellow" if "[warning" in line else ""
    text.append(line, style=style)
    out.print(text)


def say_json(value: Any) -> None:
    """`value` as JSON on standard output, for programs."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def show_error(error: TillstreamError) -> None:
    """`error: cause` and `next: what to do`."""
    err.print(Text.assemble(("error: ", "bold red"), str(error)))
    if error.remedy:
        err.print(Text.assemble((" next: ", "bold green"), error.remedy))
