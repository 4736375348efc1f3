"""Taking up who was erased, in all that a stage keeps: once a partition and list, also after it was away meanwhile.

1. find       the records that name somebody on the list, some at a time
2. erase      the stage takes them out and tells what changes; checkpoint
3. purge      RocksDB's files hold old values until they are written anew
4. remember   in the state itself, and on the topic `erasures`, where who asked for it looks; checkpoint
Interrupted anywhere, it begins anew at 1.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator

import structlog
from faust.types import TP

from processors.checkpoint import Checkpointer, Output
from schemas.erasing import names
from schemas.erasures import Erasures, done_message, reached

log = structlog.get_logger(__name__)

_RECORD = "|erasures"  # no id and no email
_SLICE = 200  # records looked at before others get their turn

Erase = Callable[[int, list[str], Checkpointer], Iterator[None]]


class Eraser:
    """Of one stage. `topics`: one that it reads, and `erasures`, by their full names."""

    def __init__(
        self, stage: str, topics: tuple[str, str], checkpoint: Checkpointer, erasures: Erasures, erase: Erase
    ) -> None:
        self._stage = stage
        self._source, self._topic = topics
        self._checkpoint = checkpoint
        self._erasures = erasures
        self._erase = erase
        self._owned: set[int] = set()
        self._wake = asyncio.Event()
        erasures.listeners.append(self._wake.set)

    def own(self, assignment: Collection[TP]) -> None:
        """These partitions are this worker's."""
        self._owned = {tp.partition for tp in assignment if tp.topic == self._source}
        self._wake.set()

    def forget(self, partitions: set[int]) -> None:
        """These are another worker's now."""
        self._owned -= partitions

    async def run(self) -> None:
        """Take up whatever comes, for as long as the stage lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for partition in sorted(self._owned):
                if self._erasures:
                    await self._take_up(partition)

    async def _take_up(self, partition: int) -> None:
        wanted = self._erasures.positions
        record = self._checkpoint.book(partition).get(_RECORD) or {"positions": {}}
        told = self._erasures.done.get(f"{self._stage}|{partition}", {})
        if reached(record["positions"], wanted) and reached(told, wanted):
            return
        if not reached(record["positions"], wanted):
            await self._checkpoint.flush()  # what was folded before the list was known is found only in RocksDB
            found = await self._find(partition)
            for _ in self._erase(partition, found, self._checkpoint):
                self._checkpoint.touch(partition)
                await asyncio.sleep(0)
                if partition not in self._owned:
                    return
            self._checkpoint.touch(partition)
            await self._checkpoint.flush()
            if partition not in self._owned:
                return
            book = self._checkpoint.book(partition)
            book.purge()
            book.put(_RECORD, {"positions": wanted})
            log.info("erasures taken up", stage=self._stage, partition=partition, records=len(found))
        key, value = done_message(self._stage, partition, wanted)
        self._checkpoint.send(Output("erasure", self._topic, key, value))
        self._checkpoint.touch(partition)
        await self._checkpoint.flush()

    async def _find(self, partition: int) -> list[str]:
        found: list[str] = []
        after = b""
        while partition in self._owned:
            records = self._checkpoint.book(partition).stored(after, _SLICE)
            if not records:
                break
            found += [key.decode() for key, value in records if _names(key, value, self._erasures)]
            after = records[-1][0]
            await asyncio.sleep(0)
        return found


def _names(key: bytes, value: bytes, erasures: Erasures) -> bool:
    if key == _RECORD.encode() or value[:1] != b"{":  # Faust keeps an offset beside
        return False
    return names(value, erasures.until) or names(b'"%b"' % key, erasures.until)
