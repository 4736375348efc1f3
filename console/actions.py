"""What the console can have done, and asks others: the connector, the operations, the doctor.

Settings are read anew for each, since connecting changes what is stored beside them.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from connector import connecting, disconnecting, endpoint_api
from connector.access import accesses, required_accesses
from connector.errors import KeyRevoked
from connector.imports.board import Board, connector_runs
from connector.imports.jobs import Job, new_id
from connector.imports.ranges import FOUNDED
from connector.imports.resources import chosen
from connector.permissions import dashboard_timezone, lacking
from connector.places import find_places
from connector.reconcile.account import Asked, reconcile
from connector.stripe_api import StripeAccess, StripeApi
from console.setting_up import SettingUp
from console.shapes import Compared, Comparison, Connection, Kept, Merging, Mover, Part, Signing
from doctor.facts import Facts, OwnBroker
from doctor.gather import gather
from doctor.rules import findings
from engage import requests
from operations import closing, forgetting, merging, rewriting
from operations.dead_letters import try_again
from operations.relink import Customer
from reports.books import Closing, Month
from reports.dead_letters import Choice
from schemas.errors import ConfigurationError, TillstreamError
from schemas.money import major
from schemas.verdict import Verdict, verdict
from settings.loading import load_settings
from settings.runtime import running
from settings.secrets import read_account
from settings.table import Settings
from warehouse.address import find_address
from warehouse.client import Warehouse
from warehouse.waiting import open_warehouse

_JUDGED_SECONDS = 2.0  # several pages that are open get one verdict
_STRIPE_SECONDS = 60.0  # and Stripe is asked as often as by `status --watch`
_UTC = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT"})  # days are the same in all of them
_ANOTHER_KEY = "make another one at https://dashboard.stripe.com/apikeys, and paste it here"
_PATIENCE = 15.0  # seconds of Stripe being away: a person waits in front of the page
#: Which counters of a part's own page are shown, by part: (name, label that names them).
_COUNTERS = {"process": ("tillstream_ledger_events_total", "outcome"), "sink": ("tillstream_sink_lag", "")}


_FORGET_SECONDS = 20.0  # a browser waits for the answer; a role that takes longer goes on by itself


class Actions:
    """Each raises TillstreamError, whose text and remedy are shown. `own_broker` is asked for the verdict alone."""

    def __init__(self, settings: Settings, own_broker: Callable[[], OwnBroker]) -> None:
        self._data, self._own_broker = settings.tillstream_data, own_broker
        self.setting_up = SettingUp(self._data)
        self._judging: asyncio.Task[Verdict] | None = None
        self._judged_at = -math.inf
        self._facts: Facts | None = None
        self._asked_at = -math.inf  # Stripe
        self._changes = 0  # what was found while something was changed is not kept

    async def judge(self) -> Verdict:
        """What `tillstream status` and `doctor` say, a moment old at most; what Stripe says in it, a minute."""
        judging = self._judging
        if judging is None or (judging.done() and time.monotonic() - self._judged_at > _JUDGED_SECONDS):
            judging = self._judging = asyncio.create_task(self._judge())
        return await asyncio.shield(judging)  # whoever gives up waiting leaves it to the others

    async def _judge(self) -> Verdict:
        try:
            changes, began = self._changes, time.monotonic()
            known = self._facts if began - self._asked_at < _STRIPE_SECONDS else None
            facts = await gather(self._settings(), self._own_broker, known, totals=False)
            if changes == self._changes:
                self._facts, self._asked_at = facts, self._asked_at if known else began
            return verdict(findings(facts))
        finally:
            self._judged_at = time.monotonic()

    async def parts(self) -> list[Part]:
        """Those of the running `up`; [] when none runs in the data directory."""
        try:
            runtime = running(self._data)
        except ConfigurationError:
            return []
        found = [
            (Part(name, state.ready, "" if state.ready else state.reason, state.restarts), state.health_url)
            for name, state in runtime.roles.items()
        ]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as session:
            return list(await asyncio.gather(*(_counted(session, part, url) for part, url in found)))

    async def connection(self, account: str) -> Connection:
        """Asks Stripe for the endpoints, if there is a key."""
        settings = self._settings()
        stored = read_account(self._data, account)
        known = settings.all_accounts().get(account)
        if known is None:
            raise ConfigurationError(f"there is no account '{account}'", remedy=f"add [accounts.{account}] to the file")
        found = Connection(
            account,
            stored.url or settings.tillstream_public_url,
            known.timezone or settings.tillstream_timezone,
            len(settings.webhook_secrets()[account]),
            has_key=False,
        )
        keys = accesses(settings, account, patience=_PATIENCE)
        if not keys:
            return found
        async with StripeApi(keys[0]) as api:
            found = replace(found, has_key=True, livemode=api.livemode)
            try:
                endpoints = await endpoint_api.endpoints(api, thin=False)
                zone = await dashboard_timezone(api)
            except TillstreamError as error:
                return replace(found, why=f"{error}. Next: {error.remedy}")
        ours = [one for one in endpoints if one.enabled and one.url == found.url]
        return replace(
            found,
            stripes_timezone="" if zone in _UTC and found.timezone in _UTC else zone,
            endpoint=ours[-1].id if ours else "",
            enabled=frozenset(ours[-1].types) if ours else frozenset(),
        )

    async def close_books(self, month: Month, who: str) -> Closing:
        """What the month comes to is kept."""
        async with Warehouse(find_address(self._settings())) as warehouse:
            return await closing.close(warehouse, month, who)

    async def kept(self, account: str) -> Kept:
        """Reads the settings and what is stored beside them."""
        found = disconnecting.kept(self._settings(), account)
        secrets = tuple(
            Signing(one.id, one.masked, one.origin, datetime.fromtimestamp(one.until, UTC) if one.until else None)
            for one in found.secrets
        )
        return Kept(found.key, found.url, secrets, found.stored)

    async def connect(self, account: str, *, api_key: str, url: str, extended: bool) -> list[str]:
        """As `tillstream connect` does."""
        with self._changing():
            return await self._connect(account, api_key, url, extended)

    async def disconnect(self, account: str) -> list[str]:
        """Stripe first, so that nothing is forgotten of what could not be taken back."""
        with self._changing():
            return await disconnecting.disconnect(self._settings(), account)

    async def add_secret(self, account: str, secret: str) -> str:
        """Beside those that are there."""
        settings = self._settings()
        disconnecting.kept(settings, account)  # raises for an account that there isn't
        if not secret:
            raise ConfigurationError("no signing secret was given", remedy="paste the one of the endpoint: whsec_…")
        with self._changing():
            connecting.store_by_hand(settings, account, secret=secret, replaces=False)
        return "The signing secret is kept: the door takes what it signs within a second or two"

    async def remove_secret(self, account: str, identifier: str) -> str:
        """What it signs is refused from now on."""
        with self._changing():
            masked = disconnecting.remove_secret(self._settings(), account, identifier)
        return f"{masked} is removed: the door refuses what it signs"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Around what changes the connection: the verdict is another one then."""
        try:
            yield
        finally:
            self._changes += 1
            self._facts, self._judging, self._asked_at = None, None, -math.inf

    async def _connect(self, account: str, api_key: str, url: str, extended: bool) -> list[str]:
        settings = self._settings()
        before = disconnecting.kept(settings, account)
        if api_key:
            rate = settings.tillstream_stripe_rate
            access = StripeAccess(account, api_key, settings.stripe_api_base, rate=rate, patience=_PATIENCE)
            _ = access.livemode  # raises for what is no key
        elif found := accesses(settings, account, patience=_PATIENCE):
            access = found[0]
        else:
            raise ConfigurationError(
                "there is no API key to connect with",
                remedy="give one, or make the endpoint by hand in Stripe's dashboard and add its signing secret",
            )
        intent = connecting.Intent(account, url, extended)
        async with StripeApi(access) as api:
            try:
                prepared = await connecting.prepare(api, settings, intent)
            except KeyRevoked as error:
                raise ConfigurationError(str(error), remedy=_ANOTHER_KEY) from None
            done = await connecting.carry_out(api, settings, intent, prepared)
        told = []
        if api_key:  # only now: one that Stripe refuses is not kept
            connecting.store_by_hand(settings, account, api_key=api_key)
            kept = "kept, readable by Tillstream alone"
            told.append(f"{kept}; the API key of the settings goes before it" if before.key == "settings" else kept)
        mode = "live" if prepared.report.livemode else "test"
        wish = prepared.wish
        told.append(f"endpoint {done.endpoint} sends {len(wish.types)} types in {mode} mode to {wish.url}")
        if done.door is not None:
            takes = "takes its events" if done.door == "takes" else "does not take its secret yet"
            told.append(f"the door {takes}")
        return [*told, *(sentence for sentence, _ in lacking(account, prepared.report.missing))]

    async def start_import(self, account: str) -> str:
        """As `tillstream import` does: the connector goes on with it whatever becomes of the console."""
        settings = self._settings()
        (access,) = required_accesses(settings, account)
        places = find_places(settings)
        resources = tuple(resource.name for resource in chosen(""))
        async with Board(places.kafka, places.prefix) as board:
            under_way = board.open(account) is not None
            await board.ask(Job(new_id(time.time()), account, access.livemode, FOUNDED, resources))
        if under_way:
            return f"the import of {account} is under way"
        if await connector_runs(places.kafka, places.prefix):
            return f"the import of {account} has begun"
        return f"the import of {account} begins as soon as a connector runs: tillstream connector"

    async def compare(self, account: str, day: date) -> Comparison:
        """As `tillstream reconcile` does for one day."""
        settings = self._settings()
        (access,) = required_accesses(settings, account, patience=_PATIENCE)
        zone = settings.all_accounts()[account].timezone or settings.tillstream_timezone
        asked = Asked(first=day, last=day)
        found = await reconcile(access, find_places(settings), zone, asked, lambda _name, _count: None)
        rows = tuple(
            Compared(
                key[0],
                key[1],
                cell.ours[0],
                _amount(cell.ours[1], key[1]),
                cell.stripes[0],
                _amount(cell.stripes[1], key[1]),
            )
            for key, cell in sorted(found.comparison.cells.items())
        )
        differences = {
            one.id: f"{one.fact.metric}: {', '.join(one.what) or one.kind}" for one in found.comparison.differences
        }
        right = found.comparison.right_zone
        remark = f"it would be equal if days were counted in {right}" if right else ""
        return Comparison(account, day, found.livemode, found.comparison.equal, rows, differences, remark)

    async def replay_letters(self) -> str:
        """As `tillstream deadletters replay --all` does."""
        tried = await try_again(self._settings(), Choice())
        rest = f"; {len(tried.impossible):,} can't be" if tried.impossible else ""
        return f"{tried.published:,} dead letters were tried again{rest}; what fails again is a new one"

    async def merging(self, email: str) -> Merging:
        """Asks ClickHouse."""
        warehouse = await asyncio.to_thread(open_warehouse, self._settings())
        found = await asyncio.to_thread(merging.meant, warehouse, email)
        came = await asyncio.to_thread(merging.merged, warehouse, email)
        return Merging(_movers(found.moving), found.guests, _movers(came))

    async def merge(self, email: str, into: str) -> str:
        """Publishes what asks the ledger for it."""
        settings = self._settings()
        warehouse = await asyncio.to_thread(open_warehouse, settings)
        await asyncio.to_thread(merging.into_somebody, warehouse, email, into)
        found = await asyncio.to_thread(merging.meant, warehouse, email)
        if not found.moving:
            raise ConfigurationError(f"{email} has no customer of Stripe's: there is nothing that could be moved")
        await merging.publish(settings, found.moving, into)
        return f"Everything of {email} is being moved to {into}: it takes some seconds"

    async def unmerge(self, email: str) -> str:
        """Publishes what takes merges back."""
        settings = self._settings()
        warehouse = await asyncio.to_thread(open_warehouse, settings)
        came = await asyncio.to_thread(merging.merged, warehouse, email)
        await merging.publish(settings, came, "")
        return "They are being sent back to whom Stripe says: it takes some seconds"

    async def suppress(self, email: str, *, live: bool, who: str, why: str = "") -> str:
        """No mail to them from now on, receipts included."""
        detail = f"by {who}: {why}" if why else f"by {who}"
        await requests.publish(self._settings(), requests.suppress(email, "suppressed", (live,), detail))
        return f"{email} gets no more mail: it takes a second"

    async def unsuppress(self, email: str, *, live: bool, who: str) -> str:
        """Whatever the reason was."""
        await requests.publish(self._settings(), requests.suppress(email, "", (live,), f"by {who}"))
        return f"{email} may get mail again: it takes a second"

    async def forget(self, email: str, *, dry_run: bool) -> Mapping[str, int]:
        """As `tillstream forget` does."""
        settings = self._settings()
        warehouse = await asyncio.to_thread(open_warehouse, settings)
        person = await asyncio.to_thread(forgetting.find, warehouse, email)
        if dry_run:
            return await asyncio.to_thread(rewriting.count, warehouse, person)
        return (await forgetting.forget(settings, warehouse, person, _FORGET_SECONDS)).rows

    def _settings(self) -> Settings:
        return load_settings(tillstream_data=Path(self._data))


def _movers(found: Iterable[Customer]) -> tuple[Mover, ...]:
    return tuple(Mover(one.customer_id, one.livemode, one.rows) for one in found)


async def _counted(session: aiohttp.ClientSession, part: Part, url: str) -> Part:
    if not url or part.name not in _COUNTERS:
        return part
    name, label = _COUNTERS[part.name]
    with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
        async with session.get(f"{url}/metrics") as answer:
            text = await answer.text()
        counts: dict[str, float] = {} if label else {"lag": 0.0}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    key = sample.labels.get(label, "") if label else "lag"
                    counts[key] = counts.get(key, 0.0) + sample.value
        return replace(part, counts=counts)
    return part


def _amount(minor: int, currency: str) -> Decimal:
    return Decimal(major(minor, currency))
