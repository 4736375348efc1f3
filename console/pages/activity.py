"""The activity feed, one event with all that is known of it, and what Stripe sent about it."""

import json
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from aiohttp import web

from console import forms
from console.access.gate import GATE
from console.pages.site import Page
from reports import feed
from reports.properties import known
from schemas.metrics import Metric

BODY_CHARACTERS: Final = 100_000
SAMPLED: Final = timedelta(days=31)  # of whose events the properties are offered as filters
#: What of a version is compared with the version before.
TOLD: Final = (
    "occurred_at email unlinked_reason customer_id charge_id invoice_id currency amount attempt_count reason "
    "reason_code status withdrawn"
).split()


class ActivityPages(Page):
    """`/feed`, `/event` and `/raw`."""

    def routes(self) -> list[web.RouteDef]:
        """The pages, and the parts that renew themselves or are asked for later."""
        return [
            web.get("/feed", self.feed_page),
            web.get("/part/feed", self.rows),
            web.get("/event", self.event),
            web.get("/part/raw", self.raw_list),
            web.get("/live", self.live),
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
        versions = await feed.versions(self.warehouse, found.fact.metric_id, found.fact.livemode)
        return self.site.page(
            request,
            "event.html",
            row=found.fact,
            versions=enriched(versions),
            lines=found.lines,
            line_count=found.line_count,
            plain={k: v for k, v in found.properties.items() if not isinstance(v, (dict, list))},
            nested={k: pretty(v) for k, v in found.properties.items() if isinstance(v, (dict, list)) and v},
        )

    async def raw_list(self, request: web.Request) -> web.Response:
        """Stripe's own events about the fact."""
        found = await self._event(request)
        rows = await feed.stripe_events(self.warehouse, found.fact)
        template = "raw_events.html" if "HX-Request" in request.headers else "raw_page.html"
        return self.site.page(request, template, rows=rows, limit=feed.STRIPE_EVENTS, account=found.fact.account)

    async def raw(self, request: web.Request) -> web.Response:
        """One of Stripe's events, as it came."""
        wanted = forms.parsed(forms.RawQuery, request.query)
        found = await feed.stripe_event(self.warehouse, wanted.id, wanted.account, wanted.live)
        if found is None:
            raise web.HTTPNotFound(text="there is no such event in this mode")
        try:
            text = pretty(json.loads(found.body))
        except (ValueError, RecursionError):
            text = found.body
        left_out = max(len(text) - BODY_CHARACTERS, 0)
        return self.site.page(request, "raw.html", row=found, body=text[:BODY_CHARACTERS], left_out=left_out)

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: `change` when something was written, `away` when ClickHouse does not answer.

        They end with the session that they were begun in.
        """
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        with suppress(ConnectionError):
            async with aclosing(self.site.live.changes()) as changes:
                async for what in changes:
                    if not request.app[GATE].is_still_in(request):
                        break
                    await response.write(f"event: {what}\ndata:\n\n".encode())
        return response

    async def _feed(self, request: web.Request, template: str) -> web.Response:
        wanted = forms.parsed(forms.FeedQuery, request.query).wanted()
        now = datetime.now(UTC)
        rows, following = await feed.page(self.warehouse, wanted, now)
        properties = []
        if template == "feed.html":
            properties = await known(self.warehouse, wanted.livemode, now - SAMPLED, now, wanted.metric)
        return self.site.page(
            request,
            template,
            rows=rows,
            following=following,
            wanted=wanted,
            properties=properties,
            kept={
                "metric": Metric(wanted.metric).slug if wanted.metric else "",
                "email": wanted.email,
                "where": [one.property.key for one in wanted.filters],
                "is_": [one.value for one in wanted.filters],
            },
        )

    async def _event(self, request: web.Request) -> feed.WholeFact:
        wanted = forms.parsed(forms.EventQuery, request.query)
        found = await feed.whole(self.warehouse, wanted.id, wanted.live)
        if found is None:
            raise web.HTTPNotFound(text=f"There is no such event in {wanted.mode} mode.")
        return found


def enriched(versions: list[feed.Version]) -> list[tuple[feed.Version, list[tuple[str, Any, Any]]]]:
    """Each version with what it changed: name, value before, value now. The newest first."""
    told = list[tuple[feed.Version, list[tuple[str, Any, Any]]]]()
    for before, now in pairwise([*versions[:1], *versions]):
        values = [(name, getattr(before, name), getattr(now, name)) for name in TOLD]
        told.append((now, [(name, old, new) for name, old, new in values if old != new]))
    return told[::-1]


def pretty(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False)
