"""What there is to make mails from, and what a made one is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from babel import Locale, UnknownLocaleError

from engage.templates.errors import Lack

READY = Path(__file__).parent / "ready"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail's parts. `missing` is what the template asked for and got a blank (or its default) instead."""

    subject: str
    html: str
    text: str
    missing: tuple[Lack, ...] = ()


def files(folders: Iterable[Path]) -> list[str]:
    """Every template of the folders, translations too, without `.html`; what mails are built from is left out."""
    found = {path.name.removesuffix(".html") for folder in folders for path in folder.glob("*.html")}
    return sorted(name for name in found if not name.startswith("_"))


def known_language(name: str) -> str:
    """`de` or `pt-BR` as Babel writes it, '' for what is no language."""
    try:
        return str(Locale.parse(name.replace("-", "_")))
    except (UnknownLocaleError, ValueError, TypeError):
        return ""


def language_of(name: str) -> str:
    """The language that a template's name ends in: of `receipt.de`, de; '' when it names none."""
    _, dot, suffix = name.rpartition(".")
    return known_language(suffix) if dot else ""


def names(folders: Sequence[Path]) -> list[str]:
    """Every mail: `receipt.de` is `receipt` in German."""
    return [name for name in files(folders) if not language_of(name)]
