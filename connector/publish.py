"""What was learned from Stripe enters `stripe.events` as any other fact does: Stripe's own JSON, and headers."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from connector.stripe_api import API_VERSION, Json
from schemas.envelope import EventMessage, Source, envelope_message
from schemas.times import rfc3339
from schemas.topics import STRIPE_EVENTS, Topic, full_name
from streams import publishing
from streams.batching import Batcher
from streams.kafka import MessageSizeTooLargeError, unavailable

_TOPIC_WITHIN = 10.0  # seconds
_WITHIN_MS = 120_000  # a broker that is started again is waited for

Message = EventMessage


def object_message(
    account: str,
    livemode: bool,
    obj: Json,
    source: Source,
    fetched_at: float,
    kind: str = "",
    name: str = "",
    webhook_at: str = "",
) -> Message:
    """An API object as it was at `fetched_at` (Unix seconds, Stripe's clock); `kind` is '', TELL_AGAIN, or
    `invoice.upcoming` for the preview of one. `name` is the id that it was asked for by, when that isn't its own;
    `webhook_at` as in `Envelope`.
    """
    observed_at = rfc3339(fetched_at)
    # An object without an own mode, such as one that is missing, is of the key's.
    mode = obj["livemode"] if isinstance(obj.get("livemode"), bool) else livemode
    event_id = f"{name or obj['id']}@{observed_at}"
    return _message(account, mode, obj, event_id, kind, API_VERSION, source, observed_at, webhook_at)


def event_message(
    account: str,
    livemode: bool,
    event: Json,
    source: Source = Source.SWEEP,
    name: str = "",
    webhook_at: str = "",
) -> Message:
    """An event of the Events API, which is the body that its webhook would have had; the rest is as above."""
    mode = event["livemode"] if isinstance(event.get("livemode"), bool) else livemode
    version = str(event.get("api_version") or "")
    created = event.get("created")  # without it, it is for the ledger to say that the event can't be used
    at = rfc3339(created if type(created) is int else time.time())
    event_id = f"{name}@{at}" if name else event["id"]
    return _message(account, mode, event, event_id, event.get("type", ""), version, source, at, webhook_at)


def _message(
    account: str,
    livemode: bool,
    body: Json,
    event_id: str,
    kind: str,
    version: str,
    source: Source,
    observed_at: str,
    webhook_at: str,
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
        webhook_at=webhook_at,
        body=_dumps(body),
    )


def _dumps(body: Json) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # numbers beyond 64 bits, lone surrogates: JSON all the same
        return json.dumps(body).encode()


class Publisher:
    """A producer for `stripe.events`, and for what else is learned from Stripe; an async context."""

    def __init__(self, kafka: Mapping[str, Any], prefix: str = "") -> None:
        self._kafka = dict(kafka)
        self._prefix = prefix
        self._topic = full_name(STRIPE_EVENTS, prefix)
        self._batcher: Batcher | None = None
        self._others: publishing.Publisher | None = None  # made when it is first needed
        self._making = asyncio.Lock()

    async def __aenter__(self) -> "Publisher":
        batcher = Batcher(self._kafka, self._topic, request_timeout_ms=_WITHIN_MS)
        with unavailable(f"Kafka does not answer, or has no topic {self._topic}", "tillstream status"):
            await batcher.start(_TOPIC_WITHIN)
        self._batcher = batcher
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._batcher is not None:
            await self._batcher.close()
            self._batcher = None
        if self._others is not None:
            await self._others.stop()
            self._others = None

    async def tell(self, topic: Topic, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send (key, value) to another topic, and return when every in-sync replica has them. Raises Unavailable."""
        if not messages:
            return
        name = full_name(topic, self._prefix)
        with unavailable(f"Kafka has not taken what was fetched for {name}", "tillstream status"):
            async with self._making:
                if self._others is None:
                    others = publishing.Publisher(self._kafka, max_batch_size=256 * 1024, linger_ms=5)
                    self._others = await others.start()
            await self._others.send(publishing.Message(name, key.encode(), value) for key, value in messages)

    async def publish(self, messages: Iterable[Message]) -> list[bytes]:
        """Send all, and return when every in-sync replica has them; the keys of those too large for Kafka.

        Raises Unavailable: then some may have arrived, and all should be published again.
        """
        assert self._batcher is not None, "a Publisher is an async context"
        sent, refused = [], list[bytes]()
        for message in messages:
            try:
                sent.append(self._batcher.put(*message))
            except MessageSizeTooLargeError:
                refused.append(message.key)
        with unavailable("Kafka has not taken what was fetched", "tillstream status"):
            await asyncio.gather(*sent)
        return refused
