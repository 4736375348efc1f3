"""What a stage says of its records when there are more partitions."""

from collections.abc import Callable
from dataclasses import dataclass

Get = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Placed:
    """A record belongs to the partition of the key `under` of its stage's input; None: to every one.

    It is left out where `beside`, another key, is on the same partition.
    """

    under: bytes | None
    key: bytes
    value: bytes
    beside: bytes | None = None
