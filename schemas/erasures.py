"""Who was erased, and when: a list that every part of Tillstream holds, and that names nobody.

The compacted topic `erasures` has
    erased|DIGEST       {"at": Unix seconds, "key": hex}   facts up to `at` are nobody's; the digest is the email's
    done|STAGE|NUMBER   {"positions": {partition: offset}} what a stage's partition has taken out of its state
A digest is the HMAC of the trimmed lower-case email under a random key of the installation. The key stands beside the
digests, so that no machine is without it: whoever may read the topic can check a guess, but not list who is on it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from schemas.emails import normal
from schemas.erasing import Until

_ENTRY, _DONE = b"erased|", b"done|"
_KEY_BYTES = 32
_CACHED = 50_000  # emails whose digest is remembered

Positions = Mapping[str, int]  # partition of the topic, as text: the offset after the newest entry


@dataclass(frozen=True, slots=True)
class Entry:
    """One erasure: up to when facts are nobody's (Unix seconds), and where on the topic it stands."""

    at: int
    partition: int
    offset: int


@dataclass(slots=True)
class Erasures:
    """The list as far as it was read. `seen` counts the entries taken, to learn whether there are new ones."""

    entries: dict[str, Entry] = field(default_factory=dict)
    keys: set[bytes] = field(default_factory=set)
    done: dict[str, dict[str, int]] = field(default_factory=dict)  # "stage|number" → positions
    listeners: list[Callable[[], None]] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def take(self, partition: int, offset: int, key: bytes, value: bytes | None) -> None:
        """Take in one message of the topic; what is none of ours is passed over."""
        if value is None:
            return
        try:
            told = orjson.loads(value)
            if key.startswith(_ENTRY):
                entry = Entry(int(told["at"]), partition, offset)
                self.keys.add(bytes.fromhex(told["key"]))
                self.entries[key[len(_ENTRY) :].decode()] = entry
                self._known.clear()
            elif key.startswith(_DONE):
                self.done[key[len(_DONE) :].decode()] = dict(told["positions"])
        except (ValueError, LookupError, TypeError):
            return
        if key.startswith(_ENTRY):
            for listener in self.listeners:
                listener()

    def until(self, email: str) -> int:
        """Up to which Unix second facts of `email` are nobody's; 0 when it is not on the list."""
        if not self.entries:
            return 0
        known = self._known.get(email)
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            name = normal(email)
            found = (self.entries.get(digest(key, name)) for key in self.keys)
            known = self._known[email] = max((entry.at for entry in found if entry is not None), default=0)
        return known

    def at(self, moment: float) -> Until:
        """The same for a fact of `moment` (Unix seconds): 0 also when it is later than the erasure."""

        def until(email: str) -> int:
            end = self.until(email)
            return end if end >= moment else 0

        return until

    @property
    def positions(self) -> dict[str, int]:
        """How far the entries reach."""
        reached: dict[str, int] = {}
        for entry in self.entries.values():
            name = str(entry.partition)
            reached[name] = max(reached.get(name, 0), entry.offset + 1)
        return reached

    def since(self, positions: Positions) -> "Erasures":
        """The entries that stand after `positions`."""
        newer = {
            name: entry
            for name, entry in self.entries.items()
            if entry.offset >= positions.get(str(entry.partition), 0)
        }
        return Erasures(newer, set(self.keys))


def digest(key: bytes, email: str) -> str:
    """The name of `email` (trimmed, lower case) on the list."""
    return hmac.digest(key, email.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


def new_key() -> bytes:
    """A key for an installation that has none yet."""
    return secrets.token_bytes(_KEY_BYTES)


def entry_message(email: str, at: int, key: bytes) -> tuple[bytes, bytes]:
    """Key and value that put `email` on the list."""
    return _ENTRY + digest(key, normal(email)).encode(), orjson.dumps({"at": at, "key": key.hex()})


def done_message(stage: str, number: int, positions: Positions) -> tuple[bytes, bytes]:
    """Key and value by which partition `number` of a stage tells how far it is."""
    return _DONE + f"{stage}|{number}".encode(), orjson.dumps({"positions": dict(positions)})


def reached(done: Positions, wanted: Positions) -> bool:
    """Does `done` cover every entry before `wanted`?"""
    return all(done.get(partition, 0) >= offset for partition, offset in wanted.items())
