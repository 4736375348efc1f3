"""Integration: connect an account in the browser, see what its endpoint has and what came, import, compare a day."""

import asyncio
from datetime import UTC, datetime, timedelta

from aiohttp import web
from pydantic import BaseModel, Field

from console import forms, health, pipeline
from console.actions import Connection
from console.audit import Action
from console.days import last_days, today
from console.pages.site import Page
from console.queries import Query
from schemas.errors import TillstreamError
from schemas.stripe_types import EVENT_TYPES

RECEIVED = timedelta(days=90)


class ConnectForm(BaseModel):
    """What a person fills in; what stays empty stays as it is."""

    account: forms.Text = "default"
    api_key: forms.Text = ""
    secret: forms.Text = ""
    url: forms.Text = ""
    extended: bool = False


class AccountForm(BaseModel):
    """Which account."""

    account: forms.Text = "default"


class CompareQuery(forms.Asked):
    """A day of an account; yesterday by default."""

    account: forms.Text = "default"
    day: forms.Day | None = None


class IntegrationQuery(forms.Asked):
    """The page."""

    account: forms.Text = Field(default="")


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
            web.post("/integration/import", self.start_import),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """How each account is connected. What Stripe says comes a moment later, by itself."""
        wanted = forms.parsed(IntegrationQuery, request.query)
        accounts = list(self.config.webhook_urls)
        account = wanted.account if wanted.account in accounts else accounts[0]
        now = datetime.now(UTC)
        seen, received, found = await asyncio.gather(
            health.arrivals(self.warehouse, wanted.live, now),
            self._received(account, wanted.live),
            pipeline.imports(self.warehouse, wanted.live),
        )
        return self.site.page(
            request,
            "integration.html",
            accounts=accounts,
            account=account,
            url=self.config.webhook_urls[account] if self.config.door_url else "",
            zone_name=self.config.zone_of(account).key,
            types=EVENT_TYPES,
            received=received,
            connection=None,
            judged=None,
            imports=[row for row in found if row["account"] == account],
            yesterday=last_days(today(self.config.zones, now), 2)[0],
            verdict=health.verdict(seen, health.not_ready(self.config.runtime), now),
        )

    async def connection(self, request: web.Request) -> web.Response:
        """The checklist with what the endpoint in Stripe really has. Asks Stripe, so it is no GET."""
        wanted = forms.parsed(CompareQuery, {**request.query, **await forms.posted(request)})
        asked: list[Connection] = []
        received, _ = await asyncio.gather(
            self._received(wanted.account, wanted.live), self._ask(wanted.account, asked)
        )
        return self.site.page(
            request,
            "connection.html",
            connection=asked[0] if asked else None,
            types=EVENT_TYPES,
            received=received,
            account=wanted.account,
            zone_name=self.config.zone_of(wanted.account).key,
        )

    async def imports(self, request: web.Request) -> web.Response:
        """How far the import is."""
        wanted = forms.parsed(CompareQuery, request.query)
        found = await pipeline.imports(self.warehouse, wanted.live)
        rows = [row for row in found if row["account"] == wanted.account]
        return self.site.page(request, "imports.html", imports=rows, account=wanted.account)

    async def compare(self, request: web.Request) -> web.Response:
        """A day, ours against Stripe's. Asks Stripe, and what comes of it is kept."""
        wanted = forms.parsed(CompareQuery, {**request.query, **await forms.posted(request)})
        day = wanted.day or today(self.config.zones, datetime.now(UTC)) - timedelta(days=1)
        async with self.site.change(request, Action.COMPARE, account=wanted.account, detail=str(day)):
            found = await self.actions.compare(wanted.account, day)
        template = "compare.html" if "HX-Request" in request.headers else "compare_page.html"
        return self.site.page(request, template, found=found, day=day)

    async def connect(self, request: web.Request) -> web.Response:
        """Keep what was given, and bring the endpoint up to date."""
        form = forms.parsed(ConnectForm, await forms.posted(request))
        given = [name for name in ("api_key", "secret", "url") if getattr(form, name)]
        detail = " ".join((f"gave {', '.join(given) or 'nothing'}", form.url))
        async with self.site.change(request, Action.CONNECT, account=form.account, detail=detail):
            told = await self.actions.connect(
                form.account, api_key=form.api_key, secret=form.secret, url=form.url, extended=form.extended
            )
        return self.site.back(request, "/integration", account=form.account, done=" · ".join(told))

    async def start_import(self, request: web.Request) -> web.Response:
        """Begin, or go on."""
        form = forms.parsed(AccountForm, await forms.posted(request))
        async with self.site.change(request, Action.IMPORT, account=form.account):
            told = await self.actions.start_import(form.account)
        return self.site.back(request, "/integration", account=form.account, done=told)

    async def _ask(self, account: str, answer: list[Connection]) -> None:
        if self.site.actions is None:
            return
        try:
            answer.append(await self.site.actions.connection(account))
        except TillstreamError as error:
            zone = self.config.zone_of(account).key
            answer.append(Connection(account, "", zone, 0, False, why=f"{error}. Next: {error.remedy}"))

    async def _received(self, account: str, livemode: bool) -> dict[str, datetime]:
        """Event type to when the newest of it came; thin events count as what they tell of."""
        rows = await self.warehouse.rows(
            Query(
                "SELECT if(startsWith(type, 'v1.'), substring(type, 4), type) AS name, max(received_at) AS newest\n"
                "FROM stripe_event_arrivals\n"
                "WHERE account = {account:String} AND livemode = {livemode:Bool} AND type != ''\n"
                "  AND received_at >= {since:DateTime64(3, 'UTC')}\nGROUP BY name",
                {"account": account, "livemode": livemode, "since": datetime.now(UTC) - RECEIVED},
            )
        )
        return {row["name"]: row["newest"] for row in rows}
