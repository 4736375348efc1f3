"""Where the sink begins to read: never behind a row that ClickHouse lacks, whichever side has lost something."""

from sinks.positions import Kept, Place, start, told

EVENTS, PAID = Place("stripe.events", 0), Place("metrics.successfully_paid", 3)


def test_it_goes_on_where_both_sides_agree() -> None:
    found = start({EVENTS: Kept(0, 120, 100), PAID: Kept(0, 50, None)}, {EVENTS: 100})
    assert found.offsets == {EVENTS: 100, PAID: 0}
    assert not list(told(found, ""))


def test_rows_that_clickhouse_has_lost_are_read_again() -> None:
    found = start({EVENTS: Kept(0, 120, 100), PAID: Kept(0, 50, 50)}, {EVENTS: 40})
    assert found.offsets == {EVENTS: 40, PAID: 0}
    ((cause, _, messages),) = told(found, "")
    assert "ClickHouse lacks rows" in cause
    assert messages == {"stripe.events": 60, "metrics.successfully_paid": 50}


def test_what_kafka_has_let_go_of_meanwhile_is_named_with_what_brings_it_back() -> None:
    found = start({EVENTS: Kept(70, 120, 100)}, {EVENTS: 40})
    assert found.offsets == {EVENTS: 70}
    assert [(messages, "tillstream import" in remedy) for _, remedy, messages in told(found, "")] == [
        ({"stripe.events": 30}, False),
        ({"stripe.events": 30}, True),
    ]


def test_messages_that_kafka_has_lost_are_named_with_what_brings_them_back() -> None:
    found = start({Place("x.stripe.events", 0): Kept(0, 60, 60)}, {Place("x.stripe.events", 0): 100})
    assert found.offsets == {Place("x.stripe.events", 0): 60}
    ((cause, remedy, messages),) = told(found, "x.")
    assert "Kafka has lost" in cause
    assert (remedy, messages) == ("tillstream replay --missing", {"x.stripe.events": 40})
    found = start({PAID: Kept(0, 60, 60)}, {PAID: 100})
    assert [remedy for _, remedy, _ in told(found, "")] == ["nothing: every event is there"]


def test_an_offset_beyond_the_end_of_a_log_leads_to_its_end() -> None:
    assert start({EVENTS: Kept(0, 60, 100)}, {EVENTS: 100}).offsets == {EVENTS: 60}


def test_what_expired_before_it_was_ever_read_is_nobody_s_loss() -> None:
    found = start({EVENTS: Kept(70, 120, None)}, {})
    assert (found.offsets, list(told(found, ""))) == ({EVENTS: 70}, [])
