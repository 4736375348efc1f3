"""Who may log in to the engine of a data directory: one user who may do everything, and `reader`, who may only read.

Their passwords are made at the first start and kept in `DIR/logins.json`, for its owner's eyes alone: whoever can read
the engine's own files may log in.
"""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas.errors import ConfigurationError

READER: Final = "reader"


@dataclass(frozen=True, slots=True)
class User:
    """Who may log in, and whether they may only read."""

    password: str = field(repr=False)
    reads_only: bool


Users = Mapping[str, User]  # by name


@dataclass(frozen=True, slots=True)
class Logins:
    """Both passwords in plain text."""

    password: str = field(repr=False)
    reader_password: str = field(repr=False)


def logins(data: Path) -> Logins:
    """Those of the engine's directory, made now if it has none. Raises ConfigurationError."""
    path = data / "logins.json"
    try:
        if not path.exists():
            _make(path)
        found = json.loads(path.read_text("utf-8"))
        known = Logins(found["password"], found["reader_password"])
        if not (isinstance(known.password, str) and isinstance(known.reader_password, str)):
            raise TypeError
    except OSError as error:
        raise ConfigurationError(
            f"ClickHouse's passwords in {path} can't be used: {error.strerror}", remedy=f"check the rights of {data}"
        ) from None
    except (ValueError, LookupError, TypeError):
        raise ConfigurationError(
            f"{path} does not hold ClickHouse's passwords", remedy=f"rm {path}   (the next start makes new ones)"
        ) from None
    return known


def _make(path: Path) -> None:
    """Whole or not at all, and only once, whoever else does the same now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    made = {"password": secrets.token_urlsafe(24), "reader_password": secrets.token_urlsafe(24)}
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps(made) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
