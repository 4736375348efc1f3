"""Events on their way to the endpoints, on the virtual clock: who gets which, when it is tried again, what is pending.

Source: Stripe, "Webhooks: event delivery behaviors". An attempt is a real POST, signed afresh with the real time.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import aiohttp
import orjson

from simulator.delivery import retries
from simulator.delivery.account import Account
from simulator.delivery.endpoints import Endpoint
from simulator.delivery.faults import WebhookFaults
from simulator.delivery.signing import signature
from simulator.rendering.objects import event_json
from simulator.rendering.thin import notice_json
from simulator.world.objects import Event

_ATTEMPT_SECONDS = 20.0  # real ones; Stripe too hangs up on a slow endpoint
_KEPT_ATTEMPTS = 100_000
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST that was made: `at` on the virtual clock, `status` 0 when there was no answer."""

    event_id: str
    kind: str
    endpoint_id: str
    at: int
    status: int


@dataclass(order=True, slots=True)
class _Delivery:
    due: int
    order: int
    event: Event = field(compare=False)
    account: Account = field(compare=False)
    endpoint: Endpoint = field(compare=False)
    first: int = field(compare=False, default=0)
    tried: int = field(compare=False, default=0)


class Webhooks:
    """All deliveries of a virtual Stripe. `attempts` are the last ones that were made, oldest first.

    `now` is the virtual clock, `signed_at` the time of day that a signature names, in Unix seconds.
    """

    def __init__(
        self, accounts: list[Account], now: Callable[[], int], signed_at: Callable[[], int], *, concurrency: int = 16
    ) -> None:
        self.faults = WebhookFaults()
        self.attempts: deque[Attempt] = deque(maxlen=_KEPT_ATTEMPTS)
        self._accounts, self._now, self._signed_at, self._concurrency = accounts, now, signed_at, concurrency
        self._queue: list[_Delivery] = []
        self._upcoming: list[tuple[int, int, Event, Account]] = []  # events that a story made a little ahead of time
        self._read = {id(account): 0 for account in accounts}
        self._order = 0
        self._undelivered: dict[str, set[str]] = {}  # event → endpoints that have not taken it
        self._failing_since: dict[str, int] = {}
        self._draining = asyncio.Lock()

    def pending(self, event: Event) -> int:
        """How many endpoints have not taken this event: Stripe's `pending_webhooks`."""
        return len(self._undelivered.get(event.id, ()))

    def skip(self) -> None:
        """What happened up to now is history: nobody is told."""
        self._collect()

    def feed(self) -> None:
        """Queue what happened since for the endpoints that want it."""
        for event, account in self._collect():
            for endpoint in self._audience(event, account):
                self._queue_up(event, account, endpoint)

    async def drain(self) -> None:
        """Make all attempts that are due now, their due retries too; returns when none is left."""
        if not self._due():
            return
        timeout = aiohttp.ClientTimeout(total=_ATTEMPT_SECONDS)
        running: set[asyncio.Task[None]] = set()
        connector = aiohttp.TCPConnector(limit=self._concurrency)
        async with self._draining, aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            try:
                while running or self._due():
                    while len(running) < self._concurrency and self._due():
                        running.add(asyncio.create_task(self._try(session, heapq.heappop(self._queue))))
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    def _due(self) -> bool:
        return bool(self._queue) and self._queue[0].due <= self._now()

    def _collect(self) -> Iterator[tuple[Event, Account]]:
        """The events up to now that were not collected before, in order of time."""
        for account in self._accounts:
            events, read = account.books.events, self._read[id(account)]
            for event in events[read:]:
                self._order += 1
                heapq.heappush(self._upcoming, (event.created, self._order, event, account))
            self._read[id(account)] = len(events)
        found = []
        while self._upcoming and self._upcoming[0][0] <= self._now():
            _, _, event, account = heapq.heappop(self._upcoming)
            found.append((event, account))
        return iter(found)

    def _audience(self, event: Event, account: Account) -> Iterator[Endpoint]:
        """Its own endpoints, and of a connected account (`acct_…`) the platform's for connected ones."""
        connected = account.name.startswith("acct_")
        for owner in self._accounts:
            if owner.livemode != account.livemode:
                continue
            for endpoint in owner.endpoints:
                own = owner is account and not endpoint.connect
                platforms = connected and endpoint.connect and owner is not account
                if (own or platforms) and endpoint.status == "enabled" and endpoint.wants(event.type):
                    yield endpoint

    def _queue_up(self, event: Event, account: Account, endpoint: Endpoint) -> None:
        faults = self.faults
        rng = random.Random(f"webhooks/{faults.seed}/{event.id}")
        if rng.random() < faults.lost:
            return
        late = faults.late_seconds if rng.random() < faults.late else 0
        twice = rng.random() < faults.duplicate
        for _ in range(2 if twice else 1):
            due = event.created + late + int(rng.random() * faults.shuffle_seconds)
            self._order += 1
            heapq.heappush(self._queue, _Delivery(due, self._order, event, account, endpoint, first=due))
        self._undelivered.setdefault(event.id, set()).add(endpoint.id)

    async def _try(self, session: aiohttp.ClientSession, delivery: _Delivery) -> None:
        """One attempt; what fails is queued again as long as Stripe would."""
        event, account, endpoint = delivery.event, delivery.account, delivery.endpoint
        if endpoint.status != "enabled":  # disabled or deleted: Stripe doesn't try again
            return
        status = await self.send(session, endpoint, self._body(event, account, endpoint))
        self.attempts.append(Attempt(event.id, event.type, endpoint.id, delivery.due, status))
        if 200 <= status < 300:
            self._failing_since.pop(endpoint.id, None)
            waiting = self._undelivered.get(event.id, set())
            waiting.discard(endpoint.id)
            if not waiting:
                self._undelivered.pop(event.id, None)
            return
        since = self._failing_since.setdefault(endpoint.id, delivery.due)
        if retries.gives_up(since, delivery.due):
            endpoint.status = "disabled"
            return
        delivery.tried += 1
        again = retries.next_try(delivery.tried, delivery.first, delivery.due, livemode=account.livemode)
        if again is not None:
            delivery.due = again
            heapq.heappush(self._queue, delivery)

    async def send(self, session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes) -> int:
        """Post `body` now; the answer's status, 0 when there is none. A redirect is an answer: Stripe follows none."""
        headers = _HEADERS | {"Stripe-Signature": signature(body, endpoint.secrets, self._signed_at())}
        try:
            async with session.post(endpoint.url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    def _body(self, event: Event, account: Account, endpoint: Endpoint) -> bytes:
        if endpoint.thin:
            return orjson.dumps(notice_json(event))
        shown = event_json(event, endpoint.api_version or account.api_version)
        return orjson.dumps(shown | {"pending_webhooks": self.pending(event)})
