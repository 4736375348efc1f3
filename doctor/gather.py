"""Looks at everything that the rules judge. Whatever does not answer becomes a fact of its own; nothing is changed."""

import asyncio
import math
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from connector import endpoint_api
from connector.access import accesses
from connector.connecting import with_path
from connector.endpoint import Endpoint
from connector.endpoint_probe import ask_door
from connector.errors import BadRequest, KeyRevoked, NotFound, PermissionMissing
from connector.permissions import MANAGED, examine, lacking
from connector.places import Places, find_places
from connector.stripe_api import API_VERSION, STRIPE, StripeAccess, StripeApi
from doctor import gather_data, gather_files, gather_kafka
from doctor.facts import AccountFacts, ClickHouseFacts, Facts, MachineFacts, OwnBroker, PartFacts, StripeFacts
from doctor.gather_data import Known
from doctor.health import ask
from engage import mail_links
from schemas.errors import ConfigurationError, TillstreamError, Unavailable
from schemas.stripe_types import EVENT_TYPES
from settings.runtime import Runtime, open_to_others, running
from settings.secrets import StoredAccount, read_account, secrets_directory, too_open
from settings.table import Account, Settings
from streams.losses import all_losses
from warehouse.address import Address, settings_address

_PATIENCE = 5.0  # seconds that Stripe may be away


async def gather(
    settings: Settings, own_broker: Callable[[], OwnBroker], earlier: Facts | None = None, *, totals: bool = True
) -> Facts:
    """All facts; with `earlier` ones, this machine and Stripe are not asked again. `totals`: also how many rows."""
    try:
        runtime = running(settings.tillstream_data)
    except ConfigurationError:
        runtime = None
    places = _places(settings)
    project = Path(runtime.project) if runtime and runtime.project else settings.project
    machine, parts, kafka, (clickhouse, known), segments, flows = await asyncio.gather(
        _machine(settings, own_broker, earlier),
        _parts(runtime),
        gather_kafka.kafka_facts(places.kafka, places.prefix) if places else _nothing(),
        _clickhouse(settings, places, totals),
        asyncio.to_thread(gather_files.segment_facts, project),
        asyncio.to_thread(gather_files.flow_facts, project),
    )
    before = {account.name: account for account in earlier.accounts} if earlier else {}
    accounts = await asyncio.gather(
        *(
            _account(settings, name, account, known, runtime, before.get(name))
            for name, account in settings.all_accounts().items()
        )
    )
    mail = await asyncio.to_thread(mail_links.facts, settings)
    return Facts(
        machine,
        parts,
        kafka,
        clickhouse,
        tuple(accounts),
        settings.stripe_api_base != STRIPE,
        mail,
        segments,
        flows,
        _no_mail(settings, runtime),
        tuple(all_losses(settings.tillstream_data)),
    )


def _no_mail(settings: Settings, runtime: Runtime | None) -> tuple[str, ...]:
    """What a running `up` lacks for mails, else what these settings do; everybody reads what was set in the browser."""
    if runtime is None or runtime.mails is None:
        return _lacking(settings)
    return () if runtime.mails or "smtp_url" in settings.from_browser else ("SMTP_URL",)


def _lacking(settings: Settings) -> tuple[str, ...]:
    needed = {"SMTP_URL": settings.smtp_url, "TILLSTREAM_MAIL_FROM": settings.tillstream_mail_from}
    return tuple(name for name, value in needed.items() if not value)


async def _nothing() -> None:
    return None


async def _machine(settings: Settings, own_broker: Callable[[], OwnBroker], earlier: Facts | None) -> MachineFacts:
    return earlier.machine if earlier else await asyncio.to_thread(lambda: machine_facts(settings, own_broker()))


def _places(settings: Settings) -> Places | None:
    try:
        return find_places(settings)
    except ConfigurationError:
        return None


def machine_facts(settings: Settings, own_broker: OwnBroker) -> MachineFacts:
    """The data directory, the disk, and what the own broker needs."""
    data = settings.tillstream_data
    there = next(path for path in (data, *data.absolute().parents) if path.exists())
    disk = shutil.disk_usage(there)
    return MachineFacts(
        data=str(data),
        writable=_writable(there),
        open_to_others=data.exists() and bool(data.stat().st_mode & stat.S_IWOTH),
        open_state=tuple(str(path) for path in open_to_others(data) if path != secrets_directory(data)),
        open_secrets=tuple(map(str, too_open(data))),
        disk_free=disk.free,
        disk_total=disk.total,
        java=own_broker.java,
        maven=shutil.which("mvn") is not None,
        needs_broker=not settings.kafka_bootstrap_servers,
        fetched=own_broker.fetched,
    )


def _writable(directory: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".tillstream-"):
            return True
    except OSError:
        return False


