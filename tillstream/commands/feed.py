"""`feed`: what happened, and what happens."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.metrics import metric_slug
from tillstream.commands.options import Csv, Data, Json, Limit, MetricName, Test, Timezone, Where

if TYPE_CHECKING:  # heavy: loaded only when it is asked
    from console.api.models import Event
    from console.forms import FeedQuery
    from tillstream.asking import Desk

_PAGE: Final = 500  # what the API gives at once
CSV_HEAD: Final = (
    "occurred_at metric metric_id email amount currency customer_id charge_id invoice_id reason account source"
).split()


def feed(
    metric: MetricName = "",
    email: Annotated[str, typer.Option("--email", metavar="EMAIL", help="One person's only.")] = "",
    where: Where = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    limit: Limit = 20,
    timezone: Timezone = "",
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """What happened, newest first. With --follow the newest come last, and it goes on as new ones are written.

    A fact comes once more when something new is known of it, such as an email. With --json each is an event of the
    console's API: a list of them, or with --follow one a line.

    Example:  tillstream feed --follow --metric failed_payment
    """
    import asyncio

    if as_csv and (as_json or follow):
        raise ConfigurationError("--csv goes with neither --json nor --follow", remedy="leave one of them out")
    settings = load_settings(tillstream_data=data)
    pairs = {"mode": "test" if test else "live", "metric": metric_slug(metric) if metric else "", "email": email}

    async def work() -> None:
        from tillstream.asking import asked, desk

        async with desk(settings, timezone) as at:
            query = asked(at, "events", pairs, where or [])
            if follow:
                await _follow(at, query, limit, as_json)
                return
            events = await _newest(at, query, limit)
            if as_json:
                screen.say_json([each.model_dump(mode="json") for each in events])
            else:
                _show(events, at, as_csv)

    asyncio.run(work())


async def _newest(at: "Desk", query: "FeedQuery", limit: int) -> "list[Event]":
    events: list[Event] = []
    following: str | None = ""
    while following is not None and len(events) < limit:
        page = query.model_copy(update={"before": following, "limit": min(limit - len(events), _PAGE)})
        answer = await at.api.events(page, {})
        events += answer.events
        following = answer.next
    return events


def _show(events: "list[Event]", at: "Desk", as_csv: bool) -> None:
    from tillstream.event_lines import events_table, write_csv

    if as_csv:
        write_csv(CSV_HEAD, (each.model_dump(mode="json") for each in events))
    elif events:
        screen.out.print(events_table(events, at.config.zone_of(""), screen.out.width))
    else:
        screen.out.print("no such event yet (live mode and test mode never mix: --test)")


async def _follow(at: "Desk", query: "FeedQuery", limit: int, as_json: bool) -> None:
    from console.api.models import Event
    from console.api.server import event_values
    from reports.following import follow, mark
    from tillstream.event_lines import event_line

    def tell(event: Event) -> None:
        if as_json:
            screen.say_line(event.model_dump(mode="json"))
        else:
            screen.out.print(event_line(event, at.config.zone_of("")))

    def trouble(why: str) -> None:
        screen.err.print(f"{why}; asking again" if why else "ClickHouse answers again", style="yellow")

    began = await mark(at.warehouse, query.wanted())  # first: what is written from here on can't be missed
    shown: dict[str, int] = {}
    for event in reversed(await _newest(at, query, limit)):
        shown[event.metric_id] = event.version
        tell(event)
    async for row in follow(at.warehouse, query.wanted(), began, trouble):
        if shown.pop(row["metric_id"], -1) < row["version"]:  # the first ones may come once more
            tell(Event(**event_values(row)))
