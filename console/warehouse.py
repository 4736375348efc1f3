"""Reading ClickHouse: bound parameters only, bounded in time, and silence told apart from an empty answer."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import clickhouse_connect
import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from console.alive import while_alive
from console.config import ConsoleConfig
from console.queries import Query
from schemas.errors import Unavailable

CONNECT_SECONDS: Final = 2.0
QUERY_SECONDS: Final = 10.0  # the server gives a query up after that
ANSWER_SECONDS: Final = 15.0  # and we the server
_NOT_THERE: Final = frozenset({60, 81})  # unknown table, unknown database
_TOO_SLOW: Final = frozenset({159, 209})
_NOT_LET_IN: Final = frozenset({192, 193, 194, 497, 516})  # unknown user, password, rights

Row = dict[str, Any]
log = structlog.get_logger(__name__)


class Warehouse:
    """One client with a pool of connections, opened when first needed.

    Every call raises Unavailable when there is no answer to rely on, and says why.
    """

    def __init__(self, config: ConsoleConfig) -> None:
        self._config = config
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def rows(self, query: Query) -> list[Row]:
        """The result, a dict a row."""
        try:
            result = await while_alive(self._asked(query), self._config.clickhouse_url)
        except (ClickHouseError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error, query.parameters) from error
        names = result.column_names
        return [dict(zip(names, row, strict=True)) for row in result.result_rows]

    async def _asked(self, query: Query) -> Any:
        async with asyncio.timeout(ANSWER_SECONDS):
            client = await self._opened()
            return await client.query(query.text, parameters=dict(query.parameters))

    async def trouble(self) -> str:
        """'' when the views can be read, else why not."""
        try:
            await self.rows(Query("SELECT day FROM daily_metrics LIMIT 0"))
        except Unavailable as error:
            return str(error)
        return ""

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _opened(self) -> Any:
        async with self._opening:
            if self._client is None:
                config = self._config
                parts = urlsplit(config.clickhouse_url)
                secure = parts.scheme == "https"
                client = await clickhouse_connect.get_async_client(
                    host=parts.hostname or "127.0.0.1",
                    port=parts.port or (8443 if secure else 8123),
                    secure=secure,
                    username=config.clickhouse_user,
                    password=config.clickhouse_password,
                    autogenerate_session_id=False,  # a session would let only one query in at a time
                    connect_timeout=CONNECT_SECONDS,
                    send_receive_timeout=ANSWER_SECONDS,
                    settings={"max_execution_time": int(QUERY_SECONDS), "readonly": 2},
                )
                client.database = config.database  # not verified at connecting: the sink may still be creating it
                self._client = client
            return self._client

    def _unavailable(self, error: Exception, parameters: Mapping[str, Any]) -> Unavailable:
        url, code = self._config.clickhouse_url, getattr(error, "code", None)
        if code in _NOT_THERE:
            return Unavailable(
                f"ClickHouse has no tables in database {self._config.database} yet: the sink creates them",
                remedy="tillstream status",
            )
        if code in _TOO_SLOW or isinstance(error, TimeoutError):
            return Unavailable("ClickHouse took too long over this question", remedy="ask for fewer days")
        if code in _NOT_LET_IN:
            user = self._config.clickhouse_user
            return Unavailable(
                f"ClickHouse at {url} does not let '{user}' in", remedy="check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"
            )
        if isinstance(error, DatabaseError) and not isinstance(error, OperationalError):
            log.error("query refused", code=code, error=str(error)[:1000])
            why = f"code {code}" if code is not None else "its answer is not ClickHouse's"
            return Unavailable(f"ClickHouse at {url} could not answer ({why})", remedy="tillstream status")
        return Unavailable(f"ClickHouse at {url} does not answer", remedy="tillstream status")
