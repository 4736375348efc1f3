"""Who has signed in by a token, kept here and not in the cookie, so that a session that has ended is over everywhere.

The cookie is a random number. Its digest is the name of the session's file, so the files open nothing to their readers.
A session ends when somebody signs out, when its time is over, and when the token that opened it is another one.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

from console.access.keys import Key, same
from console.access.shelf import Shelf
from console.roles import Role

SESSION_SECONDS: Final = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """`id` is short, and tells one browser from another in the audit log."""

    id: str
    role: Role


class Sessions:
    """`tokens` are those in force, with what they open; `directory` is shared by all consoles that share sessions."""

    def __init__(
        self,
        directory: Path | None,
        key: Key,
        tokens: Iterable[tuple[Role, str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shelf = Shelf(directory)
        self._key = key
        self._tokens = [(role, key.digest("token", token)) for role, token in tokens]
        self._clock = clock

    def begin(self, role: Role, token: str) -> tuple[str, Session]:
        """A new one, by a token in force: the cookie's value, and the session.

        Raises Unavailable when it can't be kept.
        """
        self._sweep()
        cookie = token_urlsafe(32)
        name = self._name(cookie)
        kept = {
            "role": role,
            "expires": int(self._clock()) + SESSION_SECONDS,
            "token": self._key.digest("token", token),
        }
        self._shelf.put(name, json.dumps(kept))
        return cookie, Session(name[:8], role)

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie; None when there is none, or it is over."""
        name = self._name(cookie)
        kept = self._read(name) if cookie else None
        return Session(name[:8], kept.role) if kept is not None and self._holds(kept) else None

    def end(self, cookie: str) -> None:
        """From now on the cookie opens nothing, wherever it was copied to. Raises Unavailable when that can't be."""
        if cookie:
            self._shelf.remove(self._name(cookie))

    def _name(self, cookie: str) -> str:
        return self._key.digest("session", cookie)

    def _read(self, name: str) -> "_Kept | None":
        try:
            kept = json.loads(self._shelf.get(name) or "")
            return _Kept(Role(kept["role"]), int(kept["expires"]), str(kept["token"]))
        except (ValueError, KeyError, TypeError):
            return None

    def _holds(self, kept: "_Kept") -> bool:
        in_force = any(role is kept.role and same(kept.token, token) for role, token in self._tokens)
        return in_force and self._clock() < kept.expires

    def _sweep(self) -> None:
        """What is over need not lie around."""
        for name in self._shelf.names():
            kept = self._read(name)
            if kept is None or self._clock() >= kept.expires:
                self._shelf.remove(name)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a file says; `token` is the digest of the token that opened it, `expires` Unix seconds."""

    role: Role
    expires: int
    token: str
