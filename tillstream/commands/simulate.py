"""`simulate`: seeded Stripe traffic to a door that runs."""

import asyncio
import dataclasses
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemas.errors import ConfigurationError
from tillstream import screen
from tillstream.commands.options import Data, Json
from tillstream.loading import load_settings
from tillstream.settings import DEFAULT_ACCOUNT
from tillstream.state import running


def simulate(
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another month.")] = 1,
    customers: Annotated[int, typer.Option("--customers", min=1, max=100_000, help="About 10 events each.")] = 100,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How many days, up to yesterday.")] = 30,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.1, help="Events a second; as fast as it goes else.")
    ] = None,
    account: Annotated[str, typer.Option("--account", help="Which configured account they are for.")] = DEFAULT_ACCOUNT,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send seeded Stripe traffic to a running `up`.

    Signed with STRIPE_WEBHOOK_SECRET, so use the same one. Exit code 1 when the door did not take every event.

    Example:  STRIPE_WEBHOOK_SECRET=whsec_… tillstream simulate --customers 50 --rate 20
    """
    from simulator.sender import send
    from tillstream.traffic import make_month

    settings = load_settings(tillstream_data=data)
    signing = settings.webhook_secrets().get(account)
    if signing is None:
        raise ConfigurationError(f"no account '{account}' is configured", remedy="tillstream settings")
    if not signing:
        raise ConfigurationError(
            f"account '{account}' has no webhook secret to sign with", remedy="export STRIPE_WEBHOOK_SECRET=whsec_…"
        )
    path = "/webhooks/stripe" if account == DEFAULT_ACCOUNT else f"/webhooks/stripe/{account}"
    url = running(settings.tillstream_data).http_url + path
    month = make_month(seed, customers, days, settings.tillstream_timezone, account=account)
    with Progress(
        TextColumn("sending"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn(), console=screen.err
    ) as progress:
        task = progress.add_task("", total=len(month.events))

        def on_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        report = asyncio.run(send(month.events, url, signing[0], rate=rate, seed=seed, on_progress=on_progress))
    if as_json:
        screen.say_json(dataclasses.asdict(report))
    else:
        screen.out.print(
            f"{report.accepted:,} of {report.sent:,} events accepted by {url} in {report.seconds:.1f} s",
            Text("✓", style="green") if not report.failures else Text(f"✗ {report.failures} failed", style="bold red"),
        )
    if report.failures:
        raise typer.Exit(1)
