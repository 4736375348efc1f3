"""Kafka's side of the door: one idempotent producer, kept alive, and a bounded wait for its acknowledgement."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas.errors import Unavailable

log = structlog.get_logger()

ACKNOWLEDGE_WITHIN = 0.9  # seconds: leaves time to answer 503 inside the promised second
_RETRY_START = 1.0
_PROBE_SECONDS = 1.0


class Publisher:
    """Publishes to one topic; `publish` returns only when every in-sync replica has the message."""

    def __init__(self, kafka: Mapping[str, Any], topic: str) -> None:
        self._kafka = dict(kafka)
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._broken = asyncio.Event()
        self._refusal = "the Kafka producer has not connected yet"

    @property
    def refusal(self) -> str:
        """'' when events can be taken now, else why not."""
        return self._refusal

    async def start(self) -> None:
        """Begin to connect; returns at once, so that the door can answer 503 while Kafka is away."""
        self._keeper = asyncio.create_task(self._keep(), name="door-producer")

    async def stop(self) -> None:
        """Flush what was sent, then close."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._close()

    async def publish(self, key: bytes | None, value: bytes) -> None:
        """Raises Unavailable when Kafka has not acknowledged in time, MessageSizeTooLargeError when it never will.

        After a timeout the message may still arrive: Stripe then sends it again, and the ledger knows it twice.
        """
        producer = self._producer
        if producer is None:
            raise Unavailable(self._refusal)
        try:
            async with asyncio.timeout(ACKNOWLEDGE_WITHIN):
                acknowledged = await producer.send(self._topic, value=value, key=key)
                await acknowledged
        except TimeoutError:
            self._refusal = f"Kafka has not acknowledged within {ACKNOWLEDGE_WITHIN} s"
            raise Unavailable(self._refusal) from None
        except MessageSizeTooLargeError:
            raise
        except KafkaError as error:
            self._refusal = f"Kafka refused a message: {error!r}"
            self._broken.set()
            raise Unavailable(self._refusal) from error
        self._refusal = ""

    async def _keep(self) -> None:
        """Connect, and connect anew after an error that the producer does not survive."""
        while True:
            delay = _RETRY_START
            while self._producer is None:
                producer = AIOKafkaProducer(
                    **self._kafka,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=1,
                    max_batch_size=256 * 1024,
                    max_request_size=16 * 1024 * 1024,
                )
                try:
                    await producer.start()
                except KafkaError as error:
                    self._refusal = f"Kafka is not reachable: {error}"
                    log.warning("kafka unreachable, trying again", seconds=delay, error=str(error))
                    await producer.stop()
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, 10.0)
                else:
                    self._producer, self._refusal = producer, ""
                    log.info("door open", topic=self._topic)
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self._broken.wait()
            except TimeoutError:
                await self._probe()
            else:
                self._broken.clear()
                await self._close()

    async def _probe(self) -> None:
        """After a failure nobody may be sent here any more, so ask whether the broker is back."""
        if self._refusal and self._producer is not None and await self._producer.client.force_metadata_update():
            self._refusal = ""

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(10):
                    await producer.stop()
            except (KafkaError, TimeoutError) as error:
                log.warning("producer closed with unsent messages; each was answered 503", error=repr(error))
