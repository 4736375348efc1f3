"""A batch: records by table and the offsets that they stand for. Plain values; no I/O and no clock of its own."""

from collections.abc import Sequence
from typing import Final, Protocol

from streams.message import Headers
from warehouse.tables import BALANCE_TRANSACTIONS, MRR_MOVEMENTS, PAYOUTS, PROFILES, STRIPE_EVENTS

# How many times as long as a lone metric row others may wait: what is looked at as it happens goes first, and an insert
# of twenty rows costs as much as one of five hundred.
PATIENCE: Final = {
    PROFILES.name: 4.0,
    STRIPE_EVENTS.name: 10.0,
    BALANCE_TRANSACTIONS.name: 10.0,
    PAYOUTS.name: 10.0,
    MRR_MOVEMENTS.name: 4.0,
}
COMPANY: Final = 2.5  # and metric rows themselves, where the last batch had FEW or more: others are coming then
FEW: Final = 20
MANY: Final = 200  # metric rows that are worth an insert of their own …
SOONER: Final = 0.6  # … and wait for this part of their time


class Record(Protocol):
    """What is needed of a Kafka record; `timestamp` in milliseconds since 1970."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Batch:
    """Collects records until it is full or old enough: a lane of the sink's."""

    def __init__(self, rows: int, size: int, age: float, *, patient: bool = False) -> None:
        """`rows` and `size` (bytes) make it full; `age` is how many seconds its first record may wait, and does wait
        with MANY others only if it is `patient`.
        """
        self.records: dict[str, list[Record]] = {}
        self.offsets: dict[tuple[str, int], int] = {}  # (topic, partition): the position to commit
        self.oldest = 0  # smallest timestamp of the records, ms
        self._limits = (rows, size, age)
        self._sooner = 1.0 if patient else SOONER
        self._rows = 0
        self._size = 0
        self._since: float | None = None

    def add(self, table: str, records: Sequence[Record], now: float) -> None:
        """Takes in consecutive records of one partition. A record without a value (a tombstone) makes no row."""
        if rows := [record for record in records if record.value is not None]:
            self.records.setdefault(table, []).extend(rows)
            self.oldest = min(self.oldest or rows[0].timestamp, rows[0].timestamp)
            self._rows += len(rows)
            self._size += sum(len(record.value or b"") for record in rows)
        last = records[-1]
        self.offsets[last.topic, last.partition] = last.offset + 1
        if self._since is None:
            self._since = now

    @property
    def rows(self) -> int:
        """How many there are."""
        return self._rows

    @property
    def full(self) -> bool:
        """It should be written before anything is added."""
        return self._rows >= self._limits[0] or self._size >= self._limits[1]

    def wait(self, now: float) -> float | None:
        """Seconds until its first record is old enough; 0 when it is time; None when there is nothing in it."""
        if self._since is None:
            return None
        age = self._limits[2] * (self._sooner if self._rows >= MANY else 1)
        return max(0.0, self._since + age - now)
