"""`flows run --dry-run`: what a flow would have sent."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, DryRun, Flow, Json, Test
from tillstream.commands.times import moment

if TYPE_CHECKING:
    from engage.flows.dry_run import DryRun as Trial
    from settings.table import Settings

_AGO = re.compile(r"(\d{1,4})\s*([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def run(
    flow: Flow,
    dry_run: DryRun = False,
    since: Annotated[str, typer.Option("--since", metavar="30d", help="How far back: 30d, 12h, or a time.")] = "30d",
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="As if it were then, with nothing after it; else now.")
    ] = None,
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a flow would have sent in the last 30 days, by step, and why it would not have sent more.

    It plays all that happened through the flow's own rules on a clock that jumps: filters, re-entry, delays, exits,
    quiet hours, smart sending, suppressed people. Profiles, and states such as an invoice's, are as they are today.

    Example:  tillstream flows run failed-payment --dry-run --since 90d
    """
    if not dry_run:
        past = f"tillstream flows backfill {flow} --since TIME"
        raise ConfigurationError(
            "a live flow acts by itself, on what happens from now on",
            remedy=f"tillstream flows run {flow} --dry-run, or for the past: {past}",
        )
    settings = load_settings(tillstream_data=data)
    now = datetime.fromtimestamp(moment(until, settings, "--until"), UTC) if until else datetime.now(UTC)
    show_dry_run(settings, flow, begin_of(since, settings, now), now, live=not test, as_json=as_json)


def begin_of(text: str, settings: "Settings", now: datetime) -> datetime:
    """`30d`, `12h`, `2w` before `now`, or a moment. Raises ConfigurationError for anything else."""
    if found := _AGO.fullmatch(text.strip().lower()):
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    return datetime.fromtimestamp(moment(text, settings, "--since"), UTC)


def show_dry_run(settings: "Settings", flow: str, begin: datetime, now: datetime, *, live: bool, as_json: bool) -> None:
    """Play the flow over what happened from `begin` to `now`, and say what it would have sent, and why not more."""
    from engage.flows.dry_run import dry_run
    from reports.flow_data import FlowData
    from warehouse.waiting import open_warehouse

    warehouse = open_warehouse(settings)
    columns = (TextColumn("people"), BarColumn(), MofNCompleteColumn())
    quiet = as_json or not screen.err.is_terminal
    with Progress(*columns, console=screen.err, transient=True, disable=quiet) as progress:
        task = progress.add_task("people", total=None)
        found = dry_run(
            settings,
            FlowData(warehouse, live),
            flow,
            begin,
            now,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    if as_json:
        screen.say_json(found.as_record())
    else:
        _show(found)


def _show(found: "Trial") -> None:
    tally = found.tally
    screen.out.print(
        Text.assemble(
            (f"{found.flow} would have sent {tally.mails:,}", "bold green" if tally.mails else "bold yellow"),
            f" since {found.since:%Y-%m-%d %H:%M} (it is {found.status})",
        )
    )
    for step, count in tally.sent.items():
        _line(count, found.steps.get(step, step), "green")
    screen.out.print(f"{tally.facts:,} events came, {tally.started:,} started it")
    for reason, count in tally.refused.most_common():
        _line(count, f"{reason}   such as {tally.examples[reason]}", "yellow")
    for (step, reason), count in tally.skipped.most_common():
        _line(count, f"skipped at {step}: {reason}", "yellow")
    for reason, count in tally.ended.most_common():
        _line(count, f"ended: {reason}", "dim")
    if tally.waiting:
        _line(tally.waiting, "still waiting", "dim")


def _line(count: int, words: str, style: str) -> None:
    screen.out.print(Text.assemble((f"  {count:>8,}  ", style), words))
