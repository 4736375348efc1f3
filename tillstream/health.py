"""/livez, /readyz and /metrics of a role, on a port of their own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from schemas.hosts import reachable


@asynccontextmanager
async def health_server(ready: Callable[[], str], port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve the three pages while the context is open; gives the base URL.

    `ready` returns '' when the role can do its work, else why not. Raises OSError when `port` is taken.
    """

    async def readyz(_: web.Request) -> web.Response:
        reason = ready()
        return web.json_response({"ready": not reason, "reason": reason}, status=503 if reason else 200)

    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/livez", livez)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield f"http://{reachable(host)}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
