"""Nothing is lost, and nothing counted twice, when parts fail, move or come late."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.client import Client

from embedded.child import die_with_parent, free_port
from schemas import topics
from schemas.addresses import with_login
from schemas.errors import ConfigurationError, Unavailable
from schemas.metrics import Metric, MetricEvent
from sinks.config import SinkConfig
from sinks.worker import Sink
from tests.conftest import eventually, start_clickhouse, stop, timed
from tests.integration.sinks_support import Publisher, config, fact, kafka, one, rows, running
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.ddl import migrations
from warehouse.migrate import migrate

__all__ = ["config", "kafka"]  # fixtures

USUAL_SECONDS = 0.1  # of Kafka, ClickHouse and the question, where nothing else runs


async def committed(config: SinkConfig, topic: topics.Topic) -> int:
    """How many messages of a topic the sink's group has done with."""
    consumer = AIOKafkaConsumer(**config.kafka, group_id=config.group_id, enable_auto_commit=False)
    await consumer.start()
    try:
        name = topics.full_name(topic, config.topic_prefix)
        found = [await consumer.committed(TopicPartition(name, number)) for number in range(2)]
        return sum(offset or 0 for offset in found)
    finally:
        await consumer.stop()


CHILD = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer
from sinks.config import SinkConfig
from sinks.worker import Sink
from warehouse.address import Address

async def never(self, offsets=None):
    open(sys.argv[5], "w").close()
    await asyncio.Event().wait()

AIOKafkaConsumer.commit = never  # the moment between insert and commit, made long
config = SinkConfig({"bootstrap_servers": sys.argv[1]}, Address(sys.argv[2], database=sys.argv[3]),
                    topic_prefix=sys.argv[4], group_id=sys.argv[4] + "sink")
