"""`sweep`: look for deliveries that never came."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Account, Data, Json

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from connector.sweep import Swept
    from settings.table import Settings


def sweep(
    account: Account = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask Stripe for the events of the last days, and take in those whose webhooks never came.

    The role `connector` does it by itself, every TILLSTREAM_SWEEP_MINUTES; Stripe keeps events for 30 days. Exit code
    0 when everything that Stripe has is here, 1 when it has forgotten some that may not be (`tillstream import` fills
    the gap) or one of several accounts could not be swept, 2 when nothing could be done.

    Example:  tillstream sweep
    """
    settings = load_settings(tillstream_data=data)
    outcomes = asyncio.run(_sweep(settings, account))
    if as_json:
        screen.say_json({"sweeps": [_record(one) for one in outcomes]})
    else:
        for one in outcomes:
            screen.out.print(_told(one))
    failed = [one for one in outcomes if one.error]
    if failed and len(failed) == len(outcomes):
        raise typer.Exit(2)
    raise typer.Exit(1 if failed or any(one.gap for one in outcomes) else 0)


async def _sweep(settings: "Settings", account: str) -> "list[Swept]":
    from connector.access import required_accesses
    from connector.accounts import Accounts
    from connector.places import find_places
    from connector.publish import Publisher
    from connector.state import StateLog
    from connector.sweep import Sweeper
    from warehouse.client import Warehouse

    found = required_accesses(settings, account)
    places = find_places(settings)
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(Publisher(places.kafka, places.prefix))
        state = await stack.enter_async_context(StateLog(places.kafka, places.prefix))
        warehouse = await stack.enter_async_context(Warehouse(places.warehouse))
        accounts = await stack.enter_async_context(Accounts(found))
        sweeper = Sweeper(publisher, state, warehouse)
        return list(await asyncio.gather(*(sweeper.sweep(api) for api in accounts.configured())))


def _told(one: "Swept") -> Text:
    name = f"{one.account} ({'live' if one.livemode else 'test'})"
    if one.error:
        return Text.assemble((f"{name}: ", "bold red"), one.error)
    told = Text(f"{name}: {one.seen:,} events since {_day(one.since)}, {one.published:,} of them had not come")
    if one.gap:
        begin, end = one.gap
        told.append(f"\n  Stripe has forgotten what happened from {_day(begin)} to {_day(end)}", style="bold yellow")
        told.append(screen.typed(f"\n  next: tillstream import --since {_day(begin)[:10]}"), style="yellow")
    return told


def _record(one: "Swept") -> dict[str, Any]:
    names = ("account", "livemode", "since", "swept_until", "seen", "published", "gap", "error")
    return {name: getattr(one, name) for name in names} | {"state": one.state.value}


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
