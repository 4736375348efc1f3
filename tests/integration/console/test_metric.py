"""A metric's page: every currency, filters as people type them, and no comparison with what is not known."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from console.config import ConsoleConfig
from schemas.metrics import Metric
from tests.conftest import ClickHouseServer
from tests.integration.console_support import create_schema, insert, row, serving
from warehouse.address import Address

NOW = datetime.now(UTC).replace(hour=18)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_every_currency_has_its_sum_on_the_page(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str
) -> None:
    await create_schema(clickhouse_server.url, database)
    currencies = ["usd", "eur", "gbp", "jpy", "kwd", "sek", "nok", "dkk"]
    paid = [
        row(Metric.SUCCESSFULLY_PAID, n * 100 + m, NOW, currency=currency)
        for n, currency in enumerate(currencies)
        for m in range(n + 1)
    ]
    await insert(clickhouse_server.url, database, "metric_rows", paid)
    config = ConsoleConfig(Address(clickhouse_server.url, database=database))
    async with serving(config) as url, http.get(f"{url}/metric/successfully_paid") as answer:
        totals = (await answer.text()).partition('<dl class="totals">')[2].partition("</dl>")[0]
    assert [name for name in currencies if f"<dt>{name.upper()}</dt>" not in totals] == []


@pytest.mark.parametrize("written", ["EUR", "eur", "Eur"])
@pytest.mark.parametrize("key", ["currency", "properties.Currency"])
async def test_a_currency_is_found_however_it_is_written(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str, key: str, written: str
) -> None:
    await create_schema(clickhouse_server.url, database)
    paid = [row(Metric.SUCCESSFULLY_PAID, n, NOW, currency="eur" if n < 3 else "usd") for n in range(5)]
    await insert(clickhouse_server.url, database, "metric_rows", paid)
    asked = {"where": key, "is": written}
    async with serving(ConsoleConfig(Address(clickhouse_server.url, database=database))) as url:
        async with http.get(f"{url}/api/v1/metrics/successfully_paid", params=asked) as answer:
            assert (await answer.json())["total"]["count"] == 3
        async with http.get(f"{url}/metric/successfully_paid", params=asked) as answer:
            assert "Currency: EUR</bdi>" in await answer.text()
        async with http.get(f"{url}/part/values/successfully_paid", params={"split": "currency"}) as answer:
            assert await answer.text() == '<option value="EUR">EUR</option><option value="USD">USD</option>'


@pytest.mark.parametrize(("days", "compared"), [(50, False), (70, True)])
async def test_a_time_before_all_that_is_known_is_not_compared_with(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str, days: int, compared: bool
) -> None:
    await create_schema(clickhouse_server.url, database)
    first = NOW - timedelta(days=days)
    paid = [row(Metric.SUCCESSFULLY_PAID, n, NOW - timedelta(days=n % 20)) for n in range(60)]
    before = [row(Metric.SUCCESSFULLY_PAID, 100, NOW - timedelta(days=40)), row(Metric.ISSUED_INVOICE, 101, first)]
    await insert(clickhouse_server.url, database, "metric_rows", [*paid, *before])
    reason = f"nothing is known from before {first:%a} {first.day} {first:%b %Y}"
    async with serving(ConsoleConfig(Address(clickhouse_server.url, database=database))) as url:
        for page in ("/", "/metric/successfully_paid?compare=true"):
            async with http.get(url + page) as answer:
                text = (await answer.text()).replace("\N{NO-BREAK SPACE}", " ")
            assert ("+5,900 %" in text, reason in text) == (compared, not compared), page
        async with http.get(f"{url}/api/v1/metrics") as answer:
            told = await answer.json()
        paid_before = next(one["before"] for one in told["metrics"] if one["slug"] == "successfully_paid")
        assert (paid_before["count"], paid_before["known"]) == (1, compared)
        async with http.get(f"{url}/api/v1/metrics/successfully_paid?compare=true") as answer:
            told = await answer.json()
        assert (told["before"]["count"], told["before"]["known"]) == (1, compared)
