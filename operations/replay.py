"""Publishing to `stripe.events` once more what ClickHouse keeps of it.

An observation that was folded before changes nothing, so a replay may be repeated, and gone on with where it stopped.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from schemas.envelope import Envelope, Source, envelope_message
from schemas.times import rfc3339
from streams.kafka import unavailable
from streams.publishing import MAX_MESSAGE_BYTES, Message, Publisher
from warehouse.waiting import Warehouse

WINDOW = 2_000  # events asked for at once: some MB
HOUR_MS = 60 * 60 * 1000

MATCHES = (
    "observed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') "
    "AND observed_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC') "
    "AND ({account:String} = '' OR account = {account:String}) AND ({type:String} = '' OR type = {type:String})"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events: observed from `since` until before `until` (Unix milliseconds), '' for every account or type."""

    since: int = 0
    until: int = 4_102_444_800_000  # the year 2100
    account: str = ""
    type: str = ""

    def within(self, start: int, end: int) -> "Selection":
        """What of it is observed from `start` until before `end`."""
        return replace(self, since=max(start, self.since), until=min(end, self.until))

    def parameters(self) -> dict[str, Any]:
        """As the queries bind them."""
        return {"since": self.since, "until": self.until, "account": self.account, "type": self.type}


def again(envelope: Envelope, topic: str, now: float) -> Message:
    """The message that has `envelope` folded once more, as if it came in at `now` (Unix seconds).

    Its source becomes `replay`, on which nobody acts; its key leads to the same partition as the first time.
    """
    told = envelope.model_dump() | {"source": Source.REPLAY, "received_at": rfc3339(now), "webhook_at": ""}
    message = envelope_message(_parsed(envelope.body), **told | {"body": envelope.body.encode()})
    return Message(topic, message.key, message.value, headers=message.headers)


def _parsed(body: str) -> Any:
    """None when it can't be read."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


Window = tuple[int, int, int]  # from, to (Unix milliseconds), number of events


def windows(warehouse: Warehouse, selection: Selection, size: int = WINDOW) -> list[Window]:
    """The selection in order of time, cut so that a query gives about `size` events."""
    _, hours = warehouse.table(
        "SELECT toUnixTimestamp(toStartOfHour(observed_at)) * 1000 AS hour, uniqExact(account, event_id) "
        f"FROM stripe_events WHERE {MATCHES} GROUP BY hour ORDER BY hour",
        selection.parameters(),
    )
    found: list[Window] = []
    for hour, count in hours:
        if found and found[-1][2] + count <= size:
            start, _, known = found.pop()
            found.append((start, hour + HOUR_MS, known + count))
        else:
            found.append((hour, hour + HOUR_MS, count))
    return found


def envelopes(warehouse: Warehouse, selection: Selection, window: Window) -> Iterator[list[Envelope]]:
    """The events of a window in order of `observed_at`, each once however it came, at most WINDOW at a time."""
    start, end, _ = window
    part = selection.within(start, end).parameters()
    at, account, event_id = -1, "", ""
    while True:
        rows = warehouse.rows(
            "SELECT event_id, type, account, livemode, api_version, source, body, "
            "toUnixTimestamp64Milli(observed_at) AS at, toUnixTimestamp64Milli(received_at) AS received "
            f"FROM stripe_events WHERE {MATCHES} "
            "AND (at, account, event_id) > ({after:Int64}, {after_account:String}, {after_id:String}) "
            "ORDER BY at, account, event_id, source = 'replay', source LIMIT 1 BY account, event_id "
            f"LIMIT {WINDOW}",
            part | {"after": at, "after_account": account, "after_id": event_id},
        )
        if not rows:
            return
        yield [_envelope(row) for row in rows]
        at, account, event_id = rows[-1]["at"], rows[-1]["account"], rows[-1]["event_id"]


def _envelope(row: Mapping[str, Any]) -> Envelope:
    fields = {name: row[name] for name in Envelope.model_fields if name in row}
    return Envelope(**fields, observed_at=rfc3339(row["at"] / 1000), received_at=rfc3339(row["received"] / 1000))


Publish = Callable[[Sequence[Message]], Awaitable[object]]


@asynccontextmanager
async def publisher(kafka: Mapping[str, Any]) -> AsyncIterator[Publish]:
    """`await publish(messages)` returns when every in-sync replica has them. Raises Unavailable."""
    batches = {"linger_ms": 5, "max_batch_size": 256 * 1024, "max_request_size": MAX_MESSAGE_BYTES}
    with unavailable(f"Kafka at {kafka.get('bootstrap_servers')} does not take them"):
        async with Publisher(kafka, **batches) as publisher:
            yield publisher.send


async def replay(
    warehouse: Warehouse,
    publish: Publish,
    topic: str,
    selection: Selection,
    on_progress: Callable[[int, str], None] = lambda done, at: None,
    parts: Iterable[Window] | None = None,
    wanted: Callable[[Envelope], bool] = lambda envelope: True,
) -> int:
    """Publish the selection in order of time; how many. `on_progress(done, time)` after each acknowledged page:
    everything observed before that time (RFC 3339) is on the topic, so that one can go on from there.

    With `parts`, only what lies in these windows; with `wanted`, only what it is true of.
    """
    done = 0
    for window in windows(warehouse, selection) if parts is None else parts:
        for page in envelopes(warehouse, selection, window):
            now = time.time()
            chosen = [envelope for envelope in page if wanted(envelope)]
            await publish([again(envelope, topic, now) for envelope in chosen])
            done += len(chosen)
            on_progress(done, page[-1].observed_at)
    return done
