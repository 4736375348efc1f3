"""From single messages to Kafka's batches: whatever has come in while a batch was under way goes out with the next.

aiokafka's own `send` costs more CPU than all else that the door does for an event; a batch costs it once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer

from streams.kafka import KafkaError, MessageSizeTooLargeError, started
from streams.message import Headers
from streams.partitioner import partition_of
from streams.publishing import MAX_MESSAGE_BYTES

MAX_BATCH_SECONDS = 0.05  # a partition that is slow to acknowledge holds up the others for this long at most
_FLUSH_WITHIN = 10.0
_RECORD_OVERHEAD = 128

log = structlog.get_logger(__name__)

Acknowledged = asyncio.Future[None]


@dataclass(slots=True)
class _Queue:
    """One partition: what waits for it, and whether a batch is under way. Never two: that keeps the order."""

    partition: int
    waiting: deque[tuple[bytes, bytes, Headers, Acknowledged]] = field(default_factory=deque)
    under_way: bool = False


class Batcher:
    """An idempotent producer for one topic; `on_error` hears of every batch that failed, whoever still waits for it."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        topic: str,
        on_error: Callable[[BaseException], None] = lambda error: None,
        **arguments: Any,
    ) -> None:
        usual = {"max_batch_size": 256 * 1024, "max_request_size": MAX_MESSAGE_BYTES}
        self._arguments = {**kafka, **usual, **arguments, "acks": "all", "enable_idempotence": True}
        self._topic = topic
        self._on_error = on_error
        self._work = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def start(self, topic_within: float) -> None:
        """Connect. Raises KafkaError, and TimeoutError when there is no topic in time; nothing is left open then."""
        self._producer = await started(AIOKafkaProducer(**self._arguments))
        try:
            async with asyncio.timeout(topic_within):
                partitions = await self._producer.partitions_for(self._topic)
        except BaseException:
            await self._producer.stop()
            raise
        self._queues = [_Queue(partition) for partition in range(len(partitions))]
        self._task = asyncio.create_task(self._run(), name="batcher")

    def put(self, key: bytes, value: bytes, headers: Headers = ()) -> Acknowledged:
        """The message goes out with the next batch; the future ends when Kafka has it, or with why it has not.

        Once the caller has ended the future itself, a message that still waits is not sent any more.
        Raises MessageSizeTooLargeError. The partition is that of Kafka's own default partitioner.
        """
        size = len(key) + len(value) + sum(len(name) + len(told) for name, told in headers)
        if size + _RECORD_OVERHEAD > MAX_MESSAGE_BYTES:
            raise MessageSizeTooLargeError
        acknowledged: Acknowledged = self._loop.create_future()
        queue = self._queues[partition_of(key, len(self._queues))]
        queue.waiting.append((key, value, headers, acknowledged))
        self._work.set()
        return acknowledged

    async def close(self) -> None:
        """Nothing goes out any more: what still waits ends with a KafkaError, what is under way has ten seconds."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for queue in self._queues:
            _end([acknowledged for *_, acknowledged in queue.waiting], KafkaError("the producer was closed"))
            queue.waiting.clear()
        try:
            async with asyncio.timeout(_FLUSH_WITHIN):
                await self._producer.stop()
        except (KafkaError, TimeoutError) as error:
            log.warning("producer closed with messages that Kafka has not acknowledged", error=repr(error))
            await self._producer.client.close()

    async def answers(self) -> bool:
        """Ask the broker itself; for as long as it takes."""
        return bool(await self._producer.client.force_metadata_update())

    async def _run(self) -> None:
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                free = [queue for queue in self._queues if queue.waiting and not queue.under_way]
                sent = [batch for queue in free if (batch := await self._send(queue)) is not None]
                if sent:
                    await asyncio.wait(sent, timeout=MAX_BATCH_SECONDS)
        except Exception as error:  # never expected: a new producer has to take over
            self._on_error(error)
            raise

    async def _send(self, queue: _Queue) -> asyncio.Future[object] | None:
        """Hand one batch of the queue to the producer; doesn't wait for its acknowledgement."""
        builder = self._producer.create_batch()
        waiting, members = queue.waiting, list[Acknowledged]()
        while waiting:
            key, value, headers, acknowledged = waiting[0]
            if not acknowledged.done():  # else it was given up and answered 503
                if builder.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                    self._work.set()  # the batch is full: the rest goes with the next batch
                    break
                members.append(acknowledged)
            waiting.popleft()
        if not members:
            return None
        builder.close()
        queue.under_way = True
        try:
            batch: asyncio.Future[object] = await self._producer.send_batch(
                builder, self._topic, partition=queue.partition
            )
        except BaseException as error:
            self._ended(queue, members, error)
            if not isinstance(error, KafkaError):
                raise
            return None
        batch.add_done_callback(partial(self._batch_ended, queue, members))
        return batch

    def _batch_ended(self, queue: _Queue, members: list[Acknowledged], batch: asyncio.Future[object]) -> None:
        self._ended(queue, members, KafkaError("the batch was canceled") if batch.cancelled() else batch.exception())

    def _ended(self, queue: _Queue, members: list[Acknowledged], error: BaseException | None) -> None:
        queue.under_way = False
        if queue.waiting:
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
