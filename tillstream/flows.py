"""Flows for the command line: the role's configuration, how many messages are where, and what is published for it."""

from typing import TYPE_CHECKING

from schemas.errors import ConfigurationError
from tillstream.connections import kafka_arguments
from tillstream.settings import Settings

if TYPE_CHECKING:
    from engage.config import EngageConfig


def engage_config(settings: Settings) -> "EngageConfig":
    """What the role needs. Raises ConfigurationError for an SMTP_URL that can't be used."""
    from engage.config import EngageConfig
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
