"""The engine: one per process and data directory, with as many connections as there are requests.

A connection opens in a fraction of a millisecond and shares the engine with all others; what is set on one
(settings, current database, temporary tables) ends with it. All calls here block, and may be made from any thread,
one at a time for one connection.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import chdb._chdb

from embedded.clickhouse.errors import NOT_ENOUGH_SPACE, QueryFailed
from schemas.errors import ConfigurationError

_chdb: Any = chdb._chdb  # without types

# For a machine that also runs Kafka and the roles: half of the memory at most, small caches.
_CONFIG = """<clickhouse>
    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
    <mark_cache_size>134217728</mark_cache_size>
    <index_mark_cache_size>33554432</index_mark_cache_size>
    <mmap_cache_size>128</mmap_cache_size>
{synced}</clickhouse>
"""
_SYNCED = """    <merge_tree>
        <fsync_after_insert>1</fsync_after_insert>
        <fsync_part_directory>1</fsync_part_directory>
        <min_compressed_bytes_to_fsync_after_merge>1</min_compressed_bytes_to_fsync_after_merge>
    </merge_tree>
"""
_GLOBS = frozenset("*?{}")


def quote(value: str) -> str:
    """An SQL string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's result and its figures: rows and bytes read from tables, and written to them."""

    body: bytes
    rows: int = 0
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0


def _answer(result: Any) -> Answer:
    return Answer(
        result.bytes(),
        result.rows_read(),
        result.storage_rows_read(),
        result.storage_bytes_read(),
        result.rows_written(),
        result.bytes_written(),
    )


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # the only kind that the engine raises
        raise QueryFailed.from_engine(str(error)) from error
    except UnicodeDecodeError as error:  # such a RuntimeError whose text quotes bytes that are none
        raise QueryFailed.from_engine(error.object.decode(errors="replace")) from error


@contextmanager
def _disk_failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise QueryFailed.of(NOT_ENOUGH_SPACE, f"Cannot keep the insert's data: {error.strerror}") from error


class Connection:
    """Runs one statement at a time. Every method raises QueryFailed."""

    def __init__(self, path: str) -> None:
        with _failures():
            self._raw = _chdb.connect(path)
        self.execute("SET implicit_select = 0")  # the server's default: `1+1` is no statement

    def execute(self, sql: str, format: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Answer:
        """The whole answer at once."""
        with _failures():
            return _answer(self._raw.query(sql, format, params=dict(params or {})))

    def stream(self, sql: str, format: str, params: Mapping[str, str]) -> Generator[Answer, None, None]:
        """The answer in chunks of tens of thousands of rows; only of SELECT. Closed early, it ends the query."""
        with _failures():
            result = self._raw.send_query(sql, format, params=dict(params))
            try:
                while (chunk := _answer(self._raw.streaming_fetch_result(result))).rows:
                    yield chunk
                if chunk.body:  # an empty result may still have a header
                    yield chunk
            except GeneratorExit:
                self._raw.streaming_cancel_query(result)
                raise

    def close(self) -> None:
        """Ends what still runs, without committing it."""
        self._raw.close()


class Spool:
    """An insert's data on their way in: a file in the directory `inserts`, gone when closed.

    The engine reads a whole file with one INSERT … FROM INFILE. Fed piece by piece (its `send_insert`), it answers that
    all went well when a constraint, a materialized view or the table itself has refused the rows.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / uuid.uuid4().hex
        with _disk_failures():
            self._file = self.path.open("xb", buffering=0)

    def append(self, data: bytes) -> None:
        """The next piece; it may end within a row. Raises QueryFailed."""
        with _disk_failures():
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]

    def close(self) -> None:
        """Removes the file."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Engine:
    """Opens the data directory and keeps it open. Raises ConfigurationError when it is in use or corrupt.

    With `flush` no insert is acknowledged before its rows are on the disk, where they outlive a power cut too.
    """

    def __init__(self, data: Path, flush: bool = False) -> None:
        data = data.absolute()
        if _GLOBS & set(str(data)):  # INFILE would take them for patterns, find no file and insert nothing
            raise ConfigurationError(
                f"ClickHouse's directory {data} can't be used: its path holds one of *?{{}}.",
                remedy="choose another with --data",
            )
        try:
            data.mkdir(parents=True, exist_ok=True)
            self._lock = (data / "lock").open("a")
        except OSError as error:
            raise ConfigurationError(
                f"ClickHouse's directory {data} can't be used: {error.strerror}.", remedy="choose another with --data"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise ConfigurationError(
                f"Another ClickHouse is running on {data}.",
                remedy="stop it, or choose another directory with --data",
            ) from error
        self._inserts = data / "inserts"
        shutil.rmtree(self._inserts, ignore_errors=True)  # of a server that was killed
        self._inserts.mkdir()
        config = data / "engine.xml"
        config.write_text(_CONFIG.format(synced=_SYNCED if flush else ""), encoding="ascii")
        self._path = f"{data / 'engine'}?config-file={config}"
        _chdb.set_signal_handlers_enabled(0)  # signals are the server's
        self._keeping = threading.Lock()
        self._keeper = self._open(data)
        self.version, self.timezone = self._keeper.execute("SELECT version(), timezone()").body.decode().split()

    def _open(self, data: Path) -> Connection:
        try:
            with _captured_stderr() as said:
                return Connection(self._path)
        except QueryFailed as error:
            cause = next((line for line in said if line.startswith("Code:")), str(error))
            raise ConfigurationError(
                f"ClickHouse can't open its data in {data}: {cause}",
                remedy=f"restore {data} from a backup, or move it away to begin anew",
            ) from error

    def connect(self) -> Connection:
        """A connection of its own for one request or session; to be closed."""
        return Connection(self._path)

    def spool(self) -> Spool:
        """A new file for an insert's data; to be closed. Raises QueryFailed."""
        return Spool(self._inserts)

    def end_queries(self, marked: str = "") -> None:
        """Ends every query that still runs and has `marked` in its text; each of them fails. From any thread."""
        with self._keeping:
            self._keeper.execute(
                f"KILL QUERY WHERE query_id != queryID() AND position(query, {quote(marked)}) > 0 ASYNC"
            )

    def close(self) -> None:
        """After all other connections: ends background work and lets go of the directory."""
        self._keeper.close()
        self._lock.close()


@contextmanager
def _captured_stderr() -> Iterator[list[str]]:
    """What the engine writes to the process's stderr: why it could not start is told nowhere else."""
    lines: list[str] = []
    kept = os.dup(2)
    with _scratch() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            lines.extend(said.read().decode(errors="replace").splitlines())


def _scratch() -> IO[bytes]:
    """A file without a place, in memory where the system can: /tmp may be full."""
    return open(os.memfd_create("said"), "w+b") if sys.platform == "linux" else tempfile.TemporaryFile()
