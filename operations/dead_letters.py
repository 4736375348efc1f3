"""Dead letters: those that a person chooses, and the message that gives one another chance."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from operations.replay import again
from reports.dead_letters import LETTERS
from schemas import topics
from schemas.dead_letter import letter_key
from schemas.envelope import Envelope
from schemas.profile import profile_key
from streams.publishing import Message
from warehouse.waiting import Warehouse

PAGE = 200  # letters asked for at once when their payloads are wanted

_CHOSEN = (
    "WHERE ({every:Bool} OR open) AND ({stage:String} = '' OR stage = {stage:String}) "
    "AND positionCaseInsensitive(reason, {reason:String}) > 0 "
    "AND (empty({events:Array(String)}) OR has({events:Array(String)}, event_id)) "
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters: those of `stage`, with `reason` in their reason, of these events; '' or none for all.

    `every`: those that are settled too.
    """

    stage: str = ""
    reason: str = ""
    events: Sequence[str] = ()
    every: bool = False

    def parameters(self) -> dict[str, Any]:
        """As the queries bind them."""
        events = list(self.events)
        return {"stage": self.stage, "reason": self.reason, "events": events, "every": self.every}


def newest(warehouse: Warehouse, choice: Choice, limit: int) -> list[dict[str, Any]]:
    """The newest letters, newest first, each with `open`."""
    return warehouse.rows(
        "SELECT failed_at, open, stage, account, event_id, type, reason, path, topic, partition, offset, payload "
        f"FROM ({LETTERS}) {_CHOSEN} ORDER BY failed_at DESC, topic, partition, offset LIMIT {{limit:UInt32}}",
        choice.parameters() | {"limit": limit},
    )


def summary(warehouse: Warehouse, choice: Choice) -> list[dict[str, Any]]:
    """How many letters by stage and reason, most first."""
    return warehouse.rows(
        f"SELECT stage, reason, count() AS count FROM ({LETTERS}) {_CHOSEN} "
        "GROUP BY stage, reason ORDER BY count DESC, stage, reason",
        choice.parameters(),
    )


def pages(warehouse: Warehouse, choice: Choice) -> Iterator[list[dict[str, Any]]]:
    """All letters with their payloads, PAGE at a time, in the order of where they were read."""
    after: tuple[Any, ...] = ("", -1, -1, "")
    while True:
        names = ("after_topic", "after_partition", "after_offset", "after_stage")
        rows = warehouse.rows(
            f"SELECT stage, account, event_id, topic, partition, offset, payload, payload_encoding FROM ({LETTERS}) "
            f"{_CHOSEN} AND (topic, partition, offset, stage) > "
            "({after_topic:String}, {after_partition:Int32}, {after_offset:Int64}, {after_stage:String}) "
            f"ORDER BY topic, partition, offset, stage LIMIT {PAGE}",
            choice.parameters() | dict(zip(names, after, strict=True)),
        )
        if not rows:
            return
        yield rows
        after = tuple(rows[-1][name] for name in ("topic", "partition", "offset", "stage"))


def message(letter: dict[str, Any], prefix: str, now: float) -> Message | None:
    """What to publish so that the letter is tried again at `now` (Unix seconds): an event to `stripe.events`, a row
    to the topic that it came from. None when the payload names nothing by which it could be.
    """
    text, topic = letter["payload"], letter["topic"]
    if letter["payload_encoding"] != "utf-8":
        return None
    if topic == topics.full_name(topics.STRIPE_EVENTS, prefix):
        try:
            return again(Envelope.model_validate_json(text), topic, now)
        except ValidationError:
            return None
    key = _key(text)
    return Message(topic, key, text.encode()) if key else None


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
