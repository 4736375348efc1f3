"""`env`: what other programs need to reach Kafka and ClickHouse."""

import shlex
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from schemas.addresses import split_login, with_login
from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, Json

if TYPE_CHECKING:
    from settings.table import Settings

_NOTE = "# For other programs. In a shell that has these, `tillstream up` would not start services of its own."


def env(
    write: Annotated[
        bool, typer.Option("--write", help="Give the login that may change tables, not the one that only reads.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What other programs need to reach Kafka and ClickHouse, as a shell's `export` lines, passwords included.

    Of a running `up` with a ClickHouse of its own this is the login of a user who can only read. A ClickHouse that is
    not its own has the login of the settings.

    Example:  eval "$(tillstream env)" && curl "$CLICKHOUSE_URL" --data-binary "SELECT 1"
    """
    values = environment(load_settings(tillstream_data=data), write=write)
    if as_json:
        screen.say_json(values)
        return
    lines = [_NOTE, *(f"export {name}={shlex.quote(value)}" for name, value in values.items())]
    screen.out.file.write("\n".join(lines) + "\n")


def environment(settings: "Settings", *, write: bool) -> dict[str, str]:
    """The variables, by name. Raises ConfigurationError when neither an `up` nor the settings name both services."""
    from settings.runtime import running
    from warehouse.address import find_address

    at = find_address(settings)
    user, password, bootstrap = at.user, at.password, settings.kafka_bootstrap_servers
    prefix = settings.tillstream_topic_prefix
    try:
        runtime = running(settings.tillstream_data)
    except ConfigurationError:
        if not bootstrap:
            raise
    else:
        bootstrap, prefix = runtime.kafka_bootstrap, runtime.topic_prefix
        if runtime.clickhouse_reader and not write:
            user, password = runtime.clickhouse_reader, runtime.clickhouse_reader_password
    parts = urlsplit(at.url)
    secured = {name: value for name, value in settings.as_environment().items() if name.startswith("KAFKA_S")}
    values = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        **secured,
        "TILLSTREAM_TOPIC_PREFIX": prefix,
        "CLICKHOUSE_URL": with_login(split_login(at.url)[0], user, password),
        "CLICKHOUSE_HOST": parts.hostname or "",
        "CLICKHOUSE_PORT": str(parts.port or ""),
        "CLICKHOUSE_USER": user,
        "CLICKHOUSE_PASSWORD": password,
        "CLICKHOUSE_DATABASE": at.database,
    }
    return {name: value for name, value in values.items() if value}