async def _parts(runtime: Runtime | None) -> tuple[PartFacts, ...] | None:
    """Each part of the running `up`, asked by its own health page where it has one."""
    if runtime is None:
        return None

    async def one(name: str) -> PartFacts:
        state = runtime.roles[name]
        reason = state.reason if not state.ready else ""
        if state.ready and state.health_url:  # services have no pages of their own: the supervisor's probe
            reason = await ask(f"{state.health_url}/readyz")
        return PartFacts(name, not reason, reason, state.restarts)

    return tuple(await asyncio.gather(*map(one, runtime.roles)))


async def _clickhouse(settings: Settings, places: Places | None, totals: bool) -> tuple[ClickHouseFacts | None, Known]:
    config: Address = places.warehouse if places else settings_address(settings)
    if not config.url:
        return None, Known()
    return await gather_data.clickhouse_facts(config, totals=totals)


async def _account(
    settings: Settings,
    name: str,
    account: Account,
    known: Known,
    runtime: Runtime | None,
    before: AccountFacts | None,
) -> AccountFacts:
    stored = read_account(settings.tillstream_data, name)
    secrets = [secret.get_secret_value() for secret in account.webhook_secrets]
    access = next(iter(accesses(settings, name, patience=_PATIENCE)), None)
    kind = _kind_of(access) if access else ""
    livemode = kind == "live"
    url = _url(settings, name, stored, runtime)
    stripe, door = (before.stripe, before.door) if before else (None, "")
    if before is None and access is not None and kind != "odd":
        stripe = await stripe_facts(access)
    if before is None and url and secrets:
        newest = next(iter(stored.secrets()), None)
        door = await ask_door(url, newest.get_secret_value() if newest else secrets[0])
    run = known.runs.get((name, livemode)) if kind else None
    return AccountFacts(
        name=name,
        mode=account.mode or settings.tillstream_mode,
        timezone=account.timezone or settings.tillstream_timezone,
        secrets=len(secrets),
        odd_secrets=0 if settings.stripe_api_base != STRIPE else sum(not one.startswith("whsec_") for one in secrets),
        key=kind,
        url=url,
        door=door,
        types=EVENT_TYPES,
        api_version=API_VERSION,
        stored_endpoints=tuple(endpoint.id for endpoint in stored.endpoints),
        received=known.received.get(name, frozenset()),
        silent_for=time.time() - known.newest.get(name, -math.inf) if known.answered else None,
        stripe=stripe,
        imports=known.imports.get((name, livemode), {}) if known.answered else None,
        import_wanted=settings.tillstream_import == "wanted",
        sweep=known.sweeps.get((name, livemode), gather_data.NEVER) if known.answered else None,
        sweep_seconds=settings.tillstream_sweep_minutes * 60,
        swept_lately=any(
            whose == name and sweep.age < 2 * settings.tillstream_sweep_minutes * 60
            for (whose, _), sweep in known.sweeps.items()
        ),
        last_run=run,
        run_age=time.time() - run.checked_at if run else 0.0,
        balance=known.balances.get((name, livemode)) if kind else None,
        tieout=known.tieouts.get((name, livemode)) if kind else None,
    )


def _kind_of(access: StripeAccess) -> str:
    try:
        return "live" if access.livemode else "test"
    except ConfigurationError:
        return "odd"


def _url(settings: Settings, name: str, stored: StoredAccount, runtime: Runtime | None) -> str:
    """Where its webhooks should be sent to, as far as anybody said."""
    known = settings.tillstream_public_url or stored.url
    if not known and settings.stripe_api_base != STRIPE and runtime is not None:
        known = runtime.http_url
    return with_path(known, name) if known else ""


async def stripe_facts(access: StripeAccess) -> StripeFacts:
    """What Stripe says of the key, the account and its endpoints."""
    async with StripeApi(access) as api:
        try:
            report = await examine(api)
            endpoints = None
            if not any(missing.resource == MANAGED for missing in report.missing):
                endpoints = (*await endpoint_api.endpoints(api, thin=False), *await _thin_endpoints(api))
        except KeyRevoked as error:
            return StripeFacts(("key-revoked", str(error), error.remedy))
        except Unavailable as error:
            return StripeFacts(("stripe-unreachable", str(error), error.remedy or "https://status.stripe.com"))
        except TillstreamError as error:
            return StripeFacts(("stripe-refuses", str(error), error.remedy or "tillstream connect"))
    missing = tuple(lacking(access.account, report.missing))
    return StripeFacts(None, report.livemode, report.timezone, report.clock, missing, endpoints)


async def _thin_endpoints(api: StripeApi) -> list[Endpoint]:
    """Most accounts have none, and many keys may not look."""
    try:
        return await endpoint_api.endpoints(api, thin=True)
    except (PermissionMissing, BadRequest, NotFound):
        return []
