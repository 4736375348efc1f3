"""Dead letters get another chance after a fix, and kept events can be processed once more: nothing counts twice."""

import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from ingest.admission import admit
from operations import replay
from operations.rebuild import STATES, forget_state, look
from operations.replay import Selection, again, envelopes, windows
from schemas import topics
from schemas.dead_letter import DeadLetter, Stage, headers_kept
from schemas.envelope import Envelope, Source, read_envelope
from schemas.times import rfc3339, unix_seconds
from simulator.delivery.plan import told_by
from simulator.rendering.objects import event_body
from simulator.world.history import World
from tests.conftest import ClickHouseServer, MakeTopics, eventually
from tests.envelopes import older
from tests.integration.connector_support import KEY, simulated
from tests.integration.replay_support import START, Stack, charge, customer, stack
from warehouse.address import Address
from warehouse.waiting import Warehouse

__all__ = ["stack"]  # a fixture


def letter(body: bytes, stage: Stage, topic: str, **more: Any) -> tuple[bytes, bytes]:
    """A dead letter as an earlier, wrong version of Tillstream left it."""
    made = DeadLetter(
        stage=stage,
        reason="a mistake of an earlier version",
        topic=topic,
        partition=0,
        offset=7,
        failed_at=rfc3339(time.time()),
        payload=body.decode(),
        **more,
    )
    return b"letter", orjson.dumps(made.model_dump(mode="json"))


@pytest.mark.parametrize("change", [lambda message: message, older], ids=["today's", "older"])
async def test_a_letter_that_a_fix_has_mended_becomes_a_row_and_is_settled(stack: Stack, change: Any) -> None:
    message = change(admit(charge(1), "default", START))
    events = stack.prefix + topics.STRIPE_EVENTS.name
    known = {"account": "default", "event_id": "evt_1", "type": "charge.succeeded"}
    unread = letter(message.value, Stage.LEDGER, events, **known, headers=headers_kept(message.headers))
    await stack.publish(topics.DEAD_LETTERS, unread)
    (row,) = await eventually(lambda: stack.run("deadletters", "list"))
    assert row["open"] is True

    told = await stack.run("deadletters", "replay", "--all", "--dry-run")
    assert (told["chosen"], told["published"]) == (1, 0)
    assert "--yes" in await stack.run("deadletters", "replay", "--all", code=2)
    assert "which letters?" in await stack.run("deadletters", "replay", code=2)
    assert (await stack.run("deadletters", "replay", "--reason", "no such reason"))["chosen"] == 0

    told = await stack.run("deadletters", "replay", "--reason", "MISTAKE", "--stage", "ledger", "--yes")
    assert (told["chosen"], told["published"], told["impossible"]) == (1, 1, [])
    query = "SELECT metric_id, email, source FROM metrics"
    assert await eventually(lambda: stack.ask(query)) == [("default:live:paid:ch_1", "p1@example.com", "replay")]
    await eventually(lambda: stack.ask("SELECT 1 FROM stripe_events"))
    assert [row["open"] for row in await stack.run("deadletters")] == [False]
    assert await stack.run("deadletters", "--open") == []
    assert (await stack.run("deadletters", "replay", "--all", "--yes"))["chosen"] == 0


async def test_a_letter_that_fails_again_is_a_new_letter_and_only_that_one_is_open(stack: Stack) -> None:
    message = admit(charge(2, amount="much"), "default", START)
    await stack.publish(topics.STRIPE_EVENTS, message)
    count = "SELECT count() FROM dead_letters"
    await eventually(lambda: stack.ask(count) == [(1,)] and stack.ask("SELECT 1 FROM stripe_events"))
    assert (await stack.run("deadletters", "replay", "--event", "evt_2", "--yes"))["published"] == 1
    await eventually(lambda: stack.ask(count) == [(2,)])
    await eventually(lambda: stack.ask("SELECT 1 FROM stripe_events WHERE source = 'replay'"))
    newest, oldest = await stack.run("deadletters")
    assert (newest["open"], oldest["open"]) == (True, False)
    assert newest["offset"] > oldest["offset"]
    assert newest["path"] == "data.object.amount"
    assert [row["offset"] for row in await stack.run("deadletters", "list", "--open")] == [newest["offset"]]


