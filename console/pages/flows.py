"""Flows: the list, one as a diagram with what it did, its mails made from real events, and turning it live."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.engagement_shapes import Mail
from console.pages.site import Page
from reports import messages
from schemas.definitions import Kind
from schemas.errors import TillstreamError

TRIAL_DAYS: Final = 30
#: A mail is somebody else's HTML: it may show itself, and do nothing.
MAIL_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; sandbox; frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
DONE: Final = {
    "live": "It is live: what happens from now on starts it, within seconds of this.",
    "manual": "It runs from now on, and holds its messages back until somebody releases them.",
    "draft": "It is a draft: nobody starts it, and who is on the way waits.",
}


class FlowQuery(forms.Asked):
    """One flow; `step` is one of its mails, and `email` whom it is made for."""

    name: Annotated[forms.Text, Field(min_length=1)]
    step: forms.Text = ""
    email: forms.Text = ""
    metric_id: forms.Text = ""


class TestForm(FlowQuery):
    """A mail of a flow, and to whom it goes."""

    to: Annotated[forms.Text, Field(min_length=3)]


class StatusForm(BaseModel):
    """A flow's new status."""

    name: Annotated[forms.Text, Field(min_length=1)]
    status: Literal["draft", "manual", "live"] = "draft"


class FlowPages(Page):
    """`/flows`, `/flow` and what belongs to them."""

    def routes(self) -> list[web.RouteDef]:
        """The pages, the parts that take a moment, and what can be changed."""
        return [
            web.get("/flows", self.all),
            web.get("/flow", self.one),
            web.get("/flow/live", self.before_live),
            web.get("/flow/mail", self.mail),
            web.get("/part/flow/mail", self.mail_part),
            web.get("/part/flow/trial", self.trial),
            web.post("/flow/status", self.set_status),
            web.post("/flow/release", self.release),
            web.post("/flow/test", self.send_test),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Every flow, with what it did lately."""
        wanted = forms.parsed(forms.Asked, request.query)
        files, done, post = await asyncio.gather(
            self.engagement.flows(),
            messages.by_flow(self.warehouse, wanted.live, datetime.now(UTC)),
            self.engagement.post(),
        )
        return self.site.page(
            request,
            "flows.html",
            files=files,
            archived=self.engagement.definitions.archived(Kind.FLOW),
            counts=done,
            post=post,
            nothing=messages.Done(),
        )

    async def one(self, request: web.Request) -> web.Response:
        """The diagram."""
        wanted, now = forms.parsed(FlowQuery, request.query), datetime.now(UTC)
        flow, steps, rows, held = await asyncio.gather(
            self.engagement.flow(wanted.name),
            messages.by_step(self.warehouse, wanted.name, wanted.live, now),
            messages.newest(self.warehouse, wanted.name, wanted.live),
            messages.held(self.warehouse, wanted.name),
        )
        mails = [step.id for step in flow.mails]
        return self.site.page(
            request,
            "flow_page.html",
            flow=flow,
            counts=steps,
            nothing=messages.Done(),
            rows=rows,
            held=len(held),
            step=wanted.step if wanted.step in mails else next(iter(mails), ""),
            email=wanted.email,
        )

    async def before_live(self, request: web.Request) -> web.Response:
        """What will happen when it goes live, and a button that says so."""
        self.must_be_allowed(request)
        wanted = forms.parsed(FlowQuery, request.query)
        flow, post = await asyncio.gather(self.engagement.flow(wanted.name), self.engagement.post())
        return self.site.page(request, "flow_live.html", flow=flow, post=post, days=TRIAL_DAYS, nothing=messages.Done())

    async def trial(self, request: web.Request) -> web.Response:
        """What it would have sent."""
        wanted = forms.parsed(FlowQuery, request.query)
        found = await self.engagement.trial(wanted.name, live=wanted.live, days=TRIAL_DAYS)
        return self.site.page(request, "flow_trial.html", trial=found)

    async def mail_part(self, request: web.Request) -> web.Response:
        """One mail with whom it is for; what its template lacks is said in its place."""
        wanted = forms.parsed(FlowQuery, request.query)
        mail, problem = None, None
        try:
            mail = await self._made(wanted)
        except TillstreamError as error:
            problem = error
        return self.site.page(
            request,
            "flow_mail.html",
            name=wanted.name,
            step=wanted.step,
            email=wanted.email,
            mail=mail,
            problem=problem,
            can_send=not (await self.engagement.post()).missing,
        )

    async def mail(self, request: web.Request) -> web.Response:
        """The mail itself, to be shown in a frame that may do nothing."""
        mail = await self._made(forms.parsed(FlowQuery, request.query))
        return web.Response(text=mail.html, content_type="text/html", charset="utf-8", headers=MAIL_HEADERS)

    async def set_status(self, request: web.Request) -> web.Response:
        """From now on."""
        form = forms.parsed(StatusForm, await forms.posted(request))
        async with self.site.change(request, Action.SET_STATUS, detail=f"{form.name}: {form.status}"):
            await self.engagement.set_status(form.name, form.status, request[VISITOR].name)
        return self.site.back(request, "/flow", name=form.name, done=DONE[form.status])

    async def release(self, request: web.Request) -> web.Response:
        """What a manual flow holds back goes out."""
        form = forms.parsed(StatusForm, await forms.posted(request))
        async with self.site.change(request, Action.RELEASE, detail=form.name):
            count = await self.engagement.release(form.name)
        done = f"{count:,} message{'' if count == 1 else 's'} released"
        return self.site.back(request, "/flow", name=form.name, done=done)

    async def send_test(self, request: web.Request) -> web.Response:
        """One mail to the person who looks at it."""
        live = forms.parsed(forms.Asked, request.query).live
        form = forms.parsed(TestForm, await forms.posted(request))
        about = (form.to, *([form.email] if form.email else []))
        async with self.site.change(request, Action.SEND_TEST, people=about, detail=f"{form.name}: {form.step}"):
            said = await self.engagement.send_test(
                form.name, form.step, form.to, live=live, email=form.email, metric_id=form.metric_id
            )
        return self.site.page(request, "flow_tested.html", said=said)

    async def _made(self, wanted: FlowQuery) -> Mail:
        return await self.engagement.mail(
            wanted.name, wanted.step, live=wanted.live, email=wanted.email, metric_id=wanted.metric_id
        )
