"""A Faust table (RocksDB and a changelog topic), written at checkpoints: the records of one partition as bytes.

Faust's own `table[key] = value` costs a changelog message each through a slow path, and works only for the partition
of the event in hand; timers have no event. So a checkpoint goes around that path: changelog through the batched
producer, then one RocksDB write with the changelog's offset. Recovery and rebalancing stay Faust's, which finds in the
store and on the topic exactly what it would have written itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import rocksdict
from faust import Table
from faust.types import TP

#: Records of the runtime's own: no key of a stage begins with a zero byte.
_OURS = b"\x00"
FENCE, ERASURES, TALLY, POSITIONS = b"\x00fence", b"\x00erasures", b"\x00tally", b"\x00positions"
UNSENT = b"\x00unsent"  # what is sent after the state that says so, until it is


def is_ours(key: bytes) -> bool:
    """Whether a record of a changelog is the runtime's own."""
    return key.startswith(_OURS)


class PartitionStore:
    """The records of one partition. What was put is seen at once, and durable after the next checkpoint."""

    def __init__(self, table: Table, partition: int) -> None:
        self._table = table
        self._partition = partition
        self._dirty: dict[bytes, bytes | None] = {}
        self._writing: dict[bytes, bytes | None] = {}  # on its way to the changelog

    def get(self, key: bytes) -> bytes | None:
        """The record, None when there is none."""
        for changes in (self._dirty, self._writing):
            if key in changes:
                return changes[key]
        stored: bytes | None = self._database().get(key)
        return stored

    def put(self, key: bytes, value: bytes) -> None:
        """Keep `value` at the next checkpoint."""
        self._dirty.pop(key, None)  # so that the changelog has them in the order of the last change
        self._dirty[key] = value

    def delete(self, key: bytes) -> None:
        """Forget the record at the next checkpoint."""
        self._dirty.pop(key, None)
        self._dirty[key] = None

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every record of the stage's whose key begins with `prefix`; changed ones first, the others in their order."""
        changed = {
            key: value
            for changes in (self._writing, self._dirty)
            for key, value in changes.items()
            if key.startswith(prefix) and not self._ours(key)
        }
        for key, value in changed.items():
            if value is not None:
                yield key, value
        cursor = self._database().iter()
        cursor.seek(prefix)
        while cursor.valid() and (key := cursor.key()).startswith(prefix):
            if key not in changed and not self._ours(key):
                yield key, cursor.value()
            cursor.next()

    def stored(self, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """The next `count` records of the stage's behind the key `after`, as RocksDB has them."""
        cursor = self._database().iter()
        found: list[tuple[bytes, bytes]] = []
        cursor.seek(after)
        while cursor.valid() and len(found) < count:
            if (key := cursor.key()) != after and not self._ours(key):
                found.append((key, cursor.value()))
            cursor.next()
        return found

    def purge(self) -> None:
        """Have RocksDB's files hold nothing that was deleted or written over.

        Opened anew, since its manifest goes on naming the first and last keys of files that are no more.
        """
        database = self._database()
        database.flush()
        thorough = rocksdict.CompactOptions()
        thorough.set_bottommost_level_compaction(rocksdict.BottommostLevelCompaction.force())  # else deletions may stay
        database.compact_range(None, None, thorough)
        database.close()
        self._table.data._dbs.pop(self._partition, None)

    def positions(self) -> dict[str, int]:
        """By topic, the first offset that is not in these records; {} when nobody has kept any."""
        stored = self.get(POSITIONS)
        return {} if stored is None else orjson.loads(stored)

    def reached(self, positions: Mapping[str, int]) -> None:
        """These records hold every message below `positions`, by topic."""
        self.put(POSITIONS, orjson.dumps({**self.positions(), **positions}))

    def take_dirty(self) -> dict[bytes, bytes | None]:
        """What changed since the last call."""
        self._writing, self._dirty = self._dirty, {}
        return self._writing

    def write(self, records: Mapping[bytes, bytes | None], changelog_offset: int) -> None:
        """Keep what the changelog has acknowledged."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in records.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self._database().write(batch)
        self._table.data.set_persisted_offset(TP(self._table.changelog_topic_name, self._partition), changelog_offset)
        self._writing = {}

    def _ours(self, key: bytes) -> bool:
        """Whether the record is the runtime's own, or the offset that Faust keeps beside."""
        return is_ours(key) or key == self._table.data.offset_key

    def _database(self) -> Any:
        return self._table.data._db_for_partition(self._partition)
