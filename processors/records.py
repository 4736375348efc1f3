"""The ledger's records of one partition as trees, over the bytes of its store."""

import orjson

from processors.rules.lattice import Record
from streams.store import PartitionStore

_CACHED = 3_000  # about 15 MB a partition; beyond that what is clean is read from the store again


class Records:
    """Records by key: the same object for every caller, changed in place, put when it has changed."""

    def __init__(self, store: PartitionStore) -> None:
        self._store = store
        self._cache: dict[str, Record] = {}
        self._dirty: dict[str, Record | None] = {}  # None: deleted

    def get(self, key: str) -> Record | None:
        """The record; None when there is none."""
        record = self._cache.get(key)
        if record is None and key not in self._dirty:
            stored = self._store.get(key.encode())
            if stored is None:
                return None
            record = self._cache[key] = orjson.loads(stored)
        return record

    def put(self, key: str, record: Record) -> None:
        """Have `record` kept by the next `flush`."""
        self._cache[key] = self._dirty[key] = record

    def delete(self, key: str) -> None:
        """Have the record deleted by the next `flush`."""
        self._cache.pop(key, None)
        self._dirty[key] = None

    def flush(self) -> None:
        """Put into the store what has changed, as it is now."""
        for key, record in self._dirty.items():
            if record is None:
                self._store.delete(key.encode())
            else:
                self._store.put(key.encode(), orjson.dumps(record))
        self._dirty.clear()
        if len(self._cache) > _CACHED:
            self._cache.clear()