async def test_a_row_that_clickhouse_refused_goes_to_its_own_topic_and_what_names_nothing_is_told(stack: Stack) -> None:
    row = {
        "metric": "Successfully Paid",
        "metric_id": "default:live:paid:ch_3",
        "occurred_at": rfc3339(START),
        "email": "ann@example.com",
        "account": "default",
        "livemode": True,
        "currency": "usd",
        "amount": "12.34",
        "amount_minor": 1234,
        "source": "webhook",
        "received_at": rfc3339(START),
        "version": 5,
    }
    origin = f"{stack.prefix}metrics.successfully_paid"
    refused = letter(orjson.dumps(row), Stage.SINK, origin, account="default", event_id=str(row["metric_id"]))
    garbage = letter(b"garbage", Stage.ENVELOPE, stack.prefix + topics.STRIPE_EVENTS.name)
    await stack.publish(topics.DEAD_LETTERS, refused, garbage)
    await eventually(lambda: stack.ask("SELECT count() FROM dead_letters") == [(2,)])
    told = await stack.run("deadletters", "replay", "--all", "--yes", code=1)
    assert told["published"] == 1
    assert told["impossible"] == [f"{stack.prefix}stripe.events/0@7"]
    found = await eventually(lambda: stack.ask("SELECT metric_id, amount_minor FROM metrics"))
    assert found == [(row["metric_id"], 1234)]
    assert {row["stage"]: row["open"] for row in await stack.run("deadletters")} == {"sink": False, "envelope": True}


async def test_kept_events_are_published_once_each_in_order_of_time_and_change_no_row(stack: Stack) -> None:
    world = World(seed=3, start=START, days=20, customers=12)
    messages = [admit(event_body(event), "default", START) for event in world.events]
    await stack.publish(topics.STRIPE_EVENTS, *messages, *messages[::3])
    ids = {event.id for event in world.events}
    rows = "SELECT metric_id, version, source, email, amount_minor FROM metrics ORDER BY metric_id"
    await eventually(lambda: stack.ask("SELECT uniqExact(event_id) FROM stripe_events") == [(len(ids),)])
    truth = len(told_by([], world.truth()).facts)
    await stack.settled()
    before = stack.ask(rows)
    assert len(before) == truth

    assert "--yes" in await stack.run("replay", code=2)
    assert "is no time" in await stack.run("replay", "--since", "yesterday", code=2)
    refunds = sum(event.type == "charge.refunded" for event in world.events)
    assert (await stack.run("replay", "--type", "charge.refunded", "--yes"))["published"] == refunds > 0
    assert (await stack.run("replay", "--account", "another", "--yes"))["published"] == 0
    half = START + 10 * 86_400  # midnight in UTC; the account's days begin an hour earlier
    late = sum(event.created >= half - 3600 for event in world.events)
    assert (await stack.run("replay", "--since", "2026-01-11", "--yes"))["published"] == late
    early = sum(event.created < half for event in world.events)
    assert (await stack.run("replay", "--until", "2026-01-11T00:00:00Z", "--yes"))["published"] == early

    again_query = "SELECT uniqExact(event_id) FROM stripe_events WHERE source = 'replay'"
    await eventually(lambda: stack.ask(again_query) == [(len(ids),)])
    await stack.settled()
    assert stack.ask("SELECT count() FROM dead_letters") == [(0,)]
    assert stack.ask(rows) == before


async def test_exactly_those_events_that_kafka_has_lost_are_published_again(stack: Stack) -> None:
    now = time.time()
    lost, expired, there = (
        [admit(charge(number), "default", at) for number in numbers]
        for numbers, at in ((range(1, 21), now), (range(21, 26), now - 100 * 86_400), (range(26, 36), now))
    )
    await stack.publish(topics.STRIPE_EVENTS, *lost, *expired)
    count = "SELECT uniqExact(event_id) FROM stripe_events"
    rows = "SELECT metric_id, version, email, amount_minor FROM metrics ORDER BY metric_id"
    await eventually(lambda: stack.ask(count) == [(25,)] and len(stack.ask(rows)) == 25)
    await forget_messages(stack)
    await stack.publish(topics.STRIPE_EVENTS, *there)
    await eventually(lambda: stack.ask(count) == [(35,)] and len(stack.ask(rows)) == 35)
    before = stack.ask(rows)

    told = await stack.run("replay", "--missing", "--dry-run")
    assert told == {"chosen": 20, "published": 0, "dry_run": True}
    assert "--yes" in await stack.run("replay", "--missing", code=2)
    assert (await stack.run("replay", "--missing", "--yes"))["published"] == 20
    assert (await stack.run("replay", "--missing", "--yes"))["chosen"] == 0
    again_query = "SELECT arraySort(groupUniqArray(event_id)) FROM stripe_events WHERE source = 'replay'"
    await eventually(lambda: stack.ask(again_query) == [(sorted(f"evt_{number}" for number in range(1, 21)),)])
    await stack.settled()
    assert stack.ask(rows) == before


