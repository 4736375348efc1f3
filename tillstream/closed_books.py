"""What has changed in a month since its books were closed, on a terminal."""

from rich.table import Table
from rich.text import Text

from reports.books import Changed, Comparison, Worth
from reports.text import money, shortened
from tillstream import screen

_SHOWN = 40  # changed rows; --json has more


def show(found: Comparison) -> None:
    """Totals then and now, and each row that counts otherwise, with what made the difference."""
    out = screen.out
    since = f"closed {found.closing.closed_at:%Y-%m-%d %H:%M} UTC by {found.closing.closed_by}" if found.closing else ""
    since = since or f"as known {found.at:%Y-%m-%d %H:%M} UTC"
    out.print(Text.assemble((f"{found.month:%B %Y}", "bold"), f"  {found.account}", (f"  {since}", "dim")))
    table = _table("metric", ">then", ">", ">now", ">")
    for one in found.totals:
        then, now = money(one.amount_then, one.currency), money(one.amount_now, one.currency)
        style = "" if one.equal else "bold yellow"
        table.add_row(one.metric, f"{one.count_then:,}", then, f"{one.count_now:,}", now, style=style)
    out.print(table)
    if found.rows:
        changes = _table("row", ">then", ">now", "because of", "known since")
        for row in found.rows[:_SHOWN]:
            causes = [cause.event_id or cause.source for cause in row.causes]
            since = f"{row.causes[-1].known_at:%Y-%m-%d %H:%M}" if row.causes else ""
            what = [f"newer rules ({cause.rules})" if cause.rules else cause.type for cause in row.causes]
            why = ", ".join(" ".join(filter(None, both)) for both in zip(what, causes, strict=True)) or "not kept"
            changes.add_row(
                shortened(f"{row.metric} {row.metric_id}", 70), _worth(row.before), _now(row), shortened(why, 80), since
            )
        out.print(changes)
    if found.altered:
        out.print(Text("✗ the closing and the history of versions disagree: one of them was changed", style="bold red"))
    elif found.equal:
        out.print(Text("✓ nothing has changed", style="bold green"))
    else:
        more = " and more" if found.more or len(found.rows) > _SHOWN else ""
        out.print(Text(f"{min(len(found.rows), _SHOWN):,}{more} rows count otherwise", style="bold yellow"))


def _now(row: Changed) -> str:
    return f"moved to {row.moved_to:%Y-%m-%d}" if row.moved_to else _worth(row.after)


def _worth(one: Worth | None) -> str:
    return money(one.amount, one.currency) if one else "–"


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    return table
