"""`connect`: what has to be so in Stripe for its webhooks to reach the door, found out and then done.

1. examine    is the key good, and for what?
2. plan       which endpoint to make, change or delete (pure: `connector.endpoint`)
3. carry out  make → store the secret → see the door take it → change → delete what is replaced
An event can't be lost between two endpoints: the old one sends until the new one's secret is in force, and goes only
when Stripe has nothing left to deliver; both secrets are accepted for a day.
"""

import asyncio
import time
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from connector import endpoint_api
from connector.endpoint import Create, Delete, Plan, Update, Wish, plan
from connector.endpoint_probe import Door, ask_door
from connector.errors import PermissionMissing
from connector.permissions import MANAGED, KeyReport, examine
from connector.stripe_api import API_VERSION, STRIPE, StripeApi
from schemas.errors import ConfigurationError
from schemas.signing import signing_secret
from schemas.stripe_types import wanted_types
from settings.checks import web_address
from settings.runtime import running
from settings.secrets import StoredAccount, StoredEndpoint, read_account, secrets_path, write_account
from settings.table import DEFAULT_ACCOUNT, Settings

WEBHOOKS = "/webhooks/stripe"
_DOOR_SECONDS = 20.0
_POLL_SECONDS = 0.2
BY_HAND = "by-hand-"  # in place of the id of an endpoint that a person made


