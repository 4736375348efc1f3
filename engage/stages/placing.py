"""Where the stages' records belong when there are more partitions: a fact's by its id, a person's by the person."""

from collections.abc import Iterator

import msgspec
import orjson

from engage.flows.rules.settle import Epoch
from engage.stages.epochs import epoch_of
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
        return _later(_epoch.decode(one), _epoch.decode(other))


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
        return _later(epoch_of(one), epoch_of(other))


def _later(one: msgspec.Struct, other: msgspec.Struct) -> bytes:
    epochs = msgspec.structs.asdict(one), msgspec.structs.asdict(other)
    return msgspec.json.encode({name: max(epoch[name] for epoch in epochs) for name in epochs[0]})
