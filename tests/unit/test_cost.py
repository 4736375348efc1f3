"""What an event costs the door, the processors and the sink, in units of a fixed piece of Python's own work.

CPU time, which others on the machine can't take away, and of many turns the quickest, so that it tells of the code and
not of the machine. What Kafka, ClickHouse and the runtime around the rules cost is told by `make bench ARGS=chain`.
"""

import json
import time
from collections.abc import Callable, Iterable
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.load import bodies
from ingest.admission import admit
from processors.stages import LedgerStage, PeopleStage
from sinks.body import joined, placed
from streams.checkpoint import Checkpointer, Output
from streams.message import Message

#: As measured last. Whoever makes an event cheaper records it; who makes it dearer by a quarter has to say what for.
RECORDED = 2.6
EVENTS, A_BATCH, TURNS = 250, 50, 11


class Kept:
    """A checkpoint's place, with a store in memory."""

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}

    def store(self, _: int) -> "Kept":
        return self

    def get(self, key: bytes) -> bytes | None:
        return self._records.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._records[key] = value

    def delete(self, key: bytes) -> None:
        self._records.pop(key, None)

    def send(self, output: Output) -> None:
        raise AssertionError(output)  # none of these events is a dead letter


def message(offset: int, topic: str, value: bytes, key: bytes, headers: Any = ()) -> Message:
    told = SimpleNamespace(topic=topic, partition=0, offset=offset, key=key, value=value, headers=headers)
    return cast(Message, told)


def ours(events: Iterable[bytes]) -> None:
    """From Stripe's bytes to the bodies of inserts: door, ledger, profiles, sink."""
    ledger, people, kept, known = LedgerStage("", "both"), PeopleStage(""), Kept(), Kept()
    rows, profiles, raw = list[bytes](), list[bytes](), list[bytes]()
    for number, body in enumerate(events, 1):
        key, value, headers = admit(body, "default", 1_767_225_600.0)
        event = message(number, "stripe.events", value, key, headers)
        ledger.take(event, cast(Checkpointer, kept))
        raw.append(placed("stripe_event_rows", cast(Any, event)))
        if number % A_BATCH == 0:
            for output in ledger.drain(0):
                if output.kind == "row":
                    rows.append(output.value)
                if output.kind == "person":
                    people.take(message(0, output.topic, output.value, output.key), cast(Checkpointer, known))
            profiles += [output.value for output in people.drain(0)]
    for table, values in (("metric_rows", rows), ("profile_rows", profiles), ("stripe_event_rows", raw)):
        assert len(joined(table, values)) > EVENTS * 500


def pythons(events: Iterable[bytes]) -> None:
    """The fixed piece: the standard library reads and writes the same events, and Python walks over them."""
    for body in events:
        flat: dict[str, Any] = {}
        waiting = [("", json.loads(body))]
        while waiting:
            path, value = waiting.pop()
            if isinstance(value, dict):
                waiting += [(f"{path}.{name}", inner) for name, inner in value.items()]
            else:
                flat[path] = value
        json.dumps(dict(sorted(flat.items())))


def seconds(work: Callable[[Iterable[bytes]], None], events: list[bytes]) -> float:
    began = time.process_time()
    work(events)
    return time.process_time() - began


def test_an_event_costs_what_it_cost_when_it_was_measured_last() -> None:
    events = list(islice(bodies(), EVENTS))
    turns = [(seconds(ours, events), seconds(pythons, events)) for _ in range(TURNS)]
    ratio = min(our for our, _ in turns) / min(python for _, python in turns)
    assert 0.75 * RECORDED < ratio < 1.25 * RECORDED, f"{ratio:.2f} times Python's own work, and {RECORDED} is recorded"
