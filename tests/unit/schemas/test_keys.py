"""One message has one key, whoever publishes it and however often: else two partitions know half of a customer each."""

import json
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.publish import event_message, object_message
from ingest.admission import admit
from operations.dead_letters import message
from operations.replay import again
from processors.stages import dead_letter_output
from schemas.dead_letter import DeadLetter, Stage
from schemas.envelope import EventMessage, Source, read_envelope
from simulator.rendering.objects import event_body
from simulator.world.history import World
from sinks.dead_letters import dead_letter
from streams.message import Headers

NOW = 1_767_607_200.0
CHARGE = {"object": "charge", "id": "ch_1", "customer": "cus_1"}

_bounded = settings(max_examples=60, deadline=None)  # a busy machine is no failure


class Record(NamedTuple):
    """What a sink has read."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: Headers = ()


def replayed(message: EventMessage) -> bytes:
    """The key under which it is published again."""
    return again(read_envelope(message.value, message.headers), "stripe.events", NOW).key


def test_the_door_a_sweep_and_a_replay_agree_on_the_key_of_every_event() -> None:
    for event in World(seed=3, start=1_767_225_600, days=31, customers=15, extended=True).events:
        body = event_body(event, "2026-09-30.endive")
        came = admit(body, "default", NOW)
        swept = event_message("default", True, json.loads(body))
        assert came.key == swept.key == replayed(came)


@pytest.mark.parametrize(
    "event",
    [
        {"id": "evt_1", "customer": "cus_1"},
        {"id": "evt_1", "object": "event", "customer": "cus_1"},
        {"id": "evt_1", "object": "charge", "customer": {"id": "cus_1"}, "data": 7},
        {"id": "evt_1", "data": {"object": CHARGE}, "related_object": {"id": "ch_2"}},
        {"id": "evt_1", "object": "v2.core.event", "related_object": {"id": "ch_1", "type": "charge"}},
        {"customer": "cus_1"},
        {"data": {"object": {"id": None}}},
        {},
    ],
)
def test_also_of_an_event_of_a_shape_that_stripe_does_not_send(event: dict[str, Any]) -> None:
    came = admit(json.dumps(event).encode(), "default", NOW)
    assert came.key == replayed(came)


_json = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8) | st.just("cus_1"),
    lambda inner: st.dictionaries(
        st.sampled_from(["id", "object", "customer", "charge", "invoice"]), inner, max_size=4
    ),
    max_leaves=6,
)
_names = st.sampled_from(["id", "object", "data", "related_object", "customer", "charge"])


@_bounded
@given(event=st.dictionaries(_names, _json | st.fixed_dictionaries({"object": _json}) | st.just("event")))
def test_and_of_any_json_at_all(event: dict[str, Any]) -> None:
    came = admit(json.dumps(event).encode(), "default", NOW)
    assert came.key == replayed(came)


def test_an_object_that_was_fetched_has_the_key_of_its_events() -> None:
    fetched = object_message("default", True, CHARGE, Source.LOOKUP, NOW)
    assert fetched.key == b"cus_1" == replayed(fetched)


def test_a_dead_letter_has_one_key_whoever_writes_it_and_when_it_is_published_again() -> None:
    """Whatever key the broker has of it: the sink's letters of before had another one."""
    letter = DeadLetter(
        account="shop", event_id="evt_1", stage=Stage.LEDGER, reason="no id", topic="stripe.events",
        partition=1, offset=2, failed_at="2026-01-05T10:00:00.000Z", payload="{}",
    )  # fmt: skip
    written = dead_letter_output("dead_letters", letter)
    row = {"account": "shop", "event_id": "evt_1", "type": "", "stage": "sink"}
    refused = dead_letter(Record("dead_letters", 0, 7, 0, b"shopevt_1", orjson.dumps(row)), "no such column", NOW)
    assert written.key == letter.key == refused.key == b"shop:evt_1"
    kept = {"payload": refused.payload, "payload_encoding": refused.payload_encoding, "topic": refused.topic}
    again = message(kept, "", NOW)
    assert again is not None
    assert (again.topic, again.key) == ("dead_letters", b"shop:evt_1")
