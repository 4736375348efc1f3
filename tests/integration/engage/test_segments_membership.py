"""Evaluations one after the other: members are right and each change is told once, wherever a crash cuts them off."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from engage.conditions import parse
from engage.segments.membership import Membership
from tests.integration.segments_support import PAYERS, Shop, paid, project, shop, taken_back
from warehouse.client import Warehouse
from warehouse.query import Query

__all__ = ["project", "shop"]

NOW = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)  # the 30th in Berlin
PAYERS_OF_ALL_TIME = parse(PAYERS, "payers")


class Topic:
    """What was published, in order."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, dict[str, Any]]] = []

    async def publish(self, messages: list[tuple[bytes, bytes]]) -> None:
        self.messages += [(key, orjson.loads(value)) for key, value in messages]

    @property
    def changes(self) -> list[tuple[str, str, bool, bool]]:
        """What a consumer that knows the ids has had."""
        by_id = {value["change_id"]: value for _, value in self.messages}
        return sorted((each["email"], each["change"], each["livemode"], each["initial"]) for each in by_id.values())


class Killed(Exception):
    """As if the process had ended here."""


class Mortal:
    """The warehouse, or the topic, of a process that is killed after so many more calls."""

    def __init__(self, warehouse: Warehouse, topic: Topic, calls: Iterator[int]) -> None:
        self._warehouse, self._topic, self._calls = warehouse, topic, calls

    async def rows(self, query: Query | str) -> list[dict[str, Any]]:
        return await self._warehouse.rows(query)

    async def run(self, statement: Query) -> None:
        self._live()
        await self._warehouse.run(statement)
        self._live()

    async def publish(self, messages: list[tuple[bytes, bytes]]) -> None:
        self._live()
        await self._topic.publish(messages[:1])  # some had been sent when the process was killed
        self._live()
        await self._topic.publish(messages[1:])

    def _live(self) -> None:
        if next(self._calls, None) is None:
            raise Killed


async def test_the_first_evaluation_is_a_baseline_and_then_each_change_is_told_once(shop: Shop) -> None:
    topic = Topic()
    async with Warehouse(shop.warehouse) as warehouse:
        membership = Membership(warehouse, topic.publish, "Europe/Berlin")
        await membership.load()
        await shop.told(paid("ada@example.com"), paid("bob@example.com"), paid("o'brien\\@example.com", livemode=False))
        assert await membership.evaluate("payers", PAYERS_OF_ALL_TIME, NOW) == 3
        assert topic.changes == [
            ("ada@example.com", "entered", True, True),
            ("bob@example.com", "entered", True, True),
            ("o'brien\\@example.com", "entered", False, True),
        ]
        assert {key for key, _ in topic.messages} == {
            b"ada@example.com",
            b"bob@example.com",
            b"test:o'brien\\@example.com",
        }
        topic.messages.clear()
        assert await membership.evaluate("payers", PAYERS_OF_ALL_TIME, NOW + timedelta(minutes=1)) == 0
        assert topic.messages == []
        await shop.told(paid("cyd@example.com"), taken_back("bob@example.com"))
        assert await membership.evaluate("payers", PAYERS_OF_ALL_TIME, NOW + timedelta(minutes=2)) == 2
        assert topic.changes == [
            ("bob@example.com", "left", True, False),
            ("cyd@example.com", "entered", True, False),
        ]
        await shop.told(paid("bob@example.com", version=3))
        await membership.evaluate("payers", PAYERS_OF_ALL_TIME, NOW + timedelta(minutes=3))
    assert topic.changes[0] == ("bob@example.com", "entered", True, False)
    assert topic.messages[-1][1]["at"] == "2026-03-29T22:33:00.000Z"
    assert shop.members("payers") == {
        ("ada@example.com", True),
        ("bob@example.com", True),
        ("cyd@example.com", True),
        ("o'brien\\@example.com", False),
    }
    sizes = shop.rows(
        "SELECT livemode, toString(day), members, entered, gone FROM segment_sizes ORDER BY livemode DESC"
    )
    assert sizes == [(True, "2026-03-30", 3, 2, 1), (False, "2026-03-30", 1, 0, 0)]