async def forget_messages(stack: Stack) -> None:
    """Take all that is on the topic of events by now away from Kafka."""
    kafka = {"bootstrap_servers": stack.bootstrap}
    partitions = [TopicPartition(stack.prefix + topics.STRIPE_EVENTS.name, number) for number in (0, 1)]
    async with AIOKafkaConsumer(**kafka) as consumer:
        ends = await consumer.end_offsets(partitions)
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before_offset=end) for tp, end in ends.items()})
    finally:
        await admin.close()


async def test_a_relink_moves_past_rows_to_the_customers_present_email_and_is_kept_for_replays(stack: Stack) -> None:
    bodies = [customer(START, "old@example.com"), charge(1), charge(2, customer="cus_1")]
    bodies.append(customer(START + 60, "new@example.com", before="old@example.com"))
    messages = [admit(body, "default", START) for body in bodies]
    await stack.publish(topics.STRIPE_EVENTS, *messages)
    emails = "SELECT arraySort(groupArray(email)) FROM metrics"
    await eventually(lambda: stack.ask(emails) == [(["old@example.com"] * 2,)])

    assert (await stack.run("relink", "nobody@example.com", "--yes", code=1)) == {
        "customers": [],
        "rows": 0,
        "dry_run": False,
    }
    assert "nobody is here to be asked: tell 2 rows" in await stack.run("relink", "cus_1", code=2)
    done = await stack.run("relink", " Old@example.com", "--yes")
    assert done == {"customers": ["cus_1"], "rows": 2, "dry_run": False}
    await eventually(lambda: stack.ask(emails) == [(["new@example.com"] * 2,)])
    people = [("new@example.com", {"Successfully Paid": 2})]
    await eventually(lambda: stack.ask("SELECT email, counts FROM profiles") == people)
    told = "SELECT count(), any(source) FROM stripe_events WHERE type = 'tillstream.relink'"
    await eventually(lambda: stack.ask(told) == [(1, "replay")])
    await eventually(lambda: stack.ask("SELECT count() FROM stripe_events") == [(5,)])
    assert stack.ask("SELECT count() FROM dead_letters") == [(0,)]
    assert (await stack.run("replay", "--yes"))["published"] == 5
    late = admit(charge(3, customer="cus_1"), "default", START)
    await stack.publish(topics.STRIPE_EVENTS, late)
    await eventually(lambda: stack.ask("SELECT count() FROM metrics") == [(3,)])
    await stack.settled()
    assert stack.ask(emails) == [(["new@example.com"] * 3,)]  # what is learned later of that time follows as well


async def test_a_relink_asks_stripe_first_where_there_is_a_key(stack: Stack) -> None:
    world = World(seed=1, start=START, days=1, customers=3)
    present = next(one for one in world.accounts["default"].customers.values() if one.email)
    bodies = [customer(START, "old@example.com", name=present.id), charge(1, customer=present.id)]
    messages = [admit(body, "default", START) for body in bodies]
    await stack.publish(topics.STRIPE_EVENTS, *messages)
    emails = "SELECT groupArray(email) FROM metrics"
    await eventually(lambda: stack.ask(emails) == [(["old@example.com"],)])
    async with simulated(world) as stripe:
        stack.set(STRIPE_API_KEY=KEY, STRIPE_API_BASE=stripe.url)
        assert (await stack.run("relink", present.id, "--yes"))["rows"] == 1
        assert stripe.count(f"/v1/customers/{present.id}") == 1
    await eventually(lambda: stack.ask(emails) == [([str(present.email).strip().lower()],)])


