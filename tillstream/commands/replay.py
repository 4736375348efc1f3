"""`replay`: kept events through the processors once more, or everything from nothing."""

import asyncio
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemas.errors import ConfigurationError, TillstreamError
from tillstream import screen
from tillstream.commands.options import Data, Json, Yes, agree
from tillstream.loading import load_settings
from tillstream.settings import Settings

_MOMENT = "Date or time, such as 2026-03-01 or 2026-03-01T12:00:00Z; in your account's timezone unless it names one."


def replay(
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=_MOMENT)] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="The same: before then.")] = None,
    account: Annotated[str, typer.Option("--account", help="One account's only.")] = "",
    type_: Annotated[str, typer.Option("--type", help="One type only, such as charge.refunded.")] = "",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Forget all state instead; the next start reads Kafka's events anew.")
    ] = False,
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
        if since or until or account or type_:
            raise ConfigurationError("--rebuild is about all events", remedy="leave the other options out")
        _rebuild(settings, yes, as_json)
        return
    from tillstream.replay import Selection, windows
    from tillstream.warehouse import open_warehouse

    bounds = {
        name: _milliseconds(text, settings, f"--{name}") for name, text in (("since", since), ("until", until)) if text
    }
    selection = Selection(**bounds, account=account, type=type_)
    total = sum(count for *_, count in windows(open_warehouse(settings), selection))
    if total:
        agree(f"process {total:,} events once more?", yes)
    done = asyncio.run(_publish(settings, selection, total)) if total else 0
    if as_json:
        screen.say_json({"published": done})
    else:
        screen.out.print(f"{done:,} events published once more" if done else "no such event is kept")


async def _publish(settings: Settings, selection: "Selection", total: int) -> int:  # type: ignore[name-defined]  # noqa: F821
    from tillstream.broker import open_broker
    from tillstream.replay import publisher, replay as run
    from tillstream.warehouse import open_warehouse

    reached = ""
    columns = TextColumn("replaying"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn()
    return 0


def _rebuild(settings: Settings, yes: bool, as_json: bool) -> None:
    pass
