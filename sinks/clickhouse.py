"""ClickHouse over its own HTTP interface: statements, and rows as bytes that are not looked into.

Nothing is retried here: who calls decides, since only they know what may be done twice.
"""

from enum import IntEnum
from io import BytesIO
from types import TracebackType
from typing import Final, Self

import aiohttp

from schemas.errors import ConfigurationError, TillstreamError, Unavailable
from sinks.config import SinkConfig
from sinks.errors import Refused, Rejected

# What makes a row arrive as it was sent, and at once.
INSERT_SETTINGS: Final = {
    "async_insert": "0",  # an answer means written; the server's own batching would only add to the latency
    "date_time_input_format": "best_effort",  # RFC 3339 with Z
    "input_format_skip_unknown_fields": "1",  # an older sink beside a newer processor
    "input_format_try_infer_dates": "0",  # text in JSON stays text, whatever it looks like
    "input_format_try_infer_datetimes": "0",
    "input_format_json_try_infer_numbers_from_strings": "0",
    "max_partitions_per_insert_block": "0",  # an import may bring more than 100 months at once
}
CONNECT_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 120.0  # longer than any insert of one batch; a server that hangs is given up after that


class Code(IntEnum):
    """Error codes of the server that are about the rows of an insert, and never about the server's own health."""

    CANNOT_PARSE_TEXT = 6
    SIZES_DONT_MATCH = 9
    CANNOT_PARSE_ESCAPE_SEQUENCE = 25
    CANNOT_PARSE_QUOTED_STRING = 26
    CANNOT_PARSE_INPUT_ASSERTION_FAILED = 27
    ATTEMPT_TO_READ_AFTER_EOF = 32
    CANNOT_READ_ALL_DATA = 33
    BAD_ARGUMENTS = 36
    CANNOT_PARSE_DATE = 38
    CANNOT_PARSE_DATETIME = 41
    TYPE_MISMATCH = 53
    ARGUMENT_OUT_OF_BOUND = 69
    CANNOT_CONVERT_TYPE = 70
    CANNOT_PARSE_NUMBER = 72
    NO_DATA_TO_INSERT = 108
    INCORRECT_DATA = 117
    CANNOT_PARSE_ARRAY_FROM_TEXT = 130
    TOO_LARGE_STRING_SIZE = 131
    CANNOT_PARSE_UUID = 376
    CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN = 349
    DECIMAL_OVERFLOW = 407
    VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE = 321
    CANNOT_PARSE_BOOL = 467
    VIOLATED_CONSTRAINT = 469
    TOO_DEEP_RECURSION = 306


_ROWS: Final = frozenset(int(code) for code in Code)
_WRONG_LOGIN: Final = frozenset({192, 193, 194, 497, 516})  # unknown user, passwords, access denied, authentication


class ClickHouse:
    """A pool of kept-alive connections to one server and database; an async context manager.

    Every call raises Unavailable when the server can't be reached or is in trouble, and ConfigurationError when it
    does not let us in.
    """

    def __init__(self, config: SinkConfig) -> None:
        self._url = config.clickhouse_url.rstrip("/") + "/"
        self._database = config.database
        self._headers = {"X-ClickHouse-User": config.clickhouse_user, "X-ClickHouse-Key": config.clickhouse_password}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def run(self, statement: str, *, in_database: bool = True, patience: float = REQUEST_SECONDS) -> str:
        """Runs one statement and gives its answer as TabSeparated text. Raises Rejected for an error in it.

        `patience` is how many seconds it may take.
        """
        parameters = {"database": self._database} if in_database else {}
        return await self._post(parameters, statement.encode(), patience)

    async def insert(self, table: str, rows: bytes) -> None:
        """Inserts JSONEachRow `rows`; returns when they are written. Raises Refused when a row can't be taken."""
        query = f"INSERT INTO {table} FORMAT JSONEachRow"
        await self._post({"database": self._database, "query": query, **INSERT_SETTINGS}, rows)

    async def _post(self, parameters: dict[str, str], body: bytes, patience: float = REQUEST_SECONDS) -> str:
        timeout = aiohttp.ClientTimeout(total=patience, sock_connect=CONNECT_SECONDS)
        try:
            # A file, which aiohttp sends in pieces: a megabyte of bytes would hold the loop until it is written.
            async with self._session.post(self._url, params=parameters, data=BytesIO(body), timeout=timeout) as answer:
                text = await answer.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = str(error) or type(error).__name__
            raise Unavailable(f"ClickHouse at {self._url} does not answer: {cause}") from error
        if answer.status == 200 and "X-ClickHouse-Exception-Code" not in answer.headers:
            return text
        raise self._failure(answer, text.strip())

    def _failure(self, answer: aiohttp.ClientResponse, text: str) -> TillstreamError:
        try:
            code = int(answer.headers.get("X-ClickHouse-Exception-Code", "0"))
        except ValueError:
            code = 0
        if code in _WRONG_LOGIN or (not code and answer.status in (401, 403)):
            return ConfigurationError(
                f"ClickHouse at {self._url} refuses the login: {text[:300]}",
                remedy="check the user and the password of ClickHouse",
            )
        if code in _ROWS:
            return Refused(text)
        if code and answer.status < 500:
            return Rejected(text)
        return Unavailable(f"ClickHouse at {self._url} is in trouble (HTTP {answer.status}): {text[:500]}")
