"""What a stage is given of a message."""

from typing import Protocol


class Message(Protocol):
    """One record of a topic as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
