"""What became of one attempt to send, and the interface of all senders."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T", contravariant=True)


@dataclass(frozen=True, slots=True)
class Sent:
    """It was taken. `detail` are the other side's words, `content` is what it has taken."""

    detail: str = ""
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Again:
    """It was certainly not taken, and may be later. `unreachable`: nobody was there at all, so others can wait too."""

    reason: str
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never be taken. `bounced`: because of the recipient's address."""

    reason: str
    bounced: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The connection broke when it may have been taken already."""

    reason: str
    content: bytes = b""


Outcome = Sent | Again | Refused | Unknown


class Sender(Protocol[T]):
    """Sends one thing. Never raises for what the other side does: that is an Outcome."""

    async def send(self, letter: T) -> Outcome:
        """Try once."""

    async def close(self) -> None:
        """Give back connections."""
