"""`import`: everything that Stripe has of an account."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Account, Data, Json
from tillstream.commands.times import moment

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from connector.imports.account import AccountImport
    from connector.imports.resources import Resource
    from settings.table import Settings

_PATIENCE = 6 * 3600.0  # seconds of Stripe being away that an import waits for
_SHOW_SECONDS = 0.2
_MOMENT = "Only what was created since then, such as 2026-01-01; in your account's timezone unless it names one."


def import_(
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=_MOMENT)] = None,
    account: Account = "",
    only: Annotated[
        str, typer.Option("--only", metavar="NAMES", help="Some resources only, such as charges,refunds.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Also what a finished import has brought already.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Bring everything that Stripe has into Tillstream: customers, subscriptions, invoices, charges, refunds, …, and
    what proves it: balance transactions and payouts, where the key may read them.

    Safe beside live webhooks, and nothing is sent to people for what it brings. Stopped at any moment, even killed, the
    same command goes on where it was. Needs STRIPE_API_KEY (a restricted key that may read will do). Exit code 0 when
    everything is in, 1 when a resource could not be read (it is named), 2 when nothing could be done.

    Example:  tillstream import --since 2025-01-01
    """
    from connector.imports.resources import chosen

    settings = load_settings(tillstream_data=data)
    resources = chosen(only)
    begin = int(moment(since, settings, "--since")) if since else None
    try:
        accounts = asyncio.run(_import(settings, resources, account, begin, again))
    except (asyncio.CancelledError, KeyboardInterrupt):
        screen.err.print(Text("stopped; the same command goes on where it was", style="bold"))
        raise typer.Exit(130) from None
    every = [progress for one in accounts for progress in one.progress]
    failed = [progress for progress in every if progress.state == "failed"]
    if unrecorded := next((one.unrecorded for one in accounts if one.unrecorded), ""):
        told = "the view `imports` does not tell of it before the connector's next sweep"
        screen.err.print(Text(f"{told}: {unrecorded}", style="yellow"))
    if as_json:
        screen.say_json({"imports": [_record(progress) for progress in every], "complete": not failed})
    else:
        for progress in failed:
            name = f"{progress.account} {progress.resource}"
            screen.out.print(Text.assemble((f"{name}: ", "bold red"), progress.error))
        objects = sum(progress.objects for progress in every)
        done = (
            f"{objects:,} objects are in" if not failed else f"{objects:,} objects are in, {len(failed)} lists are not"
        )
        screen.out.print(Text(done, style="bold"))
        if failed:
            screen.out.print("go on with the same command when that is mended")
    raise typer.Exit(0 if not failed else 1 if len(failed) < len(every) else 2)


async def _import(
    settings: "Settings", resources: "tuple[Resource, ...]", account: str, since: int | None, again: bool
) -> "list[AccountImport]":
    from connector.access import required_accesses
    from connector.imports.account import AccountImport
    from connector.places import find_places
    from connector.publish import Publisher
    from connector.state import StateLog
    from connector.stripe_api import StripeApi
    from connector.together import together
    from tillstream.import_screen import ImportScreen
    from warehouse.client import Warehouse

    _end_as_interrupted()
    found = required_accesses(settings, account, patience=_PATIENCE)
    places = find_places(settings)
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(Publisher(places.kafka, places.prefix))
        state = await stack.enter_async_context(StateLog(places.kafka, places.prefix))
        warehouse = await stack.enter_async_context(Warehouse(places.warehouse))
        accounts = []
        for access in found:
            api = await stack.enter_async_context(StripeApi(access))
            one = AccountImport(api, resources, publisher, state, warehouse)
            accounts.append(one)
            _announce(one, await one.prepare(since, again=again))
        shown = ImportScreen()
        showing = asyncio.create_task(_show_for_ever(shown, accounts))
        try:
            async with together() as group:
                for one in accounts:
                    group.create_task(one.run())
        finally:
            showing.cancel()
            with suppress(asyncio.CancelledError):
                await showing
            shown.show([progress for one in accounts for progress in one.progress])
            shown.close()
    return accounts


def _announce(one: "AccountImport", work: bool) -> None:
    mode = "live" if one.api.livemode else "test"
    if not work:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(max(p.finished_at for p in one.progress)))
        screen.err.print(f"{one.api.account} ({mode}): imported already, {when}; --again imports it once more")
    elif one.resumed:
        screen.err.print(f"{one.api.account} ({mode}): going on with the import {one.progress[0].import_id}")


async def _show_for_ever(shown: Any, accounts: "list[AccountImport]") -> None:
    while True:
        shown.show([progress for one in accounts for progress in one.progress])
        await asyncio.sleep(_SHOW_SECONDS)


def _end_as_interrupted() -> None:
    """SIGTERM ends it as Ctrl-C does: the record of `imports` is written, and progress is durable anyway."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _record(progress: Any) -> dict[str, Any]:
    names = ("import_id", "account", "livemode", "resource", "since", "until", "objects", "error")
    return {name: getattr(progress, name) for name in names} | {"state": progress.state.value}
