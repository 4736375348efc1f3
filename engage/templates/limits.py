"""What one rendering may cost, and what it found missing: a runaway template ends in an error, not in an outage."""

import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from babel import Locale

from engage.templates.errors import Lack, TemplateProblem

STEPS = 10_000  # turns of loops and calls of macros
SIZE = 1_000_000  # characters: mail clients cut a mail off at about 100 kB
MEMORY = 128  # megabytes more than the process of templates has to begin with
SECONDS = 0.7  # of the processor; a mail takes milliseconds
VALUES = 10_000  # in a list, with all that is in the lists within
LARGEST_RANGE = 1_000
LARGEST_NUMBER = 10**30


@dataclass(slots=True)
class Rendering:
    """The state of one rendering: defaults for filters, what it has used up, and what was missing."""

    template: str
    locale: Locale
    timezone: str
    currency: str
    names: frozenset[str]
    steps: int = 0
    size: int = 0
    lacks: dict[str, Lack] = field(default_factory=dict)

    def spend(self, steps: int, size: int = 0) -> None:
        """Count work before it is done. Raises TemplateProblem beyond the limits."""
        self.steps += steps
        self.size += size
        if self.steps > STEPS:
            raise self.problem(f"more than {STEPS:,} turns of loops")
        if self.size > SIZE:
            raise self.problem(f"more than {SIZE:,} characters")

    def weigh(self, value: Any) -> Any:
        """The value, unless so much is in it, counted as often as it is there, that to look at all of it takes long."""
        left, open_ = VALUES, [value]
        while open_:
            found = open_.pop()
            if isinstance(found, list | tuple):
                left -= len(found)
                open_ += found[: max(left, 0)]
            elif isinstance(found, dict):
                left -= len(found)
                open_ += found.values() if left > 0 else ()
            if left < 0:
                raise self.problem(f"a list of more than {VALUES:,} values")
        return value

    def note(self, name: str, hint: str = "") -> None:
        """Remember that `name` is missing, and where it was asked for first."""
        if name not in self.lacks:
            self.lacks[name] = Lack(name, *here(), hint)

    def problem(self, message: str) -> TemplateProblem:
        """An error at the line that is being rendered."""
        template, line = here()
        return TemplateProblem(message, template=template or self.template, line=line)


_current: ContextVar[Rendering] = ContextVar("rendering")


def current() -> Rendering:
    """The rendering that is going on in this task."""
    return _current.get()


class rendering:  # noqa: N801 -- reads as the statement that it is
    """`with rendering(state):` makes it `current()`."""

    def __init__(self, state: Rendering) -> None:
        self._state = state

    def __enter__(self) -> Rendering:
        self._token = _current.set(self._state)
        return self._state

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def here() -> tuple[str, int]:
    """Name and line of the innermost template that is being rendered; ('', 0) outside of any."""
    frame = sys._getframe(1)
    while frame is not None:
        if (template := frame.f_globals.get("__jinja_template__")) is not None:
            return template.name or "", template.get_corresponding_lineno(frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return "", 0


def place_of(error: BaseException) -> tuple[str, int]:
    """Name and line of the template that `error` came out of; ('', 0) when it was none."""
    found: tuple[str, int] = ("", 0)
    trace: Any = error.__traceback__
    while trace is not None:
        if (template := trace.tb_frame.f_globals.get("__jinja_template__")) is not None:
            found = template.name or "", template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return found
