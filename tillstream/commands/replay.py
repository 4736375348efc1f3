"""`replay`: kept events through the processors once more, or everything from nothing."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemas.errors import ConfigurationError, TillstreamError
from schemas.topics import STRIPE_EVENTS, full_name
from tillstream import screen
from tillstream.commands import completion
from tillstream.commands.options import Account, Data, DryRun, Json, Yes, agree
from tillstream.commands.times import moment
from tillstream.loading import load_settings

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from tillstream.rebuild import Rebuild
    from tillstream.replay import Selection
    from tillstream.settings import Settings

_QUESTION = "forget the processors' state, and have {events:,} events read anew with the next start?"
_MOMENT = "Date or time, such as 2026-03-01 or 2026-03-01T12:00:00Z; in your account's timezone unless it names one."


def replay(
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=_MOMENT)] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="The same: before then.")] = None,
    account: Account = "",
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="One type only, such as charge.refunded.",
            autocompletion=completion.event_types,
        ),
    ] = "",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Forget all state instead; the next start reads Kafka's events anew.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have kept events processed once more.

    Publishes what ClickHouse keeps in stripe_events to Kafka, in order of time, with the source `replay`, on which
    nothing is sent to people. It may be repeated, and gone on with where it stopped: an event that is known changes
    nothing. TIME is when Stripe made the event (or the object was fetched).

    With --rebuild, while `up` (or every `process`) is stopped: the processors' state is dropped, and with the next
    start they read every event that Kafka keeps from its start, which ends in the same rows. What only ClickHouse
    still has can be replayed afterwards. Exit code 0 when done, 2 when it could not be done.

    Example:  tillstream replay --since 2026-03-01 --type charge.refunded
    """
    settings = load_settings(tillstream_data=data)
    if rebuild:
        if since or until or account or type_ or dry_run:
            raise ConfigurationError("--rebuild is about all events", remedy="leave the other options out")
        _rebuild(settings, yes, as_json)
        return
    from tillstream.replay import Selection, windows
    from tillstream.warehouse import open_warehouse

    bounds = {
        name: round(moment(text, settings, f"--{name}") * 1000)
        for name, text in (("since", since), ("until", until))
        if text
    }
    selection = Selection(**bounds, account=account, type=type_)
    total = sum(count for *_, count in windows(open_warehouse(settings), selection))
    done = 0
    if total and not dry_run:
        agree(f"process {total:,} events once more?", yes)
        done = asyncio.run(_publish(settings, selection, total))
    if as_json:
        screen.say_json({"chosen": total, "published": done, "dry_run": dry_run})
    elif not total:
        screen.out.print("no such event is kept")
    else:
        screen.out.print(f"{total:,} events would be" if dry_run else f"{done:,} events", "published once more")


async def _publish(settings: "Settings", selection: "Selection", total: int) -> int:
    from tillstream.broker import open_broker
    from tillstream.replay import publisher
    from tillstream.replay import replay as publish_again
    from tillstream.warehouse import open_warehouse

    kafka, prefix = open_broker(settings)
    reached = ""
    columns = TextColumn("replaying"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=screen.err) as progress:
        task = progress.add_task("", total=total)

        def on_progress(done: int, at: str) -> None:
            nonlocal reached
            reached = at
            progress.update(task, completed=done)

        try:
            async with publisher(kafka) as publish:
                topic = full_name(STRIPE_EVENTS, prefix)
                return await publish_again(open_warehouse(settings), publish, topic, selection, on_progress)
        except (TillstreamError, asyncio.CancelledError):
            if reached:
                text = screen.typed(f"stopped; go on with: tillstream replay --since {reached} …")
                screen.err.print(Text(text, style="bold"))
            raise


def _rebuild(settings: "Settings", yes: bool, as_json: bool) -> None:
    found = asyncio.run(_forget(settings, lambda events: agree(_QUESTION.format(events=events), yes)))
    rest = f"tillstream replay --until {found.kept_since}" if found.kept_since else ""
    if as_json:
        screen.say_json({"events": found.events, "changelogs": found.changelogs, "kept_since": found.kept_since})
        return
    screen.out.print(f"forgotten; with the next start the processors read {found.events:,} events anew")
    if rest:
        text = f"Kafka keeps events since {found.kept_since}; for older ones, after the start: {rest}"
        screen.out.print(screen.typed(text))


async def _forget(settings: "Settings", ask: Callable[[int], None]) -> "Rebuild":
    from tillstream.broker import any_broker
    from tillstream.rebuild import forget_state, look

    async with any_broker(settings) as (kafka, prefix):
        found = await look(kafka, prefix)
        ask(found.events)
        await forget_state(kafka, prefix, settings.tillstream_data / "processors")
        return found
