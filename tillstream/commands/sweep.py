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
    from connector.balance_sweep import BalanceSwept
    from connector.sweep import Swept
    from settings.table import Settings


def sweep(
    account: Account = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask Stripe for the events of the last days, and take in those whose webhooks never came.

    Balance transactions and payouts, of which no event tells, are read as well where the key may.
    The role `connector` does it by itself, every TILLSTREAM_SWEEP_MINUTES; Stripe keeps events for 30 days. Exit code
    0 when everything that Stripe has is here, 1 when it has forgotten some that may not be (`tillstream import` fills
    the gap) or one of several accounts could not be swept, 2 when nothing could be done.

    Example:  tillstream sweep
    """
    settings = load_settings(tillstream_data=data)
    outcomes = asyncio.run(_sweep(settings, account))
    if as_json:
        screen.say_json({"sweeps": [_record(*both) for both in outcomes]})
    else:
        for one, balance in outcomes:
            screen.out.print(_told(one))
            screen.out.print(_told_balance(balance))
    swept = [one for one, _ in outcomes]
    failed = [one for one in swept if one.error]
    if failed and len(failed) == len(swept):
        raise typer.Exit(2)
    raise typer.Exit(1 if failed or any(one.gap for one in swept) else 0)


async def _sweep(settings: "Settings", account: str) -> "list[tuple[Swept, BalanceSwept]]":
    from connector.access import required_accesses
    from connector.accounts import Accounts
    from connector.balance_sweep import BalanceSweeper
    from connector.places import find_places
    from connector.publish import Publisher
    from connector.state import StateLog
    from connector.stripe_api import StripeApi
    from connector.sweep import Sweeper
    from tillstream.logs import configure_logging
    from warehouse.client import Warehouse

    configure_logging("warning")  # what does the work logs as a role does; standard output is for the answer
    found = required_accesses(settings, account)
    places = find_places(settings)
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(Publisher(places.kafka, places.prefix))
        state = await stack.enter_async_context(StateLog(places.kafka, places.prefix))
        warehouse = await stack.enter_async_context(Warehouse(places.warehouse))
        accounts = await stack.enter_async_context(Accounts(found))
        sweeper = Sweeper(publisher, state, warehouse)
        balance = BalanceSweeper(publisher, state, warehouse)

        async def both(api: StripeApi) -> "tuple[Swept, BalanceSwept]":
            return await sweeper.sweep(api), await balance.sweep(api)

        return list(await asyncio.gather(*map(both, accounts.configured())))


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


def _told_balance(one: "BalanceSwept") -> Text:
    if one.state == "unchecked":
        return Text(f"  the balance is not checked: {one.error}", style="dim")
    if one.error:
        return Text(f"  the balance could not be read: {one.error}", style="bold yellow")
    return Text(f"  {one.transactions:,} balance transactions and {one.payouts:,} payouts read", style="dim")


def _record(one: "Swept", balance: "BalanceSwept") -> dict[str, Any]:
    names = ("account", "livemode", "since", "swept_until", "seen", "published", "gap", "error")
    told = {name: getattr(balance, name) for name in ("known_since", "transactions", "payouts", "error")}
    return {name: getattr(one, name) for name in names} | {
        "state": one.state.value,
        "balance": told | {"state": balance.state.value},
    }


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
