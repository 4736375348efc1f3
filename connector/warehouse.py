"""The connector's side of ClickHouse: a few questions, and the records of what it did. No transaction, no lock.

The tables are made by the sink (`sinks/migrations/0003_imports.sql`), which may start later than we do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
import orjson

from connector.stripe_api import Json
from schemas.addresses import keep_login_apart
from schemas.errors import Unavailable, in_words

_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)


@dataclass(frozen=True, slots=True)
class WarehouseConfig:
    """Where ClickHouse is; `url` is `http(s)://[user:password@]host:port`, '' when there is none."""

    url: str
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "tillstream"

    def __post_init__(self) -> None:
        keep_login_apart(self, "url", "user", "password")


class Warehouse:
    """An async context. Every call raises Unavailable when ClickHouse is away, or has not got its tables yet."""

    def __init__(self, config: WarehouseConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Warehouse":
        login = {"X-ClickHouse-User": self._config.user, "X-ClickHouse-Key": self._config.password}
        self._session = aiohttp.ClientSession(headers=login, timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def rows(self, query: str, parameters: Mapping[str, str | Sequence[str]] | None = None) -> list[Json]:
        """The result, a dict a row. `{name:Type}` in `query` are bound from `parameters`."""
        given = {f"param_{name}": bound(value) for name, value in (parameters or {}).items()}
        settings = {"output_format_json_quote_64bit_integers": "0"}
        text = await self._post({**given, **settings}, f"{query} FORMAT JSONEachRow".encode())
        try:
            return [orjson.loads(line) for line in text.splitlines() if line]
        except ValueError:
            raise Unavailable(f"what answers at {self._config.url} is no ClickHouse") from None

    async def insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert `rows`, and return when they are written."""
        body = b"\n".join(orjson.dumps(row) for row in rows)
        if body:
            settings = {"date_time_input_format": "best_effort", "async_insert": "0"}
            await self._post({"query": f"INSERT INTO {table} FORMAT JSONEachRow", **settings}, body)

    async def _post(self, parameters: dict[str, str], body: bytes) -> bytes:
        assert self._session is not None, "a Warehouse is an async context"
        if not self._config.url:
            raise Unavailable("no ClickHouse is named", remedy="export CLICKHOUSE_URL=http://host:8123")
        parameters |= {"database": self._config.database}
        try:
            async with self._session.post(self._config.url, params=parameters, data=BytesIO(body)) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"ClickHouse at {self._config.url} does not answer: {in_words(error)}") from error
        if answer.status != 200:
            raise Unavailable(f"ClickHouse at {self._config.url} says: {content[:300].decode('utf-8', 'replace')}")
        return content


def bound(value: str | Sequence[str]) -> str:
    """A parameter as ClickHouse reads it: text with its escapes, or an array of texts."""
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    quoted = ("'" + one.replace("\\", "\\\\").replace("'", "\\'") + "'" for one in value)
    return "[" + ",".join(quoted) + "]"
