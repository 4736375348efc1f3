"""`import`: everything that Stripe has of an account."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Account, Data, Json
from tillstream.commands.times import moment

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from connector.imports.board import Board
    from connector.imports.progress import Progress
    from connector.imports.resources import Resource
    from connector.imports.work import ImportWork
    from connector.places import Places
    from connector.stripe_api import StripeAccess
    from settings.table import Settings

_LOOK_SECONDS = 0.2
_TAKEN_SECONDS = 15.0  # that a running connector has to take the job; it may just be started again
_MOMENT = "Only what was created since then, such as 2026-01-01; in your account's timezone unless it names one."


def import_(
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=_MOMENT)] = None,
    account: Account = "",
    only: Annotated[
        str, typer.Option("--only", metavar="NAMES", help="Some resources only, such as charges,refunds.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Also what a finished import has brought already.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the import that is under way.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Bring everything that Stripe has into Tillstream: customers, subscriptions, invoices, charges, refunds, …, and
    what proves it: balance transactions and payouts, where the key may read them.

    It is a job of the running connector, and this shows how it goes: Ctrl-C ends the showing, `--cancel` the import.
    Where no connector runs, it is done here; stopped at any moment, even killed, the same command goes on where it was.
    Safe beside live webhooks, and nothing is sent to people for what it brings. Needs STRIPE_API_KEY (a restricted key
    that may read will do). Exit code 0 when everything is in, 1 when a resource could not be read (it is named), 2 when
    nothing could be done.

    Example:  tillstream import --since 2025-01-01
    """
    from connector.imports.ranges import FOUNDED
    from connector.imports.resources import chosen

    settings = load_settings(tillstream_data=data)
    asked = _Asked(chosen(only), int(moment(since, settings, "--since")) if since else FOUNDED, again, cancel)
    here = set[str]()
    try:
        every, missing = asyncio.run(_import(settings, account, asked, here))
    except (asyncio.CancelledError, KeyboardInterrupt):
        screen.err.print(Text(_stopped(here), style="bold"))
        raise typer.Exit(130) from None
    failed = missing + [
        (f"{one.account} {one.resource}", one.error or one.state.value)
        for one in every
        if one.state not in ("finished", "skipped")
    ]
    if as_json:
        screen.say_json({"imports": [_record(progress) for progress in every], "complete": not failed})
    elif not cancel:
        for name, why in failed:
            screen.out.print(Text.assemble((f"{name}: ", "bold red"), why))
        objects = sum(progress.objects for progress in every)
        done = (
            f"{objects:,} objects are in" if not failed else f"{objects:,} objects are in, {len(failed)} lists are not"
        )
        screen.out.print(Text(done, style="bold"))
        if failed:
            screen.out.print("go on with the same command when that is mended")
    raise typer.Exit(0 if cancel or not failed else 1 if len(failed) < len(every) + len(missing) else 2)


@dataclass(frozen=True, slots=True)
class _Asked:
    resources: "tuple[Resource, ...]"
    since: int
    again: bool
    cancel: bool


def _stopped(here: set[str]) -> str:
    if here:
        return (
            "stopped; the import is kept: the same command goes on where it was, and so does a connector that is "
            "started; tillstream import --cancel ends it"
        )
    return "the connector goes on with it: tillstream import shows it, tillstream import --cancel ends it"


async def _import(
    settings: "Settings", account: str, asked: _Asked, here: set[str]
) -> "tuple[list[Progress], list[tuple[str, str]]]":
    """How every list that was asked for stands in the end; those of which nothing is known, by name, and why.

    `here` are, at any time, the accounts whose import nobody but this process does.
    """
    from connector.access import required_accesses
    from connector.accounts import Accounts
    from connector.imports.board import Board
    from connector.imports.work import ImportWork
    from connector.pace import Priority
    from connector.places import find_places
    from connector.publish import Publisher
    from tillstream.logs import configure_logging
    from warehouse.client import Warehouse

    configure_logging("warning")  # what does the work logs as a role does; standard output is for the answer
    _end_as_interrupted()
    found = required_accesses(settings, account, share=1.0)
    places = find_places(settings)
    async with AsyncExitStack() as stack:
        board = await stack.enter_async_context(Board(places.kafka, places.prefix, progress=True))
        mine = [access.account for access in found if await _put(board, access, asked)]
        if mine:
            accounts = await stack.enter_async_context(Accounts(found))
            work = ImportWork(
                places.kafka,
                places.prefix,
                lambda account, livemode: (
                    accounts.find(account, livemode, Priority.IMPORT) if account in mine else None
                ),
                await stack.enter_async_context(Publisher(places.kafka, places.prefix)),
                await stack.enter_async_context(Warehouse(places.warehouse)),
                "another tillstream import",
            )
            await _Following(board, places, work, mine, here, lambda: _known(board, found, asked)[0]).run()
        return _known(board, found, asked)


