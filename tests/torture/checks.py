"""What must hold when all is over, against the simulator's truth and against what was answered 200."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.client import Client

from schemas.envelope import read_envelope
from schemas.metrics import Metric
from schemas.topics import METRICS, PROFILES, STRIPE_EVENTS
from simulator.world.truth import Fact
from tests.e2e.test_flows import Story
from tests.postbox import Postbox

_TOLD = {"received_at", "event_id", "source", "updated_at"}  # tell of the telling
Check = str  # what is wrong, '' when nothing is


def kept(client: Client, accepted: set[str]) -> Check:
    """Whatever was answered 200 can be asked for."""
    found = {row[0] for row in client.query("SELECT event_id FROM stripe_events").result_rows}
    return _listed("answered 200, not in stripe_events", accepted - found)


def letters(client: Client) -> Check:
    """Nothing failed."""
    return _listed("dead letters", client.query("SELECT stage, reason, event_id FROM dead_letters").result_rows)


def rows(client: Client, facts: list[Fact]) -> Check:
    """The rows are Stripe's."""
    asked = (
        "SELECT metric, charge_id, invoice_id, toUnixTimestamp(occurred_at), email, currency, amount_minor FROM metrics"
    )
    found = Counter(map(tuple, client.query(asked).result_rows))
    truth = Counter(
        (f.metric.value, f.charge_id, f.invoice_id, f.occurred_at, f.email, f.currency, f.amount_minor) for f in facts
    )
    return _listed("rows that are missing", truth - found) or _listed("rows too many", found - truth)


def profiles(client: Client, facts: list[Fact]) -> Check:
    """Counts and money of each person are Stripe's."""
    asked = "SELECT email, counts, arrayMap(v -> (v.currency, v.paid_minor, v.refunded_minor), value) FROM profiles"
    found = {
        row[0]: (dict(row[1]), sorted(tuple(v) for v in row[2]))
        for row in client.query(asked).result_rows
        if row[1]  # else it is only known by name
    }
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    money: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for fact in facts:
        counts[fact.email][fact.metric.value] += 1
        if fact.metric in (Metric.SUCCESSFULLY_PAID, Metric.REFUNDED_PAYMENT):
            sums = money[fact.email].setdefault(fact.currency, [0, 0])
            sums[fact.metric is Metric.REFUNDED_PAYMENT] += fact.amount_minor
    truth = {
        email: (dict(counts[email]), sorted((code, *sums) for code, sums in money[email].items()))
        for email in counts
        if email
    }
    return _listed("wrong profiles", [(e, found.get(e), truth.get(e)) for e in truth if found.get(e) != truth[e]])


async def mails(client: Client, box: Postbox, story: Story, bootstrap: str) -> tuple[Check, int]:
    """No fact's mail came twice, or is not due; one that is missing is told to be unknown. And how many are.

    Whose invoice failed and was paid soon after may have no mail of the failure.
    """
    unpaid = {(email, subject.removeprefix("still ")) for email, subject in story.reminders}
    due = story.receipts + Counter({mail: count for mail, count in story.dunning.items() if mail in unpaid})
    asked = "SELECT flow, step, metric_id, email FROM messages WHERE status = 'unknown'"
    unknown = Counter(story.mail(*row) for row in client.query(asked).result_rows)
    unknown, received = await story.told_of(unknown, bootstrap), await story.told_of(box.received(), bootstrap)
    wrong = _listed("mails too many", received - story.receipts - story.dunning) or _listed(
        "mails missing", due - received - unknown
    )
    return wrong, unknown.total()


async def versions(bootstrap: str) -> Check:
    """No two records of one version of a row or profile say different things."""
    wrong = []
    for topic in (*METRICS.values(), PROFILES):
        said: dict[tuple[bytes, Any], Any] = {}
        async for record in _records(bootstrap, topic.name):
            key, row = record.key, orjson.loads(record.value)
            content = {name: field for name, field in row.items() if name not in _TOLD}
            if said.setdefault((key, row["version"]), content) != content:
                wrong.append((key, row["version"]))
    return _listed("versions that say two things", wrong)


async def in_the_log(bootstrap: str, accepted: set[str]) -> Check:
    """Whatever was answered 200 is in Kafka."""
    found = {read_envelope(each.value, each.headers).event_id async for each in _records(bootstrap, STRIPE_EVENTS.name)}
    return _listed("answered 200, not in Kafka", accepted - found)


async def _records(bootstrap: str, topic: str) -> Any:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        partitions = [TopicPartition(topic, number) for number in await _numbers(consumer, topic)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for records in (await consumer.getmany(partition, timeout_ms=500)).values():
                    for record in records:
                        if record.value is not None:
                            yield record


async def _numbers(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    await consumer._client._wait_on_metadata(topic)
    return set(consumer.partitions_for_topic(topic) or ())


def _listed(what: str, found: Iterable[Any]) -> Check:
    listed = list(found)
    return f"{len(listed)} {what}: {listed[:4]}" if listed else ""
