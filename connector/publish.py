"""What was learned from Stripe enters `stripe.events` as any other fact does: an envelope around Stripe's own JSON."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connector.stripe_api import API_VERSION, Json
from schemas.envelope import Source, envelope_message
from schemas.errors import Unavailable
from schemas.times import rfc3339
from schemas.topics import STRIPE_EVENTS, full_name
from streams.partitioner import partition_of

_MAX_MESSAGE = 16 * 1024 * 1024
_OVERHEAD = 128  # bytes of a record beside its key and value
_TOPIC_WITHIN = 10.0  # seconds
_WITHIN_MS = 120_000  # a broker that is started again is waited for

Message = tuple[bytes, bytes]  # key, value


def object_message(
    account: str, livemode: bool, obj: Json, source: Source, fetched_at: float, kind: str = ""
) -> Message:
    """An API object as it was at `fetched_at` (Unix seconds, Stripe's clock); `kind` is '' or TELL_AGAIN."""
    observed_at = rfc3339(fetched_at)
    # An object without an own mode, such as one that is missing, is of the key's.
    mode = obj["livemode"] if isinstance(obj.get("livemode"), bool) else livemode
    event_id = f"{obj['id']}@{observed_at}"
    return _message(account, mode, obj, event_id, kind, API_VERSION, source, observed_at)


def event_message(account: str, livemode: bool, event: Json, source: Source = Source.SWEEP) -> Message:
    """An event of the Events API, which is the body that its webhook would have had."""
    mode = event["livemode"] if isinstance(event.get("livemode"), bool) else livemode
    version = str(event.get("api_version") or "")
    created = event.get("created")  # without it, it is for the ledger to say that the event can't be used
    at = rfc3339(created if type(created) is int else time.time())
    return _message(account, mode, event, event["id"], event.get("type", ""), version, source, at)


def _message(
    account: str,
    livemode: bool,
    body: Json,
    event_id: str,
    kind: str,
    version: str,
    source: Source,
    observed_at: str,
) -> Message:
    return envelope_message(
        body,
        event_id=event_id,
        type=kind,
        account=account,
        livemode=livemode,
        api_version=version,
        source=source,
        observed_at=observed_at,
        received_at=rfc3339(time.time()),
        body=_dumps(body),
    )


def _dumps(body: Json) -> str:
    try:
        return orjson.dumps(body).decode()
    except TypeError:  # numbers beyond 64 bits, lone surrogates: JSON all the same
        return json.dumps(body)


class Publisher:
    """A producer for `stripe.events`, or any other topic; an async context."""

    def __init__(self, kafka: Mapping[str, Any], prefix: str = "") -> None:
        self._kafka = dict(kafka)
        self._topic = full_name(STRIPE_EVENTS, prefix)
        self._producer: AIOKafkaProducer | None = None
        self._senders: list[asyncio.Lock] = []  # one a partition

    async def __aenter__(self) -> "Publisher":
        producer = AIOKafkaProducer(
            **self._kafka,
            acks="all",
            enable_idempotence=True,
            max_batch_size=256 * 1024,
            max_request_size=_MAX_MESSAGE,
            request_timeout_ms=_WITHIN_MS,
        )
        try:
            await producer.start()
            async with asyncio.timeout(_TOPIC_WITHIN):
                self._senders = [asyncio.Lock() for _ in await producer.partitions_for(self._topic)]
        except (KafkaError, TimeoutError, OSError) as error:
            await producer.stop()
            raise Unavailable(
                f"Kafka does not answer, or has no topic {self._topic}: {error!r}", remedy="tillstream status"
            ) from error
        self._producer = producer
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def publish(self, messages: Iterable[Message]) -> list[bytes]:
        """Send all, and return when every in-sync replica has them; the keys of those too large for Kafka.

        Raises Unavailable: then some may have arrived, and all should be published again.
        """
        assert self._producer is not None, "a Publisher is an async context"
        lanes: dict[int, list[Message]] = {}
        refused: list[bytes] = []
        for key, value in messages:
            if len(key) + len(value) + _OVERHEAD > _MAX_MESSAGE:
                refused.append(key)
            else:
                lanes.setdefault(partition_of(key, len(self._senders)), []).append((key, value))
        try:
            sent = [future for lane, waiting in lanes.items() for future in await self._send(lane, waiting)]
            await asyncio.gather(*sent)
        except KafkaError as error:
            raise Unavailable(f"Kafka has not taken what was fetched: {error!r}", remedy="tillstream status") from error
        return refused

    async def _send(self, partition: int, messages: list[Message]) -> list[asyncio.Future[Any]]:
        """Hand over whole batches, since aiokafka's `send` of each message costs a multiple of that.

        One sender a partition: aiokafka lets several wait for the same room, and the slower ones time out.
        """
        assert self._producer is not None
        sent = []
        async with self._senders[partition]:
            while messages:
                builder, filled = self._producer.create_batch(), 0
                for key, value in messages:
                    if builder.append(timestamp=None, key=key, value=value) is None:
                        break
                    filled += 1
                builder.close()
                sent.append(await self._producer.send_batch(builder, self._topic, partition=partition))
                messages = messages[filled:]
        return sent
