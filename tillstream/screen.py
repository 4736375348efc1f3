"""What a person sees: the console, the parts' log lines in colour, errors with their remedy."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from schemas.errors import TillstreamError

_PIPED_WIDTH = 160


def _console(*, stderr: bool = False) -> Console:
    """Words wrap on a terminal; in a pipe or a file, lines stay whole."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, soft_wrap=not terminal, width=None if terminal else _PIPED_WIDTH)


out = _console()
err = _console(stderr=True)

_COLOURS = {
    "kafka": "magenta",
    "clickhouse": "yellow",
    "sink": "cyan",
    "process": "blue",
    "ingest": "green",
    "connector": "bright_cyan",
    "console": "bright_magenta",
}
_NAME_WIDTH = 10


def say(name: str, line: str) -> None:
    """One line of a part, after the part's name in its colour."""
    text = Text.assemble((f"{name:>{_NAME_WIDTH}} ", _COLOURS.get(name, "white")), ("│ ", "dim"))
    style = "bold red" if "[error" in line else "yellow" if "[warning" in line else ""
    text.append(line, style=style)
    out.print(text)


def say_json(value: Any) -> None:
    """`value` as JSON on standard output, for programs."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def say_line(value: Any) -> None:
    """`value` as JSON on a line of its own, at once: for programs that read while it goes on."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def show_error(error: TillstreamError) -> None:
    """`error: cause` and `next: what to do`."""
    err.print(Text.assemble(("error: ", "bold red"), str(error)))
    if error.remedy:
        err.print(Text.assemble((" next: ", "bold green"), error.remedy))
