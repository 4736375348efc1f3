"""`reconcile`: our numbers against Stripe's, to the minor unit."""

import asyncio
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from schemas.errors import ConfigurationError
from schemas.money import major_decimal
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Account, Data, Json, MetricName, Timezone
from tillstream.totals import totals_table

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from connector.reconcile.account import Answer, Asked
    from connector.reconcile.compare import Comparison
    from connector.reconcile.facts import Fact
    from settings.table import Settings

_NAMED = 40  # differences shown; --json has them all
_DAY = "such as 2026-03-01, in the account's timezone."


def reconcile(
    first: Annotated[str | None, typer.Option("--from", metavar="DAY", help=f"First day, {_DAY}")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last day, included; yesterday else.")] = None,
    timezone: Timezone = "",
    metric: MetricName = "",
    account: Account = "",
    heal: Annotated[
        bool, typer.Option("--heal", help="Bring in what is missing or different, and look again.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Compare counts and sums of payments, failures, refunds and issued invoices with Stripe's, day by day.

    Every fact that is missing, extra or different is named, also where only its email, reason, invoice or status is
    another. Without days: the 30 days until yesterday. `--heal` never has a mail sent. Exit code 0 when all is equal, 1
    when differences remain, 2 when it could not be done.

    Example:  tillstream reconcile --from 2026-03-01 --to 2026-03-31
    """
    from connector.reconcile.account import Asked
    from connector.reconcile.account import as_json as as_record

    asked = Asked(_day(first, "--from"), _day(last, "--to"), timezone, metric, heal)
    answers = asyncio.run(_ask(load_settings(tillstream_data=data), account, asked))
    equal = all(answer.comparison.equal for answer in answers)
    if as_json:
        screen.say_json({"equal": equal, "accounts": [as_record(answer) for answer in answers]})
    else:
        for answer in answers:
            _show(answer)
    if not equal:
        raise typer.Exit(1)


async def _ask(settings: "Settings", account: str, asked: "Asked") -> "list[Answer]":
    from connector.access import required_accesses
    from connector.places import find_places
    from connector.reconcile.account import reconcile

    accesses, places, zones = required_accesses(settings, account), find_places(settings), settings.timezones()
    answers = []
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=screen.err, transient=True
    ) as progress:
        for access in accesses:
            task = progress.add_task(f"asking Stripe about {access.account}")
            read: dict[str, int] = defaultdict(int)

            def on_page(resource: str, objects: int, read: dict[str, int] = read, task: TaskID = task) -> None:
                read[resource] += objects
                told = ", ".join(f"{count:,} {name}" for name, count in read.items())
                progress.update(task, description=f"asking Stripe: {told}")

            answers.append(await reconcile(access, places, zones[access.account], asked, on_page))
            progress.remove_task(task)
    return answers


def _show(answer: "Answer") -> None:
    comparison, question, out = answer.comparison, answer.question, screen.out
    mode = Text("live", style="bold green") if answer.livemode else Text("test", style="bold yellow")
    days = f"{question.span.first} to {question.span.last}, days in {question.stripes_zone.key}"
    out.print(Text.assemble((answer.account, "bold"), "  ", mode, (f"  {days}", "dim")))
    out.print()
    out.print(_totals(comparison))
    if answer.outcome.healed:
        out.print(Text(f"\n{answer.outcome.healed:,} objects were brought in again", style="cyan"))
    if comparison.apart:
        count = len(comparison.apart)
        told = f"beside these: {count:,} failed attempts that made no charge, of which Stripe's API keeps none"
        out.print(Text(f"\n{told}", style="dim"))
    if comparison.differences and not comparison.right_zone:
        out.print()
        out.print(_differences(answer))
        if len(comparison.differences) > _NAMED:
            out.print(Text(f"… and {len(comparison.differences) - _NAMED:,} more: --json names them all", style="dim"))
    out.print()
    _verdict(answer)


def _verdict(answer: "Answer") -> None:
    comparison, out = answer.comparison, screen.out
    if comparison.equal:
        if not comparison.cells:
            out.print(Text("✓ nothing happened in these days, on both sides", style="bold green"))
        else:
            out.print(Text("✓ every count, every sum and every fact equals Stripe's", style="bold green"))
        return
    if comparison.right_zone:
        told = f"{len(comparison.differences):,} facts are counted on another day than Stripe counts them"
        out.print(Text(f"✗ {told}; all of it matches in {comparison.right_zone}", style="bold red"))
        remedy = f"set TILLSTREAM_TIMEZONE={comparison.right_zone}, and start the sink again"
    else:
        count = len(comparison.differences)
        out.print(Text(f"✗ {count:,} fact{' is' if count == 1 else 's are'} not the same", style="bold red"))
        remedy = "the same command with --heal"
        if answer.outcome.healed:
            remedy = "what is extra did not come from Stripe: look at the rows, tillstream sql"
    out.print(Text.assemble((" next: ", "bold green"), screen.typed(remedy)))


def _totals(comparison: "Comparison") -> Table:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 1])
    for (metric, currency, _), cell in comparison.cells.items():
        row = sums[metric.value, currency]
        for place, value in enumerate((*cell.ours, *cell.stripes)):
            row[place] += value
        row[4] &= cell.equal
    rows = ((*key, (row[0], row[1]), (row[2], row[3]), bool(row[4])) for key, row in sums.items())
    return totals_table(rows)


def _differences(answer: "Answer") -> Table:
    from connector.reconcile.account import day_of

    table = _table("day", "metric", "id", "")
    table.add_column("ours", justify="right")
    table.add_column("Stripe's", justify="right")
    styles = {"missing": "red", "extra": "magenta", "different": "yellow"}
    for one in answer.comparison.differences[:_NAMED]:
        day = day_of(one, answer.question)
        table.add_row(
            str(day),
            one.fact.metric.value,
            Text(one.id, style="bold"),
            Text(", ".join(one.what) or one.kind.value, style=styles[one.kind.value]),
            _money(one.ours, answer.question.our_zone, day),
            _money(one.stripes, answer.question.stripes_zone, day),
        )
    return table


def _money(fact: "Fact | None", zone: ZoneInfo, day: date) -> Text:
    """The amount, and the day where it is not the row's."""
    if fact is None:
        return Text("·", style="dim")
    other = f"{fact.day(zone)}  " if fact.day(zone) != day else ""
    return Text(f"{other}{major_decimal(fact.amount, fact.currency):,} {fact.currency}")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True)
    return table


def _day(text: str | None, flag: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{flag}: '{text}' is no day", remedy=f"{flag} 2026-03-01") from None
