"""What `up` and `demo` have in common: how they are asked to end, and what they say once everything is ready."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

from rich.text import Text

from settings.runtime import Runtime
from tillstream import screen


def stop_events(on_first: Callable[[], None]) -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first and by the second SIGINT or SIGTERM."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            hurry.set()
            return
        stop.set()
        with suppress(OSError):  # a terminal that is gone, a file on a full disk
            on_first()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` wants it ignored
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    return stop, hurry


def describe_up(runtime: Runtime, data: object, has_secret: bool, seconds: float) -> Text:
    """Where everything is, for a person."""
    text = Text.assemble("\n", ("  ● Tillstream is up", "bold green"), (f"  after {seconds:.1f} s\n\n", "dim"))
    if not has_secret:
        text.append("  ! It accepts nothing yet: no webhook signing secret is set.\n", style="bold yellow")
        text.append(screen.typed(f"    next: tillstream connect --data {data}\n\n"), style="yellow")
    places = {
        "webhooks": f"{runtime.http_url}/webhooks/stripe",
        "console": runtime.console_url,
        "ClickHouse": f"{runtime.clickhouse_place}   database {runtime.database}",
        "Kafka": runtime.kafka_bootstrap,
        "state": str(data),
    }
    for name, place in places.items():
        if place:
            text.append(f"    {name:<12}", style="dim").append(f"{place}\n")
    where = f" --data {data}"
    text.append("\n    in another terminal:\n", style="dim")
    for command in ("status", "metrics", "sql"):
        query = ' "SELECT * FROM metrics ORDER BY occurred_at DESC LIMIT 5"' if command == "sql" else ""
        text.append(screen.typed(f"    tillstream {command}{where}{query}\n"), style="cyan")
    return text
