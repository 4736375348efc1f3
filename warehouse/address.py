"""Where a ClickHouse is, and how it lets us in."""

from dataclasses import dataclass, field
from typing import Final

from schemas.addresses import keep_login_apart, with_port
from schemas.errors import ConfigurationError
from settings.runtime import running
from settings.table import Settings, plain

#: Those of ClickHouse's own HTTP interface, where a URL names none.
PORTS: Final = {"http": 8123, "https": 8443}


@dataclass(frozen=True, slots=True)
class Address:
    """`url` is `http(s)://[user:password@]host[:port]`, whose own login comes first; '' when no ClickHouse is named."""

    url: str = ""
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "tillstream"

    def __post_init__(self) -> None:
        keep_login_apart(self, "url", "user", "password")
        object.__setattr__(self, "url", with_port(self.url, PORTS))


def settings_address(settings: Settings) -> Address:
    """ClickHouse as the settings name it; a role has no other."""
    return Address(
        settings.clickhouse_url,
        settings.clickhouse_user,
        plain(settings.clickhouse_password),
        settings.clickhouse_database,
    )


def find_address(settings: Settings) -> Address:
    """That of the running `up` in the data directory, else of CLICKHOUSE_URL. Raises ConfigurationError for neither."""
    try:
        up = running(settings.tillstream_data)
    except ConfigurationError:
        if not settings.clickhouse_url:
            raise
        return settings_address(settings)
    return Address(up.clickhouse_url, up.clickhouse_user, plain(settings.clickhouse_password), up.database)
