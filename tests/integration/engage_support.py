"""The engage role in this process, on the session's broker, with flows of the test's own."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from engage.config import EngageConfig
from engage.worker import Engage
from schemas.metrics import Metric
from schemas.money import major
from schemas.profile import profile_key
from schemas.times import rfc3339
from schemas.topics import MESSAGES, METRICS, PROFILES
from tests.conftest import eventually

TEMPLATE = "{% block subject %}{{ event.Amount }} {{ event.Currency }}{% endblock %}<p>Hello {{ person.name }}</p>"


def project(folder: Path, **flows: str) -> Path:
    """A project folder with these flows (`_` in a name stands for `-`) and a template `plain`."""
    (folder / "flows").mkdir(parents=True, exist_ok=True)
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "plain.html").write_text(TEMPLATE, "utf-8")
    for name, text in flows.items():
        (folder / "flows" / f"{name.replace('_', '-')}.yaml").write_text(text, "utf-8")
    return folder


@asynccontextmanager
async def engage(bootstrap: str, prefix: str, folder: Path, **config: Any) -> AsyncIterator[Engage]:
    """A worker that runs for as long as the block does; it is ready when the block begins."""
    told: dict[str, Any] = {"settle_seconds": 0.6, "mail_from": "Shop <shop@shop.example>"} | config
    worker = Engage(
        EngageConfig(
            kafka={"bootstrap_servers": bootstrap},
            data=folder / "state",
            project=folder,
            topic_prefix=prefix,
            partitions=2,
            **told,
        )
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:  # a worker that fails ends the test at once
        group.create_task(worker.run(stop))
        try:
            await eventually(lambda: worker.ready() == "", deadline=60)
            yield worker
        finally:
            stop.set()


def fact(metric: Metric, name: str, email: str = "ann@example.com", **changes: Any) -> dict[str, Any]:
    """A row as the processors tell it, now and by a webhook unless told otherwise."""
    now = rfc3339(time.time())
    amount = changes.pop("amount_minor", 1200)
    return {
        "metric": str(metric),
        "metric_id": f"default:live:{metric.slug}:{name}",
        "occurred_at": now,
        "email": email,
        "unlinked_reason": "",
        "account": "default",
        "livemode": True,
        "customer_id": "cus_1",
        "charge_id": f"ch_{name}",
        "invoice_id": f"in_{name}",
        "currency": "usd",
        "amount": major(amount, "usd"),
        "amount_minor": amount,
        "properties": {"Amount": major(amount, "usd"), "Currency": "USD"},
        "source": "webhook",
        "api_version": "",
        "received_at": now,
        "version": 1,
        **changes,
    }


async def tell(bootstrap: str, prefix: str, *rows: Mapping[str, Any]) -> None:
    """Publish rows of metrics, or profiles. Versions of one thing, told in a row, are there at once."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for (topic, key), versions in groupby(rows, _place):
            sent = [await producer.send(prefix + topic, orjson.dumps(row), key.encode()) for row in versions]
            await asyncio.gather(*sent)


def _place(row: Mapping[str, Any]) -> tuple[str, str]:
    if "metric" in row:
        return METRICS[Metric(row["metric"])].name, row["metric_id"]
    return PROFILES.name, profile_key(row["email"], row["livemode"])


def profile(email: str, **changes: Any) -> dict[str, Any]:
    """A profile as the processors tell it."""
    now = rfc3339(time.time())
    return {"email": email, "livemode": True, "first_seen": now, "last_seen": now, "version": 1, **changes}


async def publish(bootstrap: str, topic: str, key: str, value: Any) -> None:
    """One message; `value` is JSON unless it is bytes."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, value if isinstance(value, bytes) else orjson.dumps(value), key.encode())


async def messages(bootstrap: str, prefix: str, done: Any, deadline: float = 60) -> dict[str, dict[str, Any]]:
    """The newest state of every message by its id, read until `done(messages)`."""
    known: dict[str, dict[str, Any]] = {}
    topic = prefix + MESSAGES.name
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        end = time.monotonic() + deadline
        while not done(list(known.values())):
            assert time.monotonic() < end, f"still {list(known.values())}"
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for message in batch:
                    row = orjson.loads(message.value)
                    if row["version"] >= known.get(row["message_id"], {}).get("version", 0):
                        known[row["message_id"]] = row
    return known
