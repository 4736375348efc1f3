"""`status`: one line a part, the totals, and a verdict."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from schemas.errors import TillstreamError
from tillstream import screen
from tillstream.commands.options import Data, Json
from tillstream.loading import load_settings
from tillstream.settings import Settings
from tillstream.state import Runtime, running

_WATCH_SECONDS = 1.0


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second, until Ctrl-C.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """How every part of a running `up` is doing. Exit code 0 when all are ready, 1 when one is not, 2 when none runs.

    Example:  tillstream status --watch
    """
    settings = load_settings(tillstream_data=data)
    look = _look(settings)
    if as_json:
        screen.say_json(look)
    elif watch:
        with Live(_show(look), console=screen.out, auto_refresh=False) as live:
            while True:
                time.sleep(_WATCH_SECONDS)
                live.update(_show(_look(settings)), refresh=True)
    else:
        screen.out.print(_show(look))
    if not look["ready"]:
        raise typer.Exit(1)


def _look(settings: Settings) -> dict[str, Any]:
    """runtime.json, asked anew of every part, and what is in ClickHouse."""
    runtime = running(settings.tillstream_data)
    reasons = asyncio.run(_ask_all(runtime))
    parts = {
        name: {
            "ready": not reasons[name],
            "reason": reasons[name],
            "pid": state.pid,
            "restarts": state.restarts,
            "health_url": state.health_url,
        }
        for name, state in runtime.roles.items()
    }
    totals = _totals(settings)
    not_ready = [name for name, part in parts.items() if not part["ready"]]
    verdict = f"not ready: {', '.join(not_ready)}" if not_ready else "every part can do its work"
    return {
        "ready": not not_ready,
        "verdict": verdict,
        "parts": parts,
        "totals": totals,
        "urls": {
            "webhooks": f"{runtime.http_url}/webhooks/stripe",
            "console": runtime.console_url,
            "clickhouse": runtime.clickhouse_url,
            "kafka": runtime.kafka_bootstrap,
        },
        "pid": runtime.pid,
        "data": str(Path(settings.tillstream_data).absolute()),
    }


async def _ask_all(runtime: Runtime) -> dict[str, str]:
    from tillstream.parts import ask

    async def one(name: str) -> str:
        state = runtime.roles[name]
        if not state.ready or not state.health_url:  # services have no pages of their own: the supervisor's probe
            return state.reason if not state.ready else ""
        return await ask(f"{state.health_url}/readyz")

    return dict(zip(runtime.roles, await asyncio.gather(*map(one, runtime.roles)), strict=True))


def _totals(settings: Settings) -> dict[str, int] | None:
    """None while ClickHouse has no tables yet or does not answer."""
    from tillstream.warehouse import open_warehouse

    try:
        warehouse = open_warehouse(settings)
        row = warehouse.rows(
            "SELECT (SELECT uniqExact(event_id) FROM stripe_events) AS events, "
            "(SELECT count() FROM metrics) AS metrics, (SELECT count() FROM unlinked) AS unlinked, "
            "(SELECT count() FROM profiles) AS profiles, (SELECT count() FROM dead_letters) AS dead_letters"
        )[0]
    except TillstreamError:
        return None
    return {name: int(value) for name, value in row.items()}


def _show(look: dict[str, Any]) -> Group:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, part in look["parts"].items():
        restarts = part["restarts"]
        table.add_row(
            Text("●", style="green" if part["ready"] else "red"),
            name,
            Text("ready") if part["ready"] else Text(part["reason"], style="red"),
            Text(f"pid {part['pid']}" if part["pid"] else "", style="dim"),
            Text(f"{restarts} restart{'' if restarts == 1 else 's'}" if restarts else "", style="yellow"),
        )
    totals = look["totals"]
    if totals is None:
        counts = Text("ClickHouse has no numbers yet", style="dim")
    else:
        counts = Text(
            "   ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in totals.items()),
            style="dim" if not totals["dead_letters"] else "yellow",
        )
    verdict = Text(look["verdict"], style="bold green" if look["ready"] else "bold red")
    return Group(table, Text(), counts, Text(), verdict)
