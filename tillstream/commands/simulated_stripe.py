"""`simulate serve`: a Stripe on this machine to connect to, import from and be surprised by."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from tillstream import screen
from tillstream.commands.options import Json
from tillstream.ports import claim_port
from tillstream.up import stop_events

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from simulator.api.virtual import VirtualStripe

_DAY = 86_400
_TO_COME = 60  # days that the account lives on


def serve(
    port: Annotated[int, typer.Option("--port", help="Port of the API; 0 for any free one.")] = 12111,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another account.")] = 1,
    customers: Annotated[int, typer.Option("--customers", min=0, max=100_000, help="10 events a month each.")] = 100,
    days: Annotated[int, typer.Option("--days", min=1, max=3_660, help="How many days of history there are.")] = 90,
    behind: Annotated[float, typer.Option("--behind", min=0, help="Begin that many days ago, and catch up.")] = 0.0,
    speed: Annotated[float, typer.Option("--speed", min=1, help="How fast: virtual seconds in a real one.")] = 3_600,
    timezone: Annotated[str, typer.Option("--timezone", help="The account's, as its dashboard shows it.")] = "Etc/UTC",
    test: Annotated[bool, typer.Option("--test", help="A test account, for test keys.")] = False,
    lost: Annotated[float, typer.Option("--lost", min=0, max=1, help="Share of deliveries never made.")] = 0.0,
    duplicate: Annotated[float, typer.Option("--duplicate", min=0, max=1, help="Share that come twice.")] = 0.0,
    shuffle: Annotated[int, typer.Option("--shuffle", min=0, help="Seconds that a delivery may be late.")] = 0,
    limited: Annotated[bool, typer.Option("--rate-limit/--no-rate-limit", help="Stripe's own rate limits.")] = True,
    as_json: Json = False,
) -> None:
    """Be Stripe until ^C: an account with history, whose life goes on and is told to its webhook endpoints.

    Its clock is the real one; with --behind it catches up first, which makes for busy days. Any key of the account's
    mode is good. POST /simulator/clock and /simulator/faults change the clock and what goes wrong.

    Example:  tillstream simulate serve --behind 2 --lost 0.05 --duplicate 0.2
    """
    from simulator.api.faults import LIVE_RATE, TEST_RATE
    from simulator.api.virtual import VirtualStripe
    from simulator.world.history import World

    port = claim_port(port, "--port")
    began = int(time.time() - behind * _DAY)
    span = days + int(behind) + _TO_COME
    world = World(seed, began - days * _DAY, span, customers, livemode=not test, extended=True, until=began)
    stripe = VirtualStripe(world, timezone=timezone)
    if limited:
        stripe.faults.live_rate, stripe.faults.test_rate = LIVE_RATE, TEST_RATE
    faults = stripe.webhooks.faults
    faults.lost, faults.duplicate, faults.shuffle_seconds = lost, duplicate, shuffle
    asyncio.run(_serve(stripe, port, speed, f"sk_{'test' if test else 'live'}_simulated", as_json))


async def _serve(stripe: "VirtualStripe", port: int, speed: float, key: str, as_json: bool) -> None:
    from simulator.server import StripeServer

    stop, _ = stop_events(lambda: None)
    async with StripeServer(stripe, port=port) as url, stripe.running(speed):
        if as_json:
            screen.say_line({"url": url, "api_key": key})
            await stop.wait()
            return
        screen.out.print(Text.assemble(("Stripe is here. ", "bold green"), "In another terminal:"))
        screen.out.print(f"  export STRIPE_API_BASE={url} STRIPE_API_KEY={key}")
        screen.out.print(screen.typed("  tillstream connect"))
        await stop.wait()
    made = stripe.webhooks.attempts
    taken = sum(200 <= attempt.status < 300 for attempt in made)
    asked = sum(stripe.requests.values())
    screen.out.print(f"\n{asked:,} requests answered, {taken:,} of {len(made):,} deliveries taken")
