"""Revisions: which one runs, whatever order they come in, and what a folder and the topic do together."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.definitions.folder import File, Folder, Step, step
from schemas.definitions import Kind, Revision, Revisions, revision

AT = "2026-11-30T12:00:00Z"


def rev(text: str, parent: Revision | None = None, *, archived: bool = False, author: str = "ada") -> Revision:
    number = parent.id if parent else ""
    return revision(Kind.FLOW, "dunning", text, parent=number, author=author, at=AT, archived=archived)


def folded(*told: Revision) -> Revisions:
    found = Revisions()
    for offset, each in enumerate(told):
        found.take(offset, each.key, each.value)
    return found


ONE = rev("one")
TWO = rev("two", ONE)
LATE = rev("late", ONE, author="bob")
THREE = rev("three", TWO)


def head(found: Revisions) -> Revision | None:
    return found.head(Kind.FLOW, "dunning")


def test_of_two_who_changed_the_same_text_the_first_is_taken_and_the_other_is_kept_in_the_history() -> None:
    found = folded(ONE, TWO, LATE, THREE)
    assert head(found) == THREE
    assert found.taken(Kind.FLOW, "dunning") == [ONE, TWO, THREE]
    assert found.history(Kind.FLOW, "dunning") == [THREE, LATE, TWO, ONE]
    assert head(folded(ONE, LATE, TWO, THREE)) == LATE


def test_an_id_is_made_of_the_change_alone() -> None:
    again = revision(Kind.FLOW, "dunning", "two", parent=ONE.id, author="eve", at="2030-01-01T00:00:00Z")
    assert again.id == TWO.id
    for other in (
        rev("two"),
        rev("two", TWO),
        rev("two", ONE, archived=True),
        revision(Kind.SEGMENT, "dunning", "two", parent=ONE.id, author="ada", at=AT),
    ):
        assert other.id != TWO.id


def test_going_back_to_an_earlier_text_is_a_revision_of_its_own() -> None:
    back = rev("one", TWO)
    assert back.id != ONE.id
    assert head(folded(ONE, TWO, back)) == back


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (ONE.key, None),
        (ONE.key, b"{"),
        (b"flow/other/" + ONE.id.encode(), ONE.value),
        (b"flow/../../etc/" + ONE.id.encode(), ONE.value.replace(b"dunning", b"../../etc")),
        (ONE.key.replace(b"flow", b"poem"), ONE.value.replace(b'"flow"', b'"poem"')),
    ],
)
def test_what_is_none_of_ours_is_passed_over(key: bytes, value: bytes | None) -> None:
    found = Revisions()
    found.take(0, key, value)
    assert not list(found.definitions())


def test_revisions_that_follow_each_other_in_a_circle_end_nothing() -> None:
    circle = [ONE.model_copy(update={"parent": "b", "id": "a"}), ONE.model_copy(update={"parent": "a", "id": "b"})]
    assert head(folded(*circle)) is None
    assert head(folded(ONE, ONE.model_copy(update={"id": "", "parent": ONE.id}))) is not None


@st.composite
def logs(draw: st.DrawFn) -> list[Revision]:
    """A topic: each revision follows one before it, or none; some are there twice."""
    told: list[Revision] = []
    for number in range(draw(st.integers(1, 12))):
        parent = draw(st.sampled_from([None, *told]))
        told.append(rev(draw(st.sampled_from("abc")) + str(number), parent, archived=draw(st.booleans())))
    return told


@given(logs(), st.randoms(use_true_random=False))
def test_whoever_reads_has_the_same_head_in_any_order_and_however_often(told: list[Revision], random: object) -> None:
    wanted = folded(*told)
    records = [(offset, each) for offset, each in enumerate(told)] * 2
    random.shuffle(records)  # type: ignore[attr-defined]
    found = Revisions()
    for offset, each in records:
        found.take(offset, each.key, each.value)
    assert head(found) == head(wanted)
    assert found.history(Kind.FLOW, "dunning") == wanted.history(Kind.FLOW, "dunning")
    line = found.taken(Kind.FLOW, "dunning")
    assert [each.parent for each in line] == ["", *(each.id for each in line)][: len(line)]


@given(logs())
def test_a_head_changes_only_by_what_was_made_from_it(told: list[Revision]) -> None:
    """So nobody who was told that a save was taken loses it to somebody who saved later."""
    found, before = Revisions(), None
    for offset, each in enumerate(told):
        found.take(offset, each.key, each.value)
        now = head(found)
        assert now == before or (now == each and each.parent == (before.id if before else ""))
        before = now


GONE = rev("one", ONE, archived=True)


@pytest.mark.parametrize(
    ("file", "base", "now", "do"),
    [
        (None, None, None, Step.NOTHING),
        (File("one"), None, None, Step.PUBLISH),  # an old data directory: its files become first revisions
        (File("one", archived=True), None, None, Step.PUBLISH),
        (None, None, ONE, Step.WRITE),  # another machine's folder
        (File("one"), None, ONE, Step.NOTE),
        (File("one"), ONE, ONE, Step.NOTHING),
        (File("one"), ONE, TWO, Step.WRITE),  # changed elsewhere
        (File("mine"), ONE, ONE, Step.PUBLISH),  # changed here
        (File("mine"), ONE, TWO, Step.PUBLISH),  # both: it comes too late, and is in the history
        (File("two"), ONE, TWO, Step.NOTE),
        (File("one"), TWO, TWO, Step.PUBLISH),  # an old text was put back by hand
        (None, ONE, ONE, Step.PUBLISH),  # removed here: archived
        (File("one"), ONE, GONE, Step.WRITE),  # archived elsewhere
        (None, GONE, GONE, Step.NOTHING),
        (File("one", archived=True), GONE, GONE, Step.NOTHING),
        (File("one"), GONE, GONE, Step.PUBLISH),  # put there again by hand
    ],
)
def test_what_a_folder_and_the_topic_do_when_they_differ(
    file: File | None, base: Revision | None, now: Revision | None, do: Step
) -> None:
    assert step(file, base, now) is do


def test_what_can_not_be_read_is_no_revision_unless_it_would_be_lost() -> None:
    assert step(File("broken"), ONE, ONE, readable=False) is Step.NOTHING
    assert step(File("broken"), None, None, readable=False) is Step.NOTHING
    assert step(File("broken"), ONE, TWO, readable=False) is Step.PUBLISH


def test_a_folder_that_is_gone_does_not_archive_everything() -> None:
    assert step(None, ONE, ONE, there=False) is Step.WRITE


FLOW = "trigger: {metric: Failed Payment}\nsteps: [{exit: true}]\n"


def test_files_are_found_by_kind_and_name_and_what_is_no_definition_is_left_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for path in (
        "flows/a.yaml",
        "flows/.hidden.yaml",
        "flows/with blank.yaml",
        "flows/archived/b.yaml",
        "flows/archived/b.1.yaml",
        "segments/c.yaml",
        "templates/receipt.de.html",
        "templates/_layout.html",
        "templates/notes.txt",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x", "utf-8")
    assert sorted(folder.names()) == [
        (Kind.FLOW, "a"),
        (Kind.FLOW, "b"),
        (Kind.SEGMENT, "c"),
        (Kind.TEMPLATE, "_layout"),
        (Kind.TEMPLATE, "receipt.de"),
    ]
    assert folder.read(Kind.FLOW, "b") == File("x", archived=True)
    assert folder.read(Kind.FLOW, "nothing") is None


def test_an_archived_one_is_set_aside_and_nothing_that_lay_there_is_lost(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(ONE)
    (tmp_path / "flows" / "archived").mkdir()
    (tmp_path / "flows" / "archived" / "dunning.yaml").write_text("earlier", "utf-8")
    folder.write(GONE)
    assert _files(tmp_path) == {"flows/archived/dunning.yaml": "one", "flows/archived/dunning.1.yaml": "earlier"}
    folder.write(TWO)
    assert _files(tmp_path) == {"flows/dunning.yaml": "two", "flows/archived/dunning.1.yaml": "earlier"}


def test_a_broken_note_of_what_files_are_of_is_none(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.bases() == {}
    folder.keep_bases({"flow/dunning": ONE.id})
    assert folder.bases() == {"flow/dunning": ONE.id}
    (tmp_path / ".revisions.json").write_text("{", "utf-8")
    assert folder.bases() == {}


def test_what_others_could_not_use_is_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.readable(Kind.FLOW, "dunning", File(FLOW))
    assert not folder.readable(Kind.FLOW, "dunning", File("steps: ["))
    assert not folder.readable(Kind.SEGMENT, "payers", File("all: [{metric: Nothing}]"))
    assert folder.readable(Kind.FLOW, "dunning", File("steps: [", archived=True))
    assert folder.readable(Kind.TEMPLATE, "hello", File("<p>Hello {{ person.first_name }}</p>"))
    assert not folder.readable(Kind.TEMPLATE, "hello", File("<p>Hello {{ persn.first_name }}</p>"))
    assert not folder.readable(Kind.TEMPLATE, "hello", File(" \n"))
    assert folder.readable(Kind.TEMPLATE, "_parts", File("{% macro line(text) %}{{ text }}{% endmacro %}"))
    assert not folder.readable(Kind.TEMPLATE, "_parts", File("{% macro line(text %}"))
    assert folder.readable(Kind.BRAND, "brand", File("colour: '#4338ca'\n"))
    assert not folder.readable(Kind.BRAND, "brand", File("colour: red\n"))


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in _all(folder)}


def _all(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
