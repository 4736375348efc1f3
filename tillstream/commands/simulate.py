"""`simulate`: seeded Stripe traffic to a door that runs, one story at will, or a whole Stripe to connect to."""

import asyncio
import dataclasses
import time
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemas.errors import ConfigurationError
from schemas.signing import signing_secret
from settings.loading import load_settings
from settings.runtime import running
from settings.table import DEFAULT_ACCOUNT
from tillstream import screen
from tillstream.commands import completion
from tillstream.commands.options import Account, Data, Json
from tillstream.commands.simulated_stripe import serve

app = typer.Typer(name="simulate", invoke_without_command=True, rich_markup_mode=None)
app.command()(serve)


@app.callback()
def simulate(
    context: typer.Context,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another month.")] = 1,
    customers: Annotated[int, typer.Option("--customers", min=1, max=100_000, help="About 10 events each.")] = 100,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How many days, up to yesterday.")] = 30,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.1, help="Events a second; as fast as it goes else.")
    ] = None,
    account: Account = DEFAULT_ACCOUNT,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send seeded Stripe traffic to a running `up`.

    Signed with STRIPE_WEBHOOK_SECRET, so use the same one. Exit code 1 when the door did not take every event.

    Example:  STRIPE_WEBHOOK_SECRET=whsec_… tillstream simulate --customers 50 --rate 20
    """
    if context.invoked_subcommand is not None:
        return
    from simulator.delivery.sender import send
    from tillstream.traffic import make_month

    settings = load_settings(tillstream_data=data)
    url, secret = door(account, data)
    month = make_month(seed, customers, days, settings.tillstream_timezone, account=account)
    with Progress(
        TextColumn("sending"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn(), console=screen.err
    ) as progress:
        task = progress.add_task("", total=len(month.events))

        def on_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        report = asyncio.run(send(month.events, url, secret, rate=rate, seed=seed, on_progress=on_progress))
    if as_json:
        screen.say_json(dataclasses.asdict(report))
    else:
        screen.out.print(
            f"{report.accepted:,} of {report.sent:,} events accepted by {url} in {report.seconds:.1f} s",
            Text("✓", style="green") if not report.failures else Text(f"✗ {report.failures} failed", style="bold red"),
        )
    if report.failures:
        raise typer.Exit(1)


@app.command()
def trigger(
    kind: Annotated[
        str,
        typer.Argument(metavar="[TYPE]", help="Such as invoice.payment_failed.", autocompletion=completion.event_types),
    ] = "",
    override: Annotated[
        list[str] | None,
        typer.Option("--override", metavar="KEY=VALUE", help="Such as amount=4200, or email=…"),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say which types there are.")] = False,
    account: Account = DEFAULT_ACCOUNT,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have one thing happen: what leads to an event of TYPE and the event itself, sent to a running `up`.

    A new customer every time. What can be overridden: amount (minor units), currency, description, email, name and
    metadata.KEY; as with Stripe's own tool an object may stand before it, such as charge:amount=4200. Exit code 1 when
    the door did not take the events.

    Example:  tillstream simulate trigger invoice.payment_failed --override amount=4200 --override email=ada@example.com
    """
    from simulator.delivery.sender import send
    from simulator.world.triggers import TYPES
    from simulator.world.triggers import trigger as story

    if listed:
        if as_json:
            screen.say_json(list(TYPES))
        else:
            screen.out.print("\n".join(TYPES))
        return
    if not kind:
        raise ConfigurationError("trigger which event?", remedy="tillstream simulate trigger --list")
    events = story(kind, int(time.time()) - 5, dict(_pair(text) for text in override or []))
    url, secret = door(account, data)
    report = asyncio.run(send(events, url, secret, concurrency=1, give_up_seconds=20))
    rows = [{"type": event.type, "id": event.id, "accepted": event.id not in report.failed} for event in events]
    if as_json:
        screen.say_json(rows)
    else:
        for row in rows:
            mark = Text("✓", style="green") if row["accepted"] else Text("✗", style="bold red")
            screen.out.print(mark, f"{row['type']:<32}", Text(str(row["id"]), style="dim"))
        if not report.failures:
            screen.out.print(
                Text(screen.typed("Trigger succeeded! What became of it: tillstream feed -n 5"), style="bold")
            )
    if report.failures:
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    name = name.rpartition(":")[2]  # `stripe trigger` is told the object too
    if not equals:
        raise ConfigurationError(f"--override {text} has no value", remedy="KEY=VALUE, such as amount=4200")
    return name, value


def door(account: str, data: Data) -> tuple[str, str]:
    """The endpoint of a running `up` for an account, and the secret to sign with. Raises ConfigurationError."""
    settings = load_settings(tillstream_data=data)
    signing = settings.signing_secrets().get(account)
    if signing is None:
        raise ConfigurationError(f"no account '{account}' is configured", remedy="tillstream settings")
    if not signing:
        raise ConfigurationError(
            f"account '{account}' has no webhook secret to sign with", remedy="export STRIPE_WEBHOOK_SECRET=whsec_…"
        )
    fitting = [one.secret for one in map(signing_secret, signing) if one.livemode is not False]
    if not fitting:
        raise ConfigurationError(
            f"account '{account}' takes events of test mode alone, and simulated ones are live",
            remedy="STRIPE_WEBHOOK_SECRET=whsec_simulated tillstream up --data .simulated",
        )
    path = "/webhooks/stripe" if account == DEFAULT_ACCOUNT else f"/webhooks/stripe/{account}"
    return running(settings.tillstream_data).http_url + path, fitting[0]