async def test_many_events_of_one_second_are_read_in_pages_and_none_is_left_out(
    stack: Stack, clickhouse_server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import has one time for all that it fetched."""
    monkeypatch.setattr(replay, "WINDOW", 7)
    messages = [admit(charge(n, created=START), "default", START) for n in range(10)]
    same = [orjson.loads(charge(n)) | {"id": f"evt_s{n}", "created": START} for n in range(40)]
    messages += [admit(orjson.dumps(event), "default", START) for event in same]
    await stack.publish(topics.STRIPE_EVENTS, *messages)
    await eventually(lambda: stack.ask("SELECT uniqExact(event_id) FROM stripe_events") == [(50,)])
    warehouse = Warehouse(Address(clickhouse_server.url, database=stack.database))
    found = windows(warehouse, Selection())
    assert sum(count for *_, count in found) == 50
    pages = [page for window in found for page in envelopes(warehouse, Selection(), window)]
    assert max(map(len, pages)) == 7
    read = [envelope for page in pages for envelope in page]
    assert len({envelope.event_id for envelope in read}) == len(read) == 50
    assert [envelope.observed_at for envelope in read] == sorted(envelope.observed_at for envelope in read)
    assert {envelope.observed_at[-5:] for envelope in read} == {".000Z"}


async def test_a_rebuild_begins_with_what_kafka_keeps_and_says_since_when(
    kafka_bootstrap: str, topic_prefix: str, make_topics: MakeTopics, tmp_path: Path
) -> None:
    await make_topics(topic_prefix)
    kafka = {"bootstrap_servers": kafka_bootstrap}
    before = time.time()
    async with AIOKafkaProducer(**kafka) as producer:
        for number in range(5):
            await producer.send_and_wait(topic_prefix + topics.STRIPE_EVENTS.name, charge(number), partition=1)
        await producer.send_and_wait(topic_prefix + topics.LEDGER_PEOPLE.name, b"old", partition=0)
    state = STATES["process"]
    assert (await look(kafka, topic_prefix, state)).kept_since == ""
    events = TopicPartition(topic_prefix + topics.STRIPE_EVENTS.name, 1)
    people = TopicPartition(topic_prefix + topics.LEDGER_PEOPLE.name, 0)
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    try:
        await admin.delete_records({events: RecordsToDelete(before_offset=3)})  # as Kafka itself does after 90 days
        found = await look(kafka, topic_prefix, state)
        assert (found.events, found.changelogs) == (2, ())
        assert before - 1 < unix_seconds(found.kept_since) < time.time() + 1
        (tmp_path / "processors" / "v1" / "tables").mkdir(parents=True)
        await forget_state(kafka, topic_prefix, state, tmp_path)
        committed = await admin.list_consumer_group_offsets(f"{topic_prefix}tillstream")
    finally:
        await admin.close()
    assert not list((tmp_path / "processors").iterdir())
    assert (committed[events].offset, committed[people].offset) == (3, 1)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (charge(1), "cus_1"),
        (charge(1, customer=None), "ch_1"),
        (b'{"object":"refund","id":"re_1","charge":"ch_9"}', "ch_9"),
        (b'{"object":"customer","id":"cus_4"}', "cus_4"),
        (b'{"object":"event","id":"evt_9","type":"x"}', "evt_0"),
        (b'{"object":"v2.core.event","id":"evt_9","related_object":{"id":"ch_5"}}', "ch_5"),
        (b'{"object":"event","data":{"object":{"id":"ch_\\ud800"}}}', "ch_?"),
        (b"not json", "evt_0"),
    ],
)
def test_an_event_goes_to_the_partition_that_it_went_to_the_first_time(body: bytes, key: str) -> None:
    envelope = Envelope(
        event_id="evt_0",
        type="",
        account="default",
        livemode=True,
        source=Source.WEBHOOK,
        observed_at=rfc3339(START),
        received_at=rfc3339(START),
        body=body.decode(),
    )
    message = again(envelope, "stripe.events", START + 60)
    assert message.key.decode() == key
    told = read_envelope(message.value, message.headers)
    assert (told.source, told.observed_at, told.received_at) == (Source.REPLAY, rfc3339(START), rfc3339(START + 60))
    assert told.body == envelope.body
