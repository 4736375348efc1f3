"""Faust without a way in which it loses messages of partitions on which nothing was committed yet.

While tables recover, Faust reads only changelogs, by a set of partitions that it goes on changing. When recovery ends
that set is empty for a moment, and an empty one means every partition to aiokafka: a fetch under way takes what has
come for all of them, and Faust drops it as not asked for. Then it seeks to what was committed, which brings nothing
back where nothing was.
"""

from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TransportT


class App(faust.App):  # type: ignore[misc]  # Faust has no types
    """An app whose consumer fetches what it was asked for when the fetch began."""

    def _new_transport(self) -> TransportT:
        return _Transport(self.conf.broker_consumer, self)


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    async def _fetch_records(self, consumer: Any, active_partitions: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = set(active_partitions)
        return await super()._fetch_records(consumer, wanted, *args, **kwargs) if wanted else {}


class _Consumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types
    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(driver.Transport):  # type: ignore[misc]  # Faust has no types
    Consumer = _Consumer
