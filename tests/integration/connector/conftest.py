"""What the connector's tests have in common."""

import pytest

from tests.conftest import ClickHouseServer
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate


@pytest.fixture
async def migrated(clickhouse_server: ClickHouseServer, database: str) -> Address:
    """A database of the test's own, with all tables and views."""
    address = Address(clickhouse_server.url, database=database)
    async with Warehouse(address) as connection:
        await migrate(connection)
    return address
