"""`tillstream forget`: after it nothing in ClickHouse names the person, and nobody else has lost anything."""

import asyncio
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from clickhouse_connect.driver.client import Client

from embedded.kafka import KafkaProcess
from operations import forgetting
from schemas import topics
from schemas.metrics import Metric
from streams.kafka import Admin, partitions_there
from streams.publishing import Message, Publisher
from tests.conftest import ClickHouseServer, MakeTopics, eventually
from tests.integration.console_support import create_schema, envelope, insert, month, row

NOW = datetime.now(UTC)
EMAIL = "ada.20@example.com"  # one of the seeded month


@pytest.fixture
async def place(
    clickhouse_server: ClickHouseServer,
    database: str,
    kafka_bootstrap: str,
    topic_prefix: str,
    make_topics: MakeTopics,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """A month in ClickHouse, and the topics, as the settings name them."""
    await make_topics(topic_prefix)
    await create_schema(clickhouse_server.url, database)
    rows, people, _ = month(NOW)
    mine = next(one for one in rows if one.email == EMAIL and one.livemode and one.metric == Metric.SUCCESSFULLY_PAID)
    sent = [
        envelope(1, NOW, mine.charge_id),
        envelope(2, NOW, "cus_20"),
        envelope(3, NOW, "ch_of_another"),
        envelope(4, NOW, "ch_x").model_copy(update={"body": json.dumps({"note": f"for {EMAIL.upper()}"})}),
    ]
    later = mine.model_copy(update={"version": 2, "email": "new@example.com"})  # the row was somebody else's before
    rows.append(row(Metric.FAILED_PAYMENT, 1, NOW, email=EMAIL))
    await insert(clickhouse_server.url, database, "metric_rows", rows)
    await insert(clickhouse_server.url, database, "metric_rows", [later])
    await insert(clickhouse_server.url, database, "profile_rows", people)
    await insert(clickhouse_server.url, database, "stripe_event_rows", sent)
    for name, value in {
        "CLICKHOUSE_URL": clickhouse_server.url,
        "CLICKHOUSE_DATABASE": database,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "TILLSTREAM_TOPIC_PREFIX": topic_prefix,
        "TILLSTREAM_DATA": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    return database


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tillstream", "forget", *arguments, "--wait", "0", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1, 3), done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_person_is_gone_from_every_table_and_from_the_topic(
    place: str, clickhouse: Client, kafka_bootstrap: str, topic_prefix: str
) -> None:
    clickhouse.database = place

    def left(query: str) -> int:
        return int(clickhouse.query(query).result_rows[0][0])

    others = left(f"SELECT count() FROM metrics WHERE email != '' AND email != '{EMAIL}'")
    code, told = run(EMAIL.upper(), "--dry-run")
    assert (code, told["dry_run"]) == (0, True)
    assert left(f"SELECT count() FROM metrics WHERE email = '{EMAIL}'") > 0

    sums = "SELECT metric, day, currency, count, amount FROM daily_metrics ORDER BY ALL"
    money = clickhouse.query(sums).result_rows
    history = "SELECT metric_id, version, known_at, amount_minor FROM metric_versions ORDER BY ALL"
    known = clickhouse.query(history).result_rows
    code, told = run(EMAIL, "--yes")
    assert clickhouse.query(history).result_rows == known  # closed books are compared with what was known
    assert left("SELECT count() FROM metric_versions WHERE unlinked_reason = 'erased' AND customer_id = ''") > 0
    assert (code, told["waiting"]) == (3, ["engage", "process", "sink"])  # nobody runs here
    assert told["rows"]["profile_rows"] == 1
    assert told["rows"]["stripe_event_rows"] == 3
    assert told["kafka"][topics.full_name(topics.STRIPE_EVENTS, topic_prefix)] > "2026"
    for table in ("metric_rows", "metric_history_rows", "profile_rows"):
        assert left(f"SELECT count() FROM {table} WHERE email = '{EMAIL}'") == 0
    assert left("SELECT count() FROM stripe_events") == 4
    assert clickhouse.query(sums).result_rows == money
    assert left(f"SELECT count() FROM metrics WHERE email != '' AND email != '{EMAIL}'") == others
    assert left("SELECT count() FROM unlinked WHERE unlinked_reason = 'erased' AND customer_id = ''") > 0
    assert (
        left("SELECT count() FROM unlinked WHERE unlinked_reason = 'erased' AND concat(charge_id, invoice_id) = ''")
        == 0
    )

    code, told = run(EMAIL, "--dry-run")
    assert (code, sum(told["rows"].values())) == (1, 0)
    code, told = run(EMAIL, "--yes")
    assert (code, sum(told["rows"].values())) == (3, 0)
    assert clickhouse.query(sums).result_rows == money


async def test_subscribers_of_profiles_are_told(place: str, kafka_bootstrap: str, topic_prefix: str) -> None:
    await asyncio.to_thread(run, EMAIL, "--yes")
    topic = topics.full_name(topics.PROFILES, topic_prefix)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    async with consumer:
        found = {}
        while len(found) < 2:
            batch = await asyncio.wait_for(consumer.getone(), 60)
            found[batch.key] = batch.value
    assert found == {EMAIL.encode(): None, f"test:{EMAIL}".encode(): None}


#: What shows that a run has come so far.
POINTS = (
    "SELECT count() FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'erasing_')",
    "SELECT count() FROM stripe_event_rows WHERE match(body, 'erased [0-9]')",
    f"SELECT count() = 0 FROM profile_rows WHERE email = '{EMAIL}'",
    "SELECT count() FROM metric_rows WHERE unlinked_reason = 'erased'",
)


async def test_killed_anywhere_the_same_command_ends_the_same(place: str, clickhouse: Client) -> None:
    clickhouse.database = place

    def value(query: str) -> int:
        return int(clickhouse.query(query).result_rows[0][0])

    def reached(child: subprocess.Popen[bytes], point: str) -> bool:
        return bool(value(point)) or child.poll() is not None

    sums = "SELECT metric, day, currency, count, amount FROM daily_metrics ORDER BY ALL"
    money = clickhouse.query(sums).result_rows
    for point in POINTS:
        child = subprocess.Popen(
            [sys.executable, "-m", "tillstream", "forget", EMAIL, "--yes", "--wait", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            await eventually(partial(reached, child, point), deadline=120, interval=0.002)
        finally:
            child.kill()
            child.wait()
        assert clickhouse.query(sums).result_rows == money
    code, _ = run(EMAIL, "--yes")
    assert code == 3  # nobody runs here
    assert clickhouse.query(sums).result_rows == money
    for table in ("metric_rows", "metric_history_rows", "profile_rows"):
        assert value(f"SELECT count() FROM {table} WHERE email = '{EMAIL}'") == 0
    bodies = "SELECT countIf(positionCaseInsensitiveUTF8(body, '{}') > 0) FROM stripe_event_rows"
    assert value(bodies.format(EMAIL)) == 0
    assert value(POINTS[0]) == 0
    assert value("SELECT count() FROM stripe_events") == 4


async def test_a_new_broker_without_a_coordinator_is_waited_for(tmp_path: Path) -> None:
    async with KafkaProcess(tmp_path / "kafka") as broker:
        kafka = {"bootstrap_servers": broker.bootstrap}
        async with Admin(kafka) as admin:
            await admin.create({"metrics": {}}, 1, 1)
        places = await partitions_there(kafka, "metrics", 10)
        async with Publisher(kafka) as publisher:
            await publisher.send([Message("metrics", b"key", b"value")])
        assert not await forgetting._sink_done(kafka, "", places, time.monotonic() + 1)
