"""The faults of the API, in front of its routes."""

import asyncio
import random
import time
from email.utils import formatdate

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulator.api.faults import Bucket, Fault
from simulator.api.keys import key_in, livemode_of
from simulator.api.virtual import VirtualStripe
from simulator.errors import ApiError

_CURSORS = ("starting_after", "ending_before")


def failing(stripe: VirtualStripe) -> Middleware:
    """A middleware that lets a request meet what `stripe.faults` says, and dates the answers."""
    buckets = {True: Bucket(), False: Bucket()}
    last_pages: dict[str, bytes] = {}
    rng = random.Random("faults")

    def within_rate(key: str) -> bool:
        livemode = livemode_of(key)
        rate = stripe.faults.live_rate if livemode else stripe.faults.test_rate
        return rate is None or buckets[livemode].take(rate, time.monotonic())

    async def strike(fault: Fault, request: web.Request, key: str) -> web.StreamResponse | None:
        """What the fault answers; None when it only changed something. Raises ApiError."""
        if fault.what == "error":
            raise _broken()
        if fault.what == "too_many":
            raise _too_many(fault.retry_after)
        if fault.what == "cursor_gone":
            param = next(name for name in _CURSORS if name in request.query)
            raise ApiError(400, "resource_missing", f"No such object: '{request.query[param]}'", param)
        if fault.what == "hang":
            await asyncio.Event().wait()
        if fault.what == "reset" and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if fault.what == "revoked":
            stripe.keys.revoke(key)
        if fault.what == "repeat_page" and (page := last_pages.get(request.path)):
            return web.Response(body=page, content_type="application/json")
        return None

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        faults = stripe.faults
        key = key_in(request.headers.get("Authorization", ""))
        stripe.requests[request.path] += 1
        if faults.latency_seconds:
            await asyncio.sleep(faults.latency_seconds)
        if faults.down:
            raise ApiError(503, None, "Stripe is down for a while.", kind="api_error")
        if not within_rate(key):
            raise _too_many(faults.retry_after)
        if faults.flaky and rng.random() < faults.flaky:
            raise _broken()
        fault = faults.strikes(request.path, cursor=any(name in request.query for name in _CURSORS))
        if fault is not None and (given := await strike(fault, request, key)) is not None:
            return given
        response = await handler(request)
        if faults.planned and isinstance(response, web.Response) and isinstance(response.body, bytes):
            last_pages[request.path] = response.body
        return response

    return middleware


def date_header(stripe: VirtualStripe) -> str:
    """Stripe's time of day: the real one, and the skew that is asked for. The virtual clock is the business's alone."""
    return formatdate(time.time() + stripe.faults.clock_skew_seconds, usegmt=True)


def _too_many(retry_after: int | None) -> ApiError:
    headers = {"Stripe-Rate-Limited-Reason": "global-rate"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    message = "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
    return ApiError(429, "rate_limit", message, headers=headers)


def _broken() -> ApiError:
    return ApiError(500, None, "An unknown error occurred.", kind="api_error")
