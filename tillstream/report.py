"""How the demo shows a comparison."""

from typing import Any

from rich.table import Table
from rich.text import Text

from schemas.metrics import Metric
from tillstream import screen
from tillstream.compare import Comparison
from tillstream.totals import totals_table

_NAMED = 20  # differences shown; --json has them all


def show_comparison(comparison: Comparison, timezone: str) -> None:
    """A line a day, then the sums by currency, then every difference by name."""
    metrics = [metric for metric in Metric if any(key[1] == metric for key in comparison.theirs)]
    table = Table(
        title=f"Events a day, ours = Stripe's (days in {timezone})",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        header_style="bold",
        padding=(0, 2, 0, 0),
    )
    table.add_column("day")
    for metric in metrics:
        table.add_column(metric, justify="right")
    for day in comparison.days:
        table.add_row(str(day), *(_daily(comparison.cell(day, metric)) for metric in metrics))
    screen.out.print(table)
    screen.out.print()
    rows = ((metric, currency, ours, theirs, ours == theirs) for metric, currency, ours, theirs in comparison.totals())
    screen.out.print(totals_table(rows, "Totals by currency"))
    differences = [("missing", fact) for fact in comparison.missing] + [
        ("surplus", fact) for fact in comparison.surplus
    ]
    if differences:
        screen.out.print()
    for kind, fact in differences[:_NAMED]:
        screen.out.print(Text(f"{kind}: {fact}", style="red"))
    if len(differences) > _NAMED:
        screen.out.print(Text(f"… and {len(differences) - _NAMED} more", style="red"))


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Everything, for a program. Sums are in minor units."""
    daily = []
    for key in sorted({*comparison.ours, *comparison.theirs}):
        ours, theirs = comparison.ours.get(key, (0, 0)), comparison.theirs.get(key, (0, 0))
        daily.append(
            {
                "day": key[0],
                "metric": key[1],
                "currency": key[2],
                "count": ours[0],
                "stripe_count": theirs[0],
                "amount_minor": ours[1],
                "stripe_amount_minor": theirs[1],
                "equal": ours == theirs,
            }
        )
    return {
        "equal": comparison.equal,
        "daily": daily,
        "missing": [str(fact) for fact in comparison.missing],
        "surplus": [str(fact) for fact in comparison.surplus],
    }


def _daily(cell: tuple[int, int, bool]) -> Text:
    ours, theirs, equal = cell
    if not ours and not theirs:
        return Text("·  ", style="dim")
    mark = ("✓", "green") if equal else ("✗", "bold red")
    return Text.assemble((f"{ours}", "bold"), (f" = {theirs} " if ours == theirs else f" ≠ {theirs} ", "dim"), mark)
