"""What went back in time is known until a person has seen to it, and until a worker has taken it up."""

from pathlib import Path

import pytest

from streams.losses import FILE, Loss, all_losses, losses, note, pending, settle, taken_up


def lost(what: str, at: float = 1.0, messages: int = 7, partitions: tuple[int, ...] = ()) -> Loss:
    return Loss(at, what, "state is ahead", messages, "tillstream replay --missing", list(partitions))


def test_what_is_noted_is_there_after_a_restart_until_it_is_seen_to(tmp_path: Path) -> None:
    assert all_losses(tmp_path) == []
    note(tmp_path / "processors", lost("ledger", 2.0))
    note(tmp_path / "sink", lost("stripe.events", 1.0))
    assert [loss.what for loss in all_losses(tmp_path)] == ["stripe.events", "ledger"]
    settle(tmp_path)
    assert all_losses(tmp_path) == []
    assert not list(tmp_path.glob("*/*"))


def test_what_is_found_again_at_each_start_is_one(tmp_path: Path) -> None:
    for at in (1.0, 2.0):
        note(tmp_path, lost("stripe.events", at))
    note(tmp_path, lost("stripe.events", 3.0, messages=8))
    assert [(loss.at, loss.messages) for loss in losses(tmp_path)] == [(2.0, 7), (3.0, 8)]


def test_state_that_nobody_has_taken_up_is_older_than_it_was_whoever_has_seen_to_it(tmp_path: Path) -> None:
    engage = tmp_path / "engage"
    note(engage, lost("people", partitions=(0, 3)))
    note(engage, lost("facts", partitions=(3,)))
    taken_up(engage, "people", {3})
    assert (pending(engage, "people"), pending(engage, "facts")) == ({0}, {3})
    settle(tmp_path)
    taken_up(engage, "people", {0})
    assert (pending(engage, "people"), pending(engage, "facts")) == (set(), {3})
    settle(tmp_path)
    assert [loss.what for loss in losses(engage)] == ["facts"]


@pytest.mark.parametrize("left", [b'[{"at": 1', b'[{"what": "\xff"}]', b"\0" * 10, b"{}"])
def test_a_note_that_a_disk_has_spoiled_ends_nobody(tmp_path: Path, left: bytes) -> None:
    (tmp_path / FILE).write_bytes(left)
    assert losses(tmp_path) == []
    note(tmp_path, lost("ledger"))
    assert len(losses(tmp_path)) == 1
