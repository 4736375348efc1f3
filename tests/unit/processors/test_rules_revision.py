"""After an upgrade `up` says how rows of before come to be told by the new rules, until that was done."""

from pathlib import Path

from processors.rules.lattice import RULES
from tillstream import revision


def test_a_new_directory_has_nothing_of_before(tmp_path: Path) -> None:
    assert not revision.behind(tmp_path)


def test_one_with_state_of_an_older_tillstream_is_behind_until_all_was_replayed(tmp_path: Path) -> None:
    (tmp_path / "processors" / "v1").mkdir(parents=True)  # the first rules left no note
    assert revision.behind(tmp_path)
    revision.note(tmp_path)
    assert not revision.behind(tmp_path)
    (tmp_path / "rules_revision").write_text(str(RULES - 1), "ascii")
    assert revision.behind(tmp_path)
    assert "tillstream replay" in revision.MENDED
