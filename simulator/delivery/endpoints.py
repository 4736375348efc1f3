"""Webhook endpoints and thin destinations: what can be made and changed, and what an endpoint wants to hear of.

Source: Stripe's API reference, "Webhook Endpoints" and "Event Destinations". Pure.
"""

import ipaddress
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from schemas.stripe_types import EVENT_TYPES, FURTHER_TYPES, THIN
from simulator.errors import ApiError, bad_value, missing

MOST_ENDPOINTS = 16
_FAMILIES = ("charge.", "invoice.", "invoice_payment.", "refund.")  # of these, every type is known here
_KNOWN = {
    *EVENT_TYPES,
    *FURTHER_TYPES,
    *(f"invoice.{name}" for name in "finalization_failed overpaid payment_attempt_required will_be_due".split()),
    "invoice_payment.detached",
}
_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+\Z")
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?\Z")


@dataclass
class Endpoint:
    """Where events are sent. `secrets`: the current one first, then those that a roll has not let expire yet.

    `api_version` None is the account's default; `thin` ones have none. Times in Unix seconds.
    """

    id: str
    created: int
    url: str
    enabled_events: list[str]
    secrets: list[str]
    api_version: str | None = None
    thin: bool = False
    connect: bool = False
    name: str = ""
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    status: str = "enabled"
    updated: int = 0

    def wants(self, kind: str) -> bool:
        """Whether an event of type `kind` (a snapshot event's name) is sent here."""
        name = THIN + kind if self.thin else kind
        return name in self.enabled_events or (not self.thin and "*" in self.enabled_events)


class Endpoints:
    """The endpoints of one account in one mode."""

    def __init__(self, livemode: bool) -> None:
        self._livemode = livemode
        self._all: dict[str, Endpoint] = {}

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all.values())

    def newest_first(self, *, thin: bool | None = None) -> list[Endpoint]:
        """All, or those of one payload."""
        return [e for e in reversed(self._all.values()) if thin is None or e.thin == thin]

    def get(self, endpoint_id: str) -> Endpoint:
        """Raises ApiError 404."""
        if endpoint_id not in self._all:
            raise missing("webhook endpoint", endpoint_id, "id")
        return self._all[endpoint_id]

    def add(
        self,
        url: str,
        enabled_events: list[str],
        now: int,
        *,
        api_version: str | None = None,
        thin: bool = False,
        connect: bool = False,
        name: str = "",
        description: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Endpoint:
        """A new endpoint with a secret of its own. Raises ApiError for a value that Stripe refuses."""
        check_url(url)
        check_types(enabled_events, thin=thin)
        if api_version is not None and not _VERSION.match(api_version):
            raise bad_value("api_version", f"Invalid Stripe API version: {api_version}")
        if len(self._all) >= MOST_ENDPOINTS:
            mode = "live" if self._livemode else "test"
            raise ApiError(400, None, f"You have reached the maximum of {MOST_ENDPOINTS} {mode} webhook endpoints.")
        prefix = "we_1" if not thin else "ed_" if self._livemode else "ed_test_"
        made = Endpoint(
            id=prefix + secrets.token_hex(12),
            created=now,
            url=url,
            enabled_events=list(enabled_events),
            secrets=[new_secret()],
            api_version=api_version,
            thin=thin,
            connect=connect,
            name=name,
            description=description,
            metadata=dict(metadata or {}),
            updated=now,
        )
        self._all[made.id] = made
        return made

    def change(
        self,
        endpoint: Endpoint,
        now: int,
        *,
        url: str | None = None,
        enabled_events: list[str] | None = None,
        disabled: bool | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Change what is given; a metadata value '' takes its key away. Raises ApiError and then changes nothing."""
        if url is not None:
            check_url(url)
        if enabled_events is not None:
            check_types(enabled_events, thin=endpoint.thin)
        endpoint.url = url or endpoint.url
        endpoint.enabled_events = enabled_events or endpoint.enabled_events
        if disabled is not None:
            endpoint.status = "disabled" if disabled else "enabled"
        merged = endpoint.metadata | (metadata or {})
        endpoint.metadata = {key: value for key, value in merged.items() if value != ""}
        endpoint.updated = now

    def remove(self, endpoint_id: str) -> None:
        """Raises ApiError 404. What is on its way to the endpoint is not tried again."""
        self.get(endpoint_id).status = "deleted"
        del self._all[endpoint_id]

    def roll(self, endpoint_id: str) -> str:
        """A new secret, as the dashboard's "Roll secret" makes: both sign until `expire_secrets`. No API does this."""
        endpoint = self.get(endpoint_id)
        endpoint.secrets.insert(0, new_secret())
        return endpoint.secrets[0]

    def expire_secrets(self, endpoint_id: str) -> None:
        """Only the newest secret signs from now on."""
        del self.get(endpoint_id).secrets[1:]


def new_secret() -> str:
    """A signing secret."""
    return f"whsec_{secrets.token_urlsafe(24).replace('-', 'A').replace('_', 'B')}"


def check_url(url: str) -> None:
    """https, or http to this very machine (the simulator's leave, for there is nobody else to sign a certificate)."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise bad_value(
            "url", f"Invalid URL: An explicit scheme (such as https) must be provided: {url}", code="url_invalid"
        )
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise bad_value("url", "Invalid URL: URL must be publicly accessible and start with https.", code="url_invalid")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_types(types: list[str], *, thin: bool) -> None:
    """Raises ApiError for an empty list, for '*' beside others, and for a type that Stripe doesn't have."""
    if not types:
        raise ApiError(400, "parameter_missing", "Missing required param: enabled_events.", "enabled_events")
    if "*" in types:
        if thin or len(types) > 1:
            raise bad_value("enabled_events", "'*' must be the only event, and can't be used with thin events.")
        return
    for place, name in enumerate(types):
        plain = name.removeprefix(THIN) if thin else name
        known = _TYPE.match(plain) and (not plain.startswith(_FAMILIES) or plain in _KNOWN)
        if not known or (thin and not name.startswith((THIN, "v2."))):
            raise bad_value(f"enabled_events[{place}]", f"Invalid enabled_events[{place}]: {name} is no event type")
