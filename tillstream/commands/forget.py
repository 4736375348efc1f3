"""`forget`: a person's data erased on request."""

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, DryRun, Json, Yes, agree


def forget(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's; case and blanks don't matter.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the roles to clean what they keep.")] = 90.0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Erase a person, live and test: profile, name, cards, messages and raw events. What was paid stays in the numbers.

    Flows that wait for them end, and nothing is sent. Erase the person in Stripe as well: what Stripe tells of later
    payments makes a new profile. Older facts never bring the person back, not by a replay, a rebuild or an import.
    docs/privacy.md says what is where. Exit code 0 when all of it is gone, 1 when nothing was known by that email, 2
    when it could not be done, 3 when a role does not run: it takes the erasure up when it comes back.

    Example:  tillstream forget jenny.rosen@example.com --dry-run
    """
    from operations import forgetting, rewriting
    from operations.kept import kept
    from warehouse.waiting import open_warehouse

    settings = load_settings(tillstream_data=data)
    warehouse = open_warehouse(settings)
    person = forgetting.find(warehouse, email)
    found = rewriting.count(warehouse, person)
    rows = sum(found.values())
    if not as_json:
        for table, count in found.items():
            if count:
                screen.out.print(f"{count:>9,}  {table.removesuffix('_rows')}")
    waiting: list[str] = []
    topics = asyncio.run(kept(settings))
    if not dry_run:
        agree(f"erase {person.email} for good?", yes)
        say = (lambda _: None) if as_json else (lambda text: screen.out.print(Text(text, style="dim")))
        done = asyncio.run(forgetting.forget(settings, warehouse, person, wait, say))
        found, waiting = done.rows, done.waiting
    if as_json:
        screen.say_json({"email": person.email, "dry_run": dry_run, "rows": found, "waiting": waiting, "kafka": topics})
    elif dry_run:
        screen.out.print(f"{rows:,} rows would be erased" if rows else f"nothing is known of {person.email}")
    else:
        screen.out.print(Text("ClickHouse and what the roles keep name the person no more", style="bold"))
        for topic, until in topics.items():
            screen.out.print(Text(f"  until {until or 'ever':<20}  {topic}", style="dim"))
        for role in waiting:
            screen.out.print(f"{role} has not answered: it takes the erasure up when it runs")
    if waiting:
        raise typer.Exit(3)
    if not rows:
        raise typer.Exit(1)
