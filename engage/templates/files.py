"""The files that mails are made from: the project's and the ready ones, read, written and removed."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engage.templates import blocks, brand, places
from engage.templates.errors import TemplateProblem, did_you_mean
from engage.templates.rendering import Library
from schemas.errors import ConfigurationError

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}(\.[A-Za-z]{2,3}([_-][A-Za-z]{2,4})?)?")
LONGEST: Final = 80_000  # characters; Gmail cuts a mail off at 102 kB


@dataclass(frozen=True, slots=True)
class File:
    """A template. `ready`: it came with Tillstream; `over`: it takes a ready one's place."""

    name: str
    path: Path
    text: str

    @property
    def ready(self) -> bool:
        return self.path.parent == places.READY

    @property
    def over(self) -> bool:
        return not self.ready and (places.READY / self.path.name).exists()

    @property
    def mail(self) -> blocks.BlockMail | None:
        """As blocks; None for a template that is not made of them."""
        return blocks.parse(self.text)


def found(project: Path) -> list[File]:
    """Every mail by name, those in other languages too."""
    folders = (project / "templates", places.READY)
    return [_read(project, name) for name in places.files(folders)]


def get(project: Path, name: str) -> File:
    """One of them. Raises ConfigurationError when there is none."""
    known = places.files((project / "templates", places.READY))
    if name not in known:
        hint = did_you_mean(name, known)
        raise ConfigurationError(
            f"there is no template '{name}'{f'; {hint}' if hint else ''}", remedy="choose one from the list"
        )
    return _read(project, name)


def check(project: Path, name: str, text: str) -> None:
    """Raises TemplateProblem for a text that can't be the template of that name; of what mails are built from, one
    that can't be read. Raises Unavailable as `Library` does."""
    library = Library([project / "templates"])
    if name.startswith("_"):
        library.check_text(text, name)
    elif text.strip():
        library.check(name, draft=text)
    else:
        raise TemplateProblem("the mail is empty", template=name)


def must_be_name(name: str) -> None:
    """Raises ConfigurationError for what can't be a template's name."""
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f"'{name}' can't be a template's name", remedy="letters, digits, - and _, such as payment-failed"
        )


def read_brand(project: Path) -> str:
    """The brand's file as it is, '' when there is none."""
    file = project / brand.FILE
    return file.read_text("utf-8", "replace") if file.exists() else ""


def _read(project: Path, name: str) -> File:
    own = project / "templates" / f"{name}.html"
    path = own if own.exists() else places.READY / f"{name}.html"
    try:
        return File(name, path, path.read_text("utf-8", "replace"))
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}", remedy="check the file") from None
