"""A virtual Stripe behind HTTP on this machine: its API, and a small control of its clock and faults.

The control is for people and other processes; code in the same process uses the VirtualStripe itself.
"""

from dataclasses import asdict, fields
from types import TracebackType
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulator.api.answers import answer
from simulator.api.app import create_app
from simulator.api.virtual import VirtualStripe

_SHUTDOWN_SECONDS = 0.2  # requests that hang on purpose must not hold up the end


class StripeServer:
    """`async with StripeServer(stripe) as url:`. Port 0 is any free one; `url` is the API's base.

    `POST /simulator/clock` with `{"advance": seconds}` or `{"to": unix_second}`, `GET /simulator/clock`, and
    `POST /simulator/faults` with fields of WebhookFaults under "webhooks" and of ApiFaults (but `planned`) under "api".
    """

    def __init__(self, stripe: VirtualStripe, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._stripe, self._host, self._port = stripe, host, port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Such as `http://127.0.0.1:12111`; stays the same when it is entered again."""
        return f"http://{self._host}:{self._port}"

    async def __aenter__(self) -> str:
        app = create_app(self._stripe)
        app.middlewares.insert(0, _control(self._stripe))
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self.url

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


def _control(stripe: VirtualStripe) -> Middleware:
    """Answers before the API does, and asks for no key."""

    async def told(request: web.Request) -> web.Response:
        return answer({"now": stripe.now()})

    async def clock(request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        await stripe.advance_to(int(body["to"]) if "to" in body else stripe.now() + int(body["advance"]))
        return answer({"now": stripe.now()})

    async def faults(request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        _set(stripe.webhooks.faults, body.get("webhooks", {}))
        _set(stripe.faults, body.get("api", {}))
        return answer({"webhooks": asdict(stripe.webhooks.faults), "api": asdict(stripe.faults)})

    answers = {
        ("GET", "/simulator/clock"): told,
        ("POST", "/simulator/clock"): clock,
        ("POST", "/simulator/faults"): faults,
    }

    @web.middleware
    async def control(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await answers.get((request.method, request.path), handler)(request)

    return control


def _set(faults: Any, values: dict[str, Any]) -> None:
    known = {field.name for field in fields(faults)} - {"planned"}
    for name, value in values.items():
        if name not in known:
            raise web.HTTPBadRequest(text=f"no fault is called {name}; there are {', '.join(sorted(known))}\n")
        setattr(faults, name, value)
