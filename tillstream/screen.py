"""What a person sees: the console, the parts' log lines in colour, errors with their remedy.

Colours only on a terminal, and none where NO_COLOR is set. What comes from outside (names, emails, metadata) can't
steer the terminal: control characters and turns of direction are shown as replacement characters.
"""

import json
import re
import sys
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.text import Text

from schemas.errors import TillstreamError
from tillstream import program

_PIPED_WIDTH = 160
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class _Harmless:
    """The same, without what a terminal would obey."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self._shown, options):
            yield Segment(text if control else _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text), style, control)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._shown)


class _HarmlessOnly(RenderHook):
    """Everything that is printed goes through it."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Harmless(each) for each in renderables]


def _console(*, stderr: bool = False) -> Console:
    """Words wrap on a terminal; in a pipe or a file, lines stay whole."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if terminal else _PIPED_WIDTH
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=not terminal, width=width)
    console.push_render_hook(_HarmlessOnly())
    return console


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


def typed(text: str) -> str:
    """Text with commands in it, for a person to type; where nobody reads it from a terminal it stays as it is."""
    return program.typed(text) if out.is_terminal or err.is_terminal else text


def say(name: str, line: str) -> None:
    """One line of a part, after the part's name in its colour."""
    text = Text.assemble((f"{name:>{_NAME_WIDTH}} ", _COLOURS.get(name, "white")), ("│ ", "dim"))
    style = "bold red" if "[error" in line else "yellow" if "[warning" in line else ""
    text.append(typed(line), style=style)
    out.print(text)


def say_json(value: Any) -> None:
    """`value` as JSON on standard output, for programs."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


def say_line(value: Any) -> None:
    """`value` as JSON on a line of its own, at once: for programs that read while it goes on."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> str:
    """Times as RFC 3339 in UTC, as on the topics (ClickHouse's have no timezone, and are UTC); all else as text."""
    if isinstance(value, datetime):
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def show_error(error: TillstreamError) -> None:
    """`error: cause` and `next: what to do`."""
    err.print(Text.assemble(("error: ", "bold red"), str(error)))
    if error.remedy:
        err.print(Text.assemble((" next: ", "bold green"), typed(error.remedy)))
