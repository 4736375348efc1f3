"""What editors of files share: a draft's text, what stands for the text that it began with, and a new file's name."""

import hashlib
import re
import unicodedata
from collections.abc import Collection
from typing import Annotated, Final

from pydantic import AfterValidator, Field

LONGEST_YAML: Final = 12_000  # characters

Yaml = Annotated[str, Field(max_length=LONGEST_YAML), AfterValidator(lambda text: text.replace("\r\n", "\n"))]


def digest(text: str) -> str:
    """Stands for the text that an edit began with."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_name_of(title: str, taken: Collection[str], otherwise: str) -> str:
    """A file's name that is not `taken`, made of a title; `otherwise` when nothing of it can be in a name."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    base = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or otherwise
    return next(name for name in (base, *(f"{base}-{number}" for number in range(2, 1000))) if name not in taken)
