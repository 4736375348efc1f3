"""What a person types to run this very program: remedies and examples are read to be typed."""

import functools
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

NAME = "tillstream"


def typed(text: str) -> str:
    """`text` with its commands as they work in this shell: `.venv/bin/tillstream status` for `tillstream status`."""
    return _commands().sub(lambda _: program(), text) if NAME in text else text


@functools.cache
def _commands() -> re.Pattern[str]:
    from tillstream.__main__ import COMMANDS  # which imports us

    names = "|".join(name for section in COMMANDS.values() for name in section)
    return re.compile(rf"(?<![\w./=-]){NAME}(?= (?:{names})\b)")


@functools.cache
def program() -> str:
    """`tillstream` where the shell finds this program by its name, else its path, from here if that is not outside."""
    started = Path(sys.argv[0]) if Path(sys.argv[0]).name == NAME else Path(sys.executable).with_name(NAME)
    script = Path(os.path.abspath(started))  # not resolved: a link is what people know
    found = shutil.which(NAME)
    if found and os.path.realpath(found) == os.path.realpath(script):
        return NAME
    if not script.is_file():
        return f"{shlex.quote(sys.executable)} -m {NAME}"
    try:
        inside = script.relative_to(Path.cwd())
    except (ValueError, OSError):  # outside, or this directory is gone
        return shlex.quote(str(script))
    return shlex.quote(str(inside) if len(inside.parts) > 1 else f"./{inside}")
