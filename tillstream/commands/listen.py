"""`listen`: see each event as it comes, and have it sent on to a program of one's own. As `stripe listen`."""

import asyncio
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from rich.text import Text

from schemas.errors import ConfigurationError
from schemas.topics import STRIPE_EVENTS, full_name
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands import completion
from tillstream.commands.options import Data, Json

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from settings.table import Settings


def listen(
    forward_to: Annotated[str, typer.Option("--forward-to", metavar="URL", help="Where to send each event.")] = "",
    events: Annotated[
        str,
        typer.Option("--events", metavar="A,B", help="Only these types.", autocompletion=completion.event_types),
    ] = "",
    secret: Annotated[
        str,
        typer.Option(
            "--secret",
            metavar="WHSEC",
            envvar="TILLSTREAM_LISTEN_SECRET",
            help="To sign with; else one is made, and kept in the data directory.",
        ),
    ] = "",
    print_secret: Annotated[bool, typer.Option("--print-secret", help="Only print what it would sign with.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="End after so many events; 0 is never.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Print each event of Stripe's as it comes in, and send it on.

    Follows everything that enters by the door from now on. What is forwarded is Stripe's own body, byte for byte,
    signed afresh, so that your program checks it as it would check Stripe's. URL may be short: 3000 is
    http://localhost:3000. Goes on until ^C.

    Example:  tillstream listen --forward-to localhost:3000/webhooks --events charge.failed,charge.succeeded
    """
    settings = load_settings(tillstream_data=data)
    if print_secret:
        screen.out.print(secret or kept_secret(settings.tillstream_data))
        return
    wanted = frozenset(name.strip() for name in events.split(",") if name.strip())
    url = address(forward_to)
    asyncio.run(
        _listen(settings, url, wanted, secret or (kept_secret(settings.tillstream_data) if url else ""), limit, as_json)
    )


def address(forward_to: str) -> str:
    """`localhost:3000/webhooks` and `3000` are addresses too, as for `stripe listen`."""
    if not forward_to or forward_to.startswith(("http://", "https://")):
        return forward_to
    url = f"http://localhost:{forward_to}" if forward_to.partition("/")[0].isdigit() else f"http://{forward_to}"
    if not urlsplit(url).hostname or "://" in forward_to:
        raise ConfigurationError(f"--forward-to {forward_to} is no URL", remedy="--forward-to localhost:3000/webhooks")
    return url


def kept_secret(data: Path) -> str:
    """The same every time, so that one's program is told it once; where it can't be kept, one for now."""
    path = data / "listen.secret"
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        made = f"whsec_{secrets.token_hex(24)}"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(made + "\n")
    except OSError:
        return made
    return made


async def _listen(
    settings: "Settings", url: str, wanted: frozenset[str], secret: str, limit: int, as_json: bool
) -> None:
    import aiohttp

    from streams.address import open_broker
    from tillstream.forwarding import clock, events_from_now, forward

    kafka, prefix = open_broker(settings)

    def ready() -> None:
        told = f"Your webhook signing secret is {secret}" if url else "Waiting for events"
        screen.err.print(f"> Ready! {told} (^C to quit)")

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
