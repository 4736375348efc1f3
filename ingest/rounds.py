"""From single events to Kafka's batches: whatever has come in while a round was under way goes out with the next.

aiokafka's own `send` costs more CPU than all else that the door does for an event; a round costs it once a partition.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from streams.partitioner import partition_of

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_ROUND_SECONDS = 0.05  # a partition that is slow to acknowledge holds up the others for this long at most
_RECORD_OVERHEAD = 128

Acknowledged = asyncio.Future[None]


@dataclass(slots=True)
class _Lane:
    """One partition: what waits for it, and whether a batch is under way. Never two: that keeps the order."""

    partition: int
    waiting: deque[tuple[bytes, bytes, Acknowledged]] = field(default_factory=deque)
    under_way: bool = False


class Rounds:
    """Batches for one producer and topic of `partitions` partitions; `on_error` hears of every batch that failed."""

    def __init__(
        self, producer: AIOKafkaProducer, topic: str, partitions: int, on_error: Callable[[BaseException], None]
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._on_error = on_error
        self._lanes = [_Lane(partition) for partition in range(partitions)]
        self._work = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="door-rounds")

    def put(self, key: bytes, value: bytes) -> Acknowledged:
        """The message goes out with the next round; the future ends when Kafka has it, or with why it has not.

        Once the caller has ended the future itself, a message that still waits is not sent any more.
        Raises MessageSizeTooLargeError. The partition is that of Kafka's own default partitioner.
        """
        if len(key) + len(value) + _RECORD_OVERHEAD > MAX_MESSAGE_BYTES:
            raise MessageSizeTooLargeError
        acknowledged: Acknowledged = self._loop.create_future()
        lane = self._lanes[partition_of(key, len(self._lanes))]
        lane.waiting.append((key, value, acknowledged))
        self._work.set()
        return acknowledged

    async def close(self) -> None:
        """Nothing goes out any more; what still waits ends with a KafkaError."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for lane in self._lanes:
            _end([acknowledged for _, _, acknowledged in lane.waiting], KafkaError("the producer was closed"))
            lane.waiting.clear()

    async def _run(self) -> None:
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                free = [lane for lane in self._lanes if lane.waiting and not lane.under_way]
                sent = [batch for lane in free if (batch := await self._send(lane)) is not None]
                if sent:
                    await asyncio.wait(sent, timeout=MAX_ROUND_SECONDS)
        except Exception as error:  # never expected: a new producer has to take over
            self._on_error(error)
            raise

    async def _send(self, lane: _Lane) -> asyncio.Future[object] | None:
        """Hand one batch of the lane to the producer; doesn't wait for its acknowledgement."""
        builder = self._producer.create_batch()
        waiting, members = lane.waiting, list[Acknowledged]()
        while waiting:
            key, value, acknowledged = waiting[0]
            if not acknowledged.done():  # else it was given up and answered 503
                if builder.append(timestamp=None, key=key, value=value) is None:
                    self._work.set()  # the batch is full: the rest goes with the next round
                    break
                members.append(acknowledged)
            waiting.popleft()
        if not members:
            return None
        builder.close()
        lane.under_way = True
        try:
            batch: asyncio.Future[object] = await self._producer.send_batch(
                builder, self._topic, partition=lane.partition
            )
        except BaseException as error:
            self._ended(lane, members, error)
            if not isinstance(error, KafkaError):
                raise
            return None
        batch.add_done_callback(partial(self._batch_ended, lane, members))
        return batch

    def _batch_ended(self, lane: _Lane, members: list[Acknowledged], batch: asyncio.Future[object]) -> None:
        self._ended(lane, members, KafkaError("the batch was canceled") if batch.cancelled() else batch.exception())

    def _ended(self, lane: _Lane, members: list[Acknowledged], error: BaseException | None) -> None:
        lane.under_way = False
        if lane.waiting:
            self._work.set()
        _end(members, error)
        if error is not None:
            self._on_error(error)


def _end(members: list[Acknowledged], error: BaseException | None) -> None:
    for acknowledged in members:
        if acknowledged.done():
            continue
        if error is None:
            acknowledged.set_result(None)
        else:
            acknowledged.set_exception(error if isinstance(error, KafkaError) else KafkaError(repr(error)))
