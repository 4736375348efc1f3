"""Events as they come through the door, sent on to another address: freshly signed, as Stripe would send them."""

import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import aiohttp

from schemas.envelope import Envelope, read_envelope
from simulator.delivery.signing import sign
from streams.reading import reader

_SECONDS = 30.0  # as long as a slow endpoint may take


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What became of one event: `status` is the answer's, 0 when there was none and `problem` says why."""

    event_id: str
    type: str
    status: int
    problem: str = ""


async def events_from_now(
    kafka: dict[str, Any], topic: str, types: Collection[str], ready: Callable[[], None]
) -> AsyncIterator[Envelope]:
    """What enters `topic` from now on; only `types`, unless there are none. `ready()` once nothing can be missed."""
    async with reader(kafka, topic, auto_offset_reset="latest") as consumer:
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)  # settles where the end is: seeking alone waits for the first fetch
        ready()
        async for message in consumer:
            if message.value is None:
                continue
            envelope = read_envelope(message.value, message.headers)
            if not types or envelope.type in types:
                yield envelope


async def forward(session: aiohttp.ClientSession, url: str, secret: str, envelope: Envelope) -> Forwarded:
    """Post the body byte for byte, signed with `secret` at this moment. Never raises for what the other side does."""
    body = envelope.body.encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": sign(body, secret, int(time.time())),
    }
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        content = BytesIO(body)  # a file, which aiohttp sends in pieces: a body may have 4 MiB
        async with session.post(url, data=content, headers=headers, timeout=timeout, allow_redirects=False) as answer:
            return Forwarded(envelope.event_id, envelope.type, answer.status)
    except aiohttp.ClientConnectorError as error:
        refused = isinstance(error.os_error, ConnectionRefusedError)
        problem = f"nothing listens at {error.host}:{error.port}" if refused else str(error)
    except TimeoutError:
        problem = f"no answer within {_SECONDS:.0f} s"
    except aiohttp.ClientError as error:
        problem = str(error) or type(error).__name__
    return Forwarded(envelope.event_id, envelope.type, 0, problem)


def clock() -> str:
    """The time of day for a line, as Stripe's own tool writes it."""
    return datetime.now(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
