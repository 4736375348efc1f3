"""Segments for the command line: counted and listed live by the compiled query, nothing written."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from settings.table import Settings
from warehouse.query import Query
from warehouse.waiting import Warehouse

if TYPE_CHECKING:
    from engage.conditions import Clock, Definition

PAGE: Final = 10_000


def counts(warehouse: Warehouse, definition: "Definition", now: "Clock") -> dict[bool, tuple[list[int], int]]:
    """Mode → how many people satisfy each condition, and all of them together."""
    from engage.conditions import compile_counts

    query, none = compile_counts(definition, now), [0] * len(list(definition.leaves()))
    rows = warehouse.rows(query.text, query.parameters)
    found = {bool(row["livemode"]): (list(row["conditions"]), int(row["members"])) for row in rows}
    return {livemode: found.get(livemode, (none, 0)) for livemode in (True, False)}


def size(warehouse: Warehouse, definition: "Definition", livemode: bool, now: "Clock") -> int:
    """How many members there are."""
    from engage.conditions import compile_members

    query = compile_members(definition, now)
    sql = f"SELECT count() AS members FROM (\n{query.text}\n) WHERE livemode = {{of_mode:Bool}}"
    return int(warehouse.rows(sql, {**query.parameters, "of_mode": livemode})[0]["members"])


def members(query: Query, livemode: bool) -> Query:
    """The members of one mode with what their profile says, by email, from `after` on and at most `most`."""
    sql = (
        "SELECT email, name, country, first_seen, last_seen, lifetime_value\n"
        f"FROM (\n{query.text}\n) AS member\n"
        "LEFT JOIN profiles USING (email, livemode)\n"
        "WHERE livemode = {of_mode:Bool} AND email > {after:String}\nORDER BY email\nLIMIT {most:UInt32}"
    )
    return Query(sql, {**query.parameters, "of_mode": livemode, "after": "", "most": PAGE})


def pages(warehouse: Warehouse, query: Query, after: str = "", most: int | None = None) -> Iterator[dict[str, Any]]:
    """Rows of `members`, read in pages."""
    while most is None or most > 0:
        wanted = PAGE if most is None else min(PAGE, most)
        rows = warehouse.rows(query.text, {**query.parameters, "after": after, "most": wanted})
        yield from rows
        if len(rows) < wanted:
            return
        after, most = rows[-1]["email"], None if most is None else most - len(rows)


def lines(rows: Iterator[dict[str, Any]], output_format: str) -> Iterator[str]:
    """CSV with a header, or one JSON object a line."""
    if output_format == "csv":
        yield "email,name,country,first_seen,last_seen,lifetime_value\n"
        for row in rows:
            yield _csv([_plain(value) for value in row.values()])
    else:
        for row in rows:
            yield json.dumps({name: jsonable(value) for name, value in row.items()}, ensure_ascii=False) + "\n"


def definition_text(settings: Settings, name: str) -> tuple[str, str]:
    """A segment's YAML and where it is. Raises ConfigurationError when there is none."""
    from engage.segments.library import find_one

    path = find_one(settings.project, name).path
    return path.read_text("utf-8"), str(path)


def jsonable(value: Any) -> Any:
    """Times as RFC 3339, amounts as exact text."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {key: str(amount) for key, amount in value.items()} if isinstance(value, dict) else value


def _plain(value: Any) -> str:
    value = jsonable(value)
    if isinstance(value, dict):
        return " ".join(f"{amount} {currency}" for currency, amount in sorted(value.items()))
    return "" if value is None else str(value)


def _csv(cells: list[str]) -> str:
    """One line; in the first three cells, which others write, what a spreadsheet would run gets an apostrophe."""
    out = io.StringIO()
    told = [f"'{cell}" if cell and cell[0] in "=+-@\t\r" else cell for cell in cells[:3]]
    csv.writer(out, lineterminator="\n").writerow([*told, *cells[3:]])
    return out.getvalue()
