"""`merge`: two profiles that are one person."""

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from schemas.emails import normal
from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, DryRun, Json, Yes, agree


def merge(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The profile that goes; with --undo, that stayed.")],
    into: Annotated[str, typer.Option("--into", metavar="EMAIL", help="The profile that stays.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Part again whom merges have brought to EMAIL.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have two profiles that are one person be one, past and future.

    Everything of EMAIL's customers moves to the other profile, whatever email Stripe has of them. A payment as a guest
    has no customer, and stays where it is. --undo sends them back to whom Stripe says. Nothing is sent to people. Exit
    code 0 when done, 1 when there is nobody to move, 2 when it could not be done.

    Example:  tillstream merge ada@old.example --into ada@new.example
    """
    from operations import merging
    from warehouse.waiting import open_warehouse

    if bool(into) == undo:
        raise ConfigurationError("merge needs either --into or --undo", remedy="tillstream merge --help")
    settings = load_settings(tillstream_data=data)
    warehouse = open_warehouse(settings)
    gone, stays = normal(email), normal(into)
    guests = 0
    if undo:
        moving = merging.merged(warehouse, gone)
    else:
        merging.into_somebody(warehouse, gone, stays)
        found = merging.meant(warehouse, gone)
        moving, guests = list(found.moving), found.guests
    customers = [customer.customer_id for customer in moving]
    where = "to whom Stripe says" if undo else f"to {stays}"
    if moving and not dry_run:
        agree(f"move everything of {', '.join(customers)} {where}?", yes)
        asyncio.run(merging.publish(settings, moving, stays))
    if as_json:
        screen.say_json({"customers": customers, "into": stays, "guests": guests, "dry_run": dry_run})
    elif moving:
        screen.out.print(Text(f"everything of {', '.join(customers)} {'would' if dry_run else 'will'} move {where}"))
        if guests:
            screen.out.print(f"{guests:,} payment{'' if guests == 1 else 's'} as a guest, without customer, stay")
    else:
        screen.err.print(Text(f"no customer of {gone} {'was merged' if undo else 'has rows'}"))
    if not moving:
        raise typer.Exit(1)