async def test_an_edited_segment_and_one_that_is_no_more_have_changes_on_which_nothing_is_sent(shop: Shop) -> None:
    topic = Topic()
    async with Warehouse(shop.warehouse) as warehouse:
        membership = Membership(warehouse, topic.publish, "UTC")
        await shop.told(paid("ada@example.com"), paid("bob@example.com", amount_minor=5))
        await membership.evaluate("payers", PAYERS_OF_ALL_TIME, NOW)
        topic.messages.clear()
        edited = parse(PAYERS + "  where: {Amount: {at least: 1}}\n", "payers")
        await membership.evaluate("payers", edited, NOW + timedelta(minutes=1))
        assert topic.changes == [("bob@example.com", "left", True, True)]
        assert membership.gone({"payers": edited}) == []
        assert membership.gone({}) == ["payers"]
        topic.messages.clear()
        await membership.evaluate("payers", None, NOW + timedelta(minutes=2))
        assert topic.changes == [("ada@example.com", "left", True, True)]
        assert membership.gone({}) == []
    assert shop.members("payers") == set()


async def test_a_kill_at_any_point_loses_no_change_and_tells_none_twice(shop: Shop) -> None:
    async with Warehouse(shop.warehouse) as warehouse:
        cut_off = [await _killed_after(shop, warehouse, calls) for calls in range(13)]
    assert cut_off == [True] * 12 + [False]  # each statement was cut off before and after it was done


async def _killed_after(shop: Shop, warehouse: Warehouse, calls: int) -> bool:
    """An evaluation that is killed after so many calls, and a process that comes after it; whether it was killed."""
    topic, name, killed = Topic(), f"payers-{calls}", False
    ada, bob, cyd, dan = (f"{person}-{calls}@example.com" for person in ("ada", "bob", "cyd", "dan"))
    payers = parse(PAYERS + f"  where: {{Customer: cus_{calls}}}\n", name)
    own = {"customer_id": f"cus_{calls}"}
    before = Membership(warehouse, topic.publish, "UTC")
    await shop.told(paid(ada, **own), paid(bob, **own))
    await before.evaluate(name, payers, NOW)
    topic.messages.clear()
    await shop.told(paid(cyd, **own), paid(dan, **own), taken_back(bob))
    mortal = Mortal(warehouse, topic, iter(range(calls)))
    process = Membership(mortal, mortal.publish, "UTC")  # type: ignore[arg-type]
    await process.load()
    try:
        await process.evaluate(name, payers, NOW + timedelta(minutes=1))
    except Killed:
        killed = True
    after = Membership(warehouse, topic.publish, "UTC")
    await after.load()
    await after.recover(name)
    await after.evaluate(name, payers, NOW + timedelta(minutes=2))
    assert await after.recover(name) == 0
    assert topic.changes == [(bob, "left", True, False), (cyd, "entered", True, False), (dan, "entered", True, False)]
    assert len({(value["email"], value["change"]) for _, value in topic.messages}) == 3
    assert shop.members(name) == {(email, True) for email in (ada, cyd, dan)}
    told = shop.rows(f"SELECT count(), uniqExact(email) FROM segment_changes WHERE segment = '{name}' AND NOT initial")
    assert told == [(3, 3)]
    return killed


async def test_two_owners_at_once_for_a_moment_give_the_same_ids(shop: Shop) -> None:
    topic = Topic()
    async with Warehouse(shop.warehouse) as warehouse:
        owners = [Membership(warehouse, topic.publish, "UTC") for _ in range(2)]
        await owners[0].evaluate("payers", PAYERS_OF_ALL_TIME, NOW)
        await owners[1].load()
        await shop.told(paid("ada@example.com"))
        first, second = (Mortal(warehouse, topic, iter(range(2))) for _ in range(2))
        for number, mortal in enumerate((first, second)):
            slow = Membership(mortal, mortal.publish, "UTC")  # type: ignore[arg-type]
            await slow.load()
            with pytest.raises(Killed):  # the difference is written, and nothing after it
                await slow.evaluate("payers", PAYERS_OF_ALL_TIME, NOW + timedelta(minutes=1, seconds=number))
        await owners[0].evaluate("payers", PAYERS_OF_ALL_TIME, NOW + timedelta(minutes=2))
        await owners[1].evaluate("payers", PAYERS_OF_ALL_TIME, NOW + timedelta(minutes=3))
    assert topic.changes == [("ada@example.com", "entered", True, False)]
    assert shop.members("payers") == {("ada@example.com", True)}
