"""ClickHouse for commands that do one thing after the other: the one client, each call waiting for its answer."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from settings.table import Settings
from warehouse import client
from warehouse.address import Address, find_address
from warehouse.query import Query

_SECONDS: Final = 3600.0  # a question may take its time; a server that hangs is told in two seconds all the same

T = TypeVar("T")


class Warehouse:
    """`warehouse.client.Warehouse`, on an event loop in a thread of its own. `database` holds the views."""

    def __init__(self, address: Address, *, reads_only: bool = False) -> None:
        self.database = address.database
        self._client = client.Warehouse(address, seconds=_SECONDS, read_only=reads_only, watchful=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[client.Row]:
        """The result, a dict a row. `{name:Type}` in `query` are bound from `parameters`."""
        return self._wait(self._client.rows(Query(query, parameters or {})))

    def table(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The result as column names and rows."""
        return self._wait(self._client.table(Query(query, parameters or {})))

    def json_rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[client.Row]:
        """The result as the topics' JSON has it."""
        return self._wait(self._client.json_rows(Query(query, parameters or {})))

    def raw(self, query: str, output_format: str) -> bytes:
        """The result in any of ClickHouse's formats."""
        return self._wait(self._client.raw(query, output_format))

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """A statement that has no result."""
        self._wait(self._client.run(Query(statement, parameters or {})))

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows with the topics' JSON."""
        self._wait(self._client.insert(table, rows))

    def close(self) -> None:
        """Close the connections."""
        self._wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def open_warehouse(settings: Settings, *, reads_only: bool = False) -> Warehouse:
    """With `reads_only` ClickHouse refuses what would change something.

    Raises ConfigurationError when there is no ClickHouse to ask.
    """
    return Warehouse(find_address(settings), reads_only=reads_only)
