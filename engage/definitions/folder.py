"""The project's folder: where the file of each definition is, and what is to be done when it and the topic differ."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

from engage.conditions.problems import Invalid
from engage.files import write_whole, writing
from engage.flows.reading import parse
from engage.segments import library as segments
from engage.templates import brand, files
from schemas.definitions import Kind, Revision, is_name
from schemas.errors import TillstreamError

#: Folder and ending of the files of a kind.
FILES: Final = {
    Kind.SEGMENT: ("segments", ".yaml"),
    Kind.FLOW: ("flows", ".yaml"),
    Kind.TEMPLATE: ("templates", ".html"),
    Kind.BRAND: ("brand", ".yaml"),
}
_ASIDE: Final = "archived"  # the folder of what was set aside, below each of those
_EARLIER: Final = re.compile(r"\.\d+$")  # of what was set aside before it
_BASES: Final = ".revisions.json"


class Step(Enum):
    """What is to be done."""

    NOTHING = auto()
    NOTE = auto()  # they agree: the file is of that revision
    WRITE = auto()  # the head to the file
    PUBLISH = auto()  # the file as a revision


@dataclass(frozen=True, slots=True)
class File:
    """What the folder has of a definition."""

    text: str
    archived: bool = False


def step(
    file: File | None, base: Revision | None, head: Revision | None, *, readable: bool = True, there: bool = True
) -> Step:
    """`base` is the revision that the file was of when they last agreed; `there`: the kind's folder exists at all.

    What can't be read stays on this machine until it is mended, or until the definition is changed elsewhere: then it
    goes into the history before it is written over. A folder that is gone is not taken for everything being archived.
    """
    if agree(file, head):
        return Step.NOTHING if base == head else Step.NOTE
    if agree(file, base) or (file is None and not there):
        return Step.WRITE if head else Step.NOTHING
    if not readable and base == head:
        return Step.NOTHING
    return Step.PUBLISH


def agree(file: File | None, of: Revision | None) -> bool:
    """Whether the folder shows that revision. What is archived needs no file."""
    if of is None:
        return file is None
    if of.archived:
        return file is None or file.archived
    return file is not None and not file.archived and file.text == of.text


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a project."""

    project: Path

    def path(self, kind: Kind, name: str, *, archived: bool = False) -> Path:
        """Where the file of a definition is."""
        folder, ending = FILES[kind]
        return self.project / folder / (_ASIDE if archived else "") / f"{name}{ending}"

    def there(self, kind: Kind) -> bool:
        """Whether the folder of a kind exists."""
        return (self.project / FILES[kind][0]).is_dir()

    def names(self) -> Iterator[tuple[Kind, str]]:
        """Kind and name of all that has a file, in use or set aside."""
        return iter({(kind, name) for kind, name, _ in self._paths()})

    def stamp(self) -> frozenset[tuple[Path, int, int]]:
        """Another one as soon as any file is another."""
        found = set()
        for *_, path in self._paths():
            with suppress(OSError):
                status = path.stat()
                found.add((path, status.st_mtime_ns, status.st_size))
        return frozenset(found)

    def read(self, kind: Kind, name: str) -> File | None:
        """Raises ValueError for what is no text, OSError."""
        for archived in (False, True):
            with suppress(FileNotFoundError):
                return File(self.path(kind, name, archived=archived).read_text("utf-8"), archived)
        return None

    def write(self, head: Revision) -> None:
        """The file of a revision; what is archived is set aside. Raises ConfigurationError when it can't be written."""
        file, aside = (self.path(head.kind, head.name, archived=archived) for archived in (False, True))
        with writing(file):
            if not head.archived:
                write_whole(file, head.text)
                aside.unlink(missing_ok=True)
                return
            if aside.exists() and aside.read_bytes() != head.text.encode():  # of before there were revisions
                aside.replace(next(path for n in range(1, 10_000) if not (path := _numbered(aside, n)).exists()))
            write_whole(aside, head.text)
            file.unlink(missing_ok=True)

    def readable(self, kind: Kind, name: str, file: File | None) -> bool:
        """Whether others could use the file. It takes a while: a template is tried."""
        if file is None or file.archived:
            return True
        try:
            _CHECKS[kind](self.project, name, file.text)
        except TillstreamError:  # or it can't be tried now
            return False
        return True

    def bases(self) -> dict[str, str]:
        """By definition (`place`): the id of the revision that its file is of. It is kept beside the files."""
        try:
            found = json.loads((self.project / _BASES).read_bytes())
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}

    def keep_bases(self, bases: Mapping[str, str]) -> None:
        """Raises ConfigurationError when they can't be written."""
        write_whole(self.project / _BASES, json.dumps(bases, indent=0, sort_keys=True))

    def _paths(self) -> Iterator[tuple[Kind, str, Path]]:
        for kind, (folder, ending) in FILES.items():
            for below in ("", _ASIDE):
                for path in (self.project / folder / below).glob(f"[!.]*{ending}"):
                    name = path.name.removesuffix(ending)
                    if is_name(name) and not (below and _EARLIER.search(name)):
                        yield kind, name, path


def _check_segment(project: Path, name: str, text: str) -> None:
    found = segments.check(project, name, text)
    if isinstance(found, list):
        raise Invalid(found)


#: Of each kind: raises TillstreamError for a text that can't be used.
_CHECKS: Final[Mapping[Kind, Callable[[Path, str, str], object]]] = {
    Kind.SEGMENT: _check_segment,
    Kind.FLOW: lambda _, name, text: parse(text, name),
    Kind.TEMPLATE: files.check,
    Kind.BRAND: lambda _, __, text: brand.read(text),
}


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")
