"""The console's settings, resolved once and frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import ConfigurationError

DEFAULT_ACCOUNT = "default"


@dataclass(frozen=True, slots=True)
class ConsoleConfig:
    """What the console needs to know.

    Accounts that are not in `timezones` (account to IANA name) have `default_timezone`. With a `token` every page
    asks for it; `read_token` opens it too, but may change nothing; `trusted_proxies` (addresses or networks) say by a
    header who has signed in with them. Without any of these the console answers only to `localhost`, to IP addresses
    and to the names in `hosts`, so that no web page can reach it through a name of its own. `door_url` is the door as
    Stripe is to reach it, and `runtime` the runtime.json of a running `up`; both may be missing.
    """

    clickhouse_url: str
    clickhouse_user: str = "default"
    clickhouse_password: str = field(default="", repr=False)
    database: str = "tillstream"
    timezones: Mapping[str, str] = field(default_factory=dict)
    default_timezone: str = "UTC"
    token: str = field(default="", repr=False)
    read_token: str = field(default="", repr=False)
    trusted_proxies: tuple[str, ...] = ()
    door_url: str = ""
    runtime: Path | None = None
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if urlsplit(self.clickhouse_url).scheme not in ("http", "https"):
            raise ConfigurationError(
                f"{self.clickhouse_url!r} is no address of ClickHouse", remedy="export CLICKHOUSE_URL=http://host:8123"
            )
        for token, name in (
            (self.token, "TILLSTREAM_CONSOLE_TOKEN"),
            (self.read_token, "TILLSTREAM_CONSOLE_READ_TOKEN"),
        ):
            if token and not token.strip():
                raise ConfigurationError("the console's token is blank", remedy=f"unset {name}, or fill it")
        if self.token and self.token.strip() == self.read_token.strip():
            raise ConfigurationError(
                "both tokens of the console are the same", remedy="export another TILLSTREAM_CONSOLE_READ_TOKEN"
            )
        for text in self.trusted_proxies:
            try:
                ip_network(text)
            except ValueError:
                raise ConfigurationError(
                    f"{text!r} is no address or network of a proxy",
                    remedy="export TILLSTREAM_CONSOLE_TRUSTED_PROXIES=10.0.0.5,10.1.0.0/16",
                ) from None
        for name in {self.default_timezone, *self.timezones.values()}:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ConfigurationError(
                    f"unknown timezone {name!r}", remedy="use an IANA name, such as UTC"
                ) from error

    @property
    def zones(self) -> tuple[str, ...]:
        """Every timezone in use, the default one first."""
        return (self.default_timezone, *sorted(set(self.timezones.values()) - {self.default_timezone}))

    def zone_of(self, account: str) -> ZoneInfo:
        """The timezone of an account."""
        return ZoneInfo(self.timezones.get(account, self.default_timezone))

    @property
    def webhook_urls(self) -> dict[str, str]:
        """Where each account's webhooks go: account to URL."""
        base = self.door_url.rstrip("/") + "/webhooks/stripe"
        accounts = sorted(self.timezones) or [DEFAULT_ACCOUNT]
        return {name: base if name == DEFAULT_ACCOUNT else f"{base}/{name}" for name in accounts}
