"""`feed`: what happened, and what happens."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schemas.emails import normal
from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.metrics import metric_of
from tillstream.commands.options import Csv, Data, Json, Limit, MetricName, Test, Timezone, Where

if TYPE_CHECKING:  # heavy: loaded only when it is asked
    from zoneinfo import ZoneInfo

    from reports.feed import Fact, Filter
    from warehouse.client import Warehouse

_PAGE: Final = 500  # facts of one question
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
    of = metric_of(metric).value if metric else ""

    async def work() -> None:
        from reports.feed import Filter
        from tillstream.reading import filters, reading

        async with reading(settings, timezone) as (warehouse, calendar):
            wanted = Filter(not test, of, normal(email), filters=filters(where or []))
            if follow:
                await _follow(warehouse, wanted, limit, calendar.zone_of(""), as_json)
                return
            facts = await _newest(warehouse, wanted, limit)
        if as_json:
            screen.say_json([_record(fact) for fact in facts])
        else:
            _show(facts, calendar.zone_of(""), as_csv)

    asyncio.run(work())


async def _newest(warehouse: "Warehouse", wanted: "Filter", limit: int) -> "list[Fact]":
    from reports import feed

    facts: list[Fact] = []
    while len(facts) < limit:
        page = replace(wanted, limit=min(limit - len(facts), _PAGE))
        found, following = await feed.page(warehouse, page, datetime.now(UTC))
        facts += found
        if following is None:
            break
        wanted = replace(wanted, before=following)
    return facts


def _show(facts: "list[Fact]", zone: "ZoneInfo", as_csv: bool) -> None:
    from tillstream.event_lines import events_table, write_csv

    if as_csv:
        write_csv(CSV_HEAD, map(_record, facts))
    elif facts:
        screen.out.print(events_table(facts, zone, screen.out.width))
    else:
        screen.out.print("no such event yet (live mode and test mode never mix: --test)")


async def _follow(warehouse: "Warehouse", wanted: "Filter", limit: int, zone: "ZoneInfo", as_json: bool) -> None:
    from reports.following import follow, mark
    from tillstream.event_lines import event_line

    def tell(fact: "Fact") -> None:
        if as_json:
            screen.say_line(_record(fact))
        else:
            screen.out.print(event_line(fact, zone))

    def trouble(why: str) -> None:
        screen.err.print(f"{why}; asking again" if why else "ClickHouse answers again", style="yellow")

    began = await mark(warehouse, wanted)  # first: what is written from here on can't be missed
    shown: dict[str, int] = {}
    for fact in reversed(await _newest(warehouse, wanted, limit)):
        shown[fact.metric_id] = fact.version
        tell(fact)
    async for fact in follow(warehouse, wanted, began, trouble):
        if shown.pop(fact.metric_id, -1) < fact.version:  # the first ones may come once more
            tell(fact)


def _record(fact: "Fact") -> dict[str, Any]:
    from console.api.answers import event

    return event(fact).model_dump(mode="json")
