"""What a shell is offered, asked as bash, zsh and fish ask: by the protocol behind `--install-completion`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.metrics import Metric
from schemas.stripe_types import EVENT_TYPES
from tests.e2e.running import environment
from tillstream.__main__ import app
from tillstream.program import COMMANDS

NAMES = [name for section in COMMANDS.values() for name in section]


def asked(shell: str, line: str) -> dict[str, str]:
    """How the shell's script asks when the tab key is pressed at the end of `line`."""
    return {
        "_TILLSTREAM_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }


def offered(line: str, **env: str) -> list[str]:
    """The words that bash is given."""
    done = CliRunner().invoke(app, prog_name="tillstream", env=asked("bash", line) | env)
    assert done.exit_code == 0, done.output
    return done.stdout.split()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with a segment and a flow of one's own, the latter broken."""
    for name in ("TILLSTREAM_CONFIG", "TILLSTREAM_DATA", "TILLSTREAM_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for kind, name in (("segments", "vip"), ("flows", "win-back")):
        (tmp_path / "project" / kind).mkdir(parents=True)
        (tmp_path / "project" / kind / f"{name}.yaml").write_text("half a fil: [")
    return tmp_path


def test_every_command_is_offered_and_those_that_begin_as_typed() -> None:
    assert offered("tillstream ") == NAMES
    assert offered("tillstream re") == ["reconcile", "replay", "relink"]
    assert offered("tillstream flows pre") == ["preview"]
    assert "--version" in offered("tillstream --")


def test_options_and_their_values_are_offered() -> None:
    assert {"--metric", "--interval", "--by", "--timezone", "--json", "--csv"} <= set(offered("tillstream metrics --"))
    assert offered("tillstream metrics --interval ") == ["hour", "day", "week", "month"]
    assert offered("tillstream feed --metric ") == [metric.slug for metric in Metric]
    assert offered("tillstream metrics --timezone Europe/Berl") == ["Europe/Berlin"]
    assert offered("tillstream demo --kill in") == ["ingest"]


def test_event_types_are_offered_also_the_second_of_a_list() -> None:
    assert set(offered("tillstream simulate trigger charge.")) >= {n for n in EVENT_TYPES if n.startswith("charge.")}
    assert offered("tillstream listen --events charge.failed,charge.exp") == ["charge.failed,charge.expired"]


def test_segments_and_flows_are_those_of_the_project_folder_and_the_ready_ones(project: Path) -> None:
    segments = offered(f"tillstream segments count --data {project} ")
    assert {"vip", "unpaid-invoices"} <= set(segments)
    assert offered("tillstream segments show v", TILLSTREAM_DATA=str(project)) == ["vip"]
    flows = offered("tillstream flows preview ", TILLSTREAM_PROJECT=str(project / "project"))
    assert {"win-back", "invoice-receipt"} <= set(flows)
    config = project / "tillstream.toml"
    config.write_text(f'tillstream_project = "{project / "project"}"\n[accounts.shop]\n[accounts.club]\n')
    assert offered("tillstream flows show w", TILLSTREAM_CONFIG=str(config)) == ["win-back"]
    assert offered("tillstream sweep --account ", TILLSTREAM_CONFIG=str(config)) == ["shop", "club"]


def test_a_broken_configuration_offers_nothing_and_says_nothing(project: Path) -> None:
    for line in ("tillstream sweep --account ", "tillstream flows show w"):
        env = environment(**asked("bash", line), TILLSTREAM_CONFIG="/nowhere.toml")
        done = subprocess.run([sys.executable, "-m", "tillstream"], env=env, capture_output=True, text=True, check=True)
        assert (done.stdout.strip(), done.stderr) == ("", "")


def test_zsh_and_fish_are_told_what_each_is_for() -> None:
    line = "tillstream metrics --interval mo"
    assert CliRunner().invoke(app, prog_name="tillstream", env=asked("fish", line)).stdout.strip() == "month"
    zsh = CliRunner().invoke(app, prog_name="tillstream", env=asked("zsh", "tillstream swe")).stdout
    assert zsh.strip() == """_arguments '*: :(("sweep":"Take in events whose webhooks never came."))'"""
    fish = CliRunner().invoke(app, prog_name="tillstream", env=asked("fish", "tillstream swe")).stdout
    assert fish.strip() == "sweep\tTake in events whose webhooks never came."


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_be_given_its_script(shell: str) -> None:
    done = CliRunner().invoke(app, prog_name="tillstream", env={"_TILLSTREAM_COMPLETE": f"source_{shell}"})
    assert f"_TILLSTREAM_COMPLETE=complete_{shell}" in done.stdout


def test_bash_itself_completes() -> None:
    script = """
    eval "$(_TILLSTREAM_COMPLETE=source_bash tillstream)"
    COMP_WORDS=(tillstream metrics --metric fa) COMP_CWORD=3
    _tillstream_completion tillstream
    echo "${COMPREPLY[@]}"
    """
    env = environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("failed_payment\n", "")