def _known(
    board: "Board", found: "list[StripeAccess]", asked: _Asked
) -> "tuple[list[Progress], list[tuple[str, str]]]":
    every, missing = [], []
    for access in found:
        held = board.held.get(access.account)
        for resource in asked.resources:
            if (progress := _progress(board, access, resource.name)) is not None:
                every.append(progress)
            else:
                missing.append((f"{access.account} {resource.name}", (held and held.error) or "not read"))
    return every, missing


async def _put(board: "Board", access: "StripeAccess", asked: _Asked) -> bool:
    """Ask for it, and say so; False when there is nothing to be done."""
    from connector.imports.jobs import Job, new_id

    name = f"{access.account} ({'live' if access.livemode else 'test'})"
    if asked.cancel:
        if canceled := await board.cancel(access.account):
            screen.err.print(f"{name}: the import is canceled")
        else:
            screen.err.print(f"{name}: no import is under way")
        return canceled
    known = [_progress(board, access, resource.name) for resource in asked.resources]
    done = [one for one in known if one is not None and one.covers(asked.since)]
    if not asked.again and len(done) == len(known):
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(max(one.finished_at for one in done)))
        screen.err.print(f"{name}: imported already, {when}; --again imports it once more")
        return False
    names = tuple(resource.name for resource in asked.resources)
    under_way = board.open(access.account)
    job = Job(new_id(time.time()), access.account, access.livemode, asked.since, names, asked.again)
    job = await board.ask(job)
    screen.err.print(f"{name}: {'going on with' if job == under_way else 'asked for'} the import {job.id}")
    return True


def _progress(board: "Board", access: "StripeAccess", resource: str) -> "Progress | None":
    from connector.imports.progress import state_key

    return board.progress.get(state_key(access.account, access.livemode, resource))


@dataclass(slots=True)
class _Following:
    """Shows the jobs of the accounts `mine` until they have ended, and does here what nobody else does."""

    board: "Board"
    places: "Places"
    work: "ImportWork"
    mine: list[str]
    here: set[str]
    progress: "Callable[[], list[Progress]]"
    _said: set[tuple[str, str]] = field(default_factory=set)

    async def run(self) -> None:
        from connector.imports.board import connector_runs
        from connector.together import together
        from tillstream.import_screen import ImportScreen

        shown = ImportScreen()
        held_at, runs = time.monotonic(), await connector_runs(self.places.kafka, self.places.prefix)
        try:
            async with together() as group:
                while left := [account for account in self.mine if self.board.open(account)]:
                    if all(map(self.board.holder, left)):
                        held_at = time.monotonic()
                    if not runs or time.monotonic() - held_at > _TAKEN_SECONDS:
                        self.work.take(self.board, group)
                    self._say_who(left, runs)
                    shown.show(self.progress())
                    await self.board.look(_LOOK_SECONDS)
        finally:
            shown.show(self.progress())
            shown.close()

    def _say_who(self, left: list[str], runs: bool) -> None:
        self.here.clear()
        for account in left:
            holder = self.board.holder(account)
            if self.work.doing(account) or (holder is None and not runs):
                self.here.add(account)
            if holder is not None and (account, holder.by) not in self._said:
                self._said.add((account, holder.by))
                who = "here, as no connector takes it" if account in self.here else f"by {holder.by}"
                screen.err.print(f"{account}: done {who}")


def _end_as_interrupted() -> None:
    """SIGTERM ends it as Ctrl-C does: the record of `imports` is written, and progress is durable anyway."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _record(progress: Any) -> dict[str, Any]:
    names = ("import_id", "account", "livemode", "resource", "since", "until", "objects", "error")
    return {name: getattr(progress, name) for name in names} | {"state": progress.state.value}
