"""The page behind the link in every mail: whoever opens it and agrees, or whose mail program does, gets no more.

GET shows a button (link scanners open every link: opening must change nothing), POST is the answer, also RFC 8058's
one-click. The page speaks of nothing but the address, and only to those who have its link: the signed link is what
lets one in, so any name of the host will do. A proxy that gives another one must not keep people from unsubscribing.

The logo of the brand is served here too, since mail programs can reach nothing else of ours.
"""

import html
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from engage.links import PATH, person_of
from engage.templates import logo
from engage.templates.brand import Branding
from schemas.errors import ConfigurationError
from schemas.profile import split_key

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 17px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1.25rem }}
h1 {{ font-size: 1.4rem }} button {{ font: inherit; padding: .6rem 1.2rem; border-radius: .5rem; cursor: pointer }}
</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(secret: bytes, branding: Branding, unsubscribe: Callable[[str], Awaitable[None]]) -> web.Application:
    """`unsubscribe(person's key)` returns when it is durable."""

    def found(request: web.Request) -> str:
        person = person_of(secret, request.match_info["token"])
        if not person:
            text = _page("This link is not complete", "<p>Please open it from the mail again.</p>")
            raise web.HTTPNotFound(text=text, content_type="text/html", headers=_HEADERS)
        return person

    async def ask(request: web.Request) -> web.Response:
        email = html.escape(split_key(found(request))[0])
        name = branding.now().name
        who = f" from {html.escape(name)}" if name else ""
        form = f'<p>No more mail{who} to <b>{email}</b>?</p><form method="post"><button>Unsubscribe</button></form>'
        return _answer("Unsubscribe", form)

    async def agree(request: web.Request) -> web.Response:
        person = found(request)
        await unsubscribe(person)
        email = html.escape(split_key(person)[0])
        return _answer("You are unsubscribed", f"<p><b>{email}</b> gets receipts and notices about payments only.</p>")

    async def show_logo(_: web.Request) -> web.Response:
        branding.now()
        found = logo.unpacked(branding.brand.logo)
        if found is None:
            raise web.HTTPNotFound(text="There is no logo.", headers=_HEADERS)
        kept = _HEADERS | {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=found[1], content_type=found[0], headers=kept)

    app = web.Application(client_max_size=64 * 1024)
    app.router.add_get("/logo", show_logo)
    app.router.add_get(PATH + "{token}", ask)
    app.router.add_post(PATH + "{token}", agree)
    return app


@asynccontextmanager
async def serve(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context is open; gives the port. Raises ConfigurationError when it is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(
                f"the port {port} of the unsubscribe page is taken: {error.strerror}",
                remedy="export TILLSTREAM_ENGAGE_PORT=… with another, or 0 for any free one",
            ) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=title, body=body)


def _answer(title: str, body: str) -> web.Response:
    return web.Response(text=_page(title, body), content_type="text/html", headers=_HEADERS)
