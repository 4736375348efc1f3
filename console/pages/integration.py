"""Integration: connect an account in the browser, see what its endpoint has and what came, import, compare a day."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import web
from pydantic import BaseModel, Field

from console import forms, health
from console.audit import Action
from console.pages.site import Page
from console.shapes import Connection, Kept
from reports import pipeline
from reports.days import last_days, today
from schemas.errors import TillstreamError, Unavailable
from schemas.stripe_types import EVENT_TYPES


class ConnectForm(BaseModel):
    """What a person fills in; what stays empty stays as it is."""

    account: forms.Text = "default"
    api_key: forms.Text = ""
    url: forms.Text = ""
    extended: bool = False


class AccountForm(BaseModel):
    """Which account."""

    account: forms.Text = "default"


class SecretForm(AccountForm):
    """A signing secret to be added, or the id of one to be removed."""

    secret: forms.Text = ""
    id: forms.Text = ""


class CompareQuery(forms.Asked):
    """A day of an account; yesterday by default."""

    account: forms.Text = "default"
    day: forms.Day | None = None


class IntegrationQuery(forms.Asked):
    """The page."""

    account: forms.Text = Field(default="")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A form that was not taken: which one, why, and what was given; a key or secret is never given back."""

    form: str
    error: TillstreamError
    given: ConnectForm

    @property
    def status(self) -> int:
        """Of the answer."""
        return 503 if isinstance(self.error, Unavailable) else 409


