"""`status`: one line a part, one an account, and one verdict for all of it."""

import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from schemas.verdict import Finding, Light, Severity, Verdict, verdict
from settings.loading import load_settings
from settings.runtime import running
from tillstream import screen
from tillstream.commands.doctor import describe
from tillstream.commands.options import Data, Json

if TYPE_CHECKING:  # heavy: loaded only by the commands that need it
    from doctor.facts import AccountFacts, Facts, MissingFacts
    from settings.table import Settings

_WATCH_SECONDS = 1.0
_ASK_AGAIN_SECONDS = 60.0  # Stripe, while it is watched
_COLOURS = {Light.GREEN: "green", Light.AMBER: "yellow", Light.RED: "red", Light.WAITING: "cyan"}
_SHOWN = 8  # findings; `doctor` has them all


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Again every second; as JSON one a line.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """How everything is: the parts of a running `up`, what is behind, and whether our numbers are Stripe's.

    Green means complete and correct: history is in, nothing lags, Stripe's endpoint is right, the last comparison was
    equal, nothing waits, and no event that came in is missing anywhere. Amber: it works, and something is incomplete or
    can't be proved. Red: something does not work, such as a live flow whose template is missing, or an event is
    missing. Waiting: no event has ever come. The console and its JSON say the same. Exit code 0 when every part can do
    its work and nothing is red, 1 otherwise, 2 when nothing runs.

    Example:  tillstream status --watch
    """
    settings = load_settings(tillstream_data=data)
    running(settings.tillstream_data)  # first: what follows takes a while to import
    if watch:
        _watch(settings, as_json)
        return
    import asyncio

    facts = asyncio.run(_look(settings))
    told = _verdict(facts)
    record = _record(settings, facts, told)
    if as_json:
        screen.say_json(record)
    else:
        screen.out.print(_show(facts, told))
    if not record["ready"] or told.light is Light.RED:
        raise typer.Exit(1)


async def _look(settings: "Settings", earlier: "Facts | None" = None) -> "Facts":
    """Raises ConfigurationError when nothing runs in the data directory."""
    from doctor.gather import gather
    from tillstream.broker import own_broker

    running(settings.tillstream_data)  # also while it is watched
    return await gather(settings, own_broker, earlier)


def _watch(settings: "Settings", as_json: bool) -> None:
    import asyncio

    from rich.live import Live

    facts, asked_at = asyncio.run(_look(settings)), time.monotonic()
    with nullcontext() if as_json else Live(console=screen.out, auto_refresh=False) as live:
        while True:
            if live is None:
                screen.say_line(_record(settings, facts, _verdict(facts)))
            else:
                live.update(_show(facts, _verdict(facts)), refresh=True)
            time.sleep(_WATCH_SECONDS)
            fresh = time.monotonic() - asked_at > _ASK_AGAIN_SECONDS
            facts = asyncio.run(_look(settings, None if fresh else facts))
            asked_at = time.monotonic() if fresh else asked_at


def _verdict(facts: "Facts") -> Verdict:
    from doctor.rules import findings

    return verdict(findings(facts))


def _record(settings: "Settings", facts: "Facts", told: Verdict) -> dict[str, Any]:
    """The documented shape of --json; fields are added, never changed."""
    runtime = running(settings.tillstream_data)
    parts = {
        part.name: {
            "ready": part.ready,
            "reason": part.reason,
            "pid": runtime.roles[part.name].pid if part.name in runtime.roles else None,
            "restarts": part.restarts,
            "health_url": runtime.roles[part.name].health_url if part.name in runtime.roles else "",
        }
        for part in facts.parts or ()
    }
    not_ready = [name for name, part in parts.items() if not part["ready"]]
    return {
        "light": told.light,
        "ready": not not_ready,
        "verdict": f"not ready: {', '.join(not_ready)}" if not_ready else told.title,
        "findings": told.as_json()["findings"],
        "parts": parts,
        "accounts": {account.name: _account_record(account) for account in facts.accounts},
        "lag": dict(facts.kafka.lag) if facts.kafka else {},
        "lookups": dict(facts.clickhouse.lookups) if facts.clickhouse else {},
        "open_dead_letters": facts.clickhouse.open_letters if facts.clickhouse else 0,
        "missing_events": [asdict(event) for event in _missing(facts)],
        "totals": dict(facts.clickhouse.totals) or None if facts.clickhouse else None,
        "urls": {
            "webhooks": f"{runtime.http_url}/webhooks/stripe",
            "console": runtime.console_url,
            "clickhouse": runtime.clickhouse_place,
            "kafka": runtime.kafka_bootstrap,
        },
        "pid": runtime.pid,
        "data": str(Path(settings.tillstream_data).absolute()),
    }


