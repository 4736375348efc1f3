"""`sql`: any question to ClickHouse."""

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Final

import orjson
import typer
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, Json
from warehouse.errors import READONLY, Failed, LoginRefused

_ANY_WIDTH: Final = 1_000_000  # characters


def sql(
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", help="Any statement of ClickHouse's SQL; '-' reads it from standard input."),
    ],
    output_format: Annotated[
        str | None, typer.Option("--format", help="One of ClickHouse's formats, such as CSVWithNames or Parquet.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Let the statement change something.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask ClickHouse, in the database that holds the views. Nothing is changed, unless --write allows it.

    On a terminal, rows that are wider than it are shown one column a line.

    Example:  tillstream sql "SELECT metric, count() FROM metrics GROUP BY metric"
    """
    from warehouse.waiting import open_warehouse

    warehouse = open_warehouse(load_settings(tillstream_data=data), reads_only=not write)
    query = sys.stdin.read() if query == "-" else query
    query = query.strip().rstrip(";")
    if not query:
        raise ConfigurationError("the query is empty", remedy='tillstream sql "SELECT 1"')
    try:
        if output_format:
            sys.stdout.buffer.write(warehouse.raw(query, output_format))
            return
        columns, rows = warehouse.table(query)
        if not columns and not write and (told := warehouse.raw(query, "JSONCompact")):  # whose names come without rows
            columns = [column["name"] for column in orjson.loads(told)["meta"]]
    except LoginRefused:
        raise
    except Failed as error:
        if error.code == READONLY:
            remedy = 'tillstream sql --write "…"'
            raise ConfigurationError("this statement would change something", remedy=remedy) from None
        says = "ClickHouse says: " if error.code else ""
        raise ConfigurationError(f"{says}{error.told}") from None  # of a question that is not ours
    if as_json:
        screen.say_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = _side_by_side(columns, rows)
    needed = Measurement.get(screen.out, screen.out.options.update(max_width=_ANY_WIDTH), table).maximum
    if screen.out.is_terminal and rows and needed > screen.out.width:
        for number, row in enumerate(rows, 1):
            screen.out.print(Text(f"Row {number:,}", style="bold"))
            screen.out.print(_one_a_line(columns, row))
    else:
        screen.out.print(table)
    screen.out.print(Text(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}", style="dim"))


def _side_by_side(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """As usual: a column of the answer in a column of the table."""
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        numeric = bool(rows) and isinstance(rows[0][index], int | float | Decimal)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _one_a_line(columns: Sequence[str], row: Sequence[Any]) -> Table:
    """One row that is wider than the terminal: a line a column."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for column, value in zip(columns, row, strict=True):
        table.add_row(f"  {column}", _cell(value))
    table.add_row()
    return table


def _cell(value: Any) -> Text:
    return Text("NULL", style="dim") if value is None else Text(str(value))
