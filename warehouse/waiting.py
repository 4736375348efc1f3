"""The client for work that does one thing after the other: each call waits for its answer, in or out of a loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from settings.table import Settings
from warehouse import client
from warehouse.address import Address, find_address
from warehouse.query import Query

_SECONDS: Final = 3600.0  # a question may take its time; a server that hangs is told in two seconds all the same

T = TypeVar("T")


class Warehouse:
    """As `warehouse.client.Warehouse`, connecting anew for each call. `database` holds the views."""

    def __init__(self, address: Address, *, reads_only: bool = False) -> None:
        self.database = address.database
        self._address, self._reads_only = address, reads_only

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[client.Row]:
        """The result, a dict a row. `{name:Type}` in `query` are bound from `parameters`."""
        return self._wait(lambda warehouse: warehouse.rows(Query(query, parameters or {})))

    def table(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The result as column names and rows."""
        return self._wait(lambda warehouse: warehouse.table(Query(query, parameters or {})))

    def json_rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[client.Row]:
        """The result as the topics' JSON has it."""
        return self._wait(lambda warehouse: warehouse.json_rows(Query(query, parameters or {})))

    def raw(self, query: str, output_format: str) -> bytes:
        """The result in any of ClickHouse's formats."""
        return self._wait(lambda warehouse: warehouse.raw(query, output_format))

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """A statement that has no result."""
        self._wait(lambda warehouse: warehouse.run(Query(statement, parameters or {})))

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows with the topics' JSON."""
        self._wait(lambda warehouse: warehouse.insert(table, rows))

    def _wait(self, ask: Callable[[client.Warehouse], Awaitable[T]]) -> T:
        """In a thread of its own, as the caller may run a loop; it ends with the process, whatever it does."""
        answer = Future[T]()

        async def asked() -> T:
            reads = self._reads_only
            async with client.Warehouse(self._address, seconds=_SECONDS, read_only=reads, watchful=True) as warehouse:
                return await ask(warehouse)

        def work() -> None:
            try:
                answer.set_result(asyncio.run(asked()))
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return answer.result()


def open_warehouse(settings: Settings, *, reads_only: bool = False) -> Warehouse:
    """With `reads_only` ClickHouse refuses what would change something.

    Raises ConfigurationError when there is no ClickHouse to ask.
    """
    return Warehouse(find_address(settings), reads_only=reads_only)
