"""`relink`: a customer's past rows follow the customer to a new email."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, DryRun, Json, Yes, agree

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from operations.relink import Customer
    from settings.table import Settings


def relink(
    name: Annotated[str, typer.Argument(metavar="CUSTOMER|EMAIL", help="A customer's id, or an email of their rows.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have a customer's past rows told with the customer's present email.

    When a customer's email changes, what happens from then on belongs to the new email, and what was before stays with
    the old one. This moves all that has happened until now, with its money, to the profile of the present email. With
    STRIPE_API_KEY the customer is looked up in Stripe first. An EMAIL means every customer who has rows under it.
    Nothing is sent to people. Exit code 0 when done, 1 when there is no such row, 2 when it could not be done.

    Example:  tillstream relink cus_NffrFeUfNV2Hib
    """
    from operations.relink import customers
    from warehouse.waiting import open_warehouse

    settings = load_settings(tillstream_data=data)
    found = customers(open_warehouse(settings), name)
    rows = sum(customer.rows for customer in found)
    if found and not as_json:
        screen.err.print(_table(found))
    if found and not dry_run:
        agree(f"tell {rows:,} row{'' if rows == 1 else 's'} with the customer's present email?", yes)
        asyncio.run(_publish(settings, found))
    if as_json:
        screen.say_json({"customers": [customer.customer_id for customer in found], "rows": rows, "dry_run": dry_run})
    elif found:
        would = "would" if dry_run else "will"
        screen.out.print(f"{rows:,} row{'' if rows == 1 else 's'} {would} be told with the present email")
    else:
        screen.err.print(Text(f"no row has the customer or email '{name}'"))
    if not found:
        raise typer.Exit(1)


async def _publish(settings: "Settings", found: "list[Customer]") -> None:
    from connector.publish import Publisher
    from operations.relink import present, request
    from streams.address import open_broker

    kafka, prefix = open_broker(settings)
    messages, looked_up = await present(settings, found)
    at = max(time.time(), looked_up)  # whichever clock is ahead: what was just looked up counts
    async with Publisher(kafka, prefix) as publisher:
        await publisher.publish([*messages, *(request(customer, at) for customer in found)])


def _table(found: "list[Customer]") -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("customer", "account", "mode", "rows", "emails so far"):
        table.add_column(column, justify="right" if column == "rows" else "left", overflow="fold")
    for one in found:
        mode = "live" if one.livemode else "test"
        table.add_row(one.customer_id, one.account, mode, f"{one.rows:,}", ", ".join(one.emails) or "none")
    return table
