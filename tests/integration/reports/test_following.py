"""`feed --follow` over the real engine: each fact once, again when it changes, and none missed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reports.feed import Fact, Filter
from reports.following import follow, mark
from schemas.errors import Unavailable
from schemas.metrics import Metric
from tests.integration.segments_support import Shop, paid, shop, taken_back
from tests.integration.sinks_support import fact
from warehouse.address import Address
from warehouse.client import Warehouse

__all__ = ["shop"]


class Broken(Warehouse):
    """Fails as often as it is told to."""

    failures = 0

    async def rows(self, query: Any) -> list[dict[str, Any]]:
        if self.failures:
            self.failures -= 1
            raise Unavailable("ClickHouse does not answer")
        return await super().rows(query)


@pytest.fixture
async def warehouse(shop: Shop) -> AsyncIterator[Broken]:
    found = Broken(Address(shop.url, database=shop.database))
    yield found
    await found.close()


async def some(facts: AsyncIterator[Fact], count: int) -> list[tuple[str, str, int]]:
    """The next ones: email, metric and version."""
    found = []
    async with asyncio.timeout(90):
        while len(found) < count:
            fact = await anext(facts)
            found.append((fact.email, fact.metric.value, fact.version))
    return found


async def test_what_is_written_after_the_mark_comes_once_and_again_when_it_changes(
    shop: Shop, warehouse: Broken
) -> None:
    await shop.told(paid("before@example.com"))
    wanted = Filter(livemode=True)
    began = await mark(warehouse, wanted)
    await shop.told(paid("between@example.com"), paid("test@example.com", livemode=False))  # before the first question
    rows = follow(warehouse, wanted, began, lambda why: None)
    assert await some(rows, 1) == [("between@example.com", "Successfully Paid", 1)]
    await shop.told(paid("between@example.com"), paid("before@example.com", version=2), taken_back("gone@example.com"))
    await shop.told(paid("later@example.com", occurred_at="2020-01-01T00:00:00.000Z"))  # an import brings the past
    assert sorted(await some(rows, 2)) == [
        ("before@example.com", "Successfully Paid", 2),
        ("later@example.com", "Successfully Paid", 1),
    ]


async def test_filters_hold_and_silence_is_told_once(shop: Shop, warehouse: Broken) -> None:
    wanted = Filter(livemode=True, metric="Failed Payment", email="ada@example.com")
    told: list[str] = []
    rows = follow(warehouse, wanted, await mark(warehouse, wanted), told.append)
    warehouse.failures = 2
    await shop.told(
        paid("ada@example.com"),
        fact("f1", Metric.FAILED_PAYMENT, email="bob@example.com"),
        fact("f2", Metric.FAILED_PAYMENT, email=""),
    )
    await shop.told(fact("f3", Metric.FAILED_PAYMENT, email="ada@example.com"))
    await shop.told(fact("f2", Metric.FAILED_PAYMENT, email="ada@example.com", version=2))  # whose email became known
    assert sorted(await some(rows, 2)) == [
        ("ada@example.com", "Failed Payment", 1),
        ("ada@example.com", "Failed Payment", 2),
    ]
    assert told == ["ClickHouse does not answer", ""]
