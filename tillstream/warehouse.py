"""Reading ClickHouse from the command line: of a running `up`, or the one that CLICKHOUSE_URL names."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import clickhouse_connect
import orjson
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from schemas.addresses import split_login
from schemas.errors import ConfigurationError, Unavailable
from settings.runtime import running
from settings.table import Settings
from tillstream.connections import clickhouse_password
from warehouse.alive import hanging

logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # what it would log is raised here, in our own words

_READONLY = 164  # the code of such a refusal
_ANSWER_SECONDS: Final = 1.8  # within which the server must answer anything at all
_AS_ON_THE_TOPICS = {
    "date_time_output_format": "iso",
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_64bit_integers": 0,
}
_VERBATIM = {
    "async_insert": "0",
    "date_time_input_format": "best_effort",
    "input_format_try_infer_dates": "0",
    "input_format_try_infer_datetimes": "0",
    "input_format_json_try_infer_numbers_from_strings": "0",
    "max_partitions_per_insert_block": "0",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of `daily_metrics` without its account: what happened on a day, in one currency."""

    day: date
    metric: str
    currency: str
    count: int
    amount: Any  # Decimal, major units


class Warehouse:
    """A client that raises Tillstream's own errors. `database` holds the views."""

    def __init__(self, client: Client, database: str, url: str) -> None:
        self._client = client
        self.database = database
        self.url = url

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The result, a dict a row. `{name:Type}` in `query` are bound from `parameters`."""
        columns, rows = self.table(query, parameters)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def table(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The result as column names and rows."""
        with _own_errors(self.url):
            result = self._client.query(query, parameters=dict(parameters or {}))
        return result.column_names, result.result_rows

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """A statement that has no result."""
        with _own_errors(self.url):
            self._client.command(statement, parameters=dict(parameters or {}))

    def raw(self, query: str, output_format: str) -> bytes:
        """The result in any of ClickHouse's formats."""
        with _own_errors(self.url):
            return bytes(self._client.raw_query(query, fmt=output_format))

    def json_rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The result as the topics' JSON has it: times as RFC 3339, exact amounts as text."""
        with _own_errors(self.url):
            lines = self._client.raw_query(
                query, parameters=dict(parameters or {}), fmt="JSONEachRow", settings=_AS_ON_THE_TOPICS
            )
        return [orjson.loads(line) for line in bytes(lines).splitlines()]

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows with the topics' JSON; text stays as it is, whatever it looks like."""
        if rows:
            body = b"\n".join(orjson.dumps(row) for row in rows)
            with _own_errors(self.url):
                self._client.raw_insert(table, insert_block=body, fmt="JSONEachRow", settings=_VERBATIM)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _own_errors:  # noqa: N801 -- reads as the statement that it is
    """Turns ClickHouse's errors into ours: the query's fault is a ConfigurationError, silence is Unavailable."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DatabaseError) and not isinstance(error, OperationalError):
            if error.code == _READONLY:
                raise ConfigurationError(
                    "this statement would change something", remedy='tillstream sql --write "…"'
                ) from None
            raise ConfigurationError(f"ClickHouse says: {_brief(error)}") from None
        if isinstance(error, ClickHouseError):
            raise Unavailable(
                f"ClickHouse at {self._url} does not answer: {_brief(error)}", remedy="tillstream status"
            ) from None


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if "Connection refused" in text:  # amid an address, a query's id and the driver's own words
        return "connection refused"
    return text.rpartition("DB::Exception: ")[2]  # before it stand the code and the driver's words


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ClickHouse is, and how it lets us in."""

    url: str
    user: str
    password: str = field(repr=False)
    database: str


def find_clickhouse(settings: Settings) -> Address:
    """That of the running `up` in the data directory, else of CLICKHOUSE_URL. Raises ConfigurationError for neither."""
    password = clickhouse_password(settings)
    try:
        runtime = running(settings.tillstream_data)
    except ConfigurationError:
        if not settings.clickhouse_url:
            raise
        return Address(settings.clickhouse_url, settings.clickhouse_user, password, settings.clickhouse_database)
    url, user, password = split_login(runtime.clickhouse_url, runtime.clickhouse_user, password)
    return Address(url, user, password, runtime.database)


def open_warehouse(settings: Settings, *, reads_only: bool = False) -> Warehouse:
    """With `reads_only` ClickHouse refuses what would change something.

    Raises ConfigurationError when there is no ClickHouse to ask, Unavailable when it does not answer.
    """
    at = find_clickhouse(settings)
    return connect(at.url, at.user, at.password, at.database, reads_only=reads_only)


def _hangs(url: str) -> bool:
    """Whether the server takes the connection and says nothing; whatever else is wrong, the first question tells."""
    try:
        with urlopen(f"{url.rstrip('/')}/ping", timeout=_ANSWER_SECONDS):
            return False
    except TimeoutError:
        return True
    except URLError as error:
        return isinstance(error.reason, TimeoutError)
    except (OSError, ValueError, HTTPException):
        return False


def connect(url: str, user: str, password: str, database: str, *, reads_only: bool = False) -> Warehouse:
    """Raises Unavailable when nothing answers at `url`, whose own login comes first; a question may take its time."""
    url, user, password = split_login(url, user, password)
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    if _hangs(url):
        raise hanging(url)
    with _own_errors(url):
        client = clickhouse_connect.get_client(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or (8443 if secure else 8123),
            secure=secure,
            username=user,
            password=password,
            autogenerate_session_id=False,
            connect_timeout=_ANSWER_SECONDS,
            settings={"readonly": 2} if reads_only else {},
        )
    client.database = database  # not verified at connecting: the sink may still be creating it
    return Warehouse(client, database, url)
