"""Questions to ClickHouse: `metrics`, `feed`, `profile`, `sql`."""

import sys
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from tillstream import screen
from tillstream.commands.options import Data, Json
from tillstream.loading import load_settings

Test = Annotated[bool, typer.Option("--test", help="Test mode's numbers instead of live ones: the two never mix.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")]

_MARKS = {
    Metric.SUCCESSFULLY_PAID: "green",
    Metric.FAILED_PAYMENT: "red",
    Metric.REFUNDED_PAYMENT: "yellow",
    Metric.ISSUED_INVOICE: "cyan",
    Metric.UPCOMING_INVOICE: "blue",
}


def metrics(
    metric: Annotated[str | None, typer.Option("--metric", help="One metric only, such as 'Failed Payment'.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How many days, today included.")] = 30,
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Daily counts and sums of each metric, in the account's days.

    Example:  tillstream metrics --days 7 --metric "Successfully Paid"
    """
    from tillstream.warehouse import open_warehouse

    settings = load_settings(tillstream_data=data)
    today = datetime.now(ZoneInfo(settings.tillstream_timezone)).date()
    rows = open_warehouse(settings).rows(
        "SELECT day, metric, currency, sum(count) AS events, sum(amount) AS total FROM daily_metrics "
        "WHERE day > {after:Date} AND livemode = {live:Bool} AND ({metric:String} = '' OR metric = {metric:String}) "
        "GROUP BY day, metric, currency ORDER BY day, currency, metric",
        {"after": today - timedelta(days=days), "live": not test, "metric": _metric_name(metric)},
    )
    if as_json:
        screen.say_json(
            [
                {
                    "day": row["day"],
                    "metric": row["metric"],
                    "currency": row["currency"],
                    "count": row["events"],
                    "amount": row["total"],
                }
                for row in rows
            ]
        )
        return
    if not rows:
        screen.out.print(f"no {'test' if test else 'live'} metrics in the last {days} days")
        return
    names = [name for name in Metric if any(row["metric"] == name for row in rows)]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("day")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right", style=_MARKS[name])
    lines: dict[tuple[Any, str], dict[str, tuple[int, Decimal]]] = defaultdict(dict)
    totals: dict[str, dict[str, tuple[int, Decimal]]] = defaultdict(dict)
    for row in rows:
        lines[row["day"], row["currency"]][row["metric"]] = (row["events"], row["total"])
        count, total = totals[row["currency"]].get(row["metric"], (0, Decimal(0)))
        totals[row["currency"]][row["metric"]] = (count + row["events"], total + row["total"])
    shown = None
    for (day, currency), cells in lines.items():
        table.add_row(str(day) if day != shown else "", currency, *(_cell(cells.get(name)) for name in names))
        shown = day
    table.add_section()
    for index, (currency, cells) in enumerate(sorted(totals.items())):
        label = Text("" if index else "total", style="bold")
        table.add_row(label, currency, *(_cell(cells.get(name)) for name in names))
    screen.out.print(table)


def feed(
    limit: Limit = 20,
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The newest metric events, newest first.

    Example:  tillstream feed -n 50
    """
    from tillstream.warehouse import open_warehouse

    rows = open_warehouse(load_settings(tillstream_data=data)).rows(
        "SELECT occurred_at, metric, email, amount, currency, charge_id, invoice_id, reason FROM metrics "
        "WHERE livemode = {live:Bool} ORDER BY occurred_at DESC, metric_id LIMIT {limit:UInt32}",
        {"live": not test, "limit": limit},
    )
    if as_json:
        screen.say_json(rows)
    elif not rows:
        screen.out.print("nothing has happened yet")
    else:
        screen.out.print(_feed_table(rows))


def profile(
    email: Annotated[str, typer.Argument(help="The person's email; case and blanks don't matter.")],
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """One person: cards, value, newest events.

    Exit code 1 when nobody is known by that email.

    Example:  tillstream profile jenny.rosen@example.com
    """
    from tillstream.warehouse import open_warehouse

    warehouse = open_warehouse(load_settings(tillstream_data=data))
    person = {"email": email.strip().lower(), "live": not test}
    rows = warehouse.rows("SELECT * FROM profiles WHERE email = {email:String} AND livemode = {live:Bool}", person)
    events = warehouse.rows(
        "SELECT occurred_at, metric, email, amount, currency, charge_id, invoice_id, reason FROM metrics "
        "WHERE email = {email:String} AND livemode = {live:Bool} ORDER BY occurred_at DESC LIMIT 10",
        person,
    )
    if as_json:
        screen.say_json({"profile": rows[0] if rows else None, "events": events})
    elif rows:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in rows[0].items():
            if value not in (None, "", [], {}):
                table.add_row(name, str(value))
        screen.out.print(table)
        screen.out.print()
        screen.out.print(_feed_table(events))
    else:
        screen.err.print(f"nobody is known as {person['email']} in {'test' if test else 'live'} mode")
    if not rows:
        raise typer.Exit(1)


def sql(
    query: Annotated[str, typer.Argument(help="Any statement of ClickHouse's SQL; '-' reads it from standard input.")],
    output_format: Annotated[
        str | None, typer.Option("--format", help="One of ClickHouse's formats, such as CSVWithNames or Parquet.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask ClickHouse, in the database that holds the views.

    Example:  tillstream sql "SELECT metric, count() FROM metrics GROUP BY metric"
    """
    from tillstream.warehouse import open_warehouse

    warehouse = open_warehouse(load_settings(tillstream_data=data))
    query = sys.stdin.read() if query == "-" else query
    query = query.strip().rstrip(";")
    if not query:
        raise ConfigurationError("the query is empty", remedy='tillstream sql "SELECT 1"')
    if output_format:
        sys.stdout.buffer.write(warehouse.raw(query, output_format))
        return
    columns, rows = warehouse.table(query)
    if as_json:
        screen.say_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        numeric = bool(rows) and isinstance(rows[0][index], int | float | Decimal)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("NULL", style="dim") if value is None else str(value) for value in row))
    screen.out.print(table)
    screen.out.print(Text(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}", style="dim"))


def _metric_name(text: str | None) -> str:
    """The metric's own name for 'failed payment', 'failed_payment' or 'Failed Payment'; '' for None."""
    if text is None:
        return ""
    for name in Metric:
        if text.strip().lower().replace(" ", "_") == name.slug:
            return name.value
    raise ConfigurationError(
        f"there is no metric '{text}'", remedy="--metric with one of: " + ", ".join(f"'{name}'" for name in Metric)
    )


def _cell(value: tuple[int, Decimal] | None) -> Text:
    if value is None:
        return Text("·", style="dim")
    count, total = value
    return Text.assemble(
        (f"{count:,}", "bold"), f" {total.normalize():>14,f}" if total % 1 == 0 else f" {total:>14,.2f}"
    )


def _feed_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("when (UTC)", "metric", "email"):
        table.add_column(column)
    table.add_column("amount", justify="right")
    for column in ("", "object", "reason"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            f"{row['occurred_at']:%Y-%m-%d %H:%M:%S}",
            Text(row["metric"], style=_MARKS[Metric(row["metric"])]),
            row["email"] or Text("unlinked", style="dim"),
            str(row["amount"]),
            row["currency"],
            row["charge_id"] or row["invoice_id"],
            row["reason"],
        )
    return table