class IntegrationPage(Page):
    """`/integration`."""

    def routes(self) -> list[web.RouteDef]:
        """The page, its parts, and what can be done there."""
        return [
            web.get("/integration", self.page),
            web.get("/part/imports", self.imports),
            web.post("/part/connection", self.connection),
            web.post("/part/compare", self.compare),
            web.post("/integration/connect", self.connect),
            web.get("/integration/disconnect", self.ask_to_disconnect),
            web.post("/integration/disconnect", self.disconnect),
            web.post("/integration/secret/add", self.add_secret),
            web.post("/integration/secret/remove", self.remove_secret),
            web.post("/integration/import", self.start_import),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """How each account is connected. What Stripe says comes a moment later, by itself."""
        wanted = forms.parsed(IntegrationQuery, request.query)
        accounts = list(self.config.webhook_urls)
        return await self._page(request, wanted.account if wanted.account in accounts else accounts[0])

    async def _page(self, request: web.Request, account: str, wrong: Wrong | None = None) -> web.Response:
        """With `wrong`, one of its forms has what was typed, and says why it was not taken."""
        live, now = forms.parsed(forms.Asked, request.query).live, datetime.now(UTC)
        accounts = list(self.config.webhook_urls)
        verdict, received, found, kept = await asyncio.gather(
            health.judged(self.site.actions),
            pipeline.received(self.warehouse, account, live, now),
            pipeline.imports(self.warehouse, live),
            self._kept(account),
        )
        return self.site.page(
            request,
            "integration.html",
            status=wrong.status if wrong else 200,
            wrong=wrong,
            given=wrong.given if wrong else ConnectForm(account=account),
            kept=kept,
            accounts=accounts,
            account=account,
            url=self.config.webhook_urls[account] if self.config.door_url else "",
            zone_name=self.config.calendar.zone_of(account).key,
            types=EVENT_TYPES,
            received=received,
            connection=None,
            imports=[row for row in found if row.account == account],
            yesterday=last_days(today(self.config.calendar.zones, now), 2)[0],
            verdict=verdict,
        )

    async def connection(self, request: web.Request) -> web.Response:
        """The checklist with what the endpoint in Stripe really has. Asks Stripe, so it is no GET."""
        wanted = forms.parsed(CompareQuery, {**request.query, **await forms.posted(request)})
        asked: list[Connection] = []
        received, _ = await asyncio.gather(
            pipeline.received(self.warehouse, wanted.account, wanted.live, datetime.now(UTC)),
            self._ask(wanted.account, asked),
        )
        return self.site.page(
            request,
            "connection.html",
            connection=asked[0] if asked else None,
            types=EVENT_TYPES,
            received=received,
            account=wanted.account,
            zone_name=self.config.calendar.zone_of(wanted.account).key,
        )

    async def imports(self, request: web.Request) -> web.Response:
        """How far the import is."""
        wanted = forms.parsed(CompareQuery, request.query)
        found = await pipeline.imports(self.warehouse, wanted.live)
        rows = [row for row in found if row.account == wanted.account]
        return self.site.page(request, "imports.html", imports=rows, account=wanted.account)

    async def compare(self, request: web.Request) -> web.Response:
        """A day, ours against Stripe's. Asks Stripe, and what comes of it is kept."""
        wanted = forms.parsed(CompareQuery, {**request.query, **await forms.posted(request)})
        day = wanted.day or today(self.config.calendar.zones, datetime.now(UTC)) - timedelta(days=1)
        async with self.site.change(request, Action.COMPARE, account=wanted.account, detail=str(day)):
            found = await self.actions.compare(wanted.account, day)
        template = "compare.html" if "HX-Request" in request.headers else "compare_page.html"
        return self.site.page(request, template, found=found, day=day)

    async def connect(self, request: web.Request) -> web.Response:
        """Bring the endpoint up to date; the form again when Stripe refuses."""
        form = forms.parsed(ConnectForm, await forms.posted(request))
        detail = " ".join(filter(None, ("with a new API key" if form.api_key else "", form.url)))
        try:
            async with self.site.change(request, Action.CONNECT, account=form.account, detail=detail):
                told = await self.actions.connect(
                    form.account, api_key=form.api_key, url=form.url, extended=form.extended
                )
        except TillstreamError as error:
            return await self._refused(request, Wrong("connect", error, form))
        return self.site.back(request, "/integration", account=form.account, done=" · ".join(told))

    async def ask_to_disconnect(self, request: web.Request) -> web.Response:
        """What becomes of what, and a button that says so."""
        self.must_be_allowed(request)
        account = forms.parsed(AccountForm, request.query).account
        return self.site.page(request, "disconnect.html", account=account, kept=await self.actions.kept(account))

    async def disconnect(self, request: web.Request) -> web.Response:
        """The endpoint in Stripe, then what is kept here."""
        account = forms.parsed(AccountForm, await forms.posted(request)).account
        async with self.site.change(request, Action.DISCONNECT, account=account):
            told = await self.actions.disconnect(account)
        return self.site.back(request, "/integration", account=account, done=" · ".join(told))

    async def add_secret(self, request: web.Request) -> web.Response:
        """Of an endpoint that was made by hand."""
        form = forms.parsed(SecretForm, await forms.posted(request))
        try:
            async with self.site.change(request, Action.ADD_SECRET, account=form.account):
                told = await self.actions.add_secret(form.account, form.secret)
        except TillstreamError as error:
            return await self._refused(request, Wrong("secret", error, ConnectForm(account=form.account)))
        return self.site.back(request, "/integration", account=form.account, done=told)

    async def remove_secret(self, request: web.Request) -> web.Response:
        """What it signs is refused from now on."""
        form = forms.parsed(SecretForm, await forms.posted(request))
        async with self.site.change(request, Action.REMOVE_SECRET, account=form.account, detail=form.id):
            told = await self.actions.remove_secret(form.account, form.id)
        return self.site.back(request, "/integration", account=form.account, done=told)

    async def start_import(self, request: web.Request) -> web.Response:
        """Begin, or go on."""
        form = forms.parsed(AccountForm, await forms.posted(request))
        async with self.site.change(request, Action.IMPORT, account=form.account):
            told = await self.actions.start_import(form.account)
        return self.site.back(request, "/integration", account=form.account, done=told)

    async def _refused(self, request: web.Request, wrong: Wrong) -> web.Response:
        if wrong.given.account not in self.config.webhook_urls:
            raise wrong.error
        return await self._page(request, wrong.given.account, wrong)

    async def _kept(self, account: str) -> Kept | None:
        """None where nobody knows, and of an account whose file is broken: the verdict tells of that."""
        try:
            return await self.site.actions.kept(account) if self.site.actions else None
        except TillstreamError:
            return None

    async def _ask(self, account: str, answer: list[Connection]) -> None:
        if self.site.actions is None:
            return
        try:
            answer.append(await self.site.actions.connection(account))
        except TillstreamError as error:
            zone = self.config.calendar.zone_of(account).key
            answer.append(Connection(account, "", zone, 0, False, why=f"{error}. Next: {error.remedy}"))
