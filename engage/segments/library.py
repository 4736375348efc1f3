"""The segments that there are: shipped ones, and the project's, whose file of a same name takes a shipped one's place.

A file that can't be read is named with its problems, and affects no other segment.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from engage.conditions.model import Definition, InSegment
from engage.conditions.problems import Invalid, Problem, nearest
from engage.conditions.reading import parse
from engage.files import write_whole
from schemas.errors import ConfigurationError

READY = Path(__file__).parent / "ready"
STARTS = Path(__file__).parent / "starts"  # what a new segment may begin with, beside the ready ones


@dataclass(frozen=True, slots=True)
class Found:
    """One file: its definition, or what is wrong with it."""

    name: str
    path: Path
    definition: Definition | None
    problems: tuple[Problem, ...] = ()

    @property
    def shipped(self) -> bool:
        """It came with Tillstream, and no file of the project takes its place."""
        return self.path.parent == READY

    @property
    def problem(self) -> str:
        """What is wrong, a line each; '' when nothing is."""
        return "\n".join(f"{self.path}:{problem}" for problem in self.problems)


def find(project: Path) -> dict[str, Found]:
    """Every segment by name, in order."""
    paths = {path.stem: path for folder in (READY, project / "segments") for path in sorted(folder.glob("*.yaml"))}
    found = {name: _read(name, paths[name], frozenset(paths)) for name in sorted(paths)}
    for name, others in _circles(found).items():
        found[name] = Found(name, found[name].path, None, (_circle(name, others),))
    return found


def find_one(project: Path, name: str) -> Found:
    """One segment's file, a broken one too. Raises ConfigurationError when there is none."""
    found = find(project)
    if name not in found:
        close = nearest(name, found)
        hint = f"; did you mean {close}?" if close else ""
        raise ConfigurationError(f"there is no segment '{name}'{hint}", remedy="tillstream segments list")
    return found[name]


def get(project: Path, name: str) -> Definition:
    """One segment. Raises ConfigurationError when there is none, or when its file is wrong."""
    each = find_one(project, name)
    if each.definition is None:
        raise ConfigurationError(each.problem, remedy=f"mend {each.path}")
    return each.definition


def starts() -> dict[str, str]:
    """Name to YAML of what a new segment may begin with."""
    return {path.stem: path.read_text("utf-8") for folder in (STARTS, READY) for path in sorted(folder.glob("*.yaml"))}


def check(project: Path, name: str, text: str) -> Definition | list[Problem]:
    """The definition that `text` would be as the project's segment `name`, or what is wrong with it."""
    known = find(project)
    try:
        definition = parse(text, name, segments={*known, name})
    except Invalid as error:
        return error.problems
    circles = _circles({**known, name: Found(name, project, definition)})
    return [_circle(name, circles[name])] if name in circles else definition


def write(project: Path, name: str, text: str) -> Path:
    """The project's file of a segment, whole or not at all. Raises Invalid, ConfigurationError when it can't be."""
    found = check(project, name, text)
    if isinstance(found, list):
        raise Invalid(found)
    target = project / "segments" / f"{name}.yaml"
    write_whole(target, text)
    return target


def digest(definition: Definition) -> str:
    """Stands for who is meant: the same as long as the conditions are."""
    return hashlib.sha256(definition.root.model_dump_json().encode()).hexdigest()[:16]


@dataclass(slots=True)
class Library:
    """The segments, read anew when a file has changed. A broken file keeps the definition that it held before."""

    project: Path
    definitions: dict[str, Definition] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    _stamp: tuple[tuple[str, int, int], ...] | None = None

    def refresh(self) -> bool:
        """Whether any file had changed since the last call."""
        stamp = tuple(
            (str(path), status.st_mtime_ns, status.st_size)
            for folder in (READY, self.project / "segments")
            for path in sorted(folder.glob("*.yaml"))
            if (status := path.stat())
        )
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        found = find(self.project)
        self.problems = {name: each.problem for name, each in found.items() if each.problems}
        kept = {name: self.definitions[name] for name in self.problems if name in self.definitions}
        self.definitions = kept | {name: each.definition for name, each in found.items() if each.definition}
        return True


def _read(name: str, path: Path, known: frozenset[str]) -> Found:
    try:
        return Found(name, path, parse(path.read_text("utf-8"), name, segments=known))
    except Invalid as error:
        return Found(name, path, None, tuple(error.problems))
    except (OSError, UnicodeDecodeError) as error:
        return Found(name, path, None, (Problem(1, 1, f"the file can't be read: {error}"),))


def _circle(name: str, others: tuple[str, ...]) -> Problem:
    return Problem(1, 1, f"it asks for itself: {' → '.join((name, *others, name))}")


def _circles(found: dict[str, Found]) -> dict[str, tuple[str, ...]]:
    """The segments that come back to themselves by `in segment`, and by way of which others."""
    asks = {
        name: sorted({leaf.segment for leaf in each.definition.leaves() if isinstance(leaf, InSegment)})
        for name, each in found.items()
        if each.definition
    }

    def way(name: str, goal: str, seen: frozenset[str]) -> tuple[str, ...] | None:
        for other in asks.get(name, ()):
            if other == goal:
                return ()
            if other not in seen and (rest := way(other, goal, seen | {other})) is not None:
                return (other, *rest)
        return None

    return {name: circle for name in asks if (circle := way(name, name, frozenset({name}))) is not None}
