"""The console's settings, resolved once and frozen."""

from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from console.roles import NAMES, Role
from reports.days import Calendar
from schemas.errors import ConfigurationError
from schemas.hosts import is_loopback, reachable
from settings.table import Settings, plain
from warehouse.address import Address, settings_address

SHORTEST_SECRET = 24  # characters of a token
DEFAULT_ACCOUNT = "default"


@dataclass(frozen=True, slots=True)
class ConsoleConfig:
    """What the console needs to know.

    `calendar` has the accounts and their days. `host` is the address that it listens on, `public_url` the one that
    people use, `hosts` further names of it.

    With a `token` every page asks for it; `read_token` opens it too, but may change nothing, and `tokens` open it as
    what they say. A proxy that is known by its address (`trusted_proxies`, addresses or networks), by `proxy_secret` or
    by both says by headers who has signed in with it; those in `editors` (users or emails; `*` for all) or
    `editor_groups` may change things, and `roles` says it of users, emails, `group:NAME` or `*`. Without any of these
    the console is for this machine only, and refuses to be reachable from elsewhere.

    `state` is the directory of sessions and of the console's key; without one they are gone when it ends. `door_url`
    is the door as Stripe is to reach it, '' when nobody knows.
    """

    warehouse: Address
    calendar: Calendar = field(default_factory=Calendar)
    token: str = field(default="", repr=False)
    read_token: str = field(default="", repr=False)
    tokens: tuple[tuple[Role, str], ...] = field(default=(), repr=False)
    trusted_proxies: tuple[str, ...] = ()
    proxy_secret: str = field(default="", repr=False)
    editors: tuple[str, ...] = ()
    editor_groups: tuple[str, ...] = ()
    roles: tuple[tuple[str, Role], ...] = ()
    host: str = "127.0.0.1"
    public_url: str = ""
    state: Path | None = None
    door_url: str = ""
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if urlsplit(self.warehouse.url).scheme not in ("http", "https"):
            raise ConfigurationError(
                f"{self.warehouse.url!r} is no address of ClickHouse", remedy="export CLICKHOUSE_URL=http://host:8123"
            )
        for secret, name in (
            (self.token, "TILLSTREAM_CONSOLE_TOKEN"),
            (self.read_token, "TILLSTREAM_CONSOLE_READ_TOKEN"),
            (self.proxy_secret, "TILLSTREAM_CONSOLE_PROXY_SECRET"),
            *((token, "TILLSTREAM_CONSOLE_TOKENS") for _, token in self.tokens),
        ):
            if secret and len(secret.strip()) < SHORTEST_SECRET:
                raise ConfigurationError(
                    f"{name} has {len(secret.strip())} characters, and fewer than {SHORTEST_SECRET} can be guessed",
                    remedy=f"export {name}={'marketer:' if name.endswith('TOKENS') else ''}$(openssl rand -hex 24)",
                )
        if self.token and self.token.strip() == self.read_token.strip():
            raise ConfigurationError(
                "both tokens of the console are the same", remedy="export another TILLSTREAM_CONSOLE_READ_TOKEN"
            )
        given = [one.strip() for one in (self.token, self.read_token, *(one for _, one in self.tokens)) if one]
        if len(set(given)) < len(given):
            raise ConfigurationError(
                "one token of the console opens two roles", remedy="give each of TILLSTREAM_CONSOLE_TOKENS its own"
            )
        self._refuse_to_be_open()
        for text in self.trusted_proxies:
            try:
                ip_network(text)
            except ValueError:
                raise ConfigurationError(
                    f"{text!r} is no address or network of a proxy",
                    remedy="export TILLSTREAM_CONSOLE_TRUSTED_PROXIES=10.0.0.5,10.1.0.0/16",
                ) from None

    def _refuse_to_be_open(self) -> None:
        """Without a sign-in whoever reaches the console may do everything: then nobody elsewhere may reach it."""
        if self.token or self.read_token or self.tokens or self.trusted_proxies or self.proxy_secret:
            return
        public = urlsplit(self.public_url).hostname or "localhost"
        if not is_loopback(self.host):
            where = f"would listen on {self.host or 'every address'}"
        elif not is_loopback(public):
            where = f"would be reached as {self.public_url}"
        else:
            return
        raise ConfigurationError(
            f"the console {where}, and nobody would have to sign in",
            remedy="export TILLSTREAM_CONSOLE_TOKEN=$(openssl rand -hex 24)   (or listen on 127.0.0.1 alone)",
        )

    @property
    def webhook_urls(self) -> dict[str, str]:
        """Where each account's webhooks go: account to URL."""
        base = self.door_url.rstrip("/") + "/webhooks/stripe"
        accounts = sorted(self.calendar.by_account) or [DEFAULT_ACCOUNT]
        return {name: base if name == DEFAULT_ACCOUNT else f"{base}/{name}" for name in accounts}


def console_config(settings: Settings) -> ConsoleConfig:
    """Raises ConfigurationError for what can't be right, such as being open to everybody, and a token that is short."""
    return ConsoleConfig(
        warehouse=settings_address(settings),
        calendar=Calendar(settings.tillstream_timezone, settings.timezones()),
        token=plain(settings.tillstream_console_token),
        read_token=plain(settings.tillstream_console_read_token),
        trusted_proxies=_listed(settings.tillstream_console_trusted_proxies),
        proxy_secret=plain(settings.tillstream_console_proxy_secret),
        editors=_listed(settings.tillstream_console_editors),
        editor_groups=_listed(settings.tillstream_console_editor_groups),
        tokens=_tokens(plain(settings.tillstream_console_tokens)),
        roles=_roles(settings.tillstream_console_roles),
        host=settings.tillstream_console_host,
        public_url=settings.tillstream_console_url,
        hosts=_listed(settings.tillstream_hosts),
        state=settings.tillstream_data / "console",
        door_url=f"http://{reachable(settings.tillstream_http_host)}:{settings.tillstream_http_port}",
    )


def _tokens(text: str) -> tuple[tuple[Role, str], ...]:
    """`ROLE:TOKEN, …`. Raises ConfigurationError, and names no token in it."""
    found = []
    for number, part in enumerate(_listed(text), 1):
        name, separator, token = part.partition(":")
        if not separator or name.strip().lower() not in NAMES or not token.strip():
            raise ConfigurationError(
                f"TILLSTREAM_CONSOLE_TOKENS: token {number} has no role before it; there are {', '.join(NAMES)}",
                remedy="export TILLSTREAM_CONSOLE_TOKENS=marketer:$(openssl rand -hex 24)",
            )
        found.append((NAMES[name.strip().lower()], token.strip()))
    return tuple(found)


def _roles(text: str) -> tuple[tuple[str, Role], ...]:
    """`WHO=ROLE, …`. Raises ConfigurationError."""
    found = []
    for part in _listed(text):
        who, _, name = part.rpartition("=")
        if not who.strip() or name.strip().lower() not in NAMES:
            raise ConfigurationError(
                f"TILLSTREAM_CONSOLE_ROLES: {part!r} is not WHO=ROLE; roles are {', '.join(NAMES)}",
                remedy="export TILLSTREAM_CONSOLE_ROLES=ada@example.com=marketer,group:finance=analyst",
            )
        found.append((who.strip().lower(), NAMES[name.strip().lower()]))
    return tuple(found)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
