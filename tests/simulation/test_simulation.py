"""Whatever dies, hangs, comes late or twice: the rows, profiles and mails are right in the end, and nothing is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.metrics import Metric
from tests.simulation.bugs import BUGS
from tests.simulation.histories import HISTORIES, by_the_books, by_the_rules
from tests.simulation.room import simulate
from tests.simulation.schedule import schedule

SEEDS = 1_000
WITHIN = 2_000  # schedules
_ROOT = Path(__file__).parents[2]


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_schedule_ends_with_all_as_it_must_be(capsys: pytest.CaptureFixture[str]) -> None:
    halves = [started("--first", str(half), "--count", str(SEEDS - half), "--step", "2") for half in range(2)]
    told = [half.communicate()[0] for half in halves]
    with capsys.disabled():
        sys.stdout.write(f"\n{SEEDS} schedules: " + "; ".join(text.partition("\n")[0] for text in told) + "\n")
    assert [half.returncode for half in halves] == [0, 0], "\n".join(told)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", BUGS)
def test_a_known_mistake_is_found(bug: str) -> None:
    running = started("--bug", bug, "--count", str(WITHIN))
    told, _ = running.communicate()
    assert running.returncode == 1, told
    assert "is wrong" in told
    assert " failed: " not in told, "what is wrong is how the mistake was put back"


@pytest.mark.parametrize("number", range(HISTORIES))
def test_what_is_expected_is_what_stripe_s_own_books_say(number: int) -> None:
    assert by_the_rules(number) == by_the_books(number)


def test_every_metric_is_in_some_history() -> None:
    assert {fact[0] for number in range(HISTORIES) for fact in by_the_books(number)} == {str(each) for each in Metric}


def test_the_same_seed_is_the_same_history() -> None:
    for seed in range(60):
        once, again = simulate(schedule(seed)), simulate(schedule(seed))
        assert once == again
        assert len(once.trace) > 2