@dataclass(frozen=True, slots=True)
class Intent:
    """What was asked for. `url` is the door's public address, or '' for the one that is known."""

    account: str
    url: str = ""
    extended: bool = False
    thin: bool = False
    roll: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was found, and what there is to do about it."""

    report: KeyReport
    wish: Wish
    plan: Plan


@dataclass(slots=True)
class Done:
    """What was done. `waiting`: endpoints that stay for now; the same command takes them away later.

    `door`: what the door says to the secret; None when there was no reason to ask.
    """

    endpoint: str = ""
    secret_file: str = ""
    door: Door | None = None
    waiting: list[str] = field(default_factory=list)


async def prepare(api: StripeApi, settings: Settings, intent: Intent) -> Prepared:
    """Look, and change nothing. Raises KeyRevoked, PermissionMissing (endpoints), ConfigurationError, Unavailable."""
    report = await examine(api)
    stored = read_account(settings.tillstream_data, intent.account)
    url = webhook_url(settings, intent, stored, livemode=report.livemode)
    types, also = (wanted_types(extended=more, thin=intent.thin) for more in (intent.extended, True))
    wish = Wish(url, types, API_VERSION, intent.thin, also)
    for missing in report.missing:
        if missing.resource == MANAGED:
            raise missing
    now = time.time()
    found = await endpoint_api.endpoints(api, thin=intent.thin)
    ours = [one.id for one in stored.endpoints if one.accepted(now)]
    others = bool(set(settings.webhook_secrets()[intent.account]) - {s.get_secret_value() for s in stored.secrets(now)})
    return Prepared(report, wish, plan(found, wish, stored=ours, other_secrets=others, roll=intent.roll))


async def carry_out(api: StripeApi, settings: Settings, intent: Intent, prepared: Prepared) -> Done:
    """Do what is planned. May be repeated after any failure."""
    data = settings.tillstream_data
    done = Done(endpoint=prepared.plan.kept.id if prepared.plan.kept else "")
    stored = read_account(data, intent.account)
    report, known = prepared.report, stored
    stored = stored.model_copy(
        update={
            "url": prepared.wish.url,
            "account_id": report.account_id or stored.account_id,
            "endpoints": tuple(
                one.model_copy(update={"mode": _mode(report.livemode)}) if one.id == done.endpoint else one
                for one in stored.endpoints
            ),
        }
    )
    if stored != known:
        write_account(data, intent.account, stored)
    for step in prepared.plan.steps:
        match step:
            case Create():
                done.endpoint, secret = await endpoint_api.create(api, step.wish)
                new = StoredEndpoint(id=done.endpoint, secret=SecretStr(secret), mode=_mode(report.livemode))
                replaced = [later.endpoint.id for later in prepared.plan.steps if isinstance(later, Delete)]
                stored = stored.with_endpoint(new, time.time(), replaced)
                done.secret_file = str(write_account(data, intent.account, stored))
                done.door = await _door(settings, intent.account, prepared.wish.url, secret)
            case Update():
                await endpoint_api.update(api, step)
            case Delete():
                if done.door is None and stored.secrets():
                    secret = stored.secrets()[0].get_secret_value()
                    done.door = await _door(settings, intent.account, prepared.wish.url, secret)
                if await _still_needed(api, done.door):
                    done.waiting.append(step.endpoint.id)
                else:
                    await endpoint_api.delete(api, step)
    return done


def store_by_hand(
    settings: Settings, account: str, *, secret: str = "", api_key: str = "", url: str = "", replaces: bool = True
) -> str:
    """Keep a secret or key that a person gave; the file. Raises ConfigurationError for what can't be one.

    With `replaces`, the secrets that were given before are accepted for a day more only.
    """
    stored = read_account(settings.tillstream_data, account)
    if secret:
        secret, livemode = signing_secret(secret)
        if not secret.startswith("whsec_"):
            raise ConfigurationError(
                "a signing secret begins with whsec_", remedy="copy it from the endpoint's page in Stripe's dashboard"
            )
        known = next((one.id for one in stored.endpoints if one.secret.get_secret_value() == secret), "")
        replaced = [one.id for one in stored.endpoints if replaces and one.id.startswith(BY_HAND)]
        mode = None if livemode is None else _mode(livemode)
        new = StoredEndpoint(id=known or f"{BY_HAND}{token_hex(4)}", secret=SecretStr(secret), mode=mode)
        stored = stored.with_endpoint(new, time.time(), replaced)
    changes: dict[str, object] = {"url": url or stored.url}
    if api_key:
        changes["api_key"] = SecretStr(api_key)
    return str(write_account(settings.tillstream_data, account, stored.model_copy(update=changes)))


def webhook_url(settings: Settings, intent: Intent, stored: StoredAccount, *, livemode: bool) -> str:
    """Where Stripe shall send to: as asked, else TILLSTREAM_PUBLIC_URL, else as last time.

    With the simulator as Stripe, the door on this machine will do. Raises ConfigurationError when nobody knows, or
    when Stripe would not send there.
    """
    simulated = settings.stripe_api_base != STRIPE
    known = intent.url or settings.tillstream_public_url or stored.url
    if not known and simulated:
        known = running(settings.tillstream_data).http_url
    if not known:
        raise ConfigurationError(
            "the address at which Stripe reaches the door is not known",
            remedy="tillstream connect --url https://hooks.example.com   (or set TILLSTREAM_PUBLIC_URL)",
        )
    try:
        url = with_path(web_address(known), intent.account)
    except ValueError as error:
        raise ConfigurationError(
            f"--url: {error}", remedy="tillstream connect --url https://hooks.example.com"
        ) from None
    if livemode and not simulated and urlsplit(url).scheme != "https":
        raise ConfigurationError(
            f"Stripe sends live events to https addresses only, and {url} is not one",
            remedy="put a proxy with a certificate in front of the door, and give its address by --url",
        )
    return url


def with_path(address: str, account: str) -> str:
    """The webhook address of an account below the door's."""
    if WEBHOOKS in urlsplit(address).path:
        return address
    return f"{address}{WEBHOOKS}" + ("" if account == DEFAULT_ACCOUNT else f"/{account}")


def secret_place(settings: Settings, account: str) -> str:
    """The file that holds an account's secret."""
    return str(secrets_path(settings.tillstream_data, account))


def _mode(livemode: bool) -> Literal["live", "test"]:
    return "live" if livemode else "test"


async def _door(settings: Settings, account: str, url: str, secret: str) -> Door:
    """Wait until the door of a running `up` accepts the secret; when none runs here, ask the public address once."""
    try:
        local = running(settings.tillstream_data).http_url
    except ConfigurationError:
        return await ask_door(url, secret)
    deadline = time.monotonic() + _DOOR_SECONDS
    door = await ask_door(with_path(local, account), secret)
    while door is not Door.TAKES and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        door = await ask_door(with_path(local, account), secret)
    return door


async def _still_needed(api: StripeApi, door: Door | None) -> bool:
    """Does the old endpoint have to stay? While the new secret is not in force, or events are still on their way."""
    if door is not Door.TAKES:
        return True
    try:
        return await endpoint_api.undelivered(api) > 0
    except PermissionMissing:  # not allowed to know: sweeps find what it had left to deliver
        return False
