"""People: the search, and one person's page."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime
from itertools import groupby

from aiohttp import web

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.pages.site import Page
from reports import feed, messages, mrr, profiles
from reports import standing as how
from reports.days import Calendar, today
from reports.feed import Fact
from reports.messages import Message
from schemas.emails import normal


class ProfilePages(Page):
    """`/profiles` and `/profile`."""

    def routes(self) -> list[web.RouteDef]:
        """Both pages, and what is asked for twice: two profiles that are one person, and the erasure of one."""
        return [
            web.get("/profiles", self.search),
            web.get("/profile", self.person),
            web.get("/profile/merge", self.ask_to_merge),
            web.post("/profile/merge", self.merge),
            web.post("/profile/unmerge", self.unmerge),
            web.get("/profile/erase", self.ask_to_erase),
            web.post("/profile/erase", self.erase),
            web.post("/profile/suppress", self.suppress),
            web.post("/profile/unsuppress", self.unsuppress),
        ]

    async def search(self, request: web.Request) -> web.Response:
        """Those whose email begins so, and others that match."""
        wanted = forms.parsed(forms.SearchQuery, request.query)
        rows = await profiles.search(self.warehouse, wanted.q, wanted.live)
        return self.site.page(request, "profiles.html", rows=rows, wanted=wanted.q, limit=profiles.FOUND_AT_MOST)

    async def ask_to_merge(self, request: web.Request) -> web.Response:
        """Whom it would move, and into whom."""
        self.must_be_allowed(request)
        email = normal(forms.parsed(forms.PersonQuery, request.query).email)
        found = await self.actions.merging(email)
        return self.site.page(request, "merge.html", email=email, found=found)

    async def merge(self, request: web.Request) -> web.Response:
        """Moves everything to the other profile."""
        form = await forms.posted(request)
        email = normal(forms.parsed(forms.PersonQuery, {"email": form.get("email", "")}).email)
        into = normal(forms.parsed(forms.PersonQuery, {"email": form.get("into", "")}).email)
        async with self.site.change(request, Action.MERGE, people=(email, into), detail=f"{email} into {into}"):
            told = await self.actions.merge(email, into)
        return self.site.back(request, "/profiles", q=into, done=told)

    async def unmerge(self, request: web.Request) -> web.Response:
        """Takes back what was merged into this profile."""
        form = await forms.posted(request)
        email = normal(forms.parsed(forms.PersonQuery, {"email": form.get("email", "")}).email)
        async with self.site.change(request, Action.UNMERGE, people=(email,)):
            told = await self.actions.unmerge(email)
        return self.site.back(request, "/profiles", done=told)

    async def ask_to_erase(self, request: web.Request) -> web.Response:
        """What would go, and a button that says so."""
        self.must_be_allowed(request)
        email = normal(forms.parsed(forms.PersonQuery, request.query).email)
        found = await self.actions.forget(email, dry_run=True)
        return self.site.page(request, "erase.html", email=email, found=found, wrong=False)

    async def erase(self, request: web.Request) -> web.Response:
        """Erases, when the email was written out once more."""
        form = await forms.posted(request)
        email = normal(forms.parsed(forms.PersonQuery, {"email": form.get("email", "")}).email)
        if normal(form.get("again", "")) != email:
            found = await self.actions.forget(email, dry_run=True)
            return self.site.page(request, "erase.html", status=400, email=email, found=found, wrong=True)
        async with self.site.change(request, Action.ERASE, people=(email,)):
            gone = await self.actions.forget(email, dry_run=False)
        return self.site.back(request, "/profiles", done=f"{sum(gone.values()):,} rows of one person are erased")

    async def suppress(self, request: web.Request) -> web.Response:
        """No mail to them from now on; the reason is theirs to read who look at the profile later."""
        form = await self._addressed(request)
        async with self.site.change(request, Action.SUPPRESS, people=(form.email,), detail=form.why):
            told = await self.actions.suppress(form.email, live=form.live, who=request[VISITOR].name, why=form.why)
        return self.site.back(request, "/profile", email=form.email, done=told)

    async def unsuppress(self, request: web.Request) -> web.Response:
        """Mail to them again."""
        form = await self._addressed(request)
        async with self.site.change(request, Action.UNSUPPRESS, people=(form.email,)):
            told = await self.actions.unsuppress(form.email, live=form.live, who=request[VISITOR].name)
        return self.site.back(request, "/profile", email=form.email, done=told)

    async def _addressed(self, request: web.Request) -> forms.SuppressForm:
        """Raises 400 for what is no address, and 404 for one that nobody is known by."""
        posted = await forms.posted(request)
        mode = {"mode": "test"} if request.query.get("mode") == "test" else {}
        form = forms.parsed(forms.SuppressForm, {**posted, **mode, "email": normal(posted.get("email", ""))})
        if await profiles.person(self.warehouse, form.email, form.live) is None:
            raise web.HTTPNotFound(text=f"Nobody is known as {form.email} in {form.mode} mode.")
        return form

    async def person(self, request: web.Request) -> web.Response:
        """Everything about one person."""
        wanted = forms.parsed(forms.PersonQuery, request.query)
        email = normal(wanted.email)
        found = await profiles.person(self.warehouse, email, wanted.live)
        if found is None:
            raise web.HTTPNotFound(text=f"Nobody is known as {email} in {wanted.mode} mode.")
        asked = forms.FeedQuery(mode=wanted.mode, email=email, before=wanted.before).wanted()
        now = datetime.now(UTC)
        (rows, following), segments, newest, standing, recurring = await asyncio.gather(
            feed.page(self.warehouse, asked, now),
            profiles.segments(self.warehouse, email, wanted.live),
            messages.of_person(self.warehouse, email, wanted.live),
            how.ask(self.warehouse, email, wanted.live),
            mrr.now(self.warehouse, wanted.live, found.customer_ids),
        )
        between = newest
        if following or asked.before:
            since, before = following.at if following else None, asked.before.at if asked.before else None
            between = await messages.of_person(self.warehouse, email, wanted.live, since, before)
        return self.site.page(
            request,
            "profile.html",
            person=found,
            segments=segments,
            days=timeline(rows, between, self.config.calendar),
            following=following,
            wanted=asked,
            standing=standing,
            recurring=recurring,
            level=how.level(standing),
            sentence=how.sentence(standing, newest, now),
            today=today(self.config.calendar.zones, now),
        )


def timeline(
    facts: Iterable[Fact], messages: Iterable[Message], calendar: Calendar
) -> list[tuple[date, list[Fact | Message]]]:
    """Facts and messages together by day, the newest first."""
    found = [(one.occurred_at, one.account, one) for one in facts] + [(one.at, "", one) for one in messages]
    found.sort(key=lambda one: one[0], reverse=True)
    days = groupby(found, lambda one: one[0].astimezone(calendar.zone_of(one[1])).date())
    return [(day, [one for *_, one in each]) for day, each in days]
