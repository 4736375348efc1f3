"""`profile`: all that is known of one person."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schemas.emails import normal
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, Json, Limit, Test, Timezone

if TYPE_CHECKING:  # heavy: loaded only when it is asked
    from reports.feed import Fact
    from reports.messages import Message
    from reports.profiles import Membership, Profile
    from settings.table import Settings

_OF_MESSAGES: Final = "message_id at flow step channel status reason subject metric_id".split()


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


async def _ask(settings: "Settings", email: str, limit: int, timezone: str, *, live: bool, as_json: bool) -> bool:
    import asyncio

    from reports import feed, messages, profiles
    from tillstream.reading import reading

    async with reading(settings, timezone) as (warehouse, calendar):
        wanted = feed.Filter(live, email=email, limit=min(limit, 500))
        person, (facts, _), segments, sent = await asyncio.gather(
            profiles.person(warehouse, email, live),
            feed.page(warehouse, wanted, datetime.now(UTC)),
            profiles.segments(warehouse, email, live),
            messages.of_person(warehouse, email, live),
        )
    if as_json:
        screen.say_json(_record(person, segments, sent, facts))
    elif person:
        from tillstream.person_card import card

        screen.out.print(card(person, segments, sent[:limit], facts, calendar.zone_of(""), screen.out.width))
    return person is not None


def _record(
    person: "Profile | None", segments: "list[Membership]", messages: "list[Message]", facts: "list[Fact]"
) -> dict[str, Any]:
    from console.api import answers
    from reports.text import iso

    return {
        "profile": answers.profile(person).model_dump(mode="json") if person else None,
        "segments": [{"segment": one.segment, "entered_at": iso(one.entered_at)} for one in segments],
        "messages": [
            {name: iso(one.at) if name == "at" else getattr(one, name) for name in _OF_MESSAGES} for one in messages
        ],
        "events": [answers.event(fact).model_dump(mode="json") for fact in facts],
    }
