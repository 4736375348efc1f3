"""Rows of ClickHouse as values: a dataclass has a field for each column."""

from datetime import datetime
from typing import TypeVar

from reports.text import aware
from warehouse.client import Row, Warehouse
from warehouse.query import Query

T = TypeVar("T")


async def records(kind: type[T], warehouse: Warehouse, query: Query) -> list[T]:
    """What `query` gives, each row `read` as `kind`. Raises Unavailable."""
    return [read(kind, row) for row in await warehouse.rows(query)]


def read(kind: type[T], row: Row) -> T:
    """`row` as `kind`, whose fields are called as the columns are. Times have their timezone then, which is UTC."""
    return kind(**{name: aware(value) if isinstance(value, datetime) else value for name, value in row.items()})
