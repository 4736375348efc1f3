"""Flows for the command line: the role's configuration, how many messages are where, and what is published for it."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import orjson

from schemas.errors import ConfigurationError
from schemas.messages import Suppression
from schemas.profile import profile_key
from schemas.times import rfc3339
from schemas.topics import ENGAGE_PEOPLE, SUPPRESSIONS, Topic, full_name
from settings.table import Settings
from streams.address import kafka_arguments, open_broker
from streams.kafka import unavailable
from streams.publishing import MAX_MESSAGE_BYTES, Message, Publisher
from tillstream.connections import clickhouse_password
from tillstream.warehouse import Warehouse

if TYPE_CHECKING:
    from engage.config import EngageConfig


def engage_config(settings: Settings) -> "EngageConfig":
    """What the role needs. Raises ConfigurationError for an SMTP_URL that can't be used."""
    from engage.config import EngageConfig
    from engage.segments.warehouse import WarehouseConfig
    from engage.senders.smtp import address
    from engage.templates.context import Organization

    if settings.tillstream_mail_from:
        try:
            address(settings.tillstream_mail_from)
        except ValueError as error:
            raise ConfigurationError(
                f"TILLSTREAM_MAIL_FROM: {error}", remedy="export TILLSTREAM_MAIL_FROM='Shop <billing@shop.example>'"
            ) from None
    secret = settings.tillstream_unsubscribe_secret
    return EngageConfig(
        kafka=kafka_arguments(settings),
        data=settings.tillstream_data / "engage",
        project=settings.project,
        warehouse=WarehouseConfig(
            settings.clickhouse_url,
            settings.clickhouse_user,
            clickhouse_password(settings),
            settings.clickhouse_database,
        ),
        topic_prefix=settings.tillstream_topic_prefix,
        replication=settings.kafka_replication_factor,
        settle_seconds=settings.tillstream_settle_seconds,
        smtp_url=settings.smtp_url.get_secret_value() if settings.smtp_url else "",
        mail_from=settings.tillstream_mail_from,
        mail_rate=settings.tillstream_mail_rate,
        organization=Organization(
            name=settings.tillstream_organization,
            url=settings.tillstream_organization_url,
            address=settings.tillstream_organization_address,
            portal_url=settings.tillstream_portal_url,
            timezone=settings.tillstream_timezone,
        ),
        timezones=settings.timezones(),
        default_timezone=settings.tillstream_timezone,
        unsubscribe_url=settings.tillstream_unsubscribe_url,
        unsubscribe_secret=secret.get_secret_value() if secret else "",
        host=settings.tillstream_engage_host,
        port=settings.tillstream_engage_port,
    )


Request = tuple[Topic, str, dict[str, Any]]  # topic, key, value


def counts(warehouse: Warehouse, flow: str = "") -> dict[str, dict[str, int]]:
    """How many messages of each flow (or of one) are in each state."""
    found: dict[str, dict[str, int]] = {}
    for row in warehouse.rows(
        "SELECT flow, status, count() AS count FROM messages "
        "WHERE {flow:String} = '' OR flow = {flow:String} GROUP BY flow, status",
        {"flow": flow},
    ):
        found.setdefault(row["flow"], {})[row["status"]] = row["count"]
    return found


def newest_messages(warehouse: Warehouse, flow: str, limit: int) -> list[dict[str, Any]]:
    """The newest messages of a flow."""
    return warehouse.rows(
        "SELECT at, step, status, email, recipient, subject, reason FROM messages WHERE flow = {flow:String} "
        "ORDER BY at DESC, message_id LIMIT {limit:UInt32}",
        {"flow": flow, "limit": limit},
    )


def held(warehouse: Warehouse, flow: str) -> list[dict[str, Any]]:
    """The messages of a manual flow that wait for a person."""
    return warehouse.rows(
        "SELECT message_id, email, livemode FROM messages WHERE flow = {flow:String} AND status = 'held' "
        "ORDER BY at, message_id",
        {"flow": flow},
    )


def release_requests(messages: Iterable[dict[str, Any]]) -> Iterator[Request]:
    """What lets held messages go."""
    for row in messages:
        key = profile_key(row["email"], row["livemode"])
        yield ENGAGE_PEOPLE, key, {"kind": "let_go", "message_id": row["message_id"]}


def backfill_requests(flow: str, facts: Iterable[dict[str, Any]]) -> Iterator[Request]:
    """What starts `flow` for past facts, each as a row of `metrics` in JSON. Re-entry and filters still hold."""
    at = rfc3339(time.time())
    for row in facts:
        key = profile_key(row["email"], row["livemode"])
        yield ENGAGE_PEOPLE, key, {"kind": "backfill", "flow": flow, "row": row, "at": at}


def suppression_requests(email: str, reason: str, modes: Iterable[bool]) -> Iterator[Request]:
    """What has somebody get no more mail; '' for `reason` takes that back."""
    for livemode in modes:
        told = Suppression(
            email=email, livemode=livemode, reason=reason, detail="by the command line", at=rfc3339(time.time())
        )
        yield SUPPRESSIONS, profile_key(email, livemode), told.model_dump(mode="json")


async def publish(settings: Settings, requests: Iterable[Request]) -> int:
    """Publish all; returns when Kafka has acknowledged them. Raises Unavailable."""
    kafka, prefix = open_broker(settings)
    messages = (Message(full_name(topic, prefix), key.encode(), orjson.dumps(value)) for topic, key, value in requests)
    with unavailable("Kafka is not reachable", "tillstream status"):
        async with Publisher(kafka, max_request_size=MAX_MESSAGE_BYTES) as publisher:
            return len(await publisher.send(messages))
