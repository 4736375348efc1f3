"""What the engage role needs, resolved once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engage.conditions import Clock
from engage.senders.smtp import address, parse_url
from engage.templates.brand import of_settings
from engage.templates.context import Organization
from schemas.erasures import Erasures
from schemas.errors import ConfigurationError
from schemas.topics import PARTITIONS
from settings.table import Settings, plain
from streams.address import kafka_arguments
from warehouse.address import Address, settings_address


@dataclass(frozen=True, slots=True)
class EngageConfig:
    """`data` is a directory of its own for state; `project` has `flows/`, `segments/` and `templates/`.

    `mail_rate`: mails a second, 0 for no limit. `unsubscribe_url`: where people reach the page, '' for where it
    listens. `settle_seconds`: see `engage.flows.rules.settle`.
    """

    kafka: Mapping[str, Any]
    data: Path
    project: Path
    warehouse: Address = field(default_factory=Address)
    topic_prefix: str = ""
    app_id: str = "tillstream-engage"
    partitions: int = PARTITIONS
    grown: bool = False  # `partitions` is more than there were at the beginning
    replication: int = 1
    settle_seconds: float = 30.0
    smtp_url: str = ""
    mail_from: str = ""
    mail_rate: float = 0.0
    organization: Organization = field(default_factory=Organization)
    timezones: Mapping[str, str] = field(default_factory=dict)
    default_timezone: str = "UTC"
    unsubscribe_url: str = ""
    unsubscribe_secret: str = ""
    erasures: Erasures = field(default_factory=Erasures)
    host: str = "127.0.0.1"
    port: int = 0


def check_mail(settings: Settings) -> None:
    """Raises ConfigurationError for a mail server or a sender by which no mail can go out."""
    url, sender = plain(settings.smtp_url), settings.tillstream_mail_from
    if sender:
        try:
            address(sender)
        except ValueError as error:
            raise ConfigurationError(
                f"TILLSTREAM_MAIL_FROM: {error}", remedy="export TILLSTREAM_MAIL_FROM='Shop <billing@shop.example>'"
            ) from None
    if url:
        parse_url(url)
    if url and not sender:
        raise ConfigurationError(
            "SMTP_URL is set, but nobody is named whom mail comes from",
            remedy="export TILLSTREAM_MAIL_FROM='Your Name <billing@your.domain>'",
        )


def engage_config(settings: Settings) -> EngageConfig:
    """What the role needs. Raises ConfigurationError for an SMTP_URL that can't be used."""
    check_mail(settings)
    return EngageConfig(
        kafka=kafka_arguments(settings),
        data=settings.tillstream_data / "engage",
        project=settings.project,
        warehouse=settings_address(settings),
        topic_prefix=settings.tillstream_topic_prefix,
        replication=settings.kafka_replication_factor,
        settle_seconds=settings.tillstream_settle_seconds,
        smtp_url=plain(settings.smtp_url),
        mail_from=settings.tillstream_mail_from,
        mail_rate=settings.tillstream_mail_rate,
        organization=of_settings(settings),
        timezones=settings.timezones(),
        default_timezone=settings.tillstream_timezone,
        unsubscribe_url=settings.tillstream_unsubscribe_url,
        unsubscribe_secret=plain(settings.tillstream_unsubscribe_secret),
        host=settings.tillstream_engage_host,
        port=settings.tillstream_engage_port,
    )


def clock(settings: Settings) -> Clock:
    """Now, in the account's timezone."""
    return Clock(datetime.now(UTC), settings.tillstream_timezone)
