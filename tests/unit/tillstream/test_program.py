"""Commands that are printed for a person work when they are typed."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from settings.table import Settings
from tillstream.parts import make_plan
from tillstream.program import program, typed

SCRIPT = Path(sys.executable).with_name("tillstream")


@pytest.fixture(autouse=True)
def _started_by_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    program.cache_clear()
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])


def test_where_path_leads_to_this_program_its_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(SCRIPT.parent))
    assert typed("tillstream up --data x, or tillstream status") == "tillstream up --data x, or tillstream status"


def test_else_its_path_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(SCRIPT.parents[2])
    assert typed("tillstream up --data x") == ".venv/bin/tillstream up --data x"


def test_another_one_on_path_is_not_this_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "tillstream"
    other.write_text("#!/bin/sh\n", "utf-8")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir("/")
    command = typed("tillstream status")
    assert str(tmp_path) not in command
    done = subprocess.run([*shlex.split(command), "--help"], capture_output=True, text=True, check=True)
    assert "How everything is" in done.stdout


def test_started_as_a_module_the_script_beside_the_interpreter_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/tillstream/__main__.py"])
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(SCRIPT.parents[2])
    assert program() == ".venv/bin/tillstream"


def test_the_parts_of_up_are_ours_wherever_it_is_started(tmp_path: Path) -> None:
    ports: dict[str, Any] = {f"tillstream_{name}_port": 0 for name in ("http", "console", "kafka", "clickhouse")}
    plan = make_plan(Settings(tillstream_data=tmp_path / "data", **ports))
    for name in ("settings", "schemas", "embedded", "tillstream"):  # as other people's projects have
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not Tillstream')\n", "utf-8")
    commands = [part.command() for part in (*plan.services, *plan.roles) if part.name != "kafka"]
    for command in commands:
        done = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
    assert len(commands) == 7


@pytest.mark.parametrize(
    "text", ["database=tillstream migration=0001", "database tillstream", "/opt/tillstream up", "Tillstream is up"]
)
def test_what_is_no_command_stays(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert typed(text) == text
