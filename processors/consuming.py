"""Faust without two of its habits: one loses messages, the other takes a fifth of its time.

While tables recover, Faust reads only changelogs, by a set of partitions that it goes on changing. When recovery ends
that set is empty for a moment, and an empty one means every partition to aiokafka: a fetch under way takes what has
come for all of them, and Faust drops it as not asked for. It also drops what a fetch brings that was under way when
partitions were assigned. Then it seeks to what was committed, which brings nothing back where nothing was. So a fetch
here keeps the set that it began with, and a partition without a committed offset is read from its beginning again.

Of each message Faust makes four tasks, in case that a buffer is full when partitions are taken away. Mostly a message
is in its buffer after the first step, and then nothing has to wait.
"""

from collections.abc import Coroutine, Generator
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TransportT
from mode.services import WaitResults


class App(faust.App):  # type: ignore[misc]  # Faust has no types
    """An app whose consumer fetches what it was asked for when the fetch began."""

    def _new_transport(self) -> TransportT:
        return _Transport(self.conf.broker_consumer, self)


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    async def seek_to_committed(self) -> Any:
        return await self.call_thread(self._rewind)

    async def _rewind(self) -> Any:
        consumer, changelogs = self._ensure_consumer(), self.app.tables.changelog_topics
        committed = await consumer.seek_to_committed()
        unread = [tp for tp, offset in committed.items() if not offset and tp.topic not in changelogs]
        if unread:
            await consumer.seek_to_beginning(*unread)
        return committed

    async def _fetch_records(self, consumer: Any, active_partitions: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = set(active_partitions)
        return await super()._fetch_records(consumer, wanted, *args, **kwargs) if wanted else {}


class _Begun:
    """A coroutine after its first step; to be awaited for the rest of them."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self.done, self._waits_for = False, None
        try:
            self._waits_for = work.send(None)
        except StopIteration:
            self.done = True

    def __await__(self) -> Generator[Any, Any, Any]:
        yield self._waits_for
        return (yield from self._work.__await__())


class _Consumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types
    async def wait_first(self, *waits: Any, **options: Any) -> WaitResults:
        """Of two, a message on its way and the end of the flow, the first is mostly done at once."""
        if len(waits) == 2:
            message = _Begun(waits[0])
            if message.done:
                waits[1].close()
                return WaitResults([waits[0]], [None], False)
            waits = (message, waits[1])
        return await super().wait_first(*waits, **options)

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(driver.Transport):  # type: ignore[misc]  # Faust has no types
    Consumer = _Consumer
