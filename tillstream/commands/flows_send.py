"""`flows backfill`, `release`, `suppress` and `unsuppress`: what only a person may ask for."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from schemas.emails import normal
from schemas.errors import ConfigurationError
from schemas.times import unix_seconds
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, DryRun, Flow, Json, Test, Yes, agree
from tillstream.commands.times import moment

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="Whose address.")]


def backfill(
    flow: Flow,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Facts from then on.")],
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Facts before then.")] = "",
    test: Test = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Start a flow for past facts, imported ones too, after you have seen how many.

    History never sends mail by itself; this is the one way in which it does. Filters, re-entry, exits and suppressions
    hold as for live facts, and nobody is sent twice what they have got already.

    Example:  tillstream flows backfill invoice-receipt --since 2026-03-01 --until 2026-03-02
    """
    from engage import requests
    from engage.flows.library import get
    from engage.flows.model import MetricTrigger, Status
    from reports.flow_data import FlowData
    from warehouse.waiting import open_warehouse

    settings = load_settings(tillstream_data=data)
    found = get(settings.project, flow).flow
    assert found is not None
    if not isinstance(found.trigger, MetricTrigger):
        raise ConfigurationError(f"{flow} is not started by a metric: there are no facts to start it for")
    if found.status is Status.DRAFT:
        raise ConfigurationError(f"{flow} is a draft: it would do nothing", remedy=f"tillstream flows live {flow}")
    begin = datetime.fromtimestamp(moment(since, settings, "--since"), UTC)
    end = moment(until, settings, "--until") if until else float("inf")
    rows = FlowData(open_warehouse(settings), live=not test).since(str(found.trigger.metric), begin)
    rows = [row for row in rows if row["email"] and unix_seconds(row["occurred_at"]) < end]
    people = len({row["email"] for row in rows})
    if rows and not dry_run:
        agree(f"start {flow} for {len(rows):,} facts of {people:,} people?", yes)
        asyncio.run(requests.publish(settings, requests.backfill(flow, rows)))
    if as_json:
        screen.say_json({"flow": flow, "facts": len(rows), "people": people, "dry_run": dry_run})
    elif not rows:
        screen.out.print("there is no such fact")
    else:
        would, then = ("would be", "") if dry_run else ("is", screen.typed(f"; see tillstream flows show {flow}"))
        screen.out.print(f"{flow} {would} started for {len(rows):,} facts of {people:,} people{then}")


def release(flow: Flow, dry_run: DryRun = False, yes: Yes = False, data: Data = None, as_json: Json = False) -> None:
    """Send the messages that a manual flow holds back, after you have seen how many.

    Example:  tillstream flows release failed-payment
    """
    from engage import requests
    from engage.flows.library import get
    from reports import messages
    from tillstream.reading import answer

    settings = load_settings(tillstream_data=data)
    waiting = answer(settings, partial(messages.held, flow=flow))
    if not waiting:
        get(settings.project, flow)  # a flow whose file is gone may hold something back; else its name is wrong
    if waiting and not dry_run:
        agree(f"send {len(waiting):,} messages of {flow}?", yes)
        asyncio.run(requests.publish(settings, requests.release(waiting)))
    if as_json:
        screen.say_json({"flow": flow, "released": len(waiting), "dry_run": dry_run})
    elif not waiting:
        screen.out.print(f"{flow} holds nothing back")
    else:
        screen.out.print(f"{len(waiting):,} messages {'would be ' if dry_run else ''}released")


def suppress(email: Email, data: Data = None, as_json: Json = False) -> None:
    """Send no more mail to an address, receipts included.

    Example:  tillstream flows suppress someone@example.com
    """
    _suppress(email, "suppressed", data, as_json)


def unsuppress(email: Email, data: Data = None, as_json: Json = False) -> None:
    """Allow mail again to an address that was suppressed, bounced or unsubscribed.

    Example:  tillstream flows unsuppress someone@example.com
    """
    _suppress(email, "", data, as_json)


def _suppress(email: str, reason: str, data: Data, as_json: bool) -> None:
    from engage import requests

    address = normal(email)
    if "@" not in address:
        raise ConfigurationError(f"'{email}' is no mail address")
    settings = load_settings(tillstream_data=data)
    asyncio.run(requests.publish(settings, requests.suppress(address, reason, (True, False), "by the command line")))
    if as_json:
        screen.say_json({"email": address, "suppressed": bool(reason)})
    else:
        said = "gets no more mail" if reason else "may get mail again"
        screen.out.print(Text.assemble((address, "bold"), f" {said}"))