def _missing(facts: "Facts") -> "tuple[MissingFacts, ...]":
    audit = facts.clickhouse.audit if facts.clickhouse else None
    return audit.missing if audit else ()


def _account_record(account: "AccountFacts") -> dict[str, Any]:
    run = account.last_run
    return {
        "key": account.key,
        "secrets": account.secrets,
        "url": account.url,
        "endpoints": [one.id for one in (account.stripe.endpoints if account.stripe else None) or () if one.enabled],
        "imports": dict(account.imports) if account.imports is not None else None,
        "sweep": {"state": account.sweep.state, "age_seconds": round(account.sweep.age)} if account.sweep else None,
        "comparison": {
            "equal": run.equal,
            "differences": run.differences,
            "age_seconds": round(account.run_age),
            "from": run.first_day.isoformat(),
            "to": run.last_day.isoformat(),
            "remark": run.remark,
        }
        if run
        else None,
        "tieout": _tieout_record(account),
    }


def _tieout_record(account: "AccountFacts") -> dict[str, Any] | None:
    if account.balance is None:
        return None
    run = account.tieout
    return {
        "state": "unchecked" if account.balance.state == "unchecked" else run.state if run else "not yet",
        "differences": run.differences if run else 0,
        "age_seconds": round(time.time() - run.checked_at) if run else None,
        "unchecked": account.balance.error if account.balance.state == "unchecked" else "",
    }


def _show(facts: "Facts", told: Verdict) -> Group:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for part in facts.parts or ():
        restarts = f"{part.restarts} restart{'' if part.restarts == 1 else 's'}" if part.restarts else ""
        behind = sum(
            count for group, count in (facts.kafka.lag if facts.kafka else {}).items() if _reads(part.name, group)
        )
        table.add_row(
            _dot(part.ready),
            part.name,
            Text("ready") if part.ready else Text(screen.typed(part.reason), style="red"),
            Text(f"{behind:,} behind" if behind else "", style="dim"),
            Text(restarts, style="yellow"),
        )
    for account in facts.accounts:
        mine = [one for one in told.findings if one.about == account.name and one.severity is not Severity.HINT]
        table.add_row(_dot(not mine, mine), f"Stripe: {account.name}", *_account_line(account))
    lines: list[Any] = [table, Text(), _counts(facts)]
    shown = [finding for finding in told.findings if finding.severity is not Severity.HINT]
    if shown:
        lines += [Text(), *map(describe, shown[:_SHOWN])]
    if len(shown) > _SHOWN:
        lines.append(Text(screen.typed(f"  … and {len(shown) - _SHOWN} more: tillstream doctor"), style="dim"))
    lines += [
        Text(),
        Text.assemble(("● ", _COLOURS[told.light]), (f"{told.light}: {told.title}", f"bold {_COLOURS[told.light]}")),
    ]
    return Group(*lines)


def _reads(part: str, group: str) -> bool:
    """Consumer groups are called `tillstream` (the processors) and `tillstream-PART`, after the topics' prefix."""
    return group.endswith("tillstream") if part == "process" else group.endswith(f"tillstream-{part}")


def _account_line(account: "AccountFacts") -> tuple[Text, Text]:
    if not account.key:
        return Text("no API key", style="dim"), Text("known as far as webhooks came", style="dim")
    known = []
    enabled = sum(one.enabled for one in (account.stripe.endpoints if account.stripe else None) or ())
    if enabled:
        known.append("endpoint enabled" if enabled == 1 else f"{enabled} endpoints enabled")
    if account.imports:
        done = sum(state in ("finished", "skipped") for state in account.imports.values())
        known.append("imported" if done == len(account.imports) else f"{done} of {len(account.imports)} lists imported")
    if account.sweep and account.sweep.state != "never":
        known.append(f"swept {_ago(account.sweep.age)}")
    if account.last_run:
        known.append(
            f"{'equal to Stripe' if account.last_run.equal else 'not equal to Stripe'} {_ago(account.run_age)}"
        )
    if account.balance and account.balance.state == "unchecked":
        known.append("balance not checked")
    elif account.tieout:
        known.append("every cent named" if account.tieout.state != "different" else "not every cent named")
    return Text(f"{account.key} key"), Text(", ".join(known), style="dim")


def _counts(facts: "Facts") -> Text:
    totals = facts.clickhouse.totals if facts.clickhouse else {}
    if not totals:
        return Text("ClickHouse has no numbers yet", style="dim")
    counted = "   ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in totals.items())
    return Text(counted, style="dim" if not totals["dead_letters"] else "yellow")


def _dot(good: bool, findings: list[Finding] | None = None) -> Text:
    if good:
        return Text("●", style="green")
    worst = any(finding.severity is Severity.ERROR for finding in findings) if findings else True
    return Text("●", style="red" if worst else "yellow")


def _ago(seconds: float) -> str:
    if seconds < 90:
        return "just now"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"
