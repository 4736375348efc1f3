"""How an import goes, for a person: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Sequence
from datetime import timedelta

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from connector.imports import progress as imports
from connector.imports.progress import State
from tillstream import screen

_LINE_SECONDS = 5.0
_Key = tuple[str, str]


class ImportScreen:
    """Call `show` now and then, `close` at the end. The bars are the share of the account's time that is read."""

    def __init__(self) -> None:
        self._bars = screen.err.is_terminal
        self._rates: dict[_Key, imports.Rate] = {}
        self._tasks: dict[_Key, TaskID] = {}
        self._said: dict[_Key, str] = {}
        self._line_at = 0.0
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}"),
            console=screen.err,
        )
        if self._bars:
            self._progress.start()

    def show(self, every: Sequence[imports.Progress]) -> None:
        """How all of them stand now."""
        now = time.monotonic()
        several = len({one.account for one in every}) > 1
        lines = not self._bars and now - self._line_at >= _LINE_SECONDS
        for one in every:
            key = (one.account, one.resource)
            rate = self._rates.setdefault(key, imports.Rate())
            rate.saw(now, one.objects)
            name = f"{one.account} {one.resource}" if several else one.resource
            if self._bars:
                self._draw(key, name, one, rate)
            elif lines or one.state in imports.ENDED:
                self._say(key, name, one, rate)
        if lines:
            self._line_at = now

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._bars:
            self._progress.stop()

    def _draw(self, key: _Key, name: str, one: imports.Progress, rate: imports.Rate) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(name, told="")
        total = one.covered + one.uncovered
        done = total if one.state is State.FINISHED else one.covered if one.begins else 0
        self._progress.update(self._tasks[key], total=total, completed=done, told=_told(one, rate))

    def _say(self, key: _Key, name: str, one: imports.Progress, rate: imports.Rate) -> None:
        told = _told(one, rate)
        if told and self._said.get(key) != told:
            self._said[key] = told
            screen.err.print(Text(f"{name:<24} {told}"))


def _told(one: imports.Progress, rate: imports.Rate) -> str:
    """Such as `12,300 objects   2,100/s   about 0:00:40 left`."""
    objects = f"{one.objects:>11,} objects"
    match one.state:
        case State.FINISHED:
            return f"{objects}   finished" + (f", but {one.error}" if one.error else "")
        case State.FAILED:
            return f"{objects}   failed: {one.error}"
        case State.CANCELED:
            return f"{objects}   canceled"
        case State.SKIPPED:
            return f"{objects}   not checked: {one.error}"
        case State.WAITING:
            return f"{objects}   waiting: {one.error}"
    if not one.begins:
        return ""
    left = imports.remaining(one.objects, one.covered, one.uncovered, rate.per_second)
    about = f"   about {timedelta(seconds=round(left))} left" if left is not None else ""
    return f"{objects}   {rate.per_second:>7,.0f}/s{about}"
