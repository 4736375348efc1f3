"""What the tests of segments share: a database with facts, written as the sink writes them, and a project's folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client

from schemas.metrics import Metric, MetricEvent
from sinks.config import SinkConfig
from tests.conftest import ClickHouseServer
from tests.integration.sinks_support import fact
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate

PAYERS = "name: Payers\nevery: 1 hour\nall:\n- metric: Successfully Paid\n"


@dataclass(frozen=True)
class Shop:
    """One database of the real engine."""

    client: Client
    sink: Warehouse
    database: str
    url: str

    @property
    def warehouse(self) -> Address:
        return Address(self.url, database=self.database)

    async def told(self, *facts: MetricEvent) -> None:
        """Facts, and profiles of their people."""
        await self.sink.insert("metric_rows", b"\n".join(each.model_dump_json().encode() for each in facts))
        people = [
            {
                "email": each.email,
                "livemode": each.livemode,
                "first_seen": each.occurred_at,
                "last_seen": each.occurred_at,
                "updated_at": each.occurred_at,
                "version": 1,
            }
            for each in facts
        ]
        await self.sink.insert("profile_rows", b"\n".join(map(orjson.dumps, people)))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        self.client.database = self.database
        return [tuple(row) for row in self.client.query(query).result_rows]

    def members(self, segment: str) -> set[tuple[str, bool]]:
        found = self.rows(f"SELECT email, livemode FROM segment_members WHERE segment = '{segment}'")
        assert len(found) == len(set(found))
        return set(found)  # type: ignore[arg-type]


def paid(email: str, metric_id: str = "", **changes: Any) -> MetricEvent:
    """A payment of somebody."""
    return fact(metric_id or f"paid:{email}", Metric.SUCCESSFULLY_PAID, email=email, **changes)


def taken_back(email: str) -> MetricEvent:
    """The newer version that withdraws `paid(email)`."""
    return paid(email, version=2, withdrawn=True)


@pytest.fixture
async def shop(clickhouse: Client, clickhouse_server: ClickHouseServer, database: str) -> AsyncIterator[Shop]:
    config = SinkConfig({}, Address(clickhouse_server.url, database=database))
    async with Warehouse(config.warehouse) as sink:
        await migrate(sink)
        yield Shop(clickhouse, sink, database, clickhouse_server.url)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "segments").mkdir()
    return tmp_path


def write(project: Path, name: str, text: str) -> None:
    """One segment's file."""
    (project / "segments" / f"{name}.yaml").write_text(text, "utf-8")
