"""The command line as a whole: quick to start, and alike in every command."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from tests.e2e.running import environment
from tillstream.__main__ import app
from tillstream.commands import manual
from tillstream.commands.shapes import SHAPES
from tillstream.program import COMMANDS

ROOT = Path(__file__).parents[3]
SAME = {"--data", "--json", "--csv", "--yes", "--dry-run", "--account", "--metric", "--where", "--timezone"}

HEAVY = "aiohttp aiokafka chdb clickhouse_connect faust hypothesis jinja2 lz4 rocksdict stripe structlog uvloop".split()
NAMES = [name for section in COMMANDS.values() for name in section]


def imported(code: str) -> set[str]:
    """The top-level modules that a process has loaded after `code`."""
    told = f"import sys\n{code}\nprint(' '.join(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told], env=environment(), capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


def called(*arguments: str) -> str:
    return (
        f"sys.argv = ['tillstream', *{list(arguments)!r}]\nfrom tillstream.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass"
    )


def every_command() -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Each command with its full name, those of groups too."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    for name, later in group.commands.items():
        command = later.load()  # type: ignore[attr-defined]
        if not isinstance(command, typer.core.TyperGroup) or command.invoke_without_command:
            yield name, command
        for below, each in getattr(command, "commands", {}).items():
            yield f"{name} {below}", each


def test_help_needs_nothing_but_the_names_of_commands() -> None:
    loaded = imported(called("--help"))
    assert "typer" in loaded
    assert not loaded & {*HEAVY, "asyncio", "pydantic", "rich"}


def test_a_stopped_instance_answers_without_what_a_running_one_needs(tmp_path: Path) -> None:
    assert not imported(called("status", "--json", "--data", str(tmp_path))) & {*HEAVY, "asyncio"}


def test_no_command_loads_a_client_before_it_has_read_its_arguments() -> None:
    load = "from tillstream.__main__ import app\nimport typer\n"
    load += "for each in typer.main.get_command(app).commands.values(): each.load()"
    assert not imported(load) & {*HEAVY}


@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_is_listed_is_there(name: str) -> None:
    (line,) = [section[name][1] for section in COMMANDS.values() if name in section]
    assert len(line) <= 64, "one line of 80 columns"
    assert line.endswith(".")


def test_every_command_has_help_with_an_example_of_its_own() -> None:
    for name, command in every_command():
        _, example, line = (command.help or "").partition("\b\nExample:  ")  # \b: the line is never wrapped
        assert example, name
        assert f"tillstream {name}" in line, name


def test_every_command_with_json_says_what_it_gives() -> None:
    having = {name for name, command in every_command() if any("--json" in each.opts for each in command.params)}
    assert having == set(SHAPES)


def test_the_page_of_the_command_line_is_made_from_the_commands() -> None:
    assert (ROOT / "docs" / "cli.md").read_text("utf-8") == manual.page(), (
        "run: python -m tillstream.commands.manual > docs/cli.md"
    )


def test_options_of_one_name_mean_the_same_everywhere() -> None:
    """But for Klaviyo's imports, whose `--metric` says what an id stands for, and the Stripe that is made up."""
    told: dict[str, set[str]] = {}
    for name, command in every_command():
        for each in command.params:
            for option in set(each.opts) & SAME if not name.endswith((" import", " serve")) else ():
                told.setdefault(option, set()).add(each.help or "")  # type: ignore[attr-defined]
    assert {option: texts for option, texts in told.items() if len(texts) > 1} == {}


def test_what_a_command_is_about_has_a_name_in_its_usage() -> None:
    for name, command in every_command():
        for each in command.params:
            assert each.param_type_name == "option" or each.metavar, f"{name} {each.name}"


def test_whatever_asks_can_be_answered_and_tried_without_doing_it() -> None:
    for name, command in every_command():
        options = {option for each in command.params for option in each.opts}
        assert "--yes" not in options or {"--dry-run", "--json", "--data"} <= options, name
