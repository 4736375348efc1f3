"""How to reach Kafka, by the settings or a running `up`: the one mapping of arguments that all clients are given."""

import ssl
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from schemas.errors import ConfigurationError
from settings.runtime import running
from settings.table import Settings
from streams.kafka import unavailable


def kafka_arguments(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client. Raises ConfigurationError for unreadable TLS files."""
    arguments: dict[str, Any] = {"bootstrap_servers": settings.kafka_bootstrap_servers}
    protocol = settings.kafka_security_protocol
    if protocol != "PLAINTEXT":
        arguments["security_protocol"] = protocol
    if protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        if not settings.kafka_sasl_username or password is None:
            raise ConfigurationError(
                f"KAFKA_SECURITY_PROTOCOL={protocol} needs a user and a password",
                remedy="export KAFKA_SASL_USERNAME=… KAFKA_SASL_PASSWORD=…",
            )
        arguments["sasl_mechanism"] = settings.kafka_sasl_mechanism
        arguments["sasl_plain_username"] = settings.kafka_sasl_username
        arguments["sasl_plain_password"] = password.get_secret_value()
    if protocol.endswith("SSL"):
        try:
            arguments["ssl_context"] = context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
            if settings.kafka_ssl_certfile is not None:
                context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)
        except OSError as error:  # ssl.SSLError is one too
            raise ConfigurationError(
                f"a KAFKA_SSL_* file can't be used: {error}", remedy="check KAFKA_SSL_CAFILE, _CERTFILE and _KEYFILE"
            ) from None
    return arguments


def open_broker(settings: Settings) -> tuple[dict[str, Any], str]:
    """aiokafka's client arguments and the prefix of topics: of the running `up`, else of KAFKA_BOOTSTRAP_SERVERS.

    Raises ConfigurationError when there is neither.
    """
    arguments = kafka_arguments(settings)
    try:
        runtime = running(settings.tillstream_data)
    except ConfigurationError:
        if not settings.kafka_bootstrap_servers:
            raise
        return arguments, settings.tillstream_topic_prefix
    return arguments | {"bootstrap_servers": runtime.kafka_bootstrap}, runtime.topic_prefix


def answering(kafka: Mapping[str, Any]) -> AbstractContextManager[None]:
    """What Kafka does not do in the block is Unavailable, with the address."""
    remedy = "check KAFKA_BOOTSTRAP_SERVERS and that the broker runs"
    return unavailable(f"Kafka at {kafka.get('bootstrap_servers')} does not answer", remedy)
