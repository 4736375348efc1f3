"""`scripts/prerequisites.sh` is silent on a machine that is ready, and names what another one lacks."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "prerequisites.sh"


def run(path: str | None, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    env = None if path is None else {"PATH": path}
    return subprocess.run(["/bin/bash", str(SCRIPT), python], env=env, capture_output=True, text=True, timeout=120)


def test_a_machine_that_is_ready_hears_nothing() -> None:
    done = run(None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_missing_thing_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    done = run(str(tmp_path), "python-of-nowhere")
    assert done.returncode == 1
    for name in ("python3 python3-venv", "openjdk-17-jre-headless", "maven"):
        assert f"sudo apt-get install {name}" in done.stderr


@pytest.mark.parametrize("version", ["1.8.0_292", "11.0.2"])
def test_an_old_java_is_not_enough(tmp_path: Path, version: str) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2021' >&2\n")
    java.chmod(0o755)
    done = run(f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "Java 17 or newer (java is" in done.stderr
