"""Every setting of Tillstream in one table: name, type, default and help. `docs/settings.md` is made from it.

A setting is read from the environment under its name in capitals, else from the TOML file that `TILLSTREAM_CONFIG`
names (same names, any case), else, for some, from what was set in the browser (`settings/browser.py`), else it has its
default. `[accounts.NAME]` tables of that file describe several Stripe accounts; without any, the environment describes
the one account `default`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from schemas.addresses import split_login
from schemas.signing import signing_secret
from settings.checks import (
    known_timezone,
    split_secrets,
    time_of_day,
    usable_account_id,
    usable_account_name,
    usable_port,
    web_address,
)
from settings.secrets import StoredAccount

DEFAULT_ACCOUNT = "default"

Mode = Literal["live", "test", "both"]
Timezone = Annotated[str, AfterValidator(known_timezone)]
Port = Annotated[int, AfterValidator(usable_port)]
Secrets = Annotated[tuple[SecretStr, ...], split_secrets]  # SecretStr: never plain in a repr, an error or a log


class Account(BaseModel):
    """One Stripe account, from an `[accounts.NAME]` table or, for `default`, from the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_key: SecretStr | None = Field(default=None, description="A secret or restricted key of the account")
    webhook_secrets: Secrets = Field(
        default=(),
        description="Signing secrets of its webhook endpoint; all are accepted. `live:whsec_…` or `test:whsec_…`: for "
        "events of that mode alone",
    )
    account_id: Annotated[str, AfterValidator(usable_account_id)] = Field(
        default="",
        description="Stripe's id of the account, `acct_…`: events that name it belong to it, and need its secret. "
        "`tillstream connect` learns it",
    )
    timezone: Timezone | None = Field(
        default=None, description="IANA name of its dashboard's timezone; else TILLSTREAM_TIMEZONE"
    )
    mode: Mode | None = Field(default=None, description="live, test or both; else TILLSTREAM_MODE")


