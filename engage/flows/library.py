"""The flows that there are: shipped ones, and the project's, whose file of a same name takes a shipped one's place.

A file that can't be read keeps the flow that it held before, and is named in `problems`; no other flow is affected.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from engage.conditions.model import InSegment
from engage.conditions.problems import Invalid, nearest
from engage.files import write_whole
from engage.flows.model import DateTrigger, Flow, MetricTrigger, SegmentTrigger, Status
from engage.flows.reading import parse
from engage.flows.rules.program import Program, compile_flow
from engage.flows.soundness import mistakes
from schemas.errors import ConfigurationError
from schemas.metrics import Metric

READY = Path(__file__).parent / "ready"


@dataclass(frozen=True, slots=True)
class Found:
    """One file: its flow, or what is wrong with it."""

    path: Path
    flow: Flow | None
    problem: str = ""

    @property
    def shipped(self) -> bool:
        """It came with Tillstream; a change of its status is written to the project."""
        return self.path.parent == READY


def find(project: Path) -> dict[str, Found]:
    """Every flow by name, in order."""
    paths = {path.stem: path for folder in (READY, project / "flows") for path in sorted(folder.glob("*.yaml"))}
    return {name: _read(paths[name]) for name in sorted(paths)}


def find_one(project: Path, name: str) -> Found:
    """One flow's file, a broken one too. Raises ConfigurationError when there is none."""
    found = find(project)
    if name not in found:
        close = nearest(name, found)
        hint = f"; did you mean {close}?" if close else ""
        raise ConfigurationError(f"there is no flow '{name}'{hint}", remedy="tillstream flows list")
    return found[name]


def get(project: Path, name: str) -> Found:
    """One flow's file. Raises ConfigurationError when there is none, or when it is wrong."""
    found = find_one(project, name)
    if found.flow is None:
        raise ConfigurationError(found.problem, remedy=f"mend {found.path}")
    return found


def set_status(project: Path, name: str, status: Status) -> Path:
    """Write the flow's new status into its file (a shipped one's into a copy in the project); returns the file.

    Raises ConfigurationError as `text_with` does.
    """
    return write(project, name, text_with(project, name, status))


def text_with(project: Path, name: str, status: Status) -> str:
    """The text of a flow with another status.

    Raises ConfigurationError for a flow that must act and could not: its template is not there, or can't be read.
    """
    found = get(project, name)
    assert found.flow is not None
    if status is not Status.DRAFT and (wrong := mistakes(found.flow, project)):
        raise ConfigurationError(f"'{name}' can't be {status}: {'; '.join(wrong)}", remedy=f"mend {found.path}")
    return with_status(found.path.read_text("utf-8"), status)


def write(project: Path, name: str, text: str) -> Path:
    """The project's file of a flow, whole or not at all. Raises Invalid, ConfigurationError when it can't be."""
    target = project / "flows" / f"{name}.yaml"
    parse(text, name, str(target))
    write_whole(target, text)
    return target


def with_status(text: str, status: Status) -> str:
    """The same YAML, comments and all, with another status."""
    root = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    for key, value in root.value:
        if key.value == "status":
            return text[: value.start_mark.index] + str(status) + text[value.end_mark.index :]
    for key, value in root.value:
        if key.value == "name":
            end = value.end_mark.index
            return f"{text[:end]}\nstatus: {status}{text[end:]}" if not root.flow_style else text
    begin = root.start_mark.index
    return f"{text[:begin]}status: {status}\n{text[begin:]}"


def _read(path: Path) -> Found:
    try:
        return Found(path, parse(path.read_text("utf-8"), path.stem, str(path)))
    except Invalid as error:
        return Found(path, None, str(error))
    except (OSError, UnicodeDecodeError) as error:
        return Found(path, None, f"{path} can't be read: {error}")


@dataclass(slots=True)
class Flows:
    """The flows as the engine runs them, taken up anew when a file has changed."""

    project: Path
    programs: dict[str, Program] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    _stamp: tuple[tuple[str, int, int], ...] | None = None

    def refresh(self) -> bool:
        """Read the files if any has changed since the last call; whether one had."""
        stamp = tuple(
            (str(path), status.st_mtime_ns, status.st_size)
            for folder in (READY, self.project / "flows")
            for path in sorted(folder.glob("*.yaml"))
            if (status := path.stat())
        )
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        found = find(self.project)
        self.problems = {name: file.problem for name, file in found.items() if file.problem}
        kept = {name: self.programs[name] for name in self.problems if name in self.programs}
        self.programs = kept | {name: compile_flow(file.flow) for name, file in found.items() if file.flow}
        return True

    def of_metric(self, metric: str) -> list[Program]:
        """The flows that a fact of `metric` may start."""
        return [
            program
            for program in self._running()
            if isinstance(program.flow.trigger, MetricTrigger) and program.flow.trigger.metric == Metric(metric)
        ]

    def of_segment(self, segment: str, change: str) -> list[Program]:
        """The flows that somebody starts who `entered` or `left` a segment."""
        return [
            program
            for program in self._running()
            if isinstance(program.flow.trigger, SegmentTrigger)
            and (program.flow.trigger.segment, program.flow.trigger.on) == (segment, change)
        ]

    def of_dates(self) -> list[tuple[Program, DateTrigger]]:
        """The flows that a date starts."""
        return [
            (program, program.flow.trigger)
            for program in self._running()
            if isinstance(program.flow.trigger, DateTrigger)
        ]

    @property
    def running(self) -> bool:
        """Whether any flow acts at all."""
        return bool(self._running())

    def segments(self) -> set[str]:
        """The segments that flows ask for which act, as a trigger or in conditions."""
        return {name for program in self._running() for name in _segments(program.flow)}

    def _running(self) -> list[Program]:
        return [program for program in self.programs.values() if program.flow.status is not Status.DRAFT]


def _segments(part: Any) -> Iterator[str]:
    if isinstance(part, InSegment | SegmentTrigger):
        yield part.segment
    elif isinstance(part, BaseModel):
        for value in vars(part).values():
            yield from _segments(value)
    elif isinstance(part, tuple):
        for each in part:
            yield from _segments(each)
