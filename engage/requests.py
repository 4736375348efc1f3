"""What people ask of flows: messages on the topics that the role reads, published from outside of it."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from reports.messages import Held
from schemas.messages import Suppression
from schemas.profile import profile_key
from schemas.times import rfc3339
from schemas.topics import ENGAGE_PEOPLE, SUPPRESSIONS, Topic, full_name
from settings.table import Settings
from streams.address import open_broker
from streams.kafka import unavailable
from streams.publishing import MAX_MESSAGE_BYTES, Message, Publisher

Request = tuple[Topic, str, dict[str, Any]]  # topic, key, value


def release(messages: Iterable[Held]) -> Iterator[Request]:
    """What lets held messages go."""
    for one in messages:
        yield ENGAGE_PEOPLE, profile_key(one.email, one.livemode), {"kind": "let_go", "message_id": one.message_id}


def backfill(flow: str, facts: Iterable[dict[str, Any]]) -> Iterator[Request]:
    """What starts `flow` for past facts, each as a row of `metrics` in JSON. Re-entry and filters still hold."""
    at = rfc3339(time.time())
    for row in facts:
        key = profile_key(row["email"], row["livemode"])
        yield ENGAGE_PEOPLE, key, {"kind": "backfill", "flow": flow, "row": row, "at": at}


def suppress(email: str, reason: str, modes: Iterable[bool], detail: str) -> Iterator[Request]:
    """What has somebody get no more mail; '' for `reason` takes that back. `detail` says who wants it, and why."""
    for livemode in modes:
        told = Suppression(email=email, livemode=livemode, reason=reason, detail=detail, at=rfc3339(time.time()))
        yield SUPPRESSIONS, profile_key(email, livemode), told.model_dump(mode="json")


async def publish(settings: Settings, requests: Iterable[Request]) -> int:
    """Publish all; returns when Kafka has acknowledged them. Raises Unavailable."""
    kafka, prefix = open_broker(settings)
    messages = (Message(full_name(topic, prefix), key.encode(), orjson.dumps(value)) for topic, key, value in requests)
    with unavailable("Kafka is not reachable", "tillstream status"):
        async with Publisher(kafka, max_request_size=MAX_MESSAGE_BYTES) as publisher:
            return len(await publisher.send(messages))
