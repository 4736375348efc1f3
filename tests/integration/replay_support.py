"""What tests of replays, relinks and merges share: a running pipeline behind Kafka, and events to feed it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client

from console.actions import Actions
from processors.worker import Processor, ProcessorConfig
from schemas import topics
from schemas.envelope import EventMessage
from settings.loading import load_settings
from sinks.config import SinkConfig
from sinks.worker import Sink
from tests.conftest import ClickHouseServer, MakeTopics, eventually
from tests.e2e.running import environment, settled, tillstream_async
from tillstream.broker import own_broker
from warehouse.address import Address

START = 1_767_225_600


class Stack:
    """The processors and the sink on the session's broker and engine, and the command line beside them."""

    def __init__(self, bootstrap: str, prefix: str, clickhouse: Client, database: str, url: str) -> None:
        self.bootstrap, self.prefix, self.database = bootstrap, prefix, database
        self._clickhouse = clickhouse
        self._environment = environment(
            KAFKA_BOOTSTRAP_SERVERS=bootstrap,
            CLICKHOUSE_URL=url,
            CLICKHOUSE_DATABASE=database,
            TILLSTREAM_TOPIC_PREFIX=prefix,
            TILLSTREAM_TIMEZONE="Europe/Berlin",
        )

    def set(self, **settings: str) -> None:
        """Further settings for the commands."""
        self._environment.update(settings)

    def actions(self, monkeypatch: pytest.MonkeyPatch) -> Actions:
        """What the console can have done, with the same settings."""
        for name, value in self._environment.items():
            monkeypatch.setenv(name, value)
        return Actions(load_settings(), own_broker)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        rows = self._clickhouse.query(query.replace("FROM ", f"FROM {self.database}.")).result_rows
        return [tuple(row) for row in rows]

    async def publish(self, topic: topics.Topic, *messages: tuple[bytes, bytes] | EventMessage) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            for key, value, *headers in messages:
                await producer.send_and_wait(self.prefix + topic.name, value, key=key, headers=list(*headers))

    async def settled(self) -> None:
        """All that was told has come through the processors, and all that they tell into ClickHouse."""
        await settled(self.bootstrap, self.prefix, "sink")

    async def run(self, *arguments: str, code: int = 0) -> Any:
        """A command's JSON; its standard error when the exit code is 2."""
        done = await tillstream_async(*arguments, *(["--json"] if code != 2 else []), env=self._environment)
        assert done.returncode == code, (done.returncode, done.stderr, done.stdout)
        return done.stderr if code == 2 else json.loads(done.stdout)


@pytest.fixture
async def stack(
    kafka_bootstrap: str,
    topic_prefix: str,
    make_topics: MakeTopics,
    clickhouse: Client,
    clickhouse_server: ClickHouseServer,
    database: str,
    tmp_path: Path,
) -> AsyncIterator[Stack]:
    """It runs for as long as the test does."""
    await make_topics(topic_prefix)
    kafka = {"bootstrap_servers": kafka_bootstrap}
    roles = (
        Processor(ProcessorConfig(kafka=kafka, data=tmp_path, topic_prefix=topic_prefix, partitions=2)),
        Sink(
            SinkConfig(
                warehouse=Address(clickhouse_server.url, database=database),
                kafka=kafka,
                topic_prefix=topic_prefix,
                group_id=topic_prefix + "sink",
            )
        ),
    )
    async with running(roles):
        await eventually(lambda: not any(role.ready() for role in roles), deadline=60)
        yield Stack(kafka_bootstrap, topic_prefix, clickhouse, database, clickhouse_server.url)


@asynccontextmanager
async def running(roles: tuple[Processor, Sink]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:  # a role that fails ends the test at once
        for role in roles:
            group.create_task(role.run(stop))
        try:
            yield
        finally:
            stop.set()


def charge(number: int, **changes: Any) -> bytes:
    """A webhook's body: a payment of 12.34."""
    body: dict[str, Any] = {
        "id": f"ch_{number}",
        "object": "charge",
        "amount": 1234,
        "amount_captured": 1234,
        "amount_refunded": 0,
        "currency": "usd",
        "status": "succeeded",
        "paid": True,
        "captured": True,
        "created": START + number,
        "customer": f"cus_{number}",
        "billing_details": {"email": f"p{number}@example.com"},
    }
    event = {"id": f"evt_{number}", "object": "event", "type": "charge.succeeded", "livemode": True}
    return orjson.dumps(event | {"created": START + number, "data": {"object": body | changes}})


def customer(created: int, email: str, before: str = "", name: str = "cus_1") -> bytes:
    """A webhook's body: the customer of the payments 1 and 2."""
    body = {"id": name, "object": "customer", "created": START, "email": email, "livemode": True, "metadata": {}}
    event = {"id": f"evt_c{created}", "object": "event", "type": "customer.updated", "livemode": True}
    data = {"object": body, "previous_attributes": {"email": before} if before else {}}
    return orjson.dumps(event | {"created": created, "data": data})
