"""How single facts are shown in a terminal: as a table, and as the lines of a feed that goes on."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from reports.feed import Fact
from reports.spreadsheet import harmless
from reports.text import money
from tillstream.metric_charts import COLOURS

COLUMNS: Final = ("when", "metric", "email", "amount", "object", "reason")
_WIDE: Final = 120  # columns, from which on everything has room
_LONG, _SHORT = "%Y-%m-%d %H:%M:%S", "%d %b %H:%M"


def events_table(facts: Iterable[Fact], zone: ZoneInfo, width: int, *, with_email: bool = True) -> Table:
    """A line an event; where there is no room for Stripe's ids, they are left out."""
    left_out = ({"email"} if not with_email else set()) | ({"object"} if width < _WIDE else set())
    columns = [name for name in COLUMNS if name not in left_out]
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(
            f"when ({zone.key})" if name == "when" else name,
            justify="right" if name == "amount" else "left",
            no_wrap=name in ("when", "metric", "amount"),
            overflow="fold",
        )
    for fact in facts:
        cells = dict(zip(COLUMNS, _cells(fact, zone, _LONG if width >= _WIDE else _SHORT), strict=True))
        table.add_row(*(cells[name] for name in columns))
    return table


def event_line(fact: Fact, zone: ZoneInfo) -> Text:
    """The same as one line, with room for what is common."""
    at, metric, email, amount, what, reason = _cells(fact, zone)
    metric.pad_right(max(17 - metric.cell_len, 0))
    email.pad_right(max(28 - email.cell_len, 0))
    amount.pad_left(max(14 - amount.cell_len, 0))
    return Text("  ").join(part for part in (at, metric, email, amount, what, reason) if part)


def write_csv(head: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """To standard output, with the columns of `head`."""
    out = csv.writer(sys.stdout)
    out.writerow(head)
    out.writerows([harmless(str(row[name])) for name in head] for row in rows)


def _cells(fact: Fact, zone: ZoneInfo, when: str = _LONG) -> tuple[Text, ...]:
    return (
        Text(format(fact.occurred_at.astimezone(zone), when), "dim"),
        Text(fact.metric.value, COLOURS[fact.metric]),
        Text(fact.email) if fact.email else Text("unlinked", "dim"),
        Text(money(fact.amount, fact.currency)),
        Text(fact.charge_id or fact.invoice_id, "dim"),
        Text(fact.reason),
    )
