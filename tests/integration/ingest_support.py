"""A served door for tests, what to post to it, and what it has kept."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from embedded.child import free_port
from ingest.app import Door, DoorConfig, create_app, serve
from schemas import topics
from schemas.envelope import Envelope, read_envelope
from simulator.delivery.sender import sign
from tests.conftest import eventually

SECRET, SHOP_SECRET = "whsec_default", "whsec_shop"
ACCOUNTS = {"default": (SECRET, "whsec_rolled"), "shop": (SHOP_SECRET,)}
PATH = "/webhooks/stripe"
MIB = 1024 * 1024
PARTITIONS = 2


@dataclass
class RunningDoor:
    """A served door, a client session to it, and its topic."""

    port: int
    bootstrap: str
    topic: str
    session: aiohttp.ClientSession
    stop: asyncio.Event
    served: asyncio.Task[None]
    door: Door

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def post(
        self, body: bytes, *, path: str = PATH, secret: str = SECRET, sent: Any = None, **headers: str
    ) -> tuple[int, str]:
        """Sign `body` and post it (or `sent` in its place); the status and the answer's text."""
        signed = {"Stripe-Signature": sign(body, secret, int(time.time()))}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if sent is None else sent
        data = io.BytesIO(data) if isinstance(data, bytes) and len(data) > MIB else data
        async with self.session.post(self.url + path, data=data, headers=signed | given) as answer:
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) > 0
            return answer.status, await answer.text()

    async def deliver(self, body: bytes) -> None:
        """Post as Stripe does: again, until the answer is 200."""

        async def accepted() -> bool:
            return (await self.post(body))[0] == 200

        await eventually(accepted)

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def ready(self) -> bool:
        return (await self.get("/readyz"))[0] == 200

    async def kept(self) -> dict[str, tuple[ConsumerRecord, Envelope]]:
        """All messages that are on the topic now, by event id."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        partitions = [TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.start()
        try:
            ends = await consumer.end_offsets(partitions)
            found: dict[str, tuple[ConsumerRecord, Envelope]] = {}
            for partition, end in ends.items():
                while await consumer.position(partition) < end:
                    record = await consumer.getone(partition)
                    envelope = read_envelope(record.value, record.headers)
                    found[envelope.event_id] = record, envelope
            return found
        finally:
            await consumer.stop()


@asynccontextmanager
async def door(
    bootstrap: str,
    topic: str,
    accounts: dict[str, tuple[str, ...]] | None = None,
    account_ids: dict[str, str] | None = None,
    **kafka: Any,
) -> AsyncIterator[RunningDoor]:
    """A door that is served while the context lasts, whether or not it is ready."""
    known = ACCOUNTS if accounts is None else accounts
    config = DoorConfig({"bootstrap_servers": bootstrap, **kafka}, known, topic, account_ids=account_ids or {})
    port, stop = free_port(), asyncio.Event()
    app = create_app(config)
    served = asyncio.create_task(serve(app, "127.0.0.1", port, stop))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        running = RunningDoor(port, bootstrap, topic, session, stop, served, app)
        try:
            await eventually(lambda: running.get("/livez"))
            yield running
        finally:
            stop.set()
            await served


async def create(bootstrap: str, topic: str) -> None:
    """The topic as the product has it, with fewer partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=topics.STRIPE_EVENTS.config)])
    finally:
        await admin.close()


def event(name: str, **more: Any) -> bytes:
    """An event called `evt_NAME` about the charge `ch_NAME` of the customer `cus_NAME`."""
    charge = {"object": "charge", "id": f"ch_{name}", "customer": f"cus_{name}"}
    return json.dumps({"id": f"evt_{name}", "type": "charge.succeeded", "data": {"object": charge}, **more}).encode()


def padded(name: str, size: int) -> bytes:
    """An event of exactly `size` bytes."""
    return event(name, pad="x" * (size - len(event(name, pad=""))))
