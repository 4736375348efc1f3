"""Batches: what makes them full or old, and which offsets they stand for."""

from dataclasses import dataclass

import pytest

from schemas import topics
from sinks.batch import Batch
from streams.message import Headers
from warehouse.tables import OF_TOPIC


@dataclass
class Message:
    offset: int
    value: bytes | None = b"{}"
    topic: str = "profiles"
    partition: int = 0
    timestamp: int = 1000
    headers: Headers = ()


def batch(rows: int = 10, size: int = 1000, age: float = 0.2, *, patient: bool = False) -> Batch:
    return Batch(rows, size, age, patient=patient)


def test_every_topic_that_makes_rows_has_a_table_and_unlinked_has_none() -> None:
    kept = (topics.PROFILES, topics.STRIPE_EVENTS, topics.DEAD_LETTERS, topics.MESSAGES, topics.SUPPRESSIONS)
    witness = (topics.BALANCE_TRANSACTIONS, topics.PAYOUTS, topics.MRR_MOVEMENTS)
    assert set(OF_TOPIC) == {topic.name for topic in (*topics.METRICS.values(), *kept, *witness)}


def test_an_empty_batch_is_never_due() -> None:
    assert batch().wait(now=1e9) is None
    assert not batch().full


def test_it_is_due_when_its_first_record_has_waited_long_enough() -> None:
    one = batch(age=0.2)
    one.add("profile_rows", [Message(0)], now=5.0)
    one.add("profile_rows", [Message(1)], now=5.1)
    assert one.wait(now=5.1) == pytest.approx(0.1)
    assert one.wait(now=6.0) == 0


def test_many_rows_wait_for_less() -> None:
    one = batch(rows=10_000, size=1_000_000, age=0.5)
    one.add("metric_rows", [Message(number) for number in range(199)], now=5.0)
    assert one.wait(now=5.0) == pytest.approx(0.5)
    one.add("metric_rows", [Message(199)], now=5.1)
    assert one.wait(now=5.1) == pytest.approx(0.2)


def test_but_not_where_nobody_waits_for_them() -> None:
    one = batch(rows=10_000, size=1_000_000, age=0.8, patient=True)
    one.add("profile_rows", [Message(number) for number in range(500)], now=5.0)
    assert one.wait(now=5.1) == pytest.approx(0.7)


def test_it_is_full_by_rows() -> None:
    one = batch(rows=2)
    one.add("profile_rows", [Message(0)], now=0)
    assert not one.full
    one.add("metric_rows", [Message(0, topic="metrics.issued_invoice")], now=0)
    assert one.full


def test_it_is_full_by_bytes() -> None:
    one = batch(size=100)
    one.add("profile_rows", [Message(0, b"x" * 100)], now=0)
    assert one.full


def test_its_offsets_are_the_next_ones_to_read_of_each_partition() -> None:
    one = batch()
    one.add("profile_rows", [Message(3), Message(7)], now=0)
    one.add("profile_rows", [Message(4, partition=1)], now=0)
    one.add("profile_rows", [Message(9)], now=0)
    assert one.offsets == {("profiles", 0): 10, ("profiles", 1): 5}


def test_a_tombstone_makes_no_row_but_is_committed() -> None:
    one = batch()
    one.add("profile_rows", [Message(0, None)], now=0)
    assert one.records == {}
    assert one.offsets == {("profiles", 0): 1}
    assert one.wait(now=1) == 0


def test_it_knows_the_age_of_its_oldest_record() -> None:
    one = batch()
    one.add("profile_rows", [Message(0, timestamp=50)], now=0)
    one.add("profile_rows", [Message(0, partition=1, timestamp=40)], now=0)
    assert one.oldest == 40
