"""What could not be taken over from a document of Klaviyo's, and what a person should know of what was."""

from dataclasses import dataclass, field
from typing import Any

from schemas.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part that has no counterpart: its place in the JSON (`data.attributes…`), what it is, and why not."""

    path: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}: {self.why}"


class Refused(Exception):
    """This part, and so the whole segment or flow, can't be taken over."""


@dataclass(slots=True)
class Report:
    """Collects refusals and notes while one segment or flow is read."""

    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, path: str, what: str, why: str) -> Refused:
        """Notes a refusal; raise what it returns to give the part up."""
        self.refusals.append(Refusal(path, what, why))
        return Refused(path)

    def note(self, text: str) -> None:
        """Something to know or to do; once."""
        if text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True, slots=True)
class Imported:
    """One segment or flow of the document: its new `name`, and its YAML when nothing of it was refused."""

    name: str
    title: str
    content: dict[str, Any] | None
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


class NotKlaviyos(ConfigurationError):
    """The file is no segment or flow as Klaviyo's API gives them."""
