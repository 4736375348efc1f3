"""The audit log: who had what done from the console."""

from datetime import datetime
from typing import Final

from aiohttp import web
from pydantic import Field

from console import forms
from console.pages.site import Page
from warehouse.query import Query

PAGE: Final = 100


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
        rows = await self.warehouse.rows(self._query(wanted))
        return self.site.page(
            request,
            "audit.html",
            rows=rows[:PAGE],
            following=rows[PAGE - 1] if len(rows) > PAGE else None,
            email=wanted.email,
            person=self.site.audit.person(wanted.email) if wanted.email else "",
            waiting=self.site.audit.waiting,
        )

    def _query(self, wanted: AuditQuery) -> Query:
        conditions, values = ["1"], {"most": PAGE + 1}
        parameters: dict[str, object] = dict(values)
        if wanted.email:
            conditions.append("has(about, {person:String})")
            parameters["person"] = self.site.audit.person(wanted.email)
        if wanted.before is not None:
            conditions.append("(at, id) < ({before:DateTime64(3, 'UTC')}, {last:String})")
            parameters |= {"before": wanted.before, "last": wanted.last}
        return Query(
            "SELECT id, at, who, way, source, action, account, about, detail, outcome, error, ended_at\nFROM audit\n"
            f"WHERE {' AND '.join(conditions)}\nORDER BY at DESC, id DESC\nLIMIT {{most:UInt32}}",
            parameters,
        )
