"""README.md: every command in it does what it says, against a running `up`."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from processors.rules.observation import kind_of
from schemas import topics
from settings.table import Settings
from tests.conftest import eventually
from tests.e2e.running import SECRET, RunningUp, environment
from tillstream.__main__ import app
from warehouse.address import Address
from warehouse.waiting import Warehouse

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
TROUBLE = re.findall(r"^\|[^|]+\|[^|]+\| ([^|]+) \|$", README.partition("## When something is wrong")[2], re.MULTILINE)
REMEDIES = [command for cell in TROUBLE[1:] for command in re.findall(r"`([^`]+ [^`]+)`", cell)]
# Ends of options that kcat's manual gives, for a machine without kcat.
KCAT_FLAGS = {"-b", "-C", "-t", "-o", "-e", "-q", "-f"}


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def commands() -> list[str]:
    """Every command of every `sh` block, and of the table of troubles, one each."""
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    return lines + REMEDIES


LOGIN = next(line for line in commands() if line.startswith("eval "))


def told_to(program: str) -> list[str]:
    return [line for line in commands() if Path(shlex.split(line)[0]).name == program]


def here(text: str, up: RunningUp) -> str:
    """`text` with the addresses of `up` in place of the default ones."""
    runtime = up.runtime()
    addresses = {
        "http://127.0.0.1:8080": runtime["http_url"],
        "http://127.0.0.1:8081": runtime["console_url"],
        "127.0.0.1:9092": runtime["kafka_bootstrap"],
    }
    return re.sub("|".join(map(re.escape, addresses)), lambda match: addresses[match[0]], text)


def shell(up: RunningUp) -> dict[str, str]:
    """The environment of the reader's other terminal."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment(STRIPE_WEBHOOK_SECRET=SECRET, TILLSTREAM_DATA=str(up.data), PATH=path)


async def run(command: str, up: RunningUp) -> str:
    """Run one line as a reader would; what it printed."""
    argv = ["bash", "-c", f"{LOGIN}\n{here(command, up)}" if "CLICKHOUSE" in command else here(command, up)]
    done = await asyncio.to_thread(
        subprocess.run, argv, env=shell(up), capture_output=True, text=True, timeout=240, check=False, cwd=up.data
    )
    nobody = 1 if " forget " in command else 0  # the README's person isn't among those simulated
    assert done.returncode in (0, nobody), (command, done.stdout[-1000:], done.stderr[-1000:])
    return str(done.stdout)


def warehouse(up: RunningUp) -> Warehouse:
    runtime = up.runtime()
    return Warehouse(Address(runtime["clickhouse_url"], database=runtime["database"]))


@pytest.fixture(scope="module")
async def told(up: RunningUp) -> RunningUp:
    """`up`, after the README's own simulated traffic has become rows of every kind."""
    simulate = next(command for command in told_to("tillstream") if "simulate" in command)
    assert "events accepted" in await run(simulate, up)
    store = warehouse(up)
    count = "SELECT uniqExact(metric) = 5 AND (SELECT count() > 0 FROM profiles) AS all FROM metrics"
    await eventually(lambda: store.rows(count)[0]["all"], deadline=120)
    return up


async def test_every_tillstream_command_answers(told: RunningUp) -> None:
    lines = [line for line in told_to("tillstream") if " up" not in line and " simulate" not in line]
    assert len(lines) > 8
    printed = await asyncio.gather(*(run(line, told) for line in lines))
    assert all(text.strip() for text in printed)


async def test_every_curl_command_answers(told: RunningUp) -> None:
    lines = told_to("curl")
    readiness, profiles = await asyncio.gather(*(run(line, told) for line in lines))
    assert readiness == ""  # and an exit code of 0: the port is public, and tells nothing more
    assert '"email"' in profiles
    assert "tillstream_door_refused_total" in README
    health = told.runtime()["roles"]["ingest"]["health_url"]
    assert "tillstream_door_refused_total" in await run(f"curl --fail {health}/metrics", told)


async def test_the_console_opens_where_the_readme_says(told: RunningUp) -> None:
    (address,) = re.findall(r"<(http://127[^>]+)>", README)
    page = await run(f"curl --fail --location {address}", told)
    assert "<html" in page


