"""RocksDB in memory, one for each partition of a table; it can be put back to what it was some writes ago."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from faust.types import TP

from tests.simulation.loop import here

_Changes = dict[bytes, bytes | None]


class _Write(_Changes):
    """In the place of rocksdict.WriteBatch, which can't be read."""

    def __init__(self, raw_mode: bool = True) -> None:
        super().__init__()

    put = dict.__setitem__

    def delete(self, key: bytes) -> None:
        self[key] = None


class Disk:
    """One partition's records, and the changelog's offset that they are up to."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.persisted: int | None = None
        self._journal: list[tuple[Mapping[bytes, bytes | None], int | None]] = []

    def get(self, key: bytes) -> bytes | None:
        return self.records.get(key)

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        self._journal.append((changes, self.persisted))
        for key, value in changes.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value

    def persist(self, offset: int) -> None:
        self.persisted = offset
        if self._journal:
            self._journal[-1] = (self._journal[-1][0], offset)

    def put_back(self, writes: int) -> None:
        """As it was before the last `writes`."""
        kept = self._journal[: max(0, len(self._journal) - writes)]
        self.wipe()
        for changes, offset in kept:
            self.write(changes)
            if offset is not None:
                self.persist(offset)

    def wipe(self) -> None:
        self.records, self.persisted, self._journal = {}, None, []

    def iter(self) -> "_Cursor":
        return _Cursor(self.records)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def compact_range(self, *_: Any) -> None: ...


class _Cursor:
    def __init__(self, records: dict[bytes, bytes]) -> None:
        self._records = records
        self._keys: list[bytes] = []

    def seek(self, key: bytes) -> None:
        self._keys = sorted((each for each in self._records if each >= key), reverse=True)

    def valid(self) -> bool:
        return bool(self._keys)

    def key(self) -> bytes:
        return self._keys[-1]

    def value(self) -> bytes:
        return self._records[self._keys[-1]]

    def next(self) -> None:
        self._keys.pop()


class Disks(dict[tuple[str, int], Disk]):
    """All that a machine holds, by changelog and partition; `files` are what else is there."""

    def __init__(self) -> None:
        self.files: dict[Path, bytes] = {}

    def __missing__(self, place: tuple[str, int]) -> Disk:
        found = self[place] = Disk()
        return found


class Table:
    """A Faust table, and its store, as far as `streams` knows them."""

    offset_key = b"__faust\0offset__"

    def __init__(self, changelog: str, disks: Disks) -> None:
        self.changelog_topic_name = changelog
        self._disks = disks
        self.data = self

    @property
    def _dbs(self) -> Any:
        return SimpleNamespace(pop=lambda partition, *_: self._db_for_partition(partition))

    def _db_for_partition(self, partition: int) -> Disk:
        return self._disks[self.changelog_topic_name, partition]

    partition_path = _db_for_partition  # to be taken away by `rmtree`

    def persisted_offset(self, tp: TP) -> int | None:
        return self._db_for_partition(tp.partition).persisted

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        self._db_for_partition(tp.partition).persist(offset)


def _files() -> dict[Path, bytes]:
    machine: Any = here()
    files: dict[Path, bytes] = machine.disks.files
    return files


@contextmanager
def in_memory() -> Iterator[None]:
    """`streams` finds these in the place of RocksDB and its directories."""
    rocksdict = SimpleNamespace(
        WriteBatch=_Write,
        CompactOptions=lambda: SimpleNamespace(set_bottommost_level_compaction=lambda _: None),
        BottommostLevelCompaction=SimpleNamespace(force=lambda: None),
    )
    with (
        patch("streams.store.rocksdict", rocksdict),
        patch("streams.consuming.shutil", SimpleNamespace(rmtree=Disk.wipe)),
        patch("streams.losses._read", lambda path: _files().get(path, b"")),
        patch("streams.losses._write", lambda path, found: _files().__setitem__(path, json.dumps(found).encode())),
    ):
        yield
