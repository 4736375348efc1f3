"""Segments, flows, mail templates and the brand as revisions: the values on `definitions`, and what they come to.

The compacted topic `definitions` has
    KIND/NAME/ID    one revision, for ever: a key is written once, so that compaction keeps all history
Where all revisions of one definition stand is decided by KIND/NAME, so that they are on one partition, in one order. A
revision follows its parent; of several that follow the same one, the first on the topic is taken, and the others were
too late: they stay in the history and come to nothing. The newest that was taken is the head, which is what runs and
what is shown. Nothing else says so: no pointer that could be compacted away or disagree.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from schemas.times import unix_seconds

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")  # no part of a path but a file's name
FILE: Final = "file"  # the author of what was changed in the folder


class Kind(StrEnum):
    """What is defined."""

    SEGMENT = "segment"
    FLOW = "flow"
    TEMPLATE = "template"
    BRAND = "brand"


class Revision(BaseModel):
    """One text of a definition. There is no clock in its id: the same change of the same text is one revision."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Made of kind, name, parent, text and archived: see revision_id")
    kind: Kind
    name: str = Field(description="The name of its file, without the ending")
    parent: str = Field(description="The id of the revision that it was made from; '' for the first")
    text: str
    archived: bool = Field(default=False, description="Set aside: nothing runs it, and it can be brought back")
    author: str = Field(description="Who saved it, as the audit log names them; `file` for a change in the folder")
    at: str = Field(description="RFC 3339: when it was saved, for people; it decides nothing")

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, at: str) -> str:
        unix_seconds(at)
        return at

    @property
    def moment(self) -> datetime:
        """When it was saved."""
        return datetime.fromtimestamp(unix_seconds(self.at), UTC)

    @property
    def key(self) -> bytes:
        """Its key on the topic."""
        return f"{place(self.kind, self.name)}/{self.id}".encode()

    @property
    def value(self) -> bytes:
        """Its value on the topic."""
        return self.model_dump_json().encode()


def place(kind: Kind, name: str) -> str:
    """What stands for a definition; the partition of all its revisions is that of this key."""
    return f"{kind}/{name}"


def is_name(name: str) -> bool:
    """Whether a definition may be called so."""
    return _NAME.fullmatch(name) is not None


def revision(
    kind: Kind, name: str, text: str, *, parent: str, author: str, at: str, archived: bool = False
) -> Revision:
    """A new one."""
    told = orjson.dumps([kind, name, parent, text, archived])
    number = hashlib.sha256(told).hexdigest()[:32]
    return Revision(id=number, kind=kind, name=name, parent=parent, text=text, archived=archived, author=author, at=at)


@dataclass(slots=True)
class Revisions:
    """All that was read of the topic, in whatever order and however often."""

    _of: dict[str, dict[str, tuple[int, Revision]]] = field(default_factory=dict)  # place → id → offset, revision

    def take(self, offset: int, key: bytes, value: bytes | None) -> None:
        """Take in one message; what is none of ours is passed over."""
        try:
            found = Revision.model_validate_json(value or b"")
        except ValidationError:
            return
        if found.key != key or not is_name(found.name):
            return
        known = self._of.setdefault(place(found.kind, found.name), {})
        if found.id not in known or offset < known[found.id][0]:
            known[found.id] = offset, found

    def definitions(self) -> Iterator[tuple[Kind, str]]:
        """Kind and name of every definition that ever was."""
        for each in self._of:
            kind, _, name = each.partition("/")
            yield Kind(kind), name

    def get(self, kind: Kind, name: str, number: str) -> Revision | None:
        """One by its id."""
        found = self._of.get(place(kind, name), {}).get(number)
        return found[1] if found else None

    def taken(self, kind: Kind, name: str) -> list[Revision]:
        """Those that were taken, the first one first: each was made from the one before."""
        follows: dict[str, Revision] = {}
        for _, each in sorted(self._of.get(place(kind, name), {}).values(), key=lambda pair: pair[0]):
            follows.setdefault(each.parent, each)
        line: list[Revision] = []
        newest = ""
        while newest in follows:
            line.append(follows.pop(newest))  # popped: it ends, whatever came
            newest = line[-1].id
        return line

    def head(self, kind: Kind, name: str) -> Revision | None:
        """The newest that was taken, an archived one too; None when there is none."""
        line = self.taken(kind, name)
        return line[-1] if line else None

    def history(self, kind: Kind, name: str) -> list[Revision]:
        """All, newest first; also those that came too late."""
        known = sorted(self._of.get(place(kind, name), {}).values(), key=lambda pair: pair[0], reverse=True)
        return [each for _, each in known]
