"""The simulator as Stripe for tests of the connector, with the faults that a test asks for in front of it."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer

from connector.stripe_api import StripeAccess
from schemas import topics
from schemas.envelope import read_envelope
from simulator.api.app import create_app
from simulator.world.books import Books
from simulator.world.history import World
from simulator.world.objects import State

START = 1_767_225_600
KEY = "sk_live_simulated"

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def error(status: int, message: str, **more: str) -> web.Response:
    """An error in Stripe's form; `more` are further fields of it, `retry_after` the header."""
    headers = {"Retry-After": more.pop("retry_after")} if "retry_after" in more else {}
    body = {"error": {"message": message, "type": "api_error", **more}}
    return web.json_response(body, status=status, headers=headers)


async def no_events(request: web.Request) -> web.Response | None:
    """A fault: the account has no events, so that nothing is swept and only what was asked for is told."""
    page = {"object": "list", "data": [], "has_more": False}
    return web.json_response(page) if request.path == "/v1/events" else None


@dataclass
class Stripe:
    """A running simulator: what was asked of it, and a fault that may answer in its place."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    fault: Fault | None = None

    def access(self, **more: object) -> StripeAccess:
        """A fast access to it."""
        given: dict[str, Any] = {"account": "default", "api_key": KEY, "base": self.url, "rate": 10_000.0}
        return StripeAccess(**given | more)

    def count(self, path: str) -> int:
        """How often a path was asked for, whatever its query."""
        return Counter(path.partition("?")[0] for path in self.asked)[path]


@asynccontextmanager
async def simulated(world: World) -> AsyncIterator[Stripe]:
    """`world` behind HTTP."""
    stripe = Stripe()

    @web.middleware
    async def watched(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        stripe.asked.append(request.path_qs)
        if stripe.fault is not None and (answer := await stripe.fault(request)) is not None:
            return answer
        return await handler(request)

    app = create_app(world)
    app.middlewares.insert(0, watched)
    async with TestServer(app) as server:
        stripe.url = f"http://127.0.0.1:{server.port}"
        yield stripe


async def published(bootstrap: str, prefix: str, topic: topics.Topic = topics.STRIPE_EVENTS) -> list[dict[str, Any]]:
    """Everything that is on a topic now, a partition after the other; events as envelopes."""
    name = topics.full_name(topic, prefix)
    found: list[dict[str, Any]] = []
    async with AIOKafkaConsumer(name, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        partitions = list(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for messages in (await consumer.getmany(timeout_ms=200)).values():
                found += [_read(topic, message) for message in messages]
    return found


def _read(topic: topics.Topic, message: Any) -> dict[str, Any]:
    if topic is topics.STRIPE_EVENTS:
        return read_envelope(message.value, message.headers).model_dump(mode="json")
    told: dict[str, Any] = orjson.loads(message.value)
    return told


def listed(books: Books) -> dict[str, list[State]]:
    """All that Stripe's lists give of an account, by resource."""
    return {
        "customers": list(books.customers.values()),
        "invoice_payments": list(books.invoice_payments.values()),
        "subscriptions": list(books.subscriptions.values()),
        "invoices": [one for one in books.invoices.values() if one.status != "deleted"],
        "charges": list(books.charges.values()),
        "refunds": list(books.refunds.values()),
    }
