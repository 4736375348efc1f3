"""Small texts by name that outlive a request: files for their owner's eyes alone, shared by every console beside.

Without a directory they are in memory, and gone with the process.
"""

import os
from pathlib import Path
from secrets import token_hex

from schemas.errors import Unavailable

_FILE_MODE, _DIRECTORY_MODE = 0o600, 0o700


class Shelf:
    """Names are letters, digits, `-`, `_` and dots, not the first; a text is whole or not there."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._memory: dict[str, str] = {}

    def put(self, name: str, text: str, *, new: bool = False) -> bool:
        """On the disk when it returns; with `new`, False when there was one already, which stays.

        Raises Unavailable when the disk refuses.
        """
        if self._directory is None:
            if new and name in self._memory:
                return False
            self._memory[name] = text
            return True
        path = self._directory / name
        temporary = path.with_name(f".{name}.{token_hex(8)}")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._directory.chmod(_DIRECTORY_MODE)
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                with open(os.open(temporary, flags, _FILE_MODE), "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                if not new:
                    temporary.replace(path)
                    return True
                try:
                    os.link(temporary, path)
                except FileExistsError:
                    return False
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(
                f"{self._directory} can't be written: {error.strerror}", remedy=f"make room in {self._directory}"
            ) from None
        return True

    def get(self, name: str) -> str | None:
        """None when there is none, or none that can be read."""
        if self._directory is None:
            return self._memory.get(name)
        try:
            return (self._directory / name).read_text("utf-8")
        except (OSError, ValueError):
            return None

    def remove(self, name: str) -> None:
        """It need not be there."""
        self._memory.pop(name, None)
        if self._directory is not None:
            try:
                (self._directory / name).unlink(missing_ok=True)
            except OSError as error:
                raise Unavailable(
                    f"{self._directory / name} can't be removed: {error.strerror}",
                    remedy=f"give Tillstream's user write access to {self._directory}",
                ) from None

    def names(self) -> list[str]:
        """In order."""
        if self._directory is None:
            return sorted(self._memory)
        try:
            return sorted(entry.name for entry in os.scandir(self._directory) if not entry.name.startswith("."))
        except OSError:
            return []
