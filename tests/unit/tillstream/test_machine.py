"""A machine that went down under a running `up` is known by the note that was left; nothing else is taken for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tillstream import machine

Boot = Callable[[str], None]


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Boot:
    """`boot("a")` starts the machine."""
    identifier = tmp_path / "boot_id"
    monkeypatch.setattr(machine, "_BOOT_ID", identifier)
    return lambda name: identifier.write_text(f"{name}\n", "ascii") and None


@pytest.mark.parametrize(
    ("flushes", "ends", "next_start", "expected"),
    [
        (False, False, "second", True),
        (False, False, "first", False),  # `up` alone was killed
        (False, True, "second", False),
        (True, False, "second", False),
    ],
)
def test_it_is_told_by_the_note_that_was_left(
    boot: Boot, tmp_path: Path, flushes: bool, ends: bool, next_start: str, expected: bool
) -> None:
    boot("first")
    with (tmp_path / "up.lock").open("a+", encoding="ascii") as lock:
        assert not machine.went_down(lock)
        machine.note(lock, flushes=flushes)
        if ends:
            machine.note_end(lock)
    boot(next_start)
    with (tmp_path / "up.lock").open("a+", encoding="ascii") as lock:
        assert machine.went_down(lock) is expected


def test_where_the_system_does_not_say_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_BOOT_ID", tmp_path / "nothing")
    with (tmp_path / "up.lock").open("a+", encoding="ascii") as lock:
        machine.note(lock, flushes=False)
        assert not machine.went_down(lock)
