"""Sums by metric and currency, ours beside Stripe's, as a table."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from schemas.money import major_decimal

Sum = tuple[int, int]  # count, sum in minor units


def totals_table(rows: Iterable[tuple[str, str, Sum, Sum, bool]], title: str | None = None) -> Table:
    """A row each of (metric, currency, ours, Stripe's, are they equal?); a metric is named once."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        header_style="bold",
        padding=(0, 2, 0, 0),
    )
    table.add_column("metric", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("count", "Stripe's", "sum", "Stripe's", ""):
        table.add_column(name, justify="right")
    shown = ""
    for metric, currency, ours, theirs, equal in rows:
        table.add_row(
            metric if metric != shown else "",
            currency,
            Text(f"{ours[0]:,}", style="bold"),
            f"{theirs[0]:,}",
            Text(f"{major_decimal(ours[1], currency):,}", style="bold"),
            f"{major_decimal(theirs[1], currency):,}",
            Text("✓" if equal else "✗", style="green" if equal else "bold red"),
        )
        shown = metric
    return table
