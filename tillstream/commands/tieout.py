"""`tieout`: whether every cent of Stripe's account of the money has a name here, and every row its money."""

import asyncio
import time
from datetime import date
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from schemas.errors import ConfigurationError
from schemas.money import major
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Account, Data, Json

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from connector.tieout.run import Answer
    from settings.table import Settings

_NAMED = 40  # differences shown; --json has them all
_DAY = "such as 2026-03-01, in the account's timezone."
_STYLES = {"tied": "green", "pending": "yellow", "different": "bold red"}


def tieout(
    since: Annotated[str | None, typer.Option("--since", metavar="DAY", help=f"First day, {_DAY}")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="Last day, included; yesterday else.")
    ] = None,
    account: Account = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give every cent of Stripe's balance transactions and payouts its name, and every row its money.

    Each balance transaction belongs to a row, or has a reason by Stripe's reporting category; each payment and refund
    has its transactions; each automatic payout is the sum of what it took, and opening + transactions = closing.
    Whatever does not tie is named with its ids; what is younger than two sweeps is pending. Without days: the 30 until
    yesterday. Asks ClickHouse alone: imports and sweeps read Stripe. Exit code 0 when all ties, 1 when something does
    not, 2 when it could not be checked.

    Example:  tillstream tieout --since 2026-03-01 --until 2026-03-31
    """
    from connector.tieout.run import as_json as as_record

    days = _day(since, "--since"), _day(until, "--until")
    answers = asyncio.run(_ask(load_settings(tillstream_data=data), account, days))
    states = {answer.state for answer, _ in answers}
    if as_json:
        screen.say_json({"accounts": [as_record(*both) for both in answers]})
    else:
        for answer, _ in answers:
            _show(answer)
    raise typer.Exit(1 if "different" in states else 2 if states == {"unchecked"} else 0)


async def _ask(settings: "Settings", account: str, days: tuple[date | None, date | None]) -> "list[tuple[Answer, str]]":
    """Every account and mode that is known, with the id under which the answer is kept."""
    from connector.tieout.run import tie_out
    from connector.tieout.store import save
    from reports.tieouts import balance_sweeps
    from warehouse.address import find_address
    from warehouse.client import Warehouse

    zones = settings.timezones()
    if account and account not in zones:
        raise ConfigurationError(f"there is no account '{account}'", remedy=f"--account {'|'.join(zones)}")
    answers = []
    async with Warehouse(find_address(settings), seconds=600.0, watchful=True) as warehouse:
        swept = [(one.account, one.livemode) for one in await balance_sweeps(warehouse)]
        wanted = [one for one in zones if account in ("", one)]
        known = [(name, livemode) for name, livemode in swept if account in ("", name)]
        known += [(name, True) for name in wanted if name not in {one for one, _ in known}]
        for name, livemode in known:
            zone = ZoneInfo(zones.get(name, settings.tillstream_timezone))
            every, now = settings.tillstream_sweep_minutes * 60, time.time()
            answer = await tie_out(warehouse, name, livemode, zone, days, every, now)
            answers.append((answer, await save(warehouse, answer, now)))
    return answers


def _show(answer: "Answer") -> None:
    from connector.tieout.run import sums

    out = screen.out
    mode = Text("live", style="bold green") if answer.livemode else Text("test", style="bold yellow")
    days = f"{answer.first} to {answer.last}, days in {answer.zone.key}"
    out.print(Text.assemble((answer.account, "bold"), "  ", mode, (f"  {days}", "dim")))
    out.print()
    if answer.result is None or answer.money is None:
        out.print(Text(f"not checked: {answer.why}", style="bold yellow"))
        out.print(Text.assemble((" next: ", "bold green"), screen.typed("tillstream sweep")))
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("what it is", ""):
        table.add_column(name, no_wrap=True)
    for name in ("transactions", "amount", "fee", "net", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for (name, state, currency), (count, *amounts) in sums(answer).items():
        told = [major(amount, currency) for amount in amounts]
        table.add_row(name, Text(state, style=_STYLES[state]), f"{count:,}", *told, currency.upper())
    out.print(table)
    out.print()
    for one in answer.money.balances:
        opening, moved, closing = (major(part, one.currency) for part in (one.opening, one.transactions, one.closing))
        out.print(Text(f"balance: {opening} + {moved} = {closing} {one.currency.upper()}", style="dim"))
    states = list(answer.result.payouts.values())
    payouts = ", ".join(f"{states.count(state):,} {state.value}" for state in dict.fromkeys(states))
    out.print(Text(f"payouts: {payouts or 'none'}", style="dim"))
    if answer.result.outside:
        out.print(Text(f"beside these: {answer.result.outside:,} payments outside Stripe", style="dim"))
    out.print()
    _verdict(answer)


def _verdict(answer: "Answer") -> None:
    assert answer.result is not None
    out, differences = screen.out, answer.result.differences
    for one in differences[:_NAMED]:
        out.print(Text.assemble(("✗ ", "bold red"), one.text, (f"  {' '.join(one.ids)}", "dim")))
    if len(differences) > _NAMED:
        out.print(Text(f"… and {len(differences) - _NAMED:,} more: --json names them all", style="dim"))
    if differences:
        count = len(differences)
        out.print(Text(f"✗ {count:,} thing{' does' if count == 1 else 's do'} not tie", style="bold red"))
        out.print(Text.assemble((" next: ", "bold green"), screen.typed("tillstream reconcile --heal")))
    elif answer.state == "pending":
        out.print(Text("✓ every cent has a name; what is young is pending", style="bold green"))
    else:
        out.print(Text("✓ every cent has a name", style="bold green"))


def _day(text: str | None, flag: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{flag}: '{text}' is no day", remedy=f"{flag} 2026-03-01") from None
