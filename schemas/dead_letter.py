"""What could not be understood, kept whole with the reason and where it came from."""

from base64 import b64encode
from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Stage(StrEnum):
    """Which room gave up on it."""

    ENVELOPE = "envelope"
    LEDGER = "ledger"
    PROFILES = "profiles"
    SINK = "sink"
    ENGAGE = "engage"


class DeadLetter(BaseModel):
    """The value on `dead_letters`, as JSON; also the row of `tillstream.dead_letters`. Key: account + event id."""

    model_config = ConfigDict(extra="forbid")

    account: str = ""
    event_id: str = ""
    type: str = ""
    stage: Stage
    reason: str
    path: str = Field(default="", description="The field that was wrong, such as data.object.amount")
    topic: str = Field(description="Where it was read from, with `partition` and `offset`")
    partition: int
    offset: int
    failed_at: str
    payload: str = Field(description="The message's value, untouched")
    payload_encoding: str = Field(default="utf-8", description="`utf-8`, or `base64` when it is no UTF-8 text")
    headers: dict[str, str] = Field(default={}, description="The message's headers; of an event they are half of it")

    @property
    def key(self) -> bytes:
        """The message's key."""
        return letter_key(self.account, self.event_id)


def payload_kept(value: bytes | None) -> tuple[str, str]:
    """`payload` and `payload_encoding` of a message's value."""
    raw = value or b""
    try:
        return raw.decode(), "utf-8"
    except UnicodeDecodeError:
        return b64encode(raw).decode(), "base64"


def headers_kept(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """`headers` of a message's; ours are all text."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in headers}


def letter_key(account: str, event_id: str) -> bytes:
    """The key on `dead_letters` of what is known by these names; '' for those that are not known."""
    return f"{account}:{event_id}".encode("utf-8", "replace")
