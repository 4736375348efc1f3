"""Dead letters have another chance: those that a person chooses are published again."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from operations.replay import again, publisher
from reports.dead_letters import Choice, pages
from schemas import topics
from schemas.dead_letter import letter_key
from schemas.envelope import read_envelope
from schemas.profile import profile_key
from settings.table import Settings
from streams.address import open_broker
from streams.message import Headers
from streams.publishing import Message
from warehouse.address import find_address
from warehouse.client import Row, Warehouse


@dataclass(frozen=True, slots=True)
class Tried:
    """How many were published again, and where those are from that hold nothing that could be."""

    published: int
    impossible: list[str]


async def try_again(settings: Settings, choice: Choice) -> Tried:
    """Publish the chosen letters; what fails again is a new one. Raises Unavailable, or ConfigurationError."""
    kafka, prefix = open_broker(settings)
    published, impossible = 0, list[str]()
    async with Warehouse(find_address(settings), watchful=True) as warehouse, publisher(kafka) as publish:
        async for page in pages(warehouse, choice):
            made = [(letter, message(letter, prefix, time.time())) for letter in page]
            messages = [message for _, message in made if message is not None]
            await publish(messages)
            published += len(messages)
            impossible += [place(letter) for letter, message in made if message is None]
    return Tried(published, impossible)


def place(letter: Row) -> str:
    """Where it was read: the topic, the partition and the offset."""
    return f"{letter['topic']}/{letter['partition']}@{letter['offset']}"


def message(letter: Row, prefix: str, now: float) -> Message | None:
    """What to publish so that the letter is tried again at `now` (Unix seconds): an event to `stripe.events`, a row
    to the topic that it came from. None when the payload names nothing by which it could be.
    """
    text, topic = letter["payload"], letter["topic"]
    if letter["payload_encoding"] != "utf-8":
        return None
    if topic == topics.full_name(topics.STRIPE_EVENTS, prefix):
        try:
            return again(read_envelope(text.encode(), _headers(letter["headers"])), topic, now)
        except ValueError:
            return None
    key = _key(text)
    return Message(topic, key, text.encode()) if key else None


def _headers(told: Mapping[str, str]) -> Headers:
    return tuple((name, value.encode()) for name, value in told.items())


def _key(text: str) -> bytes:
    """The key of a row: a metric's id, a person's email and mode, or the account and event of a dead letter."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return b""
    if isinstance(row, list) and row:  # several of one partition, packed by the processors
        row = row[0]
    if not isinstance(row, dict):
        return b""
    if isinstance(row.get("metric_id"), str):
        return str(row["metric_id"]).encode()
    if isinstance(row.get("email"), str) and isinstance(row.get("livemode"), bool):
        return profile_key(row["email"], row["livemode"]).encode()
    if {"account", "event_id", "stage"} <= row.keys():
        return letter_key(row["account"], row["event_id"])
    return b""