class Settings(BaseModel):
    """The whole configuration, frozen once loaded. Load it by `settings.loading.load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Stripe
    stripe_api_key: SecretStr | None = Field(
        default=None, description="Stripe secret or restricted key, for look-ups, imports and reconciliation"
    )
    stripe_api_base: str = Field(default="https://api.stripe.com", description="Where Stripe's API is")
    tillstream_stripe_rate: float = Field(
        default=0,
        ge=0,
        description="Requests a second to Stripe's API, an account; 0 for 80 in live and 20 in test mode",
    )
    tillstream_sweep_minutes: float = Field(
        default=60, gt=0, description="How often Stripe is asked for events whose webhooks never came"
    )
    stripe_webhook_secret: Secrets = Field(
        default=(),
        description="Signing secrets (whsec_…) of the webhook endpoint, comma-separated; all are accepted, so that a "
        "roll loses nothing. `live:whsec_…` or `test:whsec_…`: for events of that mode alone. Without any, the door "
        "accepts nothing",
    )

    tillstream_public_url: Annotated[str, AfterValidator(web_address)] = Field(
        default="", description="The door's address as Stripe reaches it, such as https://hooks.example.com"
    )
    tillstream_import: Literal["wanted", "unwanted"] = Field(
        default="wanted",
        description="`unwanted`: the history before the first webhook is not asked for by `status` and `doctor`",
    )
    tillstream_missing_seconds: float = Field(
        default=300, ge=1, description="How long an event that was taken in may be missing somewhere until it is named"
    )
    tillstream_reconcile_at: Annotated[str, AfterValidator(time_of_day)] = Field(
        default="04:30",
        description="When numbers are compared with Stripe's each day, HH:MM in the account's timezone; empty: never",
    )

    # Kafka
    kafka_bootstrap_servers: str = Field(
        default="", description="Brokers, `host:port` comma-separated; `up` and `demo` start their own when it is empty"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_sasl_username: str = Field(default="", description="User name for SASL")
    kafka_sasl_password: SecretStr | None = Field(default=None, description="Password for SASL")
    kafka_ssl_cafile: Path | None = Field(default=None, description="CA bundle (PEM) that signed the brokers' certs")
    kafka_ssl_certfile: Path | None = Field(default=None, description="Client certificate (PEM) for mutual TLS")
    kafka_ssl_keyfile: Path | None = Field(default=None, description="Key (PEM) of the client certificate")
    kafka_replication_factor: int = Field(default=1, ge=1, description="Copies of each topic that Tillstream creates")

    # ClickHouse
    clickhouse_url: str = Field(
        default="",
        description="`http(s)://[user:password@]host[:port]` (8123, or 8443 for https); without it `up` and "
        "`demo` start an engine of their own",
    )
    clickhouse_user: str = Field(default="default", description="User for ClickHouse")
    clickhouse_password: SecretStr | None = Field(default=None, description="Password for ClickHouse")
    clickhouse_database: str = Field(
        default="tillstream", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Database that holds tables and views"
    )

    # Tillstream
    tillstream_config: Path | None = Field(
        default=None, description="TOML file with settings and with an `[accounts.NAME]` table for each Stripe account"
    )
    tillstream_timezone: Timezone = Field(
        default="UTC", description="IANA name of the timezone of the Stripe account: what a day is in daily numbers"
    )
    tillstream_mode: Mode = Field(default="both", description="Which events count: live, test or both")
    tillstream_topic_prefix: str = Field(
        default="", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="Put in front of every topic and group as it is"
    )
    tillstream_project: Path | None = Field(
        default=None,
        description="Folder of your `segments/*.yaml`, `flows/*.yaml` and `templates/*.html`; `project` in "
        "TILLSTREAM_DATA when it is not set",
    )
    tillstream_data: Path = Field(default=Path(".tillstream"), description="Directory that holds all local state")
    tillstream_http_host: str = Field(
        default="127.0.0.1", description="Address the door listens on; 0.0.0.0 to be reached from other machines"
    )
    tillstream_http_port: Port = Field(default=8080, description="Port of the door; 0 for any free one")
    tillstream_console_host: str = Field(
        default="127.0.0.1", description="Address the console listens on; any other one needs a sign-in"
    )
    tillstream_health_host: str = Field(
        default="127.0.0.1", description="Address of the health pages of all roles but the console"
    )
    tillstream_console_port: Port = Field(default=8081, description="Port of the console; 0 for any free one")
    tillstream_kafka_port: Port = Field(default=9092, description="Port of the own broker; 0 for any free one")
    tillstream_clickhouse_port: Port = Field(default=8123, description="Port of the own engine; 0 for any free one")
    tillstream_flush: Literal["on", "off"] = Field(
        default="off",
        description="`on`: the own broker and engine acknowledge what is on the disk, so that a 200 outlives a power "
        "cut too; `off`: what the operating system has taken, which outlives every crash of a program",
    )
    tillstream_max_body_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, description="Largest webhook body in bytes, also after unpacking gzip"
    )
    tillstream_startup_seconds: float = Field(
        default=30, gt=0, description="How long `up` waits for a Kafka that is not Tillstream's own before it ends"
    )
    tillstream_console_url: Annotated[str, AfterValidator(web_address)] = Field(
        default="", description="The console's address as people reach it, such as https://console.example.com"
    )
    tillstream_hosts: str = Field(
        default="",
        description="Further host names, comma-separated, that are Tillstream's own: a request by any other name is "
        "refused",
    )
    tillstream_console_token: SecretStr | None = Field(
        default=None,
        description="Token that opens the console, of 24 characters or more. Needed to listen on another address than "
        "127.0.0.1, unless a proxy signs people in",
    )
    tillstream_console_read_token: SecretStr | None = Field(
        default=None, description="Another token: who signs in by it may look, and change nothing"
    )
    tillstream_console_tokens: SecretStr | None = Field(
        default=None,
        description="Further tokens, comma-separated, each with the role that it opens before it, such as "
        "`marketer:…,support:…,analyst:…`; roles are admin, marketer, support, analyst and read",
    )
    tillstream_console_trusted_proxies: str = Field(
        default="",
        description="Addresses or networks, comma-separated, of reverse proxies that sign people in: who one of them "
        "names in `X-Forwarded-User` or `X-Forwarded-Email` is let in",
    )
    tillstream_console_proxy_secret: SecretStr | None = Field(
        default=None,
        description="What such a proxy sends as `X-Tillstream-Proxy-Secret`, of 24 characters or more; instead of its "
        "address, or beside it",
    )
    tillstream_console_editors: str = Field(
        default="",
        description="Users or emails, comma-separated, who may change things when such a proxy names them; `*` for "
        "all. Everybody else may look",
    )
    tillstream_console_editor_groups: str = Field(
        default="", description="The same for groups, as the proxy names them in `X-Forwarded-Groups`"
    )
    tillstream_console_roles: str = Field(
        default="",
        description="Further roles of whom such a proxy names, comma-separated: a user, an email, `group:NAME` or `*`, "
        "such as `ada@example.com=marketer,group:finance=analyst`",
    )
    tillstream_log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    tillstream_organization: str = Field(default="", max_length=200, description="Your name, as mails show it")
    tillstream_organization_url: str = Field(
        default="", pattern=r"^(https?://\S+)?$", description="Your web site, as mails link to it"
    )
    tillstream_organization_address: str = Field(
        default="", max_length=300, description="Your postal address, for the foot of mails; many laws ask for it"
    )
    tillstream_portal_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Where customers change their card, such as the login link of Stripe's customer portal",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="`smtp://`, `smtps://` or `smtp+starttls://user:password@host:port` that sends mail. Without it "
        "flows run, and their mails are skipped",
    )
    tillstream_mail_from: str = Field(
        default="", description="Whom mails come from, such as `Shop <billing@shop.example>`; needed with SMTP_URL"
    )
    tillstream_mail_rate: float = Field(default=0, ge=0, description="Mails a second at most; 0 for no limit")
    tillstream_archive_days: int = Field(
        default=365, ge=1, description="For how many days what exactly was sent is kept, to be opened in the console"
    )
    tillstream_settle_seconds: float = Field(
        default=30, ge=0, description="How long a new fact waits for what is still to be learned before flows act on it"
    )
    tillstream_engage_host: str = Field(
        default="127.0.0.1", description="Address on which the page behind mails' unsubscribe links listens"
    )
    tillstream_engage_port: Port = Field(
        default=8084,
        description="Port of that page; 0 for any free one, and `up` takes one too when the default is taken",
    )
    tillstream_unsubscribe_url: str = Field(
        default="",
        max_length=400,
        pattern=r"^(https?://\S+)?$",
        description="How customers reach that page, such as https://mail.shop.example; without it no flow goes live "
        "that mails by a server of the internet",
    )
    tillstream_unsubscribe_secret: SecretStr | None = Field(
        default=None, description="Signs unsubscribe links; else one is made and kept in the data directory"
    )

    tillstream_alert_minutes: float = Field(
        default=10, ge=0, description="For how many minutes the light has to be red until somebody is told"
    )
    tillstream_alert_mail: str = Field(
        default="", max_length=400, description="Who is told by mail, comma-separated; needs SMTP_URL"
    )
    tillstream_alert_webhook: SecretStr | None = Field(
        default=None, description="Address that gets it as JSON with `event`, `light`, `title` and `findings`"
    )
    tillstream_alert_slack: SecretStr | None = Field(
        default=None, description="Address of a Slack incoming webhook, or of whatever takes its `text`"
    )

    accounts: dict[Annotated[str, AfterValidator(usable_account_name)], Account] = Field(
        default={}, description="Several Stripe accounts, by name: `[accounts.NAME]` tables, only in the file"
    )

    @model_validator(mode="before")
    @classmethod
    def _keep_login_apart(cls, values: dict[str, Any]) -> dict[str, Any]:
        """CLICKHOUSE_URL's own user and password come first, and stand nowhere but in their own settings."""
        url, user, password = split_login(str(values.get("clickhouse_url", "")))
        found = {"clickhouse_url": url, "clickhouse_user": user, "clickhouse_password": password}
        return values | {name: value for name, value in found.items() if value}

    # What `connect` stored beside these settings: read at loading, and by every process for itself.
    _stored: dict[str, StoredAccount] = PrivateAttr(default_factory=dict)

    # What of these settings is from the browser, as texts: every process reads it for itself.
    _browser: dict[str, str] = PrivateAttr(default_factory=dict)

    def with_browser(self, values: dict[str, str]) -> "Settings":
        """The same settings, of which the named ones are from the browser."""
        settings = self.model_copy()
        settings._browser = values
        return settings

    @property
    def from_browser(self) -> dict[str, str]:
        """Setting → text, of those whose value in force was set in the browser."""
        return self._browser

    def with_stored(self, stored: dict[str, StoredAccount]) -> "Settings":
        """The same settings beside what `connect` stored."""
        settings = self.model_copy()
        settings._stored = stored
        return settings

    def without(self, secrets: Collection[str]) -> "Settings":
        """The same settings with the named ones at their default, in the accounts and in what is stored too."""
        here: dict[str, Any] = {}
        stored: dict[str, Any] = {}
        if "stripe_api_key" in secrets:
            here["api_key"] = stored["api_key"] = None
        if "stripe_webhook_secret" in secrets:
            here["webhook_secrets"] = stored["endpoints"] = ()
        accounts = {name: one.model_copy(update=here) for name, one in self.accounts.items()}
        defaults = {name: type(self).model_fields[name].default for name in secrets}
        narrowed = self.model_copy(update={**defaults, "accounts": accounts})
        return narrowed.with_stored({name: one.model_copy(update=stored) for name, one in self._stored.items()})

    @property
    def flushes(self) -> bool:
        """Whether the own services acknowledge only what is on the disk."""
        return self.tillstream_flush == "on"

    @property
    def project(self) -> Path:
        """The folder of segments, flows and templates; it need not exist."""
        return self.tillstream_project or self.tillstream_data / "project"

    def all_accounts(self) -> dict[str, Account]:
        """Every account by name, with its timezone and mode, and with what `connect` stored of it, filled in."""
        accounts = self.accounts or {
            DEFAULT_ACCOUNT: Account(api_key=self.stripe_api_key, webhook_secrets=self.stripe_webhook_secret)
        }
        fill = {"timezone": self.tillstream_timezone, "mode": self.tillstream_mode}
        return {
            name: account.model_copy(
                update={k: v for k, v in fill.items() if getattr(account, k) is None} | self._from_stored(name, account)
            )
            for name, account in accounts.items()
        }

    def _from_stored(self, name: str, account: Account) -> dict[str, object]:
        stored = self._stored.get(name)
        if stored is None:
            return {}
        given = {signing_secret(one.get_secret_value()).secret for one in account.webhook_secrets}
        learned = (one.signing for one in stored.accepted() if one.secret.get_secret_value() not in given)
        return {
            "api_key": account.api_key or stored.api_key,
            "webhook_secrets": (*account.webhook_secrets, *learned),
            "account_id": account.account_id or stored.account_id,
        }

    def webhook_secrets(self) -> dict[str, tuple[str, ...]]:
        """Account name → its signing secrets in plain text, as they sign."""
        return {
            name: tuple(signing_secret(text).secret for text in secrets)
            for name, secrets in self.signing_secrets().items()
        }

    def signing_secrets(self) -> dict[str, tuple[str, ...]]:
        """The same as they are written, each with the mode that it is for; for the door alone."""
        return {
            name: tuple(secret.get_secret_value() for secret in account.webhook_secrets)
            for name, account in self.all_accounts().items()
        }

    def account_ids(self) -> dict[str, str]:
        """Account name → Stripe's `acct_…`, of those whose id is known."""
        return {name: one.account_id for name, one in self.all_accounts().items() if one.account_id}

    def timezones(self) -> dict[str, str]:
        """Account name → IANA timezone."""
        return {name: account.timezone or self.tillstream_timezone for name, account in self.all_accounts().items()}

    def as_environment(self) -> dict[str, str]:
        """The same settings as a child's environment; the accounts stay in the file that TILLSTREAM_CONFIG names, and
        what is from the browser in its own.
        """
        values = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            told = name != "accounts" and name not in self._browser
            if told and value != field.default and value is not None:
                values[name.upper()] = _as_text(value)
        return values


def plain(secret: SecretStr | None) -> str:
    """A secret in plain text, '' when there is none."""
    return secret.get_secret_value() if secret else ""


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_as_text, value))
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
