"""`listen`: see each event as it comes, and have it sent on to a program of one's own. As `stripe listen`."""

import asyncio
import secrets
from typing import Annotated

import typer
from rich.text import Text

from schemas.errors import ConfigurationError
from schemas.topics import STRIPE_EVENTS, full_name
from tillstream import screen
from tillstream.commands import completion
from tillstream.commands.options import Data, Json
from tillstream.loading import load_settings
from tillstream.settings import Settings


def listen(
    forward_to: Annotated[str, typer.Option("--forward-to", metavar="URL", help="Where to send each event.")] = "",
    events: Annotated[
        str,
        typer.Option("--events", metavar="A,B", help="Only these types.", autocompletion=completion.event_types),
    ] = "",
    secret: Annotated[
        str, typer.Option("--secret", envvar="TILLSTREAM_LISTEN_SECRET", help="To sign with; a new one is told else.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="End after so many events; 0 is never.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Print each event of Stripe's as it comes in, and send it on.

    Follows everything that enters by the door from now on. What is forwarded is Stripe's own body, byte for byte,
    signed afresh, so that your program checks it as it would check Stripe's. Goes on until ^C.

    Example:  tillstream listen --forward-to http://127.0.0.1:3000/webhooks --events charge.failed,charge.succeeded
    """
    if forward_to and not forward_to.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"--forward-to {forward_to} is no URL", remedy="such as http://127.0.0.1:3000/webhooks"
        )
    settings = load_settings(tillstream_data=data)
    wanted = frozenset(name.strip() for name in events.split(",") if name.strip())
    asyncio.run(_listen(settings, forward_to, wanted, secret or f"whsec_{secrets.token_hex(24)}", limit, as_json))


async def _listen(settings: Settings, url: str, wanted: frozenset[str], secret: str, limit: int, as_json: bool) -> None:
    import aiohttp

    from tillstream.broker import open_broker
    from tillstream.forwarding import clock, events_from_now, forward

    kafka, prefix = open_broker(settings)

    def ready() -> None:
        screen.err.print("Ready! " + (f"Your webhook signing secret is {secret}" if url else "Waiting for events"))

    seen = 0
    async with aiohttp.ClientSession() as session:
        async for envelope in events_from_now(kafka, full_name(STRIPE_EVENTS, prefix), wanted, ready):
            sent = await forward(session, url, secret, envelope) if url else None
            if as_json:
                row = {"id": envelope.event_id, "type": envelope.type, "source": envelope.source.value}
                screen.say_line(row | ({"status": sent.status, "problem": sent.problem} if sent else {}))
            else:
                screen.out.print(Text(clock(), "dim"), "  -->", Text(envelope.type, "bold"), f"[{envelope.event_id}]")
                if sent:
                    told = f"[{sent.status or sent.problem}]"
                    good = 200 <= sent.status < 300
                    style = "green" if good else "red"
                    screen.out.print(Text(clock(), "dim"), " <--", Text(told, style), f"POST {url} [{sent.event_id}]")
            seen += 1
            if limit and seen >= limit:
                return
