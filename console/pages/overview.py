"""The first page: how things stand, every metric of the last 30 days, and what to do when nothing has come yet."""

import asyncio
from datetime import UTC, datetime

from aiohttp import web

from console import charts, forms, health
from console.pages.site import ALWAYS, METRICS, Page
from reports import feed, mrr, pipeline
from reports.days import Interval, last_days, today
from reports.summary import collecting, summary
from schemas.stripe_types import EVENT_TYPES
from schemas.verdict import Verdict

NEWEST = 8  # events below the numbers


class OverviewPage(Page):
    """`/`."""

    def routes(self) -> list[web.RouteDef]:
        """The page, and its strip of health that renews itself."""
        return [web.get("/", self.page), web.get("/part/health", self.strip)]

    async def page(self, request: web.Request) -> web.Response:
        """The last 30 days."""
        live, now = forms.parsed(forms.Asked, request.query).live, datetime.now(UTC)
        first, last = last_days(today(self.config.calendar.zones, now))
        calendar = self.config.calendar
        found, dunning, (seen, judged), (rows, _), recurring = await asyncio.gather(
            summary(self.warehouse, calendar, first, last, live),
            collecting(self.warehouse, calendar, first, last, live, now),
            self._health(live, now),
            feed.page(self.warehouse, feed.Filter(live, limit=NEWEST), now),
            mrr.now(self.warehouse, live),
        )
        shown = [metric for metric in METRICS if metric in ALWAYS or found.series[metric].total.count]
        return self.site.page(
            request,
            "overview.html",
            found=found,
            dunning=dunning,
            recurring=recurring,
            main=found.currency,
            chart=charts.of_revenue(found, found.currency, calendar.zone_of("")) if found.currency else None,
            metrics=shown,
            day=Interval.DAY,
            seen=seen,
            verdict=judged,
            rows=rows,
            webhook_urls=self.config.webhook_urls if self.config.door_url else {},
            event_types=EVENT_TYPES,
        )

    async def strip(self, request: web.Request) -> web.Response:
        """How things stand, in one line."""
        live = forms.parsed(forms.Asked, request.query).live
        seen, judged = await self._health(live, datetime.now(UTC), health.LONG_PATIENCE)
        return self.site.page(request, "strip.html", seen=seen, verdict=judged)

    async def _health(
        self, live: bool, now: datetime, patience: float = health.PATIENCE
    ) -> tuple[pipeline.Arrivals, Verdict | None]:
        return await asyncio.gather(
            pipeline.arrivals(self.warehouse, live, now), health.judged(self.site.actions, patience)
        )
