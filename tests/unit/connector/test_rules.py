"""Which questions are the same, which offsets are done, and which events a sweep asks for."""

import random

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import PermissionMissing
from connector.lookups.questions import Memory, Offsets, Question
from connector.permissions import lacking
from connector.windows import KEPT, OVERLAP, chunks, joined, window
from schemas.errors import in_words


@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.integers(0, 2**32))
def test_nothing_is_committed_that_is_not_done_whatever_ends_first(lengths: list[int], seed: int) -> None:
    offsets, rng = Offsets(), random.Random(seed)
    places = [(partition, 5 + number) for partition, length in enumerate(lengths) for number in range(length)]
    for place in places:
        offsets.took(place)
    open_places = set(places)
    rng.shuffle(places)
    for place in places:
        assert offsets.waiting == len(open_places)
        offsets.done(place)
        open_places.discard(place)
        for partition, following in offsets.committable().items():
            left = [offset for number, offset in open_places if number == partition]
            assert following == min(left, default=5 + lengths[partition])


def test_a_partition_that_went_to_another_reader_is_forgotten() -> None:
    offsets = Offsets()
    offsets.took((0, 1))
    offsets.took((1, 7))
    offsets.forget({0})
    offsets.done((0, 1))
    assert offsets.committable() == {1: 7}


def test_memory_is_bounded_and_an_older_answer_does_not_do() -> None:
    memory = Memory(size=2)
    first, second, third = (("default", True, "customer", name) for name in "abc")
    memory.learn(first, 10.0)
    assert memory.knows(first, 10.0)
    assert not memory.knows(first, 10.5)
    memory.learn(first, 5.0)
    assert memory.knows(first, 10.0)
    memory.learn(second, 1.0)
    memory.learn(third, 1.0)
    assert not memory.knows(first, 0.0)
    assert memory.knows(third, 0.0)


def test_what_a_webhook_asks_is_not_known_from_an_answer_that_was_nobodys_news() -> None:
    memory, key = Memory(), ("default", True, "charge", "ch_1")
    memory.learn(key, 10.0)
    assert memory.knows(key, 9.0)
    assert not memory.knows(key, 9.0, webhook=True)
    memory.learn(key, 9.5, webhook=True)
    assert memory.knows(key, 9.0, webhook=True)
    assert not memory.knows(key, 9.8, webhook=True)
    assert memory.knows(key, 9.8)


def test_an_answer_does_for_those_who_had_asked_when_stripe_was_asked() -> None:
    question = Question("default", True, "charge", "ch_1", "customer unknown", at=10.0)
    assert question.answered(10.0)
    question.webhook_at = "2026-09-01T10:00:02.000Z"  # a webhook asks while the answer is on its way to Kafka
    assert not question.answered(10.0)
    question.told_at = question.webhook_at
    assert question.answered(10.0)
    question.at = 11.0
    assert not question.answered(10.5)


@given(st.integers(0, 10**7), st.integers(10**8, 10**9))
def test_a_sweep_begins_before_the_last_one_ended_or_names_the_gap(ago: int, now: int) -> None:
    found = window(now - ago, now)
    assert found.since >= now - KEPT
    if ago > KEPT:
        assert found.gap == (now - ago, now - KEPT)
        assert found.since == now - KEPT
    else:
        assert found.gap is None
        assert found.since <= max(now - ago - OVERLAP, now - KEPT)


def test_the_first_sweep_reads_all_that_stripe_keeps() -> None:
    assert window(None, 10**9).since == 10**9 - KEPT
    assert window(None, 10**9).gap is None


def test_gaps_join_and_types_are_asked_for_in_twenties() -> None:
    assert joined(None, None) is None
    assert joined((1, 5), None) == (1, 5)
    assert joined((4, 9), (1, 5)) == (1, 9)
    assert [len(chunk) for chunk in chunks(map(str, range(45)))] == [20, 20, 5]


async def test_why_a_connection_failed_is_said_in_words() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as failed:
            await session.get("http://127.0.0.1:9")
    assert in_words(failed.value) == "connection refused"
    assert in_words(TimeoutError()) == "TimeoutError"


def test_all_that_a_key_lacks_is_one_sentence_and_one_step() -> None:
    missing = [PermissionMissing("shop", f"/v1/{name}", "") for name in ("events", "charges", "disputes")]
    missing.append(PermissionMissing("shop", "/v1/webhook_endpoints", "", write=True))
    read, write = lacking("shop", missing)
    assert "may not read events, charges and disputes (rak_event_read, rak_charge_read" in read[0]
    assert "“Read” for events, charges and disputes" in read[1]
    assert "may not write webhook endpoints" in write[0]
