"""One run of the demo: up, drive, compare, down."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemas.errors import ConfigurationError, Unavailable
from settings.table import Settings
from simulator.delivery.sender import SendReport, send
from tillstream import screen
from tillstream.compare import Comparison, compare
from tillstream.numbers import read_numbers
from tillstream.parts import make_plan
from tillstream.report import comparison_json, show_comparison
from tillstream.supervisor import Supervisor
from tillstream.traffic import UNTIDY, Month, make_month
from tillstream.up import describe_up, stop_events

_UP_SECONDS = 90.0
_SETTLE_SECONDS = 120.0  # after the last event was sent; a killed part takes up to a minute to recover
_REFUSED_SECONDS = 10.0  # when the door refused some: the numbers can't become equal any more
_POLL_SECONDS = 0.5
_NAMED = 5


class Demonstration:
    """One run; `run` gives whether every number was equal."""

    def __init__(
        self, settings: Settings, seed: int, customers: int, days: int, kill: list[str], leave: bool, as_json: bool
    ) -> None:
        self._plan = make_plan(settings)
        self._supervisor = Supervisor(self._plan, self._log)
        for name in kill:
            if name not in self._supervisor.names:
                parts = "|".join(self._supervisor.names)
                raise ConfigurationError(f"there is no part '{name}'", remedy=f"--kill {parts}")
        self._secret = settings.webhook_secrets()["default"][0]
        self._timezone = settings.tillstream_timezone
        self._seed, self._customers, self._days = seed, customers, days
        self._kill, self._leave, self._json = kill, leave, as_json
        self._logs = settings.tillstream_data / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)

    async def run(self) -> bool:
        """Up, drive, compare, down; Ctrl-C at any time stops cleanly."""
        stop, hurry = stop_events(lambda: screen.out.print(Text("\nstopping; Ctrl-C again to hurry", style="bold")))
        supervising = asyncio.create_task(self._supervisor.run(stop, hurry))
        driving = asyncio.create_task(self._drive(stop))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({supervising, driving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if supervising.done():
                await supervising  # raises why nothing could be started
            if not driving.done():
                raise KeyboardInterrupt
            equal = await driving
            if not self._leave:
                await asyncio.wait({supervising, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return equal
        finally:
            stop.set()
            for task in (driving, stopped):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            await supervising

    async def _drive(self, stop: asyncio.Event) -> bool:
        began = time.monotonic()
        with Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=screen.out,
        ) as progress:
            parts = progress.add_task("starting every part", total=len(self._supervisor.names))
            making = asyncio.create_task(
                asyncio.to_thread(make_month, self._seed, self._customers, self._days, self._timezone, faults=UNTIDY)
            )
            await self._wait_up(lambda ready: progress.update(parts, completed=ready))
            up_after = time.monotonic() - began
            month = await making

            sending = progress.add_task("sending signed webhooks, untidily", total=len(month.events))
            to_kill = list(self._kill)

            def on_progress(done: int, total: int) -> None:
                progress.update(sending, completed=done, total=total)
                killed = len(self._kill) - len(to_kill)
                if to_kill and done >= total * (killed + 1) // (len(self._kill) + 1):
                    self._kill_part(to_kill.pop(0))

            report = await send(
                month.events,
                f"{self._supervisor.runtime.http_url}/webhooks/stripe",
                self._secret,
                faults=month.faults,
                seed=self._seed,
                on_progress=on_progress,
            )
            folding = progress.add_task("rows in ClickHouse", total=len(month.facts))
            settled = time.monotonic()
            limit = _REFUSED_SECONDS if report.failures else _SETTLE_SECONDS
            comparison, stored = await self._settle(month, limit, lambda rows: progress.update(folding, completed=rows))
            settled = time.monotonic() - settled
        if self._json:
            screen.say_json(
                {
                    **comparison_json(comparison),
                    "timezone": self._timezone,
                    "events": len(month.events),
                    "events_stored": stored,
                    "ready_seconds": round(up_after, 2),
                    "settle_seconds": round(settled, 2),
                    "restarts": {name: self._supervisor.state(name).restarts for name in self._supervisor.names},
                }
            )
        else:
            screen.out.print()
            show_comparison(comparison, self._timezone)
        self._verdict(comparison.equal, month, report, stored, time.monotonic() - began)
        if not self._leave:
            screen.out.print(describe_up(self._supervisor.runtime, self._supervisor.data, True, up_after))
            screen.out.print(Text("  Ctrl-C stops everything.", style="dim"))
        return comparison.equal

    async def _wait_up(self, show: Callable[[int], None]) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        while not self._supervisor.up.is_set():
            if time.monotonic() > deadline:
                reasons = [
                    f"{n}: {s.reason}" for n in self._supervisor.names if not (s := self._supervisor.state(n)).ready
                ]
                raise Unavailable(f"not ready after {_UP_SECONDS:.0f} s: {'; '.join(reasons)}")
            show(sum(self._supervisor.state(name).ready for name in self._supervisor.names))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._supervisor.up.wait(), 0.1)
        show(len(self._supervisor.names))

    def _kill_part(self, name: str) -> None:
        pid = self._supervisor.state(name).pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            screen.out.print(Text(f"  kill -9 {pid} ({name})", style="bold yellow"))

    async def _settle(self, month: Month, seconds: float, show: Callable[[int], None]) -> tuple[Comparison, int]:
        """Ask until all is equal twice in a row, or for too long; the last comparison and the events stored."""
        deadline = time.monotonic() + seconds
        equal_before = False
        comparison, stored = compare({}, month.daily, [], month.facts), 0
        while True:
            with suppress(Unavailable, ConfigurationError):  # ClickHouse may be the part that was killed
                numbers = await asyncio.to_thread(read_numbers, self._plan.settings)
                stored = numbers.events
                comparison = compare(numbers.daily, month.daily, numbers.facts, month.facts)
                show(min(len(numbers.facts), len(month.facts)))
            equal = comparison.equal and stored == len(month.events)
            if (equal and equal_before) or time.monotonic() > deadline:
                return comparison, stored
            equal_before = equal
            await asyncio.sleep(_POLL_SECONDS)

    def _verdict(self, equal: bool, month: Month, report: SendReport, stored: int, seconds: float) -> None:
        line = (
            f"{len(month.events):,} events in {report.sent:,} deliveries ({report.duplicates:,} came twice), "
            f"{stored:,} events kept, {len(month.facts):,} metric rows; seed {self._seed}, {seconds:.0f} s in all"
        )
        screen.out.print()
        screen.out.print(Text(line, style="dim"))
        if month.untold:
            screen.out.print(
                Text(
                    f"Not counted on either side: {len(month.untold)} invoices paid outside Stripe, of which none of "
                    "these webhooks tells (only Stripe's API does).",
                    style="dim",
                )
            )
        for event, reason in list(report.failed.items())[:_NAMED]:
            screen.out.print(Text(f"refused by the door: {event}: {reason}", style="red"))
        if equal:
            screen.out.print(Text("✓ every count and every sum equals Stripe's", style="bold green"))
        else:
            screen.out.print(Text("✗ the numbers differ from Stripe's", style="bold red"))

    def _log(self, name: str, line: str) -> None:
        with (self._logs / f"{name}.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
