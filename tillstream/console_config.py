"""The console's configuration, made of the settings."""

from console.config import ConsoleConfig
from settings.table import Settings, plain
from tillstream.connections import clickhouse_password
from tillstream.ports import reachable


def console_config(settings: Settings) -> ConsoleConfig:
    """Raises ConfigurationError for what can't be right, such as being open to everybody, and a token that is short."""
    return ConsoleConfig(
        clickhouse_url=settings.clickhouse_url,
        clickhouse_user=settings.clickhouse_user,
        clickhouse_password=clickhouse_password(settings),
        database=settings.clickhouse_database,
        timezones=settings.timezones(),
        default_timezone=settings.tillstream_timezone,
        token=plain(settings.tillstream_console_token),
        read_token=plain(settings.tillstream_console_read_token),
        trusted_proxies=_listed(settings.tillstream_console_trusted_proxies),
        proxy_secret=plain(settings.tillstream_console_proxy_secret),
        editors=_listed(settings.tillstream_console_editors),
        editor_groups=_listed(settings.tillstream_console_editor_groups),
        host=settings.tillstream_console_host,
        public_url=settings.tillstream_console_url,
        hosts=_listed(settings.tillstream_hosts),
        state=settings.tillstream_data / "console",
        door_url=f"http://{reachable(settings.tillstream_http_host)}:{settings.tillstream_http_port}",
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
