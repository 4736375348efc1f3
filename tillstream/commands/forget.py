"""`forget`: a person's data erased on request."""

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from tillstream import screen
from tillstream.commands.options import Data, DryRun, Json, Yes, agree
from tillstream.loading import load_settings


def forget(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's; case and blanks don't matter.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Erase a person: rows, profile and raw events in ClickHouse, and the profile on its topic, live and test.

    Erase the person in Stripe first: what Stripe tells later makes a new profile, and the ledger may tell of the old
    one again then; the same command erases that too. docs/privacy.md says what stays where, and for how long.
    Exit code 0 when all of it is gone, 1 when nothing is known by that email, 2 when it could not be done.

    Example:  tillstream forget jenny.rosen@example.com --dry-run
    """
    from tillstream import forgetting
    from tillstream.broker import open_broker
    from tillstream.warehouse import open_warehouse

    settings = load_settings(tillstream_data=data)
    warehouse = open_warehouse(settings)
    person = forgetting.find(warehouse, email)
    found = forgetting.count(warehouse, person)
    rows = sum(found.values())
    if not as_json:
        for table, count in found.items():
            if count:
                screen.out.print(f"{count:>9,}  {table.removesuffix('_rows')}")
    if rows and not dry_run:
        agree(f"erase {rows:,} rows of {person.email} for good?", yes)
        kafka, prefix = open_broker(settings)
        found = forgetting.erase(warehouse, person)
        asyncio.run(forgetting.tombstone(kafka, prefix, person.email))
    if as_json:
        screen.say_json({"email": person.email, "dry_run": dry_run, "rows": found})
    elif not rows:
        screen.out.print(f"nothing is known of {person.email}")
    elif dry_run:
        screen.out.print(f"{rows:,} rows would be erased")
    else:
        screen.out.print(Text(f"{rows:,} rows are erased, and the profile is off its topic", style="bold"))
        screen.out.print(Text("what stays, and for how long: docs/privacy.md", style="dim"))
    if not rows:
        raise typer.Exit(1)
