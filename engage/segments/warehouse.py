"""The segments' side of ClickHouse: statements with bound parameters. The sink makes the tables."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from engage.conditions.sql import Query
from schemas.addresses import keep_login_apart
from schemas.errors import Unavailable

_SECONDS: Final = 300  # the longest evaluation


@dataclass(frozen=True, slots=True)
class WarehouseConfig:
    """Where ClickHouse is; `url` is `http(s)://[user:password@]host:port`, '' when there is none."""

    url: str = ""
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "tillstream"

    def __post_init__(self) -> None:
        keep_login_apart(self, "url", "user", "password")


class Warehouse:
    """Every call raises Unavailable when ClickHouse is away, has not got its tables yet, or refuses the statement."""

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url = client, url

    async def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The result, a dict a row."""
        try:
            result = await self._client.query(sql, parameters=dict(parameters or {}))
        except (ClickHouseError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    async def run(self, statement: Query) -> None:
        """A statement without a result, such as INSERT … SELECT; returns when it is done."""
        try:
            await self._client.command(statement.sql, parameters=dict(statement.parameters))
        except (ClickHouseError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        lines = str(error).splitlines() or [type(error).__name__]
        return Unavailable(f"ClickHouse at {self._url} can't answer: {lines[0][:300]}", remedy="tillstream status")


@asynccontextmanager
async def open_warehouse(config: WarehouseConfig) -> AsyncIterator[Warehouse]:
    """Raises Unavailable when nothing answers."""
    parts = urlsplit(config.url)
    secure = parts.scheme == "https"
    try:
        client = await clickhouse_connect.get_async_client(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or (8443 if secure else 8123),
            secure=secure,
            username=config.user,
            password=config.password,
            autogenerate_session_id=False,  # a session would let only one statement in at a time
            connect_timeout=5,
            send_receive_timeout=_SECONDS,
        )
    except (ClickHouseError, aiohttp.ClientError, OSError, TimeoutError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise Unavailable(f"ClickHouse at {config.url} does not answer: {lines[0][:300]}") from error
    client.database = config.database  # not verified at connecting: the sink may still be creating it
    try:
        yield Warehouse(client, config.url)
    finally:
        await client.close()
