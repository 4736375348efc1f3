"""What a person reads on a terminal of a certain width: rows too wide for it, and commands that can be typed."""

import os
import pty
import re
import subprocess
import sys
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ

from tests.e2e.running import RunningUp, deliver, environment, tillstream

BIN = Path(sys.executable).parent
_STYLES = re.compile("\x1b\\[[0-9;]*m")


def on_a_terminal(*arguments: str | Path, width: int = 100, cwd: Path | None = None) -> str:
    """What the terminal shows of one command; it is not on PATH."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, pack("HHHH", 40, width, 0, 0))
    env = environment(PATH="/usr/bin:/bin", TERM="xterm", NO_COLOR="1", COLUMNS=str(width))
    command = [str(BIN / "tillstream"), *map(str, arguments)]
    process = subprocess.Popen(command, env=env, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            some = os.read(ours, 4096)
        except OSError:  # how a terminal ends when its last program has left
            break
        if not some:
            break
        shown += some
    os.close(ours)
    process.wait(120)
    lines = _STYLES.sub("", shown.decode("utf-8", "replace")).splitlines()
    return "\n".join(line.rstrip() for line in lines)


async def test_rows_wider_than_the_terminal_have_a_line_a_column(up: RunningUp) -> None:
    await deliver(up, "evt_on_a_terminal")
    wide = "SELECT 'evt_wide' AS event_id, NULL AS nothing, repeat('x', 80) AS long, number FROM numbers(2)"
    shown = on_a_terminal("sql", "--data", up.data, wide).splitlines()
    assert shown[:6] == [
        "Row 1",
        "  event_id  evt_wide",
        "  nothing   NULL",
        f"  long      {'x' * 80}",
        "  number    0",
        "",
    ]
    assert shown[6] == "Row 2"
    assert shown[-1] == "2 rows"
    roomy = on_a_terminal("sql", "--data", up.data, wide, width=140).splitlines()
    assert roomy[0].split() == ["event_id", "nothing", "long", "number"]
    assert len(roomy) == 4
    piped = tillstream("sql", "--data", up.data, wide).stdout.splitlines()
    assert piped[0].split() == ["event_id", "nothing", "long", "number"]
    assert len(piped) == 4


def test_a_remedy_on_a_terminal_can_be_typed(tmp_path: Path) -> None:
    shown = on_a_terminal("status", "--data", tmp_path / "none", width=200, cwd=BIN.parents[1])
    command = f"{BIN.relative_to(BIN.parents[1])}/tillstream up --data {tmp_path / 'none'}"
    assert f"next: {command}" in " ".join(shown.split())
    assert f"next: tillstream up --data {tmp_path / 'none'}" in tillstream("status", "--data", tmp_path / "none").stderr
