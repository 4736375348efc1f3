"""Kafka's side of the door: one idempotent producer, kept alive, and a bounded wait for its acknowledgement."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from schemas.errors import Unavailable
from streams.batching import Acknowledged, Batcher
from streams.kafka import KafkaError, MessageSizeTooLargeError
from streams.message import Headers

log = structlog.get_logger()

# Leaves time to answer 503 inside the promised second. It is Kafka that is waited for: the time runs in steps, and one
# that ends late, since this process had no turn, counts no more than any other. What Kafka answered by then is heard.
ACKNOWLEDGE_WITHIN, _STEPS = 0.9, 9
_RETRY_START, _RETRY_LONGEST = 1.0, 10.0
_PROBE_EVERY, _PROBE_WITHIN = 1.0, 2.0
_TOPIC_WITHIN = 5.0
MOST_WAITING = 64 * 1024 * 1024  # bytes that wait for Kafka at once


class Publisher:
    """Publishes to one topic; `publish` returns only when every in-sync replica has the message."""

    def __init__(self, kafka: Mapping[str, Any], topic: str) -> None:
        self._kafka = dict(kafka)
        self._topic = topic
        self._batcher: Batcher | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._broken = asyncio.Event()
        self._waiting = 0
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

    async def publish(self, key: bytes, value: bytes, headers: Headers = ()) -> None:
        """Raises Unavailable when Kafka has not acknowledged in time, MessageSizeTooLargeError when it never will.

        After a timeout the message may still arrive: Stripe then sends it again, and the ledger knows it twice.
        """
        if self._batcher is None:
            raise Unavailable(self._refusal)
        size = len(value)
        if self._waiting + size > MOST_WAITING and self._waiting:
            raise Unavailable("as much as can be held waits for Kafka")
        acknowledged = self._batcher.put(key, value, headers)
        self._waiting += size
        alarm = _wait_a_step(acknowledged, _STEPS)
        try:
            await acknowledged
        except TimeoutError:
            self._refusal = f"Kafka has not acknowledged within {ACKNOWLEDGE_WITHIN} s"
            raise Unavailable(self._refusal) from None
        except MessageSizeTooLargeError:
            raise
        except KafkaError as error:
            raise Unavailable(f"Kafka refused a message: {error!r}") from error
        finally:
            alarm.cancel()
            self._waiting -= size
        self._refusal = ""

    def _failed(self, error: BaseException) -> None:
        """A batch did not get through, whether or not anybody still waited for it: begin anew with a new producer."""
        if not isinstance(error, MessageSizeTooLargeError):
            self._refusal = f"Kafka refused a message: {error!r}"
            self._broken.set()

    async def _keep(self) -> None:
        """Connect, ask the broker every second whether it is there, and connect anew after an error."""
        delay = _RETRY_START
        while True:
            if self._batcher is None:
                try:
                    self._batcher = await self._connect()
                except (KafkaError, OSError, Unavailable) as error:
                    self._refusal = f"Kafka is not reachable: {error}"
                    log.warning("kafka unreachable, trying again", seconds=delay, error=str(error))
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, _RETRY_LONGEST)
                    continue
                delay = _RETRY_START
                log.info("door open", topic=self._topic)
            try:
                async with asyncio.timeout(_PROBE_EVERY):
                    await self._broken.wait()
            except TimeoutError:
                await self._probe(self._batcher)
            else:
                log.warning("kafka producer broken, connecting anew", error=self._refusal)
                await self._close()

    async def _connect(self) -> Batcher:
        """Raises KafkaError, OSError or Unavailable; nothing is left open then."""
        batcher = Batcher(self._kafka, self._topic, self._failed)
        try:
            await batcher.start(_TOPIC_WITHIN)
        except TimeoutError as error:
            raise Unavailable(f"the topic {self._topic} does not exist") from error
        self._broken.clear()
        self._refusal = ""
        return batcher

    async def _probe(self, batcher: Batcher) -> None:
        """Nobody may be sent here while we refuse, and nobody may come for hours: so ask the broker itself."""
        try:
            async with asyncio.timeout(_PROBE_WITHIN):
                answered = await batcher.answers()
        except TimeoutError:
            answered = False
        if not self._broken.is_set():
            self._refusal = "" if answered else (self._refusal or "Kafka does not answer")

    async def _close(self) -> None:
        batcher, self._batcher = self._batcher, None
        if batcher is not None:
            await batcher.close()


def _wait_a_step(acknowledged: Acknowledged, left: int) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(ACKNOWLEDGE_WITHIN / _STEPS, _step, acknowledged, left - 1)


def _step(acknowledged: Acknowledged, left: int) -> None:
    if acknowledged.done():
        return
    if left:
        _wait_a_step(acknowledged, left)
    else:
        acknowledged.set_exception(TimeoutError())
