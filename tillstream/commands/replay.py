"""`replay`: kept events through the processors once more, those that Kafka has lost, or everything from nothing."""

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemas.errors import ConfigurationError, TillstreamError
from schemas.topics import STRIPE_EVENTS, full_name
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands import completion
from tillstream.commands.options import Account, Data, DryRun, Json, Yes, agree
from tillstream.commands.times import moment

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from operations.missing import Missing, Named
    from operations.rebuild import Rebuild
    from operations.replay import Selection
    from settings.table import Settings


class Role(StrEnum):
    """Whose state can be made anew."""

    PROCESS = "process"
    ENGAGE = "engage"
    SINK = "sink"


_QUESTIONS = {
    Role.PROCESS: "forget the processors' state, and have {events:,} events read anew with the next start?",
    Role.ENGAGE: "forget what flows know, who is on the way through one and who was before, and have {events:,} "
    "messages read anew with the next start?",
    Role.SINK: "have {events:,} messages written to ClickHouse once more with the next start?",
}
_READERS = {Role.PROCESS: "the processors", Role.ENGAGE: "flows", Role.SINK: "sinks"}
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
    missing: Annotated[
        bool, typer.Option("--missing", help="Only what is missing: Kafka has lost it, or `status` names it.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Forget all state instead; the next start reads Kafka's events anew.")
    ] = False,
    role: Annotated[
        Role,
        typer.Option("--role", help="With --rebuild: whose state; of sinks, how far they are."),
    ] = Role.PROCESS,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have kept events processed once more.

    Publishes what ClickHouse keeps in stripe_events to Kafka, in order of time, with the source `replay`, on which
    nothing is sent to people. It may be repeated, and gone on with where it stopped: an event that is known changes
    nothing. TIME is when Stripe made the event (or the object was fetched).

    After an upgrade with newer rules, a replay of everything has each row told by these, and taken back where they
    know of none.

    With --missing, exactly those events that ClickHouse has and Kafka has lost, and those events and rows that
    `status` names as missing. What Kafka let go of by its own dates is not among them. That a disk went back in time
    is seen to by that, and `status` says it no more.

    With --rebuild, while `up` (or every `process`) is stopped: the processors' state is dropped, and with the next
    start they read every event that Kafka keeps from its start, which ends in the same rows. What only ClickHouse
    still has can be replayed afterwards. With --role engage the same for flows: who is on the way through one is not
    any more, and nobody is sent anything for what was before. With --role sink every row that Kafka keeps is written to
    ClickHouse once more. Exit code 0 when done, 2 when it could not be done.

    Example:  tillstream replay --since 2026-03-01 --type charge.refunded
    """
    settings = load_settings(tillstream_data=data)
    if rebuild:
        if since or until or account or type_ or dry_run or missing:
            raise ConfigurationError("--rebuild is about all events", remedy="leave the other options out")
        _rebuild(settings, role, yes, as_json)
        return
    from operations.replay import Selection, windows
    from streams.losses import settle
    from tillstream.revision import note
    from warehouse.waiting import open_warehouse

    bounds = {
        name: round(moment(text, settings, f"--{name}") * 1000)
        for name, text in (("since", since), ("until", until))
        if text
    }
    selection = Selection(**bounds, account=account, type=type_)
    lost, named = asyncio.run(_missing(settings, selection)) if missing else (None, None)
    parts = windows(open_warehouse(settings), selection) if lost is None else lost.windows
    total = sum(count for *_, count in parts) + (len(named) if named else 0)
    done = 0
    if total and not dry_run:
        agree(f"process {total:,} events once more?", yes)
        done = asyncio.run(_publish(settings, selection, total, lost, named))
    if selection == Selection() and not missing and not dry_run:
        note(settings.tillstream_data)
    if missing and not dry_run and selection == Selection():
        settle(settings.tillstream_data)
    if as_json:
        screen.say_json({"chosen": total, "published": done, "dry_run": dry_run})
    elif not total:
        screen.out.print("no such event is kept" if lost is None else "no event is missing")
    else:
        screen.out.print(f"{total:,} events would be" if dry_run else f"{done:,} events", "published once more")


async def _missing(settings: "Settings", selection: "Selection") -> "tuple[Missing, Named]":
    from operations.missing import missing, named
    from streams.address import open_broker
    from warehouse.waiting import open_warehouse

    kafka, prefix = open_broker(settings)
    columns = TextColumn("reading Kafka"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=screen.err) as progress:
        task = progress.add_task("")

        def on_progress(read: int, everything: int) -> None:
            progress.update(task, completed=read, total=everything)

        topic = full_name(STRIPE_EVENTS, prefix)
        warehouse = open_warehouse(settings)
        lost = await missing(warehouse, kafka, topic, selection, on_progress)
        return lost, await named(warehouse, kafka, topic)


async def _publish(
    settings: "Settings", selection: "Selection", total: int, lost: "Missing | None", named: "Named | None"
) -> int:
    from operations.replay import again, publisher
    from operations.replay import replay as publish_again
    from streams.address import open_broker
    from warehouse.waiting import open_warehouse

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
                warehouse = open_warehouse(settings)
                if lost is None or named is None:
                    return await publish_again(warehouse, publish, topic, selection, on_progress)
                await publish([*(again(envelope, topic, time.time()) for envelope in named.events), *named.rows])
                rest = publish_again(warehouse, publish, topic, selection, on_progress, lost.windows, lost.has)
                return len(named) + await rest
        except (TillstreamError, asyncio.CancelledError):
            if reached and lost is None:  # else the same command goes on by itself
                text = screen.typed(f"stopped; go on with: tillstream replay --since {reached} …")
                screen.err.print(Text(text, style="bold"))
            raise


def _rebuild(settings: "Settings", role: Role, yes: bool, as_json: bool) -> None:
    question = _QUESTIONS[role]
    found = asyncio.run(_forget(settings, role, lambda events: agree(question.format(events=events), yes)))
    rest = f"tillstream replay --until {found.kept_since}" if found.kept_since else ""
    if as_json:
        screen.say_json({"events": found.events, "changelogs": found.changelogs, "kept_since": found.kept_since})
        return
    screen.out.print(f"forgotten; with the next start {_READERS[role]} read {found.events:,} messages anew")
    if rest:
        text = f"Kafka keeps events since {found.kept_since}; for older ones, after the start: {rest}"
        screen.out.print(screen.typed(text))


async def _forget(settings: "Settings", role: Role, ask: Callable[[int], None]) -> "Rebuild":
    from operations.rebuild import STATES, forget_state, look
    from tillstream.broker import any_broker

    async with any_broker(settings) as (kafka, prefix):
        state = STATES[role]
        found = await look(kafka, prefix, state)
        ask(found.events)
        await forget_state(kafka, prefix, state, settings.tillstream_data)
        return found
