"""The console's own key: random, made once, kept beside its sessions, and known to no browser."""

import hashlib
import hmac
import re
from pathlib import Path
from secrets import token_hex

from console.access.shelf import Shelf
from schemas.errors import ConfigurationError

_NAME = "key"
_LOOKS = re.compile(r"[0-9a-f]{64}\n?")


class Key:
    """Signs what a browser keeps for us, and gives names to what must not be written down."""

    def __init__(self, directory: Path | None) -> None:
        """Of a file in `directory`, which is made if need be. Raises ConfigurationError for a broken one."""
        shelf = Shelf(directory)
        shelf.put(_NAME, token_hex(32) + "\n", new=True)
        text = shelf.get(_NAME) or ""
        if not _LOOKS.fullmatch(text):
            path = (directory or Path()) / _NAME
            raise ConfigurationError(
                f"{path} holds no key of the console", remedy=f"rm {path}   (everybody signs in again)"
            )
        self._bytes = bytes.fromhex(text)

    def digest(self, purpose: str, text: str) -> str:
        """64 hex digits that nobody makes without the key; those of one purpose say nothing about another."""
        message = f"{purpose}\0{text}".encode("utf-8", "surrogateescape")
        return hmac.new(self._bytes, message, hashlib.sha256).hexdigest()

    def signed(self, purpose: str, text: str) -> str:
        """`text` and its signature."""
        return f"{text}.{self.digest(purpose, text)}"

    def unsigned(self, purpose: str, value: str) -> str | None:
        """The text of what `signed` gave; None for anything else."""
        text, _, signature = value.rpartition(".")
        return text if same(signature, self.digest(purpose, text)) else None


def same(given: str, wanted: str) -> bool:
    """Compares in a time that says nothing about where the two differ."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given, wanted))
    return hmac.compare_digest(*digests)
