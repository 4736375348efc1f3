"""The activity feed, one event with all that is known of it, and what Stripe sent about it."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from console import feed, forms
from console.pages.site import Page

BODY_CHARACTERS: Final = 100_000


class ActivityPages(Page):
    """`/feed`, `/event` and `/raw`."""

    def routes(self) -> list[web.RouteDef]:
        """The pages, and the parts that renew themselves or are asked for later."""
        return [
            web.get("/feed", self.feed_page),
            web.get("/part/feed", self.rows),
            web.get("/event", self.event),
            web.get("/part/raw", self.raw_list),
            web.get("/raw", self.raw),
        ]

    async def feed_page(self, request: web.Request) -> web.Response:
        """What happened, newest first."""
        return await self._feed(request, "feed.html")

    async def rows(self, request: web.Request) -> web.Response:
        """Its list alone."""
        return await self._feed(request, "events.html")

    async def event(self, request: web.Request) -> web.Response:
        """Everything about one fact."""
        found = await self._event(request)
        return self.site.page(
            request,
            "event.html",
            row=found.row,
            lines=found.lines,
            line_count=found.line_count,
            plain={k: v for k, v in found.properties.items() if not isinstance(v, (dict, list))},
            nested={k: pretty(v) for k, v in found.properties.items() if isinstance(v, (dict, list)) and v},
        )

    async def raw_list(self, request: web.Request) -> web.Response:
        """Stripe's own events about the fact."""
        found = await self._event(request)
        rows = await feed.raw_events(self.warehouse, found.row)
        template = "raw_events.html" if "HX-Request" in request.headers else "raw_page.html"
        return self.site.page(request, template, rows=rows, limit=feed.RAW_EVENTS, account=found.row["account"])

    async def raw(self, request: web.Request) -> web.Response:
        """One of Stripe's events, as it came."""
        wanted = forms.parsed(forms.RawQuery, request.query)
        row = await feed.raw_body(self.warehouse, wanted.id, wanted.account, wanted.live)
        if row is None:
            raise web.HTTPNotFound(text="there is no such event in this mode")
        body = row.pop("body")
        try:
            text = pretty(json.loads(body))
        except (ValueError, RecursionError):
            text = body
        left_out = max(len(text) - BODY_CHARACTERS, 0)
        return self.site.page(request, "raw.html", row=row, body=text[:BODY_CHARACTERS], left_out=left_out)

    async def _feed(self, request: web.Request, template: str) -> web.Response:
        wanted = forms.parsed(forms.FeedQuery, request.query).wanted()
        rows, following = await feed.page(self.warehouse, wanted, datetime.now(UTC))
        return self.site.page(request, template, rows=rows, following=following, wanted=wanted)

    async def _event(self, request: web.Request) -> feed.Event:
        wanted = forms.parsed(forms.EventQuery, request.query)
        found = await feed.event(self.warehouse, wanted.id, wanted.live)
        if found is None:
            raise web.HTTPNotFound(text=f"There is no such event in {wanted.mode} mode.")
        return found


def pretty(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False)
