"""Taking up who was erased, in all that a stage keeps: once a partition and list, also after it was away meanwhile.

1. find       the records that name somebody who was added to the list, some at a time
2. erase      the stage takes them out, and tells what changes by it; checkpoint
3. purge      RocksDB's files hold old values until they are written anew
4. remember   in the state itself, and on the topic `erasures`, where who asked for it looks; checkpoint
Interrupted anywhere, it begins anew at 1.
"""

import asyncio
from collections.abc import Callable, Iterable

import orjson
import structlog

from schemas.erasing import Until
from schemas.erasures import Erasures, done_message, reached
from streams.checkpoint import Checkpointer, Output
from streams.store import ERASURES

log = structlog.get_logger(__name__)

_SLICE = 200  # records looked at before others get their turn

Erase = Callable[[int, list[bytes], Until], Iterable[None]]
Names = Callable[[bytes, bytes, Until], bool]


class Eraser:
    """Of one stage; `topic` is the full name of `erasures`.

    `names(key, value, until)` says whether a record names somebody who was erased; `erase(partition, keys, until)`
    takes them out of the records under `keys`, and yields when others may have their turn.
    """

    def __init__(
        self, stage: str, checkpoint: Checkpointer, topic: str, erasures: Erasures, names: Names, erase: Erase
    ) -> None:
        self._stage = stage
        self._checkpoint = checkpoint
        self._topic = topic
        self._erasures = erasures
        self._names = names
        self._erase = erase
        self._owned: set[int] = set()
        self._wake, self._busy = asyncio.Event(), asyncio.Lock()
        erasures.listeners.append(self._wake.set)

    async def own(self, partitions: set[int]) -> None:
        """These partitions are this worker's too: they are clean when this returns, before any event."""
        self._owned |= partitions
        await self._take_up_all()

    def forget(self, partitions: set[int]) -> None:
        """These are another worker's now."""
        self._owned -= partitions

    async def run(self) -> None:
        """Take up whatever comes, for as long as the stage lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._take_up_all()

    async def _take_up_all(self) -> None:
        async with self._busy:
            for partition in sorted(self._owned):
                if self._erasures:
                    await self._take_up(partition)

    async def _take_up(self, partition: int) -> None:
        wanted = self._erasures.positions
        stored = self._checkpoint.store(partition).get(ERASURES)
        before = orjson.loads(stored) if stored is not None else {}
        told = self._erasures.done.get(f"{self._stage}|{partition}", {})
        if reached(before, wanted) and reached(told, wanted):
            return
        if not reached(before, wanted):
            until = self._erasures.since(before).until
            await self._checkpoint.flush()  # what was taken before the list was known is found only in RocksDB
            found = await self._find(partition, until)
            if partition not in self._owned:
                return
            for _ in self._erase(partition, found, until):
                self._checkpoint.touch(partition)
                await asyncio.sleep(0)
                if partition not in self._owned:
                    return
            self._checkpoint.touch(partition)
            await self._checkpoint.settle()  # words that are still kept may name them
            if partition not in self._owned:
                return
            store = self._checkpoint.store(partition)
            store.purge()
            store.put(ERASURES, orjson.dumps(wanted))
            log.info("erasures taken up", stage=self._stage, partition=partition, records=len(found))
        self._checkpoint.send(Output(self._topic, *done_message(self._stage, partition, wanted)))
        self._checkpoint.touch(partition)
        await self._checkpoint.flush()

    async def _find(self, partition: int, until: Until) -> list[bytes]:
        found: list[bytes] = []
        after = b""
        while partition in self._owned:
            records = self._checkpoint.store(partition).stored(after, _SLICE)
            if not records:
                break
            found += [key for key, value in records if self._names(key, value, until)]
            after = records[-1][0]
            await asyncio.sleep(0)
        return found
