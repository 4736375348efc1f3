"""Segments for the console: the files of the project, read and written by `engage`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from console import building_controls
from console.building import Built
from console.engagement_shapes import Asked, Segment, Start
from engage.conditions import Problem, compile_counts, compile_members
from engage.conditions import words as telling
from engage.conditions.model import Definition
from engage.conditions.reading import parse
from engage.config import clock
from engage.editing import segment as editing
from engage.segments import library
from reports.segments import Occurring
from settings.loading import load_settings
from settings.table import Settings
from warehouse.query import Query


class Segments:
    """Each raises ConfigurationError for a name that there isn't. Settings are read anew for each call."""

    def __init__(self, settings: Settings) -> None:
        self._data = settings.tillstream_data

    async def segments(self) -> list[Segment]:
        """Every one, by name."""
        return await asyncio.to_thread(lambda: [_told(found) for found in library.find(self._project()).values()])

    async def segment(self, name: str) -> Segment:
        """One, broken ones too."""
        return await asyncio.to_thread(lambda: _told(self._found(name)))

    async def ask(self, name: str, text: str) -> Asked | list[Problem]:
        """What the segment in `text` asks, or what is wrong with it."""
        settings = self._settings()
        found = await asyncio.to_thread(library.check, settings.project, name, text)
        if isinstance(found, list):
            return found
        now = clock(settings)
        counts, members = compile_counts(found, now), compile_members(found, now)
        told = tuple(telling.sentence(leaf) for leaf in found.leaves())
        return Asked(told, counts, members, telling.words(found.root))

    async def build(self, name: str, text: str, posted: Mapping[str, str], do: str, occurring: Occurring) -> Built:
        """The builder's form of the segment in `text`, after its fields were `posted` and `do` was done."""
        return await asyncio.to_thread(self._build, name, text, posted, do, occurring)

    async def written(self, text: str, posted: Mapping[str, str]) -> str:
        """`text` after the builder's fields were `posted`: nothing but what was changed is written anew."""
        return await asyncio.to_thread(editing.changed, text, posted)

    def values(self, metric: str, name: str) -> Query:
        """`livemode` and `value` of a property of a metric's facts, or ('') of people."""
        return building_controls.values(metric, name)

    async def starts(self) -> list[Start]:
        """What a new segment may begin with."""
        return await asyncio.to_thread(self._starts)

    def _build(self, name: str, text: str, posted: Mapping[str, str], do: str, occurring: Occurring) -> Built:
        text = editing.changed(text, posted, do)
        project = self._project()
        found = library.check(project, name or "segment", text)
        others = [each for each in library.find(project) if each != name]
        return building_controls.built(text, occurring, others, found if isinstance(found, list) else [])

    def _starts(self) -> list[Start]:
        project = self._project()
        known = library.find(project)
        texts = {name: text for name, text in library.starts().items() if name not in known or known[name].shipped}
        made = {name: parse(text, name) for name, text in texts.items()}
        return [
            Start(name, made[name].title, made[name].description, text, there=name in known)
            for name, text in texts.items()
        ]

    def _segment_mistakes(self, name: str, text: str, new: bool) -> list[Problem]:
        """Why it can't be saved; `new`: there must be none of that name."""
        project = self._project()
        if new and (project / "segments" / f"{name}.yaml").exists():
            return [Problem(1, 1, f"there is a segment '{name}' already: choose another name, or edit that one")]
        found = library.check(project, name, text)
        return found if isinstance(found, list) else []

    def _found(self, name: str) -> library.Found:
        return library.find_one(self._project(), name)

    def _project(self) -> Path:
        return self._settings().project

    def _settings(self) -> Settings:
        return load_settings(tillstream_data=Path(self._data))


def _told(found: library.Found) -> Segment:
    made: Definition | None = found.definition
    return Segment(
        found.name,
        made.title if made else found.name,
        made.description if made else "",
        str(made.every) if made else "",
        found.shipped,
        str(found.path),
        _text(found.path),
        telling.words(made.root) if made else None,
        found.problems,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:  # named among the problems
        return ""
