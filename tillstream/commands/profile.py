"""`profile`: all that is known of one person."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.emails import normal
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, Json, Limit, Test, Timezone

if TYPE_CHECKING:  # heavy: loaded only when it is asked
    from warehouse.client import Row


def profile(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's; case and blanks don't matter.")],
    limit: Limit = 10,
    timezone: Timezone = "",
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """One person: cards, value, segments, messages, and the newest of what happened.

    Exit code 1 when nobody is known by that email.

    Example:  tillstream profile jenny.rosen@example.com
    """
    import asyncio

    settings = load_settings(tillstream_data=data)
    known = asyncio.run(_ask(settings, normal(email), limit, timezone, live=not test, as_json=as_json))
    if not known:
        if not as_json:
            mode, other = ("test", "") if test else ("live", " --test")
            screen.err.print(f"nobody is known as {normal(email)} in {mode} mode")
            screen.err.print(screen.typed(f" next: tillstream profile {email.strip()}{other}"), style="dim")
        raise typer.Exit(1)


async def _ask(settings: Any, email: str, limit: int, timezone: str, *, live: bool, as_json: bool) -> bool:
    import asyncio

    from aiohttp import web

    from reports import profiles
    from tillstream.asking import asked, desk
    from tillstream.person_card import card

    async with desk(settings, timezone) as at:
        mode = {"mode": "live" if live else "test"}
        events = asked(at, "events", {**mode, "email": email}).model_copy(update={"limit": min(limit, 500)})
        try:
            person = await at.api.profile(asked(at, "profile", mode), {"email": email})
        except web.HTTPNotFound:
            person = None
        timeline, segments, messages = await asyncio.gather(
            at.api.events(events, {}),
            profiles.segments(at.warehouse, email, live),
            profiles.messages(at.warehouse, email, live),
        )
        if as_json:
            screen.say_json(
                {
                    "profile": person.model_dump(mode="json") if person else None,
                    "segments": [_plain(row) for row in segments],
                    "messages": [_plain(row) for row in messages],
                    "events": [each.model_dump(mode="json") for each in timeline.events],
                }
            )
        elif person:
            zone = at.config.zone_of("")
            screen.out.print(card(person, segments, messages[:limit], timeline.events, zone, screen.out.width))
        return person is not None


def _plain(row: "Row") -> dict[str, Any]:
    """Times as all JSON here has them."""
    from datetime import datetime

    from reports.text import iso

    return {name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()}
