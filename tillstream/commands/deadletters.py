"""`deadletters`: what could not be understood, and another try at it after a fix."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from schemas.dead_letter import Stage
from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, DryRun, Json, Limit, Yes, agree

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from settings.table import Settings

OnlyOpen = Annotated[bool, typer.Option("--open", help="Only those that have not come again since.")]

_EXAMPLE = "Example:  tillstream deadletters --open --json"

app = typer.Typer(
    name="deadletters",
    help=f"Events that could not be understood, and why; `replay` tries them again.\n\n{_EXAMPLE}",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def deadletters(
    context: typer.Context, limit: Limit = 20, only_open: OnlyOpen = False, data: Data = None, as_json: Json = False
) -> None:
    """Without a command of its own it lists."""
    if context.invoked_subcommand is None:
        _list(load_settings(tillstream_data=data), limit, only_open, as_json)


@app.command("list")
def list_letters(limit: Limit = 20, only_open: OnlyOpen = False, data: Data = None, as_json: Json = False) -> None:
    """The newest dead letters, and which are still open.

    A letter is settled when its event came again later (if that failed too, it is a new letter), or its row arrived.

    Example:  tillstream deadletters list --open
    """
    _list(load_settings(tillstream_data=data), limit, only_open, as_json)


@app.command()
def replay(
    everything: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Those with TEXT in their reason.")] = "",
    stage: Annotated[Stage | None, typer.Option("--stage", help="Those that this stage gave up on.")] = None,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="ID", help="Those of this event, settled ones too; may be repeated."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Try dead letters again, after what was wrong was mended.

    Events go to stripe.events once more with the source `replay`, on which nothing is sent to people; rows that
    ClickHouse refused go to their own topic. What fails again is a new dead letter. Exit code 0 when all were
    published, 1 when some can't be (each is named), 2 when it could not be done.

    Example:  tillstream deadletters replay --reason "expected an integer" --yes
    """
    from operations.dead_letters import try_again
    from reports.dead_letters import Choice, summary
    from tillstream.reading import answer

    if not (everything or reason or stage or event):
        raise ConfigurationError("which letters?", remedy="tillstream deadletters replay --all --dry-run")
    settings = load_settings(tillstream_data=data)
    choice = Choice(stage.value if stage else "", reason, event or (), every=bool(event))
    found = answer(settings, lambda warehouse: summary(warehouse, choice))
    count = sum(row["count"] for row in found)
    if not as_json:
        for row in found:
            screen.out.print(f"{row['count']:>7,}  {row['stage']}: {row['reason']}")
    published, impossible = 0, list[str]()
    if count and not dry_run:
        agree(f"try {count:,} dead letter{'' if count == 1 else 's'} again?", yes)
        tried = asyncio.run(try_again(settings, choice))
        published, impossible = tried.published, tried.impossible
    if as_json:
        by_reason = [{"stage": row["stage"], "reason": row["reason"], "count": row["count"]} for row in found]
        told = {"chosen": count, "published": published, "impossible": impossible, "by_reason": by_reason}
        screen.say_json(told | {"dry_run": dry_run})
    elif not count:
        screen.out.print(Text("no such dead letter", style="green"))
    elif dry_run:
        screen.out.print(f"{count:,} would be tried again")
    else:
        screen.out.print(f"{published:,} of {count:,} published again; what fails again is a new dead letter")
        for place in impossible:
            screen.out.print(Text(f"not published: {place} holds nothing that could be tried again", style="red"))
    if impossible:
        raise typer.Exit(1)


def _list(settings: "Settings", limit: int, only_open: bool, as_json: bool) -> None:
    from operations.dead_letters import place
    from reports.dead_letters import Choice, newest
    from tillstream.reading import answer

    rows = answer(settings, lambda warehouse: newest(warehouse, Choice(every=not only_open), limit))
    if as_json:
        screen.say_json(rows)
        return
    if not rows:
        screen.out.print(Text(f"no {'open ' if only_open else ''}dead letters", style="green"))
        return
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("failed at", "", "stage", "event", "type", "reason", "from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            f"{row['failed_at']:%Y-%m-%d %H:%M:%S}",
            Text("open", style="red") if row["open"] else Text("settled", style="green"),
            row["stage"],
            row["event_id"] or "?",
            row["type"],
            row["reason"],
            place(row),
        )
    screen.out.print(table)
