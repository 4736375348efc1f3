"""Answers as cells of a spreadsheet: exact, and never a formula."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from reports.metrics import Answer
from reports.text import exact, iso

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")  # with which one may begin
METRIC_HEAD: Final = ("period", "part", "count", "unique_profiles", "currency", "amount")


def harmless(cell: str) -> str:
    """A text for a spreadsheet that is never a formula there."""
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell


def metric_lines(found: Answer) -> Iterator[tuple[Any, ...]]:
    """A line a period, part and currency (METRIC_HEAD); a period without events has one, so that none is missing."""
    for begin in found.periods:
        at = iso(begin) if isinstance(begin, datetime) else begin
        for name, series in found.lines or [("", found.whole)]:
            cell = series.at(begin)
            amounts = [(currency, exact(amount, currency)) for currency, amount in sorted(cell.amounts.items())]
            for currency, amount in amounts or [("", "")]:
                yield at, harmless(name), cell.count, cell.people, currency, amount
