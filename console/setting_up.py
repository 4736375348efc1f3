"""The settings that can be set in the browser: what is in force and from where, and how another value is kept."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.access import required_accesses
from connector.permissions import business
from connector.stripe_api import StripeApi
from console import alerts
from console.alerts import check_ways
from engage import deliverability, mail_test
from engage.config import check_mail
from engage.deliverability import Check
from engage.senders import records
from engage.senders.smtp import make_url, parse_url
from schemas.errors import ConfigurationError
from settings.browser import USED_BY, changing, read_browser, revision
from settings.loading import Origin, load_settings, origins
from settings.table import Settings, plain

#: The forms of the page, by name: the settings that each of them sets.
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "mail": ("smtp_url", "tillstream_mail_from"),
    "organization": (
        "tillstream_organization",
        "tillstream_organization_url",
        "tillstream_organization_address",
        "tillstream_portal_url",
        "tillstream_timezone",
    ),
    "alerts": (
        "tillstream_alert_minutes",
        "tillstream_alert_mail",
        "tillstream_alert_webhook",
        "tillstream_alert_slack",
    ),
    "addresses": ("tillstream_public_url", "tillstream_unsubscribe_url"),
}
#: Those that are written and never shown; a form that leaves one empty leaves it as it is.
WRITE_ONLY: Final = ("tillstream_alert_webhook", "tillstream_alert_slack")
#: SMTP_URL as it is filled in.
SERVER: Final = ("smtp_scheme", "smtp_host", "smtp_port", "smtp_user", "smtp_password")
_PATIENCE = 15.0  # seconds of Stripe being away: a person waits in front of the page


@dataclass(frozen=True, slots=True)
class Shown:
    """What is in force. `values` have SMTP_URL in its parts, and no password; `origins` are of those that are set, and
    `kept` the names of those that are set and never shown.

    `revision` differs when somebody has saved since.
    """

    values: Mapping[str, str]
    origins: Mapping[str, Origin]
    file: str
    has_password: bool
    kept: frozenset[str]
    revision: str


class SettingUp:
    """Of one data directory. Each raises ConfigurationError, whose text and remedy are shown."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def shown(self) -> Shown:
        """Reads the settings anew."""
        settings = self._load()
        hidden = {"smtp_url", *WRITE_ONLY}
        names = [name for names in FORMS.values() for name in names if name not in hidden]
        values = {name: _text(getattr(settings, name)) for name in names}
        values |= dict.fromkeys(WRITE_ONLY, "")
        url = plain(settings.smtp_url)
        found = dict.fromkeys(SERVER, "") | {"smtp_scheme": "smtp+starttls"}
        password = False
        with suppress(ConfigurationError):
            server = parse_url(url)
            found["smtp_scheme"] = url.partition("://")[0].lower()
            found |= {"smtp_host": server.host, "smtp_port": str(server.port), "smtp_user": server.username or ""}
            password = bool(server.password)
        return Shown(
            values | found,
            origins(tillstream_data=self._data),
            str(settings.tillstream_config or ""),
            password,
            frozenset(name for name in WRITE_ONLY if getattr(settings, name)),
            revision(self._data),
        )

    def save(self, form: str, typed: Mapping[str, str], seen: str) -> list[str]:
        """Keeps what was typed, and gives the names of the settings that changed.

        `seen` is the revision that the form was made of. Refused are values with which nothing would start.
        """
        with changing(self._data) as kept:
            if seen != revision(self._data):
                raise ConfigurationError(
                    "somebody has saved settings since this page was opened, and nothing was saved now",
                    remedy="compare what you typed with what is set now, and save again",
                )
            before = dict(kept)
            wanted = self._with(form, typed, kept)
            self._check(form, wanted)
            kept.clear()
            kept.update(wanted)
        return sorted(name for name in {*before, *wanted} if before.get(name, "") != wanted.get(name, ""))

    async def send_test(self, typed: Mapping[str, str], to: str) -> str:
        """By the mail server and from the sender that were typed, before they are saved; a sentence."""
        if not to:
            raise ConfigurationError(
                "nobody is named who shall get the test", remedy="type an address, such as your own"
            )
        settings = self._load(self._with("mail", typed, read_browser(self._data)))
        check_mail(settings)
        taken, said = await mail_test.send_trial(settings, to)
        if not taken:
            raise ConfigurationError(
                f"the mail server has not taken it: {said}", remedy="check the server, the user and the password"
            )
        return f"A test was sent to {to}: {said}"

    async def try_alerts(self) -> str:
        """By every way that is set; a sentence. Raises ConfigurationError when none is, or one refuses."""
        return await alerts.send_test(self._load())

    async def from_stripe(self) -> dict[str, str]:
        """What Stripe's account says of the organisation, by setting. Raises KeyRevoked and Unavailable too."""
        access = required_accesses(self._load(), patience=_PATIENCE)[0]
        async with StripeApi(access) as api:
            found = await business(api)
        told = {
            "tillstream_organization": found.name,
            "tillstream_organization_url": found.url,
            "tillstream_organization_address": found.address,
            "tillstream_timezone": found.timezone,
            "tillstream_mail_from": f"{found.name} <{found.email}>".strip() if found.email else "",
        }
        return {name: value for name, value in told.items() if value}

    async def checks(self) -> list[Check]:
        """What should be well before flows mail customers. Asks DNS, for two seconds at most."""
        settings = await asyncio.to_thread(self._load)
        domain = deliverability.sending_domain(settings.tillstream_mail_from)
        found = await records.texts(deliverability.lookups(domain)) if domain else {}
        return [*deliverability.settled(settings), *(deliverability.judged(domain, found) if domain else ())]

    def _with(self, form: str, typed: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
        """What is kept, with what was typed into a form; what is set elsewhere stays out of it."""
        elsewhere = {name for name, origin in origins(tillstream_data=self._data).items() if origin != "browser"}
        values = {name: typed.get(name, "") for name in FORMS[form]}
        for name in WRITE_ONLY:
            if name in values and not values[name] and not typed.get(f"{name}_remove"):
                values[name] = kept.get(name, "")
        if "smtp_url" in values and "smtp_url" not in elsewhere:
            values["smtp_url"] = _server(typed, kept.get("smtp_url", ""))
        return {**kept, **{name: value for name, value in values.items() if name not in elsewhere}}

    def _check(self, form: str, values: Mapping[str, str]) -> None:
        settings = self._load(values)
        if form == "mail":
            check_mail(settings)
        if form == "alerts":
            check_ways(settings)

    def _load(self, values: Mapping[str, str] | None = None) -> Settings:
        given = None if values is None else {name: value for name, value in values.items() if value}
        return load_settings(browser=given, tillstream_data=self._data)


def _server(typed: Mapping[str, str], kept: str) -> str:
    """SMTP_URL of what was typed. A password that is not typed again goes to the server and user that it was kept for,
    and to nobody else.
    """
    scheme, host, port, user, password = (typed.get(name, "").strip() for name in SERVER)
    if not host:
        return ""
    made = make_url(scheme, host, port, user, password)
    if parse_url(made).host != host.lower():
        raise ConfigurationError(f"'{host}' is no host", remedy="give a name such as mail.example.com")
    if password or not user or not kept:
        return made
    before, now = parse_url(kept), parse_url(made)
    if not before.password:
        return made
    if (before.host, before.port, before.username) != (now.host, now.port, now.username):
        raise ConfigurationError(
            "the password was kept for another server or user", remedy="type the password of this one"
        )
    if (before.use_tls or before.start_tls) and not (now.use_tls or now.start_tls):
        raise ConfigurationError(
            "the password was kept for an encrypted connection", remedy="type it again to send it in plain text"
        )
    return make_url(scheme, host, port, user, before.password)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def begin_anew(names: list[str]) -> list[str]:
    """The roles that do so because these have changed."""
    return sorted(set[str]().union(*(USED_BY[name] for name in names)))
