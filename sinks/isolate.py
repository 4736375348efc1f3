"""Finds the rows that a batch is refused for, so that all others go in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from warehouse.errors import Refused

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Bad(Generic[Row]):
    """A row that was refused alone, and the words it was refused with."""

    row: Row
    reason: str


async def insert_all(rows: Sequence[Row], insert: Callable[[Sequence[Row]], Awaitable[None]]) -> list[Bad[Row]]:
    """Inserts every row that `insert` takes and gives back the others, both in order.

    A refused batch is cut in halves until single rows are left: one bad row among n costs about 2·log2(n) inserts.
    `insert` raises Refused when one of its rows is bad, and must then have written none or be repeatable.
    """
    bad: list[Bad[Row]] = []
    todo = [rows] if rows else []
    while todo:
        part = todo.pop()
        try:
            await insert(part)
        except Refused as refusal:
            if len(part) == 1:
                bad.append(Bad(part[0], str(refusal)))
            else:
                half = len(part) // 2
                todo += [part[half:], part[:half]]
    return bad
