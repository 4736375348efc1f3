"""What a key may do: each resource that the product needs is asked for one object.

A restricted key that lacks a permission gets 403, which looks like "no data" to whoever swallows it (Stripe,
"Restricted API keys"), so all that is missing is named before anything begins.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from connector.errors import NotFound, PermissionMissing
from connector.stripe_api import Json, StripeApi

#: What is read, by look-ups, import, sweep and comparison.
READ = (
    *("charges", "coupons", "credit_notes", "customers", "disputes", "events", "invoice_payments", "invoices"),
    *("payment_intents", "refunds", "subscriptions"),
)
#: What `connect` and `doctor` need in addition; without it, an endpoint can still be made by hand.
MANAGED = "webhook_endpoints"


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What was found of a key. `timezone` is that of Stripe's dashboard; '' when the key may not read the account.

    `clock` is how many seconds this machine's clock is ahead of Stripe's, None when no answer told.
    """

    account_id: str
    name: str
    timezone: str
    livemode: bool
    missing: tuple[PermissionMissing, ...]
    clock: float | None


def lacking(account: str, missing: Sequence[PermissionMissing]) -> Iterator[tuple[str, str]]:
    """(sentence, remedy) for all that a key may not read, and for all that it may not write."""
    for kind in ("Read", "Write"):
        some = [one for one in missing if one.permission.endswith(f"_{kind.lower()}")]
        if some:
            resources = _listed([one.resource.replace("_", " ") for one in some])
            named = ", ".join(one.permission for one in some)
            yield (
                f"the API key of account {account} may not {kind.lower()} {resources} ({named})",
                f"give the restricted key “{kind}” for {resources} at https://dashboard.stripe.com/apikeys",
            )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


async def examine(api: StripeApi) -> KeyReport:
    """Ask for one object of each kind, and for the account. Raises KeyRevoked, Unavailable."""

    async def ask(resource: str) -> PermissionMissing | None:
        try:
            await api.get(f"/v1/{resource}", {"limit": 1})
        except PermissionMissing as error:
            return error
        return None

    account, clock = await _account(api)
    answers = await asyncio.gather(*(ask(resource) for resource in (*READ, MANAGED)))
    # Two resources can need the same permission: invoices and their payments do.
    missing = tuple({answer.permission: answer for answer in reversed(answers) if answer is not None}.values())[::-1]
    dashboard = (account.get("settings") or {}).get("dashboard") or {}
    return KeyReport(
        account_id=str(account.get("id") or ""),
        name=str(dashboard.get("display_name") or ""),
        timezone=str(dashboard.get("timezone") or ""),
        livemode=api.livemode,
        missing=missing,
        clock=clock,
    )


async def dashboard_timezone(api: StripeApi) -> str:
    """IANA name of the timezone in which Stripe's dashboard counts days; '' when the key may not know."""
    account, _ = await _account(api)
    return str(((account.get("settings") or {}).get("dashboard") or {}).get("timezone") or "")


@dataclass(frozen=True, slots=True)
class Business:
    """What Stripe's account says of its owner; '' for what it does not say, or the key may not know."""

    name: str
    url: str
    address: str
    email: str
    timezone: str


async def business(api: StripeApi) -> Business:
    """From the account's `business_profile` and `settings.dashboard`. Raises KeyRevoked, Unavailable."""
    account, _ = await _account(api)
    profile, dashboard = account.get("business_profile") or {}, (account.get("settings") or {}).get("dashboard") or {}
    where = profile.get("support_address") or {}
    town = " ".join(str(where.get(part) or "") for part in ("postal_code", "city", "state")).strip()
    lines = (*(str(where.get(part) or "") for part in ("line1", "line2")), town, str(where.get("country") or ""))
    return Business(
        name=str(profile.get("name") or dashboard.get("display_name") or ""),
        url=str(profile.get("url") or ""),
        address=", ".join(filter(None, lines)),
        email=str(profile.get("support_email") or ""),
        timezone=str(dashboard.get("timezone") or ""),
    )


async def _account(api: StripeApi) -> tuple[Json, float | None]:
    """The account, and how far this machine's clock is ahead; Stripe's `Date` has whole seconds."""
    for path in ("/v1/account", "/v1/charges?limit=1"):
        began = time.time()
        with suppress(PermissionMissing, NotFound):
            body, stripes = await api.fetch(path)
            return (body if body.get("object") == "account" else {}), began - stripes
    return {}, None
