"""Webhooks as Stripe sends them: signed at sending, retried until accepted, and as untidy as one asks for.

Source: Stripe, "Verify webhook signatures" and "Webhooks: event delivery behaviors".
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from schemas.errors import ConfigurationError
from simulator.delivery.plan import Delivery, Faults, plan
from simulator.delivery.signing import sign
from simulator.rendering.objects import event_body
from simulator.world.objects import Event

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts; Stripe's own are hours, a test's can't be
_ATTEMPT_SECONDS = 20.0  # Stripe too hangs up on a slow endpoint

__all__ = ["Delivery", "Faults", "SendReport", "plan", "send", "sign"]


@dataclass(slots=True)
class SendReport:
    """`sent` deliveries (`duplicates` of them second ones), how many were `accepted` by 2xx, and what was not.

    `retries` counts attempts after a delivery's first. `dropped` were never sent on purpose; `failed` names the
    events of the `failures`, each with the last status or error.
    """

    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    retries: int = 0
    failures: int = 0
    seconds: float = 0.0
    dropped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def _target(url: str, event: Event) -> str:
    """`url` as it is when it has a path; else the endpoint of the event's account (connected ones share one)."""
    parsed = URL(url)
    if parsed.path not in ("", "/"):
        return url
    shared = event.account == "default" or event.account.startswith("acct_")
    return str(parsed.with_path("/webhooks/stripe" if shared else f"/webhooks/stripe/{event.account}"))


def _require_loopback(url: str) -> None:
    host = URL(url).host or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise ConfigurationError(
            f"{host or url} is not this machine, and simulated events would mix with real ones there",
            remedy="send to 127.0.0.1, or pass allow_remote=True",
        )


async def send(
    events: Sequence[Event],
    url: str,
    secret: str,
    *,
    rate: float | None = None,
    concurrency: int = 16,
    faults: Faults | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    give_up_seconds: float = 120.0,
    allow_remote: bool = False,
) -> SendReport:
    """Post `events` to `url` (the door's base, or the whole endpoint), at most `rate` deliveries a second.

    5xx answers, 429 and broken connections are tried again until nothing was accepted for `give_up_seconds`; any
    other answer but 2xx is a failure at once. `on_progress(done, total)` counts deliveries. Raises
    ConfigurationError for a host that isn't this machine, unless `allow_remote`.
    """
    if not allow_remote:
        _require_loopback(url)
    deliveries, dropped = plan(events, faults or Faults(), seed)
    report = SendReport(dropped=dropped)
    began = time.monotonic()
    connector = aiohttp.TCPConnector(limit=concurrency)
    timeout = aiohttp.ClientTimeout(total=_ATTEMPT_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        run = _Run(session, url, secret, report, deliveries, rate, on_progress, give_up_seconds)
        await asyncio.gather(*(run.work() for _ in range(max(1, concurrency))))
    report.seconds = time.monotonic() - began
    return report


class _Run:
    """What the workers of one `send` share."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        secret: str,
        report: SendReport,
        deliveries: list[Delivery],
        rate: float | None,
        on_progress: Callable[[int, int], None] | None,
        give_up_seconds: float,
    ) -> None:
        self._session, self._url, self._secret, self._report = session, url, secret, report
        self._queue: Iterator[tuple[int, Delivery]] = enumerate(deliveries)
        self._total, self._done = len(deliveries), 0
        self._pause_each = 1 / rate if rate else 0.0
        self._on_progress = on_progress
        self._give_up_seconds = give_up_seconds
        self._began = self._last_accepted = time.monotonic()

    async def work(self) -> None:
        """Take deliveries in order, one at a time, until none is left."""
        for place, delivery in self._queue:
            wait = self._began + place * self._pause_each - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            error = await self._deliver(delivery)
            report = self._report
            report.sent += 1
            report.duplicates += delivery.again
            if error:
                report.failures += 1
                report.failed[delivery.event.id] = error
            else:
                report.accepted += 1
            self._done += 1
            if self._on_progress:
                self._on_progress(self._done, self._total)

    async def _deliver(self, delivery: Delivery) -> str:
        """Post until accepted; '' then, else why not."""
        body = event_body(delivery.event, delivery.version)
        target = _target(self._url, delivery.event)
        pause = _FIRST_PAUSE
        while True:
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                "Stripe-Signature": sign(body, self._secret, int(time.time())),
            }
            try:
                async with self._session.post(target, data=body, headers=headers) as answer:
                    if answer.status < 300:
                        self._last_accepted = time.monotonic()
                        return ""
                    problem = f"HTTP {answer.status}"
                    if answer.status < 500 and answer.status != 429:
                        return problem
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = f"{type(error).__name__}: {error}"
            if time.monotonic() + pause > self._last_accepted + self._give_up_seconds:
                return problem
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            self._report.retries += 1
