"""docs/cli.md, made from the commands themselves: `python -m tillstream.commands.manual > docs/cli.md`."""

import inspect
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import typer

from tillstream.__main__ import app
from tillstream.commands.shapes import SHAPES, Either
from tillstream.program import COMMANDS

_EVERYWHERE: Final = ("--data", "--json", "--help")

INTRODUCTION: Final = """\
# The command line

Made from the commands themselves by `python -m tillstream.commands.manual`; a test holds it to them.

- **Where it works.** Commands beside a running `tillstream up` find it by its directory: `--data DIR`, else
  `TILLSTREAM_DATA`, else `.tillstream`. Without one they go to `CLICKHOUSE_URL` and `KAFKA_BOOTSTRAP_SERVERS`; see
  [settings](settings.md).
- **Exit codes.** 0: done. 1: it looked, and something is wrong, missing or not known. 2: it could not be done; the
  error says why, and `next:` what to do. 130: stopped by Ctrl-C.
- **`--json`** prints the answer for programs, on standard output alone; everything else is on standard error. Times are
  RFC 3339 in UTC, exact amounts are text. Fields may be added, never renamed or taken away; each shape is below.
- **What changes much or can't be undone** asks first, with how much it is. `--yes` answers, `--dry-run` only tells;
  where nobody is there to be asked, nothing is done.
- **Colours** only on a terminal, and none where `NO_COLOR` is set. Names and metadata can't steer a terminal: control
  characters in them are shown as �.
- **Completion** of commands, options, metrics, segments, flows, event types, accounts and timezones in bash, zsh and
  fish: `tillstream --install-completion`, or for this shell alone
  `eval "$(_TILLSTREAM_COMPLETE=source_bash tillstream)"`.
"""


def page() -> str:
    """The whole page."""
    group = typer.main.get_command(app)
    parts = [INTRODUCTION]
    for title, commands in COMMANDS.items():
        parts.append(f"## {title}\n")
        for name in commands:
            parts += _sections(name, group.commands[name].load())  # type: ignore[attr-defined]
    return "\n".join(parts)


def _sections(name: str, command: Any) -> Iterator[str]:
    """A command; of a group each of its own, and the group where it does something by itself."""
    below = getattr(command, "commands", {})
    yield f"### tillstream {name}\n\n{_told(name, command)}"
    for each, one in below.items():
        yield f"#### tillstream {name} {each}\n\n{_told(f'{name} {each}', one)}"


def _told(name: str, command: Any) -> str:
    text, _, example = inspect.cleandoc(command.help or "").replace("\b\n", "").partition("Example:  ")
    parts = [text.strip(), f"```sh\n{example.strip()}\n```"]
    rows = [row for parameter in command.params if (row := _row(parameter))]
    if rows:
        parts.append("\n".join(["| | |", "|---|---|", *rows]))
    if name in SHAPES:
        parts.append("`--json`:\n\n" + "\n\n".join(_blocks(SHAPES[name])))
    return "\n\n".join(parts) + "\n"


def _row(parameter: Any) -> str:
    """'' for what every command has."""
    options = [*parameter.opts, *parameter.secondary_opts]
    if set(options) & set(_EVERYWHERE):
        return ""
    named = parameter.param_type_name == "option"
    value = parameter.metavar or "" if named else ""
    word = ", ".join(f"`{one}{f' {value}' if value else ''}`" for one in options) if named else f"`{parameter.metavar}`"
    default = parameter.default
    shown = f" Default: `{default}`." if default not in (None, "", False, True, ()) and not callable(default) else ""
    return f"| {word} | {(parameter.help or '').replace('|', chr(92) + '|')}{shown} |"


def _blocks(shape: Any) -> Iterator[str]:
    """Several where it depends."""
    if isinstance(shape, Either):
        for case, one in shape.by_case.items():
            yield (f"{case}:\n\n" if case else "") + f"```text\n{_drawn(one)}\n```"
    else:
        yield f"```text\n{_drawn(shape)}\n```"


def _drawn(shape: Any, indent: str = "") -> str:
    """As JSON would be, with words for values."""
    if isinstance(shape, Either):
        return "  or  ".join(
            _drawn(one, indent) + (f" {case}" if case and one is None else "") for case, one in shape.by_case.items()
        )
    if shape is None:
        return "null"
    deeper = indent + "  "
    if isinstance(shape, dict):
        plain = [name for name, value in shape.items() if value == ""]
        lines = textwrap.wrap(", ".join(plain), 100, initial_indent=deeper, subsequent_indent=deeper)
        lines += [f"{deeper}{name}: {_drawn(value, deeper)}" for name, value in shape.items() if value != ""]
        return "{\n" + "\n".join(lines) + f"\n{indent}}}"
    if isinstance(shape, list):
        return f"[{_drawn(shape[0], indent)}, …]" if shape[0] else "[…]"
    if shape.startswith("@"):
        return f"{shape[1:]} of docs/contracts/openapi.json"
    return str(shape)


if __name__ == "__main__":
    sys.stdout.write(page())
