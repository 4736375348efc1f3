"""What the parts of the API share: the request's key, account and version, and JSON answers."""

from collections.abc import Mapping

import orjson
from aiohttp import web

from simulator.delivery.account import Account

KEY = web.RequestKey("key", str)
ACCOUNT = web.RequestKey("account", Account)
VERSION = web.RequestKey("version", str)


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON, as every answer of Stripe's."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)
