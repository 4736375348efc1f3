"""Revisions on a real broker: every machine has the same text, nothing is lost, and the folder is import and export."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engage.definitions.keeping import Definitions, Stale
from schemas.definitions import FILE, Kind, Revision
from schemas.errors import TillstreamError
from tests.conftest import MakeTopics, eventually

FLOW = "status: draft\ntrigger: {metric: Failed Payment}\nsteps:\n  - delay: 1 day\n"
OTHER, THIRD = FLOW.replace("1 day", "2 days"), FLOW.replace("1 day", "3 days")
PAYERS = "name: Payers\nall:\n  - metric: Successfully Paid\n"

Machine = Callable[[str], Definitions]


@pytest.fixture
async def machine(
    kafka_bootstrap: str, topic_prefix: str, make_topics: MakeTopics, tmp_path: Path
) -> Callable[[str], Definitions]:
    """`machine("one")` is a process on that machine, whose folder is `tmp_path / "one"`."""
    await make_topics(topic_prefix, 3)
    return lambda name: Definitions(lambda: ({"bootstrap_servers": kafka_bootstrap}, topic_prefix), tmp_path / name)


@asynccontextmanager
async def running(*several: Definitions) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in several]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def file(folder: Path, name: str = "dunning") -> Path:
    return folder / "flows" / f"{name}.yaml"


async def saved(one: Definitions, text: str, parent: str = "", author: str = "ada") -> Revision:
    found = await one.save(Kind.FLOW, "dunning", text, parent=parent, author=author)
    assert isinstance(found, Revision), found
    return found


async def test_of_two_consoles_the_stale_one_is_refused_with_the_other_text(machine: Machine, tmp_path: Path) -> None:
    ada, bob = machine("one"), machine("two")
    first = await saved(ada, FLOW)
    assert await bob.head(Kind.FLOW, "dunning") == first
    second = await saved(ada, OTHER, first.id)
    refused = await bob.save(Kind.FLOW, "dunning", THIRD, parent=first.id, author="bob")
    assert refused == Stale(second)
    third = await saved(bob, THIRD, second.id, "bob")
    assert [each.author for each in await ada.history(Kind.FLOW, "dunning")] == ["bob", "ada", "ada"]
    assert ada.taken(Kind.FLOW, "dunning") == [first, second, third]
    assert file(tmp_path / "one").read_text("utf-8") == file(tmp_path / "two").read_text("utf-8") == THIRD
    assert await saved(bob, THIRD, third.id) == third  # what is there already is no revision


async def test_of_many_who_save_at_one_moment_exactly_one_is_taken(machine: Machine) -> None:
    several = [machine(f"m{number}") for number in range(5)]
    first = await saved(several[0], FLOW)
    told = await asyncio.gather(
        *(
            each.save(Kind.FLOW, "dunning", FLOW + f"  - delay: {number} days\n", parent=first.id, author=f"m{number}")
            for number, each in enumerate(several, 2)
        )
    )
    (taken,) = [each for each in told if isinstance(each, Revision)]
    assert all(each == taken or each == Stale(taken) for each in told)
    for each in several:
        assert await each.head(Kind.FLOW, "dunning") == taken


async def test_files_of_a_time_without_revisions_become_first_ones(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    for path, text in (
        (file(folder), FLOW),
        (folder / "flows" / "archived" / "old.yaml", OTHER),
        (folder / "segments" / "payers.yaml", PAYERS),
        (folder / "templates" / "plain.html", "<p>Hello</p>"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    one, two = machine("one"), machine("two")
    await one.settle()
    (first,) = await two.history(Kind.FLOW, "dunning")
    assert (first.text, first.author, first.parent) == (FLOW, FILE, "")
    assert two.archived(Kind.FLOW) == ["old"]
    other = tmp_path / "two"
    assert (other / "segments" / "payers.yaml").read_text("utf-8") == PAYERS
    assert (other / "templates" / "plain.html").read_text("utf-8") == "<p>Hello</p>"
    assert not file(other, "old").exists()


async def test_a_folder_follows_what_is_done_on_another_machine(machine: Machine, tmp_path: Path) -> None:
    one, two, three = machine("one"), machine("two"), machine("three")
    async with running(two):
        first = await saved(one, FLOW)
        await eventually(lambda: file(tmp_path / "two").exists(), deadline=20)
        file(tmp_path / "two").write_text(OTHER, "utf-8")  # an editor of files, over there
        await eventually(lambda: two.taken(Kind.FLOW, "dunning")[-1].text == OTHER, deadline=20)
        second = await one.head(Kind.FLOW, "dunning")
        assert second is not None
        assert (second.text, second.author, second.parent) == (OTHER, FILE, first.id)
        assert file(tmp_path / "one").read_text("utf-8") == OTHER
        await one.save(Kind.FLOW, "dunning", OTHER, parent=second.id, author="ada", archived=True)
        await eventually(lambda: not file(tmp_path / "two").exists(), deadline=20)
        assert two.archived(Kind.FLOW) == ["dunning"]
        file(tmp_path / "two").write_text(THIRD, "utf-8")  # it is there again
        await eventually(lambda: not two.archived(Kind.FLOW), deadline=20)
        file(tmp_path / "two").unlink()
        await eventually(lambda: two.archived(Kind.FLOW) == ["dunning"], deadline=20)
    assert len(await three.history(Kind.FLOW, "dunning")) == 5


async def test_what_was_changed_while_nothing_ran_is_a_revision_after_the_restart(
    machine: Machine, tmp_path: Path
) -> None:
    await saved(machine("one"), FLOW)
    file(tmp_path / "one").write_text(OTHER, "utf-8")
    again = machine("one")
    assert [each.text for each in await again.history(Kind.FLOW, "dunning")] == [OTHER, FLOW]
    assert len(await machine("one").history(Kind.FLOW, "dunning")) == 2
    (tmp_path / "one" / ".revisions.json").unlink()  # and without what it remembers, it is the same
    assert len(await machine("one").history(Kind.FLOW, "dunning")) == 2


async def test_a_file_that_was_changed_here_and_elsewhere_is_not_lost(machine: Machine, tmp_path: Path) -> None:
    one, two = machine("one"), machine("two")
    first = await saved(one, FLOW)
    await two.settle()
    file(tmp_path / "two").write_text(THIRD, "utf-8")  # nobody looks over there
    await saved(one, OTHER, first.id)
    history = await two.history(Kind.FLOW, "dunning")
    assert [each.text for each in history] == [THIRD, OTHER, FLOW]
    assert [each.text for each in two.taken(Kind.FLOW, "dunning")] == [FLOW, OTHER]
    assert file(tmp_path / "two").read_text("utf-8") == OTHER


async def test_a_file_with_mistakes_stays_on_its_machine_and_the_others_have_the_last_good_one(
    machine: Machine, tmp_path: Path
) -> None:
    one, two = machine("one"), machine("two")
    first = await saved(one, FLOW)
    file(tmp_path / "one").write_text("steps: [", "utf-8")
    await one.settle()
    assert await two.head(Kind.FLOW, "dunning") == first
    assert file(tmp_path / "one").read_text("utf-8") == "steps: ["
    second = await saved(two, OTHER, first.id, "bob")
    assert await one.head(Kind.FLOW, "dunning") == second
    assert file(tmp_path / "one").read_text("utf-8") == OTHER
    assert "steps: [" in [each.text for each in await two.history(Kind.FLOW, "dunning")]


@pytest.mark.parametrize(
    ("kind", "path", "good", "broken"),
    [
        (Kind.TEMPLATE, "templates/hello.html", "<p>Hello</p>", "<p>{{ persn.first_name }}</p>"),
        (Kind.BRAND, "brand/brand.yaml", "colour: '#4338ca'\n", "colour: red\n"),
    ],
)
async def test_a_broken_mail_or_brand_stays_on_its_machine(
    machine: Machine, tmp_path: Path, kind: Kind, path: str, good: str, broken: str
) -> None:
    one, two, here = machine("one"), machine("two"), tmp_path / "one" / path
    here.parent.mkdir(parents=True)
    for text in (broken, good, broken):
        here.write_text(text, "utf-8")
        await one.settle()
        assert here.read_text("utf-8") == text
    (only,) = await two.history(kind, here.stem)
    assert only.text == (tmp_path / "two" / path).read_text("utf-8") == good


async def test_a_folder_that_is_gone_is_written_again(machine: Machine, tmp_path: Path) -> None:
    await saved(machine("one"), FLOW)
    (tmp_path / "one").rename(tmp_path / "away")
    assert len(await machine("one").history(Kind.FLOW, "dunning")) == 1
    assert file(tmp_path / "one").read_text("utf-8") == FLOW
    file(tmp_path / "one").unlink()
    file(tmp_path / "one").parent.rmdir()
    assert len(await machine("one").history(Kind.FLOW, "dunning")) == 1
    assert file(tmp_path / "one").read_text("utf-8") == FLOW


async def test_without_kafka_files_are_as_they_are_and_the_cause_is_told(tmp_path: Path) -> None:
    alone = Definitions(lambda: ({"bootstrap_servers": "127.0.0.1:9"}, ""), tmp_path)
    file(tmp_path).parent.mkdir()
    file(tmp_path).write_text(FLOW, "utf-8")
    with pytest.raises(TillstreamError, match="Kafka"):
        await alone.save(Kind.FLOW, "dunning", OTHER, parent="", author="ada")
    assert file(tmp_path).read_text("utf-8") == FLOW
    with pytest.raises(TillstreamError, match="name"):
        await alone.save(Kind.FLOW, "../dunning", OTHER, parent="", author="ada")