asyncio.run(Sink(config).run(asyncio.Event()))
"""


@contextmanager
def sink_that_never_commits(config: SinkConfig, reached: Path) -> Iterator[subprocess.Popen[bytes]]:
    url = with_login(config.warehouse.url, config.warehouse.user, config.warehouse.password)
    arguments = [config.kafka["bootstrap_servers"], url, config.warehouse.database, config.topic_prefix]
    process = subprocess.Popen([sys.executable, "-c", CHILD, *arguments, str(reached)], preexec_fn=die_with_parent)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_kill_between_insert_and_commit_repeats_the_batch_and_no_row(
    kafka: Publisher, config: SinkConfig, clickhouse: Client, tmp_path: Path
) -> None:
    await kafka.send(topics.METRICS[Metric.SUCCESSFULLY_PAID], [fact(f"m{number}") for number in range(500)])
    with sink_that_never_commits(config, tmp_path / "reached") as process:
        await eventually((tmp_path / "reached").exists)
        os.kill(process.pid, signal.SIGKILL)
    assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.metrics") > 0
    assert await committed(config, topics.METRICS[Metric.SUCCESSFULLY_PAID]) == 0
    async with running(config):
        await eventually(
            lambda: one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.metrics") == 500, deadline=60
        )

        async def done() -> bool:
            return await committed(config, topics.METRICS[Metric.SUCCESSFULLY_PAID]) == 500

        await eventually(done)
    written = one(
        clickhouse, f"SELECT sum(rows) FROM system.parts WHERE database = '{config.warehouse.database}' AND active"
    )
    assert written >= 500
    assert one(clickhouse, f"SELECT sum(count) FROM {config.warehouse.database}.daily_metrics") == 500


async def test_stopping_writes_and_commits_what_was_read(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    patient = replace(config, batch_age=3600)  # so that only the stop can be the reason
    async with running(patient) as sink:
        await kafka.send(topics.METRICS[Metric.SUCCESSFULLY_PAID], [fact(f"m{number}") for number in range(20)])
        await eventually(lambda: sum(batch.rows for batch in sink._batches.values()) == 20)
    assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.metrics") == 20
    assert await committed(config, topics.METRICS[Metric.SUCCESSFULLY_PAID]) == 20


async def test_two_sinks_that_start_at_once_make_one_schema_and_share_the_work(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    fresh = replace(
        config, warehouse=replace(config.warehouse, database=config.warehouse.database + "_new")
    )  # which nobody has created yet
    total = 400
    try:
        async with running(fresh), running(fresh):
            for number in range(total):
                await kafka.send(topics.METRICS[Metric.SUCCESSFULLY_PAID], [fact(f"m{number}")], partition=number % 2)
            count = f"SELECT count() FROM {fresh.warehouse.database}.metrics"
            await eventually(lambda: one(clickhouse, count) == total, deadline=60)
            async with running(fresh):  # a third one comes, and partitions move
                await kafka.facts(fact("late"))
                await eventually(lambda: one(clickhouse, count) == total + 1, deadline=60)
        applied = rows(
            clickhouse, f"SELECT DISTINCT version FROM {fresh.warehouse.database}.schema_migrations ORDER BY 1"
        )
        assert applied == [(migration.version,) for migration in migrations()]
    finally:
        clickhouse.command(f"DROP DATABASE IF EXISTS {fresh.warehouse.database} SYNC")


async def test_a_batch_of_megabytes_goes_out_in_pieces_and_arrives_whole(
    config: SinkConfig, clickhouse: Client, recwarn: pytest.WarningsRecorder
) -> None:
    wide = [fact(f"m{number}", properties={"note": "x" * 1_000_000}) for number in range(3)]
    async with Warehouse(config.warehouse) as connection:
        await migrate(connection)
        body = b"\n".join(event.model_dump_json(exclude={"lines", "unlinked_reason"}).encode() for event in wide)
        await connection.insert("metric_rows", body)
    notes = f"SELECT DISTINCT length(toString(properties.note)) FROM {config.warehouse.database}.metrics"
    assert one(clickhouse, notes) == 1_000_000
    assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.metrics") == 3
    assert not [told for told in recwarn if "large body" in str(told.message)]  # aiohttp's, for one piece


async def test_the_schema_can_be_brought_up_to_date_by_many_at_once(config: SinkConfig, clickhouse: Client) -> None:
    async with Warehouse(config.warehouse) as connection:
        await asyncio.gather(*(migrate(connection) for _ in range(5)))
        await migrate(connection)
    assert one(clickhouse, f"SELECT count() FROM {config.warehouse.database}.daily_metrics") == 0


async def test_clickhouse_may_go_away_and_come_back(kafka: Publisher, config: SinkConfig, tmp_path: Path) -> None:
    server = await start_clickhouse(tmp_path, "--port", str(free_port()))
    try:
        own = replace(config, warehouse=Address(server.url, database=config.warehouse.database), patience=180)
        async with running(own) as sink, Warehouse(own.warehouse) as connection:
            await kafka.facts(fact("before"))

            async def count(expected: int) -> bool:
                return int(await connection.run("SELECT count() FROM metrics")) == expected

            await eventually(lambda: count(1))
            stop(server)
            await kafka.facts(fact("meanwhile"))
            await eventually(lambda: "does not answer" in sink.ready())
            restarted = ["-m", "embedded.clickhouse", "--data", str(tmp_path), "--port", str(server.port)]
            server.process = subprocess.Popen([sys.executable, *restarted], preexec_fn=die_with_parent)
            await eventually(lambda: count(2), deadline=120)
            await eventually(lambda: sink.ready() == "")  # its row can be read before its insert was answered
    finally:
        if server.process.poll() is None:
            stop(server)


async def test_without_clickhouse_it_says_so_and_gives_up_after_a_bound(config: SinkConfig, nobody: str) -> None:
    sink = Sink(replace(config, warehouse=Address(f"http://{nobody}"), patience=1))
    with pytest.raises(Unavailable, match="ClickHouse stayed away for 1 s"):
        await asyncio.wait_for(sink.run(asyncio.Event()), 90)
    assert sink.ready() == "stopped"


async def test_without_kafka_it_says_so_and_gives_up_after_a_bound(config: SinkConfig, nobody: str) -> None:
    gone = {"bootstrap_servers": nobody}
    with pytest.raises(Unavailable, match="Kafka stayed away for 1 s"):
        await asyncio.wait_for(Sink(replace(config, kafka=gone, patience=1)).run(asyncio.Event()), 90)


async def test_without_its_topics_it_names_them(config: SinkConfig) -> None:
    sink = Sink(replace(config, topic_prefix="nowhere.", patience=1))
    with pytest.raises(Unavailable, match=r"nowhere\.dead_letters"):
        await asyncio.wait_for(sink.run(asyncio.Event()), 90)


async def test_a_stop_while_it_waits_ends_it_at_once(config: SinkConfig, nobody: str) -> None:
    far = replace(config, warehouse=Address(f"http://{nobody}"), patience=3600)
    sink, stopping = Sink(far), asyncio.Event()
    task = asyncio.create_task(sink.run(stopping))
    await eventually(lambda: "waiting for ClickHouse: " in sink.ready())
    stopping.set()
    await asyncio.wait_for(task, 60)


async def test_a_wrong_timezone_is_a_mistake_of_the_settings(config: SinkConfig) -> None:
    with pytest.raises(ConfigurationError, match="Mars/Olympus"):
        await asyncio.wait_for(Sink(replace(config, default_timezone="Mars/Olympus")).run(asyncio.Event()), 90)


async def test_a_row_is_queryable_within_half_a_second(
    kafka: Publisher, config: SinkConfig, clickhouse: Client
) -> None:
    """On a busy machine, half a second more than Kafka and ClickHouse take themselves."""
    found: list[float] = []
    async with running(config), Warehouse(config.warehouse) as connection:

        async def seconds(name: str, tell: Callable[[MetricEvent], Awaitable[None]]) -> float:
            query = f"SELECT 1 FROM {config.warehouse.database}.metrics WHERE metric_id = '{name}'"
            async with timed() as took:
                await tell(fact(name))
                await eventually(lambda: rows(clickhouse, query), interval=0.01)
            return took.seconds

        async def beside(row: MetricEvent) -> None:
            await kafka.send(topics.UNLINKED, [row])  # where no sink reads
            await connection.insert("metric_rows", row.model_dump_json(exclude={"lines", "unlinked_reason"}).encode())

        await seconds("warm", kafka.facts)
        for number in range(15):
            themselves = await seconds(f"b{number}", beside)
            found.append(await seconds(f"m{number}", kafka.facts) - max(themselves - USUAL_SECONDS, 0))
    assert sorted(found)[len(found) // 2] <= 0.5, found
