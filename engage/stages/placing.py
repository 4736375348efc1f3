"""Where the stages' records belong when there are more partitions: a fact's by its id, a person's by the person."""

from collections.abc import Iterator

import msgspec
import orjson

from engage.flows.rules.settle import Epoch
from schemas.growing import Get, Placed

_EPOCH = b"epoch"  # of either stage: since when flows run, on every partition
_epoch = msgspec.json.Decoder(Epoch)


class FactPlacing:
    """Of the records of `facts`."""

    def place(self, key: bytes, value: bytes, _: Get) -> Iterator[Placed]:
        """The partition of a fact."""
        yield Placed(None if key == _EPOCH else key[2:], key, value)

    def merge(self, key: bytes, one: bytes, other: bytes) -> bytes:
        """Of two beginnings the later: what is older than that is history."""
        if key != _EPOCH:
            raise ValueError(f"two partitions have a fact {key!r}")
        epochs = msgspec.structs.asdict(_epoch.decode(one)), msgspec.structs.asdict(_epoch.decode(other))
        return msgspec.json.encode(Epoch(**{name: max(epoch[name] for epoch in epochs) for name in epochs[0]}))


class PersonPlacing:
    """Of the records that `records` describes."""

    def place(self, key: bytes, value: bytes, _: Get) -> Iterator[Placed]:
        """The partition of a person."""
        person = None if key == _EPOCH else key[2:]
        if key.startswith(b"f|"):  # an email may have a bar in it, as an id may
            person = key[2:].removesuffix(b"|" + orjson.loads(value)["metric_id"].encode())
        yield Placed(person, key, value)

    def merge(self, key: bytes, one: bytes, other: bytes) -> bytes:
        """The same; a person is on one partition."""
        if key != _EPOCH:
            raise ValueError(f"two partitions have a record {key!r}")
        return max(one, other, key=orjson.loads)