async def test_the_query_in_sql_answers(told: RunningUp) -> None:
    store = warehouse(told)
    for query in blocks("sql"):
        columns, _ = await asyncio.to_thread(store.table, query)
        assert list(columns) == ["day", "metric", "count", "amount"]


async def test_the_python_that_queries_prints_reasons(told: RunningUp) -> None:
    code = here(next(block for block in blocks("python") if "clickhouse_connect" in block), told)
    argv = ["bash", "-c", f'{LOGIN}\nexec "$0" -c "$1"', sys.executable, code]
    done = await asyncio.to_thread(
        subprocess.run, argv, env=shell(told), capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"\w+ \d+\n", done.stdout)


async def test_the_python_that_subscribes_prints_payments(told: RunningUp) -> None:
    code = here(next(block for block in blocks("python") if "AIOKafkaConsumer" in block), told)
    reader = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert reader.stdout is not None
    try:
        async with asyncio.timeout(120):
            lines = [(await reader.stdout.readline()).decode() for _ in range(3)]
    finally:
        reader.kill()
        await reader.communicate()
    for line in lines:
        assert re.fullmatch(r"\S+ \d+ \S* \d[\d.]* [a-z]{3}\n", line.replace("None", "")), line


async def test_kcat_prints_the_failed_payments(told: RunningUp) -> None:
    (line,) = told_to("kcat")
    words = shlex.split(line)
    assert {word for word in words if word.startswith("-")} <= KCAT_FLAGS
    assert words[words.index("-t") + 1] in {topic.name for topic in topics.METRICS.values()}
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed (apt-get install kcat): its flags and its topic were checked, nothing more")
    printed = (await run(line, told)).splitlines()
    assert printed
    assert all('"metric":"Failed Payment"' in row for row in printed)


def test_every_topic_and_view_that_is_named_is_there() -> None:
    names = {topic.name for topic in topics.ALL}
    assert set(re.findall(r"`(metrics\.\w+|profiles)`", README)) <= names
    assert {topic.name for topic in topics.METRICS.values()} <= set(re.findall(r"`(metrics\.\w+)`", README))


def test_up_is_started_with_options_that_it_has() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    lines = [line for line in told_to("tillstream") if " up" in line]
    assert len(lines) == 3
    for line in lines:
        _, name, *arguments = shlex.split(line)
        group.commands[name].make_context(name, arguments)


def test_everything_to_export_is_a_setting() -> None:
    for line in told_to("export"):
        assert line.removeprefix("export ").partition("=")[0].lower() in Settings.model_fields


def test_the_two_commands_are_make_targets_that_run_the_demo_and_the_tests() -> None:
    assert told_to("make") == ["make demo", "make test"]
    for line, target in zip(told_to("make"), ("bin/tillstream demo", "bin/python -m pytest"), strict=True):
        done = subprocess.run([*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert target in done.stdout


def test_no_command_is_left_out() -> None:
    known = {"tillstream", "curl", "kcat", "export", "eval", "make", "apt-get"}
    assert {Path(shlex.split(line)[0]).name for line in commands()} == known
    assert {name for name, _ in BLOCKS} == {"sh", "sql", "python", "text", "console"}
    assert told_to("apt-get") == ["apt-get install openjdk-17-jre-headless"]
    assert told_to("apt-get")[0] in (ROOT / "embedded" / "kafka.py").read_text("utf-8")


def test_what_needs_an_account_or_a_container_engine_is_there_to_be_used() -> None:
    """The only commands that are not run here; other tests run them against a simulated account."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    compose, *account = sorted(blocks("console"), key=lambda block: "docker" not in block)
    assert compose == "cp deploy/.env.example .env\ndocker compose up -d --wait\n"  # see tests/unit/test_deploy.py
    assert (ROOT / "deploy" / ".env.example").exists()
    for line in "".join(account).splitlines():
        program, name, *arguments = shlex.split(line)
        assert program == "tillstream"
        group.commands[name].make_context(name, arguments)


def test_the_18_events_are_each_understood() -> None:
    events = set(re.findall(r"\b(?:charge|invoice)\.\w+\b", next(b for b in blocks("text") if "charge.captured" in b)))
    assert len([event for event in events if event.startswith("charge.")]) == 7
    assert len([event for event in events if event.startswith("invoice.")]) == 11
    assert all(map(kind_of, events))


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
