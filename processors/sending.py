"""Messages to Kafka in whole batches: aiokafka's `send` costs more CPU for one message than folding an event does."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from schemas.errors import Unavailable

# A dead letter escapes its payload, and an invoice's row names all fields of each line: both grow beyond what came in.
# So values from `_LARGE` bytes on are compressed; the topics' limit of 16 MiB is for what then goes over the wire.
_LARGE, _LARGEST = 1024 * 1024, 64 * 1024 * 1024
_PACK = 256 * 1024  # bytes of JSON that are packed into one message

Message = tuple[bytes | None, bytes | None]  # key, value; None takes a record of a changelog away
Lane = tuple[str, int]  # topic, partition


class Sender:
    """Two idempotent producers: one takes batches that are made here, the other compresses what is large.

    `send` and `send_state` return when all is acknowledged, and raise KafkaError when anything is not: then nobody can
    know what arrived, and all of it has to be delivered again.
    On the topics `packed`, which only the stages read, a partition's messages go as arrays without a key: Faust's
    cost is one a message, and it is larger than that of what a stage does with one.
    """

    def __init__(self, kafka: Mapping[str, Any], packed: Collection[str] = ()) -> None:
        self._packed = packed
        durable = {**kafka, "acks": "all", "enable_idempotence": True}
        self._plain = AIOKafkaProducer(**durable, max_batch_size=256 * 1024, max_request_size=_LARGEST)
        self._compressing = AIOKafkaProducer(**durable, compression_type="gzip", max_request_size=_LARGEST)

    async def start(self) -> None:
        """Raises Unavailable; nothing is left open then."""
        try:
            await self._plain.start()
            await self._compressing.start()
        except KafkaError as error:
            await self.stop()
            raise Unavailable(f"Kafka is not reachable: {error}", remedy="check KAFKA_BOOTSTRAP_SERVERS") from error

    async def stop(self) -> None:
        """Close both."""
        await self._plain.stop()
        await self._compressing.stop()

    async def send(self, messages: Iterable[tuple[str, bytes, bytes]]) -> None:
        """(topic, key, value)s to the partitions of their keys, as Kafka's own partitioner has them."""
        counts: dict[str, int] = {}
        lanes: dict[Lane, list[Message]] = {}
        for topic, key, value in messages:
            if topic not in counts:
                counts[topic] = len(await self._plain.partitions_for(topic))
            lane = topic, (murmur2(key) & 0x7FFFFFFF) % counts[topic]
            lanes.setdefault(lane, []).append((key, value))
        for lane, waiting in lanes.items():
            if lane[0] in self._packed:
                lanes[lane] = [(None, array) for array in pack(value for _, value in waiting if value is not None)]
        await self._send(lanes)

    async def send_state(self, topic: str, states: dict[int, dict[bytes, bytes | None]]) -> dict[int, int]:
        """Records by partition; the last offset on each partition that had any."""
        lanes: dict[Lane, list[Message]] = {
            (topic, partition): list(records.items()) for partition, records in states.items() if records
        }
        return {partition: offset for (_, partition), offset in (await self._send(lanes)).items()}

    async def _send(self, lanes: dict[Lane, list[Message]]) -> dict[Lane, int]:
        offsets = await asyncio.gather(*(self._fill(lane, messages) for lane, messages in lanes.items()))
        return dict(zip(lanes, offsets, strict=True))

    async def _fill(self, lane: Lane, messages: list[Message]) -> int:
        """Send all on one partition; the last offset there."""
        topic, partition = lane
        waiting = []  # (future of an acknowledgement, how many messages it is for)
        builder = self._plain.create_batch()
        for key, value in messages:
            if value is not None and len(value) >= _LARGE:
                waiting.append((await self._compressing.send(topic, value, key, partition=partition), 1))
            elif builder.append(timestamp=None, key=key, value=value) is None:
                waiting.append(await self._close(builder, lane))
                builder = self._plain.create_batch()
                builder.append(timestamp=None, key=key, value=value)  # an empty one takes whatever comes
        if builder.record_count():
            waiting.append(await self._close(builder, lane))
        acknowledged = await asyncio.gather(*(future for future, _ in waiting))
        return max(int(batch.offset) + count - 1 for batch, (_, count) in zip(acknowledged, waiting, strict=True))

    async def _close(self, builder: Any, lane: Lane) -> tuple[asyncio.Future[Any], int]:
        builder.close()
        return await self._plain.send_batch(builder, lane[0], partition=lane[1]), builder.record_count()


def pack(values: Iterable[bytes]) -> Iterator[bytes]:
    """JSON arrays of the JSON `values`, in order, each array of some 256 KiB at most or of one value."""
    held: list[bytes] = []
    size = 0
    for value in values:
        if held and size + len(value) > _PACK:
            yield b"[%b]" % b",".join(held)
            held, size = [], 0
        held.append(value)
        size += len(value)
    if held:
        yield b"[%b]" % b",".join(held)
