"""The client: ClickHouse over its own HTTP interface. Nothing is retried here that might be done twice.

An answer is either whole or an error, and every error is one of ours (`warehouse.errors`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson

from schemas.errors import Unavailable, in_words
from warehouse.address import Address
from warehouse.alive import while_alive
from warehouse.errors import LOOK, Rejected, Unfit, failure
from warehouse.query import Query, bound

Row = dict[str, Any]

CONNECT_SECONDS: Final = 5.0
SECONDS: Final = 120.0  # longer than any insert of one batch; a server that hangs is given up after that
READER_SECONDS: Final = 10.0  # what people wait for
_MORE_SECONDS: Final = 5.0  # the server gives a question up, and says so, before we give up the server
_LARGE: Final = 256 * 1024  # bytes of an answer that would hold up everything else while it is read

# What makes a row arrive as it was sent, and at once.
_INSERT: Final = {
    "async_insert": "0",  # an answer means written; the server's own batching would only add to the latency
    "date_time_input_format": "best_effort",  # RFC 3339 with Z
    "input_format_skip_unknown_fields": "1",  # an older sink beside a newer processor
    "input_format_try_infer_dates": "0",  # text in JSON stays text, whatever it looks like
    "input_format_try_infer_datetimes": "0",
    "input_format_json_try_infer_numbers_from_strings": "0",
    "max_partitions_per_insert_block": "0",  # an import may bring more than 100 months at once
}
_WHOLE: Final = {"wait_end_of_query": "1"}  # so that an error halfway is an error, not the end of an answer
_AS_ON_THE_TOPICS: Final = {
    "date_time_output_format": "iso",
    "output_format_json_quote_decimals": "1",
    "output_format_json_quote_64bit_integers": "0",
}


class Warehouse:
    """A pool of kept-alive connections to one server and database, opened when first needed; an async context.

    Every call raises Unavailable when there is no answer to rely on, which is a `Failed` where ClickHouse said so.
    """

    def __init__(
        self, address: Address, *, seconds: float = SECONDS, read_only: bool = False, watchful: bool = False
    ) -> None:
        """An answer may take `seconds`. With `read_only` ClickHouse refuses what would change something, and gives
        a question up by itself in time. With `watchful` a server that hangs is told within two seconds.
        """
        self.address = address
        self._seconds = seconds + _MORE_SECONDS if read_only else seconds
        self._usual = {"readonly": "2", "max_execution_time": f"{seconds:.0f}"} if read_only else {}
        self._watchful = watchful
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def rows(self, query: Query | str) -> list[Row]:
        """The result, a dict of Python's values a row (`warehouse.native`)."""
        names, rows = await self.table(query)
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def row(self, query: Query | str) -> Row:
        """The row of a question that has one whatever there is, such as a count. Without it there is no answer."""
        rows = await self.rows(query)
        if len(rows) != 1:
            told = f"ClickHouse at {self.address.url} gave {len(rows)} rows to a question that always has one"
            raise Unavailable(told, remedy=LOOK)
        return rows[0]

    async def table(self, query: Query | str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The result as names of columns and rows."""
        from warehouse import native  # a role that only writes does without its 100 ms and 10 MB

        settings = {"client_protocol_version": native.PROTOCOL}
        content, head = await self._ask(query, "Native", settings)
        if head.get("X-ClickHouse-Format", "Native") != "Native":
            raise Rejected("rows are asked for, and the statement ends in a FORMAT of its own")
        try:
            reading = partial(native.table, content, head.get("X-ClickHouse-Timezone", "UTC"))
            return await asyncio.to_thread(reading) if len(content) > _LARGE else reading()
        except ValueError as error:
            raise self._no_clickhouse() from error

    async def json_rows(self, query: Query | str) -> list[Row]:
        """The result as the topics' JSON has it: times as RFC 3339, exact amounts as text."""
        content, _ = await self._ask(query, "JSONEachRow", _AS_ON_THE_TOPICS)
        try:
            return [orjson.loads(line) for line in content.splitlines()]
        except ValueError as error:
            raise self._no_clickhouse() from error

    async def raw(self, query: Query | str, output_format: str) -> bytes:
        """The result in any of ClickHouse's formats."""
        content, _ = await self._ask(query, output_format, {})
        return content

    async def bounded(self, query: str, output_format: str, settings: Mapping[str, str], most: int) -> bytes:
        """The same with settings of its own, and of `most` bytes: raises Unfit for a longer answer."""
        wanted = {"default_format": output_format, **_WHOLE, **settings}
        content, head = await self._post(query.encode(), wanted, most=most)
        if head.get("X-ClickHouse-Format", output_format) != output_format:
            raise Unfit("the statement ends in a FORMAT of its own", remedy="leave FORMAT out")
        return content

    async def run(self, statement: Query | str, *, in_database: bool = True, seconds: float | None = None) -> str:
        """One statement, and its answer as TabSeparated text; it may take `seconds`, where they are given."""
        text, settings = _parts(statement)
        content, _ = await self._post(text.encode(), settings, in_database=in_database, seconds=seconds)
        return content.decode(errors="replace")

    async def insert(self, table: str, rows: bytes | Iterable[Mapping[str, Any]]) -> None:
        """Rows with the topics' JSON, or as lines of it; text stays as it is. Returns when they are written.

        Raises Refused when one of them can't be taken.
        """
        body = rows if isinstance(rows, bytes) else b"\n".join(map(orjson.dumps, rows))
        if body:
            await self._post(body, {"query": f"INSERT INTO {table} FORMAT JSONEachRow", **_INSERT})

    async def trouble(self) -> str:
        """'' when the views can be read, else why not."""
        try:
            await self.run("SELECT day FROM daily_metrics LIMIT 0")
        except Unavailable as error:
            return str(error)
        return ""

    async def _ask(
        self, query: Query | str, output_format: str, settings: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        text, parameters = _parts(query)
        # As a parameter: not every statement may end in FORMAT, and a command is given any.
        wanted = {"default_format": output_format, **_WHOLE}
        return await self._post(text.encode(), {**parameters, **settings, **wanted})

    async def _post(
        self,
        body: bytes,
        settings: Mapping[str, str],
        *,
        in_database: bool = True,
        seconds: float | None = None,
        most: int | None = None,
    ) -> tuple[bytes, Mapping[str, str]]:
        if not self.address.url:
            raise Unavailable("no ClickHouse is named", remedy="export CLICKHOUSE_URL=http://host:8123")
        where = {"database": self.address.database} if in_database else {}
        sent = self._sent(body, {**where, **self._usual, **settings}, seconds or self._seconds, most)
        return await (while_alive(sent, self.address.url) if self._watchful else sent)

    async def _sent(
        self, body: bytes, parameters: Mapping[str, str], seconds: float, most: int | None
    ) -> tuple[bytes, Mapping[str, str]]:
        url = self.address.url
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        # A file, which aiohttp sends in pieces: a megabyte of bytes would hold the loop until it is written.
        request = self._opened().post(url, params=parameters, data=BytesIO(body), timeout=timeout)
        try:
            async with request as answer:
                content = await (answer.read() if most is None else _read(answer, most))
        except aiohttp.ConnectionTimeoutError as error:
            raise Unavailable(f"ClickHouse at {url} does not answer: timed out", remedy=LOOK) from error
        except TimeoutError as error:
            text = f"ClickHouse at {url} did not answer within {seconds:.0f} s"
            raise Unavailable(text, remedy=LOOK) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = f"ClickHouse at {url} does not answer: {in_words(error)}"
            raise Unavailable(text, remedy=LOOK) from error
        code = answer.headers.get("X-ClickHouse-Exception-Code", "")
        if answer.status == 200 and not code:
            return content, answer.headers
        raise failure(self.address, answer.status, code, content.decode(errors="replace").strip())

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            login = {"X-ClickHouse-User": self.address.user, "X-ClickHouse-Key": self.address.password}
            self._session = aiohttp.ClientSession(headers=login)
        return self._session

    def _no_clickhouse(self) -> Unavailable:
        return Unavailable(f"what answers at {self.address.url} is no ClickHouse", remedy="check CLICKHOUSE_URL")


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Raises Unfit as soon as it is longer; the connection is closed then."""
    content = bytearray()
    async for piece in answer.content.iter_any():
        content += piece
        if len(content) > most:
            answer.close()
            told = f"the answer is larger than {most // 1_000_000} MB"
            raise Unfit(told, remedy="ask for fewer rows or columns, or take the bytes by tillstream sql")
    return bytes(content)


def reader(address: Address) -> Warehouse:
    """For people's questions: changes nothing, has its time for an answer, and soon says so when the server hangs."""
    return Warehouse(address, seconds=READER_SECONDS, read_only=True, watchful=True)


def _parts(query: Query | str) -> tuple[str, dict[str, str]]:
    """The text, and its values as the parameters of a request."""
    if isinstance(query, str):
        return query, {}
    return query.text, {f"param_{name}": bound(value) for name, value in query.parameters.items()}
