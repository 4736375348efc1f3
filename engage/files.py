"""Writing files of the project."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ConfigurationError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses in the block is a ConfigurationError."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror}", remedy="check TILLSTREAM_PROJECT"
        ) from None


def write_whole(target: Path, text: str) -> None:
    """The file, whole or not at all. Raises ConfigurationError when it can't be written."""
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.new")
    with writing(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, "utf-8")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
