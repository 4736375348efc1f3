"""What the sink's tests share: rows, a publisher, and a sink that runs beside the test."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client
from pydantic import BaseModel

from schemas import topics
from schemas.metrics import Metric, MetricEvent
from schemas.money import major
from sinks.config import SinkConfig
from sinks.worker import Sink
from tests.conftest import ClickHouseServer, MakeTopics
from warehouse.address import Address


def fact(metric_id: str = "m1", metric: Metric = Metric.SUCCESSFULLY_PAID, **changes: Any) -> MetricEvent:
    """A metric row with sensible values."""
    values: dict[str, Any] = {
        "metric": metric,
        "metric_id": metric_id,
        "occurred_at": "2026-01-05T10:00:00.000Z",
        "email": "ada@example.com",
        "account": "default",
        "livemode": True,
        "customer_id": "cus_1",
        "charge_id": "ch_1",
        "currency": "usd",
        "amount_minor": 1234,
        "source": "webhook",
        "received_at": "2026-01-05T10:00:01.000Z",
        "version": 1,
        **changes,
    }
    values.setdefault("amount", major(values["amount_minor"], values["currency"]))
    return MetricEvent(**values)


class Publisher:
    """Puts values on topics of one prefix."""

    def __init__(self, producer: AIOKafkaProducer, prefix: str) -> None:
        self._producer = producer
        self._prefix = prefix

    async def send(
        self, topic: topics.Topic, values: Iterable[bytes | BaseModel], partition: int | None = None
    ) -> None:
        """Sends in order and waits until all are acknowledged."""
        name = topics.full_name(topic, self._prefix)
        raw = [value.model_dump_json().encode() if isinstance(value, BaseModel) else value for value in values]
        sent = [await self._producer.send(name, value, key=b"key", partition=partition) for value in raw]
        await asyncio.gather(*sent)

    async def facts(self, *facts: MetricEvent, partition: int | None = None) -> None:
        """Sends each to the topic of its metric."""
        for event in facts:
            await self.send(topics.METRICS[event.metric], [event], partition)


@asynccontextmanager
async def publisher(bootstrap: str, prefix: str) -> AsyncIterator[Publisher]:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_batch_size=262_144, max_request_size=32 * 1024 * 1024, acks="all"
    )
    await producer.start()
    try:
        yield Publisher(producer, prefix)
    finally:
        await producer.stop()


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_prefix: str, make_topics: MakeTopics) -> AsyncIterator[Publisher]:
    await make_topics(topic_prefix)
    async with publisher(kafka_bootstrap, topic_prefix) as new:
        yield new


@pytest.fixture
def config(kafka_bootstrap: str, topic_prefix: str, clickhouse_server: ClickHouseServer, database: str) -> SinkConfig:
    return SinkConfig(
        warehouse=Address(clickhouse_server.url, database=database),
        kafka={"bootstrap_servers": kafka_bootstrap},
        topic_prefix=topic_prefix,
        group_id=topic_prefix + "sink",
        patience=20,
    )


@asynccontextmanager
async def running(config: SinkConfig) -> AsyncIterator[Sink]:
    """A sink that runs until the block ends, and then drains. What it raised is raised here."""
    sink, stop = Sink(config), asyncio.Event()
    task = asyncio.create_task(sink.run(stop))
    try:
        yield sink
    finally:
        stop.set()
        await asyncio.wait_for(task, 120)


def rows(clickhouse: Client, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query, as tuples."""
    return [tuple(row) for row in clickhouse.query(query).result_rows]


def one(clickhouse: Client, query: str) -> Any:
    """The one value of a query."""
    found: Sequence[Sequence[Any]] = clickhouse.query(query).result_rows
    assert len(found) == 1, found
    return found[0][0]
