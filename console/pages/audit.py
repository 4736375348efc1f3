"""The audit log: who had what done from the console."""

from datetime import datetime

from aiohttp import web
from pydantic import Field

from console import forms
from console.pages.site import Page
from reports import audit


class AuditQuery(forms.Asked):
    """A page of it; `before` and `after_id` are where the page before ended."""

    email: forms.Text = Field(default="", description="Only what was about this person")
    before: datetime | None = None
    last: forms.Text = ""


class AuditPage(Page):
    """`/audit`."""

    def routes(self) -> list[web.RouteDef]:
        """The page."""
        return [web.get("/audit", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """Newest first."""
        wanted = forms.parsed(AuditQuery, request.query)
        person = self.site.audit.person(wanted.email) if wanted.email else ""
        rows, following = await audit.page(self.warehouse, person, wanted.before, wanted.last)
        return self.site.page(
            request,
            "audit.html",
            rows=rows,
            following=following,
            email=wanted.email,
            person=person,
            waiting=self.site.audit.waiting,
        )
