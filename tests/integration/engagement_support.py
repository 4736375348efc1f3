"""A console with segments and flows over a filled database, whose segments have been evaluated on some days."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestServer

from console.actions import Actions
from console.app import create_app
from console.config import ConsoleConfig
from console.engagement import Engagement
from engage.segments.library import find
from engage.segments.membership import Membership
from engage.senders.smtp import Mail, compose
from schemas.messages import Message, MessageStatus, message_version
from schemas.metrics import Metric, MetricEvent
from settings.loading import load_settings
from streams.topics import ensure_topics
from tests.integration.console_support import fill, insert
from tillstream.broker import own_broker
from warehouse.address import Address
from warehouse.client import Warehouse

DAYS = 9
STATUSES = (*[MessageStatus.SENT] * 8, MessageStatus.SKIPPED, MessageStatus.FAILED)


@dataclass
class Place:
    """A console over one database; `project` holds segments and flows."""

    config: ConsoleConfig
    project: Path
    rows: list[MetricEvent]

    def app(self, **changes: Any) -> Any:
        """Another console on the same place."""
        settings = load_settings()
        return create_app(replace(self.config, **changes), Actions(settings, own_broker), Engagement(settings))

    @asynccontextmanager
    async def serve(self, **changes: Any) -> AsyncIterator[TestServer]:
        """It, running."""
        async with TestServer(self.app(**changes)) as server:
            yield server


def environment(url: str, database: str, data: Path, bootstrap: str) -> dict[str, str]:
    """The settings that the console's helpers read anew for each call; topics begin with the database's name."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "TILLSTREAM_TOPIC_PREFIX": f"{database}.",
        "CLICKHOUSE_URL": url,
        "CLICKHOUSE_DATABASE": database,
        "TILLSTREAM_DATA": str(data),
        "TILLSTREAM_PROJECT": str(data / "project"),
    }


async def furnish(url: str, database: str, data: Path, now: datetime, bootstrap: str) -> Place:
    """Topics, facts, members of the ready segments on each of the last days, and what the receipt flow sent."""
    await ensure_topics({"bootstrap_servers": bootstrap}, f"{database}.", partitions=1)
    rows = await fill(url, database, now)
    await evaluate(url, database, data / "project", [now - timedelta(days=day) for day in reversed(range(DAYS))])
    paid = [row for row in rows if row.metric is Metric.SUCCESSFULLY_PAID and row.email and row.livemode]
    await insert(url, database, "message_rows", [receipt(number, row) for number, row in enumerate(paid[:100])])
    return Place(
        ConsoleConfig(Address(url, database=database), door_url="http://127.0.0.1:8080"), data / "project", rows
    )


async def evaluate(url: str, database: str, project: Path, moments: list[datetime]) -> list[tuple[bytes, bytes]]:
    """As the role `engage` does, at those moments; what it would have told on `segments.changes`."""
    told: list[tuple[bytes, bytes]] = []

    async def publish(messages: list[tuple[bytes, bytes]]) -> None:
        told.extend(messages)

    async with Warehouse(Address(url, database=database)) as warehouse:
        membership = Membership(warehouse, publish, "UTC")
        await membership.load()
        definitions = {name: each.definition for name, each in (await asyncio.to_thread(find, project)).items()}
        for now in moments:
            for name, definition in definitions.items():
                if definition is not None:
                    await membership.evaluate(name, definition, now)
    return told


def mail(message_id: str, to: str, html: str = "<h1>Thank you</h1><p>Your tea is on its way.</p>") -> bytes:
    """A mail as it goes over the wire."""
    sent = Mail(message_id, "Tea <tea@shop.example>", to, "Your receipt", html, "Thank you: your tea is on its way.")
    return compose(sent, 1_767_607_200)


def receipt(number: int, row: MetricEvent) -> Message:
    """What became of one payment's receipt."""
    status = STATUSES[number % len(STATUSES)]
    return Message(
        message_id=f"{number:032x}",
        flow="invoice-receipt",
        step="receipt",
        trigger=row.metric,
        metric_id=row.metric_id,
        email=row.email,
        livemode=True,
        recipient=row.email,
        channel="email",
        status=status,
        reason="suppressed" if status is MessageStatus.SKIPPED else "",
        subject="Your receipt" if status is MessageStatus.SENT else "",
        content=mail(f"{number:032x}", row.email).decode() if status is MessageStatus.SENT else "",
        attempts=1,
        at=row.occurred_at,
        version=message_version(status, 1),
    )
