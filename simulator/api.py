"""Enough of Stripe's REST API to compare with: list and retrieve, as stripe-python asks for them.

Source: Stripe's API reference: Pagination, Errors, Authentication, Expanding Responses, Versioning.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from simulator.api_views import ApiError, Views
from simulator.shapes import NEWEST
from simulator.world import World

_KEY_STARTS = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(world: World, *, version: str = NEWEST) -> web.Application:
    """An aiohttp application that answers for `world`; `version` is the account's default API version.

    The header `Stripe-Account` chooses one of the world's accounts, else the first one answers. Any key that looks
    like Stripe's is good.
    """
    app = web.Application(middlewares=[_as_stripe_errors])
    views = {name: Views(books) for name, books in world.accounts.items()}
    first = next(iter(views.values()))

    def chosen(request: web.Request) -> tuple[Views, str]:
        name = request.headers.get("Stripe-Account")
        if name is not None and name not in views:
            raise ApiError(403, "account_invalid", f"The key does not have access to account '{name}'.", "account")
        return (views[name] if name else first), request.headers.get("Stripe-Version", version)

    async def listing(request: web.Request) -> web.Response:
        view, wanted = chosen(request)
        return _answer(view.page(request.match_info["kind"], request.query, wanted))

    async def retrieve(request: web.Request) -> web.Response:
        view, wanted = chosen(request)
        return _answer(view.retrieve(request.match_info["kind"], request.match_info["id"], request.query, wanted))

    async def nested(request: web.Request) -> web.Response:
        view, wanted = chosen(request)
        info = request.match_info
        return _answer(view.nested(info["kind"], info["id"], info["members"], request.query, wanted))

    app.router.add_get("/v1/{kind}", listing)
    app.router.add_get("/v1/{kind}/{id}", retrieve)
    app.router.add_get("/v1/{kind}/{id}/{members}", nested)
    return app


def _answer(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _key_of(request: web.Request) -> str:
    """The secret key from `Authorization`, as Bearer or as the user name of Basic; '' when there is none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


@web.middleware
async def _as_stripe_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the key, and tell errors in Stripe's form."""
    try:
        if not _key_of(request).startswith(_KEY_STARTS):
            raise ApiError(401, None, "Invalid API Key provided.", None)
        return await handler(request)
    except ApiError as error:
        return _answer({"error": error.body()}, error.status)
    except web.HTTPNotFound:
        unknown = ApiError(404, None, f"Unrecognized request URL ({request.method}: {request.path}).", None)
        return _answer({"error": unknown.body()}, 404)
    except web.HTTPMethodNotAllowed:
        refused = ApiError(405, None, "The simulator can be read, not changed.", None)
        return _answer({"error": refused.body()}, 405)
