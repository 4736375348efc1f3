"""`partitions`: how many Kafka's topics have, and more of them."""

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, DryRun, Json, Yes, agree

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from operations.growing import Layout
    from settings.table import Settings

app = typer.Typer(
    name="partitions",
    help="How many partitions the topics have, and what the stages have not read yet.\n\n"
    "As many workers of a role can share the work; `grow` makes them more.\n\nExample:  tillstream partitions --json",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def partitions(context: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """Without a command of its own it shows."""
    if context.invoked_subcommand is None:
        _show(asyncio.run(_look(load_settings(tillstream_data=data))), as_json)


@app.command()
def grow(
    wanted: Annotated[int, typer.Argument(metavar="N", min=1, help="How many there are to be; more than there are.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have N partitions, with all that the roles know.

    While `up`, or every `process` and `engage`, is stopped. No row, profile, flow or message changes by it. Stopped or
    killed at any point, the same command goes on where it was. Afterwards start every role again, the door too.
    docs/reliability.md tells what happens. Exit code 0 when done, 2 when it could not be done.

    Example:  tillstream partitions grow 16 --yes
    """
    settings = load_settings(tillstream_data=data)
    found = asyncio.run(_grow(settings, wanted, dry_run, yes, quiet=as_json))
    if dry_run and not as_json:
        screen.out.print(f"{found.partitions} partitions would become {wanted}")
        return
    _show(found, as_json)


async def _look(settings: "Settings") -> "Layout":
    from operations.growing import look
    from tillstream.broker import any_broker

    async with any_broker(settings) as (kafka, prefix):
        return await look(kafka, prefix)


async def _grow(settings: "Settings", wanted: int, dry_run: bool, yes: bool, *, quiet: bool) -> "Layout":
    from operations.growing import Place, look, require_growable
    from operations.growing import grow as grow_to
    from tillstream.broker import any_broker

    logging.getLogger().setLevel(logging.WARNING)

    def say(text: str) -> None:
        if not quiet:
            screen.err.print(Text(text, style="dim"))

    async with any_broker(settings) as (kafka, prefix):
        place = Place(
            kafka, prefix, settings.tillstream_data, settings.tillstream_mode, settings.kafka_replication_factor
        )
        found = await look(kafka, prefix)
        await require_growable(place, found, wanted)
        if dry_run:
            return found
        agree(f"have {wanted} partitions instead of {found.partitions}, which can't be made fewer again?", yes)
        return await grow_to(place, wanted, say)


def _show(found: "Layout", as_json: bool) -> None:
    if as_json:
        told = {"partitions": found.partitions, "growing_to": found.growing or None}
        screen.say_json(told | {"topics": found.counts, "unread": found.unread})
        return
    table = Table("topic", box=None, header_style="bold", pad_edge=False)
    table.add_column("partitions", justify="right")
    for name, count in sorted(found.counts.items()):
        table.add_row(name, str(count))
    screen.out.print(table)
    for role, count in found.unread.items():
        screen.out.print(f"{role} has read everything" if not count else f"{role} has {count:,} messages to read")
    if found.growing:
        text = f"being grown from {found.partitions} to {found.growing}; go on: tillstream partitions grow "
        screen.out.print(Text(text + str(found.growing), style="bold"))
