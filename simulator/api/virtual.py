"""A whole Stripe to talk to: worlds that live on a virtual clock, accounts in both modes, keys, endpoints, webhooks."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

from simulator.api.faults import ApiFaults
from simulator.api.keys import Keys, livemode_of
from simulator.api.thin_events import ThinEvents
from simulator.api.views import Views
from simulator.delivery.account import Account, accounts_of
from simulator.delivery.webhooks import Webhooks
from simulator.errors import ApiError
from simulator.rendering.shapes import NEWEST
from simulator.world.history import World

_TICK_SECONDS = 0.1  # real ones, between two steps of a running clock


class VirtualStripe:
    """Holds `worlds` (at most one a mode). `version` is the accounts' default API version, `timezone` the dashboard's.

    A world that is live answers live keys (`sk_live_…`, `rk_live_…`), a test one test keys; the other mode is empty.
    The clock stands at `at` (Unix seconds; by default where the worlds have been lived to) until `advance` or
    `running` moves it. What happened before is history that no endpoint is told of. `faults` are the API's,
    `webhooks.faults` the deliveries'; `requests` counts by path what was asked.
    """

    def __init__(self, *worlds: World, version: str = NEWEST, timezone: str = "Etc/UTC", at: int | None = None) -> None:
        self._worlds = worlds
        self._now = max(world.lived_to for world in worlds) if at is None else at
        self.keys, self.faults = Keys(), ApiFaults()
        self.requests: Counter[str] = Counter()
        self.accounts = accounts_of(*worlds, now=self.now, version=version, timezone=timezone)
        self.webhooks = Webhooks(list(self.accounts.values()), self.now, self._time_of_day)
        self.views = {
            place: Views(account.books, self.now, account.api_version, self.webhooks.pending)
            for place, account in self.accounts.items()
        }
        self.thin = {place: ThinEvents(account.books, self.now) for place, account in self.accounts.items()}
        self._live_on()
        self.webhooks.skip()

    def now(self) -> int:
        """Unix seconds on the virtual clock."""
        return self._now

    async def advance(self, seconds: int) -> None:
        """Move the clock on, and wait until every delivery that is due by then was tried."""
        await self.advance_to(self._now + seconds)

    async def advance_to(self, at: int) -> None:
        """As `advance`; the clock never goes back."""
        self._step(at)
        await self.webhooks.drain()

    @contextlib.asynccontextmanager
    async def running(self, speed: float = 1.0) -> AsyncIterator[None]:
        """Let the clock run by itself, `speed` virtual seconds a real one, but not past the real time of day."""
        tasks = [asyncio.create_task(self._tick(speed)), asyncio.create_task(self._deliver())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def account(self, name: str = "default", *, livemode: bool = True) -> Account:
        """An account by its name in the world. Raises KeyError."""
        return self.accounts[name, livemode]

    def opened_by(self, key: str, chosen: str | None) -> Account:
        """The account that `key` opens; `chosen` is the header `Stripe-Account`. Raises ApiError 403."""
        livemode = livemode_of(key)
        mine = [account for account in self.accounts.values() if account.livemode == livemode]
        if chosen is not None:
            for account in mine:
                if chosen in (account.id, account.name):
                    return account
            message = (
                f"The provided key '{key[:8]}' does not have access to account '{chosen}' (or that account does not "
                "exist). Application access may have been revoked."
            )
            raise ApiError(403, "account_invalid", message)
        name = self.keys.account(key)
        return next((account for account in mine if account.name == name), mine[0])

    def _time_of_day(self) -> int:
        """The real one, as Stripe's clock shows it."""
        return int(time.time() + self.faults.clock_skew_seconds)

    def _step(self, at: int) -> None:
        self._now = max(self._now, at)
        self._live_on()
        self.webhooks.feed()

    def _live_on(self) -> None:
        for world in self._worlds:
            world.advance(self._now)

    async def _tick(self, speed: float) -> None:
        exact, last = float(self._now), time.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            moment = time.monotonic()
            exact, last = min(exact + (moment - last) * speed, max(time.time(), exact)), moment
            self._step(int(exact))

    async def _deliver(self) -> None:
        while True:
            await self.webhooks.drain()
            await asyncio.sleep(_TICK_SECONDS)
