"""Stripe's REST API as far as Tillstream uses it: stripe-python talks to it unchanged.

Source: Stripe's API reference: Authentication, Errors, Idempotent requests, Request IDs, Versioning.
"""

import re
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulator.api import destinations, endpoints, reading
from simulator.api.answers import ACCOUNT, KEY, VERSION, answer
from simulator.api.failing import date_header, failing
from simulator.api.keys import key_in
from simulator.api.virtual import VirtualStripe
from simulator.errors import ApiError, bad_value, unknown_url
from simulator.rendering.shapes import NEWEST
from simulator.world.history import World

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?\Z")


def create_app(stripe: VirtualStripe | World, *, version: str = NEWEST) -> web.Application:
    """An aiohttp application that answers for `stripe` (for a World: one that stands still at its end).

    `version` is then the account's default API version. The key chooses mode and account, or the header
    `Stripe-Account` does.
    """
    held = VirtualStripe(stripe, version=version) if isinstance(stripe, World) else stripe
    app = web.Application(middlewares=[_as_stripe_answers(held), failing(held), _opening(held), _remembering()])
    app.add_routes(endpoints.routes(held))
    app.add_routes(destinations.routes(held))
    app.add_routes(reading.routes(held))
    return app


def _as_stripe_answers(stripe: VirtualStripe) -> Middleware:
    """Tell errors in Stripe's form, and give every request an id and a date."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except ApiError as error:
            response = answer({"error": error.body()}, error.status, error.headers)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            response = answer({"error": unknown_url(request.method, request.path).body()}, 404)
        response.headers["Request-Id"] = f"req_{secrets.token_hex(7)}"
        response.headers["Date"] = date_header(stripe)
        if VERSION in request:
            response.headers["Stripe-Version"] = request[VERSION]
        return response

    return middleware


def _opening(stripe: VirtualStripe) -> Middleware:
    """Check the key, and put the account that it opens and the wanted API version at the request."""

    @web.middleware
    async def opening(request: web.Request, handler: Handler) -> web.StreamResponse:
        key = key_in(request.headers.get("Authorization", ""))
        stripe.keys.check(key)
        account = stripe.opened_by(key, request.headers.get("Stripe-Account") or request.headers.get("Stripe-Context"))
        version = request.headers.get("Stripe-Version", account.api_version)
        if not _VERSION.match(version):
            raise bad_value("Stripe-Version", f"Invalid Stripe API version: {version}")
        request[KEY], request[ACCOUNT], request[VERSION] = key, account, version
        return await handler(request)

    return opening


def _remembering() -> Middleware:
    """The same `Idempotency-Key` again gets the answer that the first POST got."""
    answers: dict[tuple[str, str, str], tuple[int, bytes]] = {}

    @web.middleware
    async def remembering(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Idempotency-Key")
        if request.method != "POST" or given is None:
            return await handler(request)
        place = (request[KEY], request.path, given)
        if place not in answers:
            response = await handler(request)
            assert isinstance(response, web.Response)
            assert isinstance(response.body, bytes)
            answers[place] = (response.status, response.body)
            return response
        status, body = answers[place]
        headers = {"Idempotent-Replayed": "true"}
        return web.Response(body=body, status=status, content_type="application/json", headers=headers)

    return remembering
