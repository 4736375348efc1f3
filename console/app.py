"""The console as a web application: pages, JSON, sign-in, and what is answered when something is wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from console import telemetry
from console.access.gate import GATE, HEADERS, HEALTH, LOGIN, Gate, safe_next, too_many
from console.access.keys import Key
from console.actions import Actions
from console.api.server import Api, answer
from console.audit import Action, Audit
from console.config import ConsoleConfig
from console.engagement import Engagement
from console.notices import Notices
from console.pages.activity import ActivityPages
from console.pages.audit import AuditPage
from console.pages.books import BooksPages
from console.pages.brand import BrandPage
from console.pages.flow_editor import FlowEditorPages
from console.pages.flows import FlowPages
from console.pages.health import HealthPage
from console.pages.history import HistoryPages
from console.pages.integration import IntegrationPage
from console.pages.mails import MailPages
from console.pages.messages import MessagePage
from console.pages.metric import MetricPage
from console.pages.mrr import MrrPage
from console.pages.overview import OverviewPage
from console.pages.payouts import PayoutsPage
from console.pages.profiles import ProfilePages
from console.pages.search import SearchPage
from console.pages.segments import SegmentPages
from console.pages.settings import SettingsPage
from console.pages.site import Site
from console.pages.sql import SqlPage
from console.templates_env import STATIC
from schemas.errors import TillstreamError, Unavailable
from warehouse.client import reader

FOR_EVER: Final = "public, max-age=31536000, immutable"  # the address of a file changes with its content
_KEPT_HEADERS: Final = ("WWW-Authenticate", "HX-Redirect", "Retry-After")  # of an error that is told as a page
FORM_BYTES: Final = 512 * 1024  # a mail in HTML, in which a character may be nine bytes of a form
PAGES: Final = (
    OverviewPage,
    MetricPage,
    MrrPage,
    ActivityPages,
    ProfilePages,
    SearchPage,
    MessagePage,
    SegmentPages,
    FlowPages,
    FlowEditorPages,
    MailPages,
    BrandPage,
    HistoryPages,
    IntegrationPage,
    PayoutsPage,
    BooksPages,
    HealthPage,
    SqlPage,
    SettingsPage,
    AuditPage,
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)


class Console:
    """Everything around the pages."""

    def __init__(self, config: ConsoleConfig, actions: Actions | None, engagement: Engagement | None) -> None:
        self._warehouse = reader(config.warehouse)
        self._engagement = engagement
        key = Key(config.state)
        self._gate = Gate(config, key)
        self._audit = Audit(config, key)
        self._site = Site(config, self._warehouse, actions, engagement, self._audit, Notices(key))
        self._api = Api(config, self._warehouse, engagement, actions)

    def application(self) -> web.Application:
        """The application; `serve` runs it."""
        app = web.Application(middlewares=[self._answered], client_max_size=FORM_BYTES)
        app[GATE] = self._gate
        for page in PAGES:
            app.router.add_routes(page(self._site).routes())
        app.router.add_routes(self._api.routes())
        app.router.add_get(LOGIN, self._login_page)
        app.router.add_post(LOGIN, self._login)
        app.router.add_post("/logout", self._logout)
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_static("/static/", str(STATIC))
        app.on_response_prepare.append(self._headers)
        app.on_shutdown.append(self._hang_up)
        app.cleanup_ctx.append(self._lifetime)
        return app

    async def _lifetime(self, _: web.Application) -> AsyncIterator[None]:
        beside = [asyncio.create_task(self._audit.run(), name="audit")]
        if self._engagement is not None:
            beside.append(asyncio.create_task(self._engagement.definitions.run(), name="definitions"))
        yield
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await self._audit.close()
        await self._warehouse.close()

    async def _hang_up(self, _: web.Application) -> None:
        await self._site.live.close()

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets in or turns away, and makes an answer of whatever goes wrong."""
        began = time.perf_counter()
        try:
            self._gate.check(request)
            response = await handler(request)
        except Unavailable as error:
            response = self._wrong(request, 503, str(error), error.remedy)
            response.headers["Retry-After"] = "5"
        except TillstreamError as error:
            response = self._wrong(request, 409, str(error), error.remedy)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = self._wrong(request, error.status, error.text or error.reason)
            response.headers.update({k: v for k, v in error.headers.items() if k in _KEPT_HEADERS})
        except Exception:  # whatever a page did wrong, its reader gets a page that says so
            log.exception("a page failed", path=request.path)
            response = self._wrong(request, 500, "This page has a fault; the log says more.")
        route = request.match_info.route.resource
        if isinstance(response, web.Response):  # not a stream, which lasts as long as its page is open
            telemetry.ANSWERED_IN.labels(route.canonical if route else "none").observe(time.perf_counter() - began)
        telemetry.ANSWERS.labels(str(response.status)).inc()
        return response

    def _wrong(self, request: web.Request, status: int, message: str, remedy: str = "") -> web.Response:
        """In the form that was asked for: JSON, a part of a page, or a page."""
        if request.path.startswith("/api/") or request.path in HEALTH:
            return answer({"error": message, "next": remedy}, status)
        template = "wrong_part.html" if "HX-Request" in request.headers else "wrong.html"
        title = {503: "No answer", 409: "That can't be done yet"}.get(status, HTTPStatus(status).phrase)
        return self._site.page(request, template, status=status, title=title, message=message, remedy=remedy)

    async def _headers(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        kept = request.path.startswith("/static/") and response.status == 200
        response.headers.setdefault("Cache-Control", FOR_EVER if kept else "no-store")
        if isinstance(response, web.Response) and (response.content_length or 0) > 1024:
            response.enable_compression()

    async def _login_page(self, request: web.Request) -> web.Response:
        self._must_have_tokens()
        return self._site.page(request, "login.html", next=safe_next(request.query.get("next", "/")), wrong="")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        self._must_have_tokens()
        form = await request.post()
        target = safe_next(str(form.get("next", "/")))
        tried = self._gate.try_token(request, str(form.get("token", "")))
        if tried.role is None:
            told = too_many(tried.wait) if tried.wait else None
            wrong = (told.text if told else None) or "That is not the token."
            status = told.status if told else 403
            response = self._site.page(request, "login.html", status=status, next=target, wrong=wrong)
            response.headers.update({"Retry-After": told.headers["Retry-After"]} if told else {})
            return response
        response = web.Response(status=303, headers={"Location": target})
        visitor = self._gate.sign_in(request, response, tried.role, str(form.get("token", "")))
        async with self._audit.change(visitor, Action.SIGN_IN):
            return response

    def _must_have_tokens(self) -> None:
        if not self._gate.by_token:
            raise web.HTTPNotFound(text="Nobody signs in here by a token.")

    async def _logout(self, request: web.Request) -> web.Response:
        response = web.Response(status=303, headers={"Location": LOGIN if self._gate.by_token else "/"})
        self._gate.sign_out(request, response)
        async with self._site.change(request, Action.SIGN_OUT):
            return response

    async def _live(self, _: web.Request) -> web.Response:
        return answer({"live": True})

    async def _ready(self, _: web.Request) -> web.Response:
        """200 when the views can be read now."""
        reason = await self._warehouse.trouble()
        return answer({"ready": not reason, "reason": reason}, 503 if reason else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def create_app(
    config: ConsoleConfig, actions: Actions | None = None, engagement: Engagement | None = None
) -> web.Application:
    """The console as an aiohttp application; run it by `serve`.

    Without `actions` it only shows, without `engagement` it has no segments and flows.
    """
    return Console(config, actions, engagement).application()


async def serve(app: web.Application, host: str, port: int, stop: asyncio.Event) -> None:
    """Serve `app` until `stop` is set; then let open requests finish, for 5 s at most."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await stop.wait()
    finally:
        await runner.cleanup()
