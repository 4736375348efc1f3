"""What is shown in a terminal: coloured only there, and never obeyed by it."""

import subprocess
import sys

import pytest
from rich.table import Table
from rich.text import Text

from tests.e2e.running import environment
from tillstream import screen

HOSTILE = "Ada\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe"
SHOWN = "Ada�]0;owned�[2J�31m�gpj.exe"  # the bell is left out altogether


@pytest.mark.parametrize("form", [HOSTILE, Text(HOSTILE)], ids=["str", "Text"])
def test_a_name_cannot_steer_the_terminal(form: str | Text, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row(form)
    screen.out.print(form)
    screen.out.print(table)
    told = capsys.readouterr().out
    assert [line.strip() for line in told.splitlines()] == [SHOWN] * 2


def test_a_name_is_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    screen.out.print("[red]Bob[/] :smile:")
    assert capsys.readouterr().out == "[red]Bob[/] :smile:\n"


def test_wide_characters_keep_columns_in_line() -> None:
    console, table = screen.out, Table(box=None, pad_edge=False, show_header=False)
    for name in ("東京商店", "Zoë", "x"):
        table.add_row(name, "|")
    with console.capture() as shown:
        console.print(table)
    lines = shown.get().splitlines()
    assert [Text(line.rpartition("|")[0]).cell_len for line in lines] == [len("東京商店") * 2 + 2] * 3


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_only_on_a_terminal_that_wants_them(variables: dict[str, str], coloured: bool) -> None:
    shown = "from tillstream import screen; screen.out.print('x', style='red')"
    in_terminal = f"import pty, sys; pty.spawn([sys.executable, '-c', {shown!r}])"
    env = {**environment(), "TERM": "xterm-256color", **variables}
    done = subprocess.run(
        [sys.executable, "-c", in_terminal],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("\x1b[31m" in done.stdout) is coloured
    piped = subprocess.run([sys.executable, "-c", shown], env=env, capture_output=True, text=True, check=True)
    assert piped.stdout == "x\n"
