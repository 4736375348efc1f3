"""Health: the verdict with reasons and remedies, the flow of events through the rooms, what waits, and the calendar."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from console import forms, health
from console.audit import Action
from console.pages.site import Page
from console.shapes import Part
from reports import pipeline, reconciliations
from reports.days import today
from schemas.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Balance:
    """Conservation, since the processors started: whatever was read has a name."""

    outcomes: tuple[tuple[str, int], ...]

    @property
    def read(self) -> int:
        """All events that were read."""
        return sum(count for _, count in self.outcomes)


class HealthPage(Page):
    """`/health`."""

    def routes(self) -> list[web.RouteDef]:
        """The page, its part that renews itself, and the replay of dead letters."""
        return [
            web.get("/health", self.page),
            web.get("/part/flow", self.flow),
            web.get("/part/judged", self.judged),
            web.post("/health/replay", self.replay),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """All of it; while ClickHouse is away, the verdict and the parts."""
        live, now = forms.parsed(forms.Asked, request.query).live, datetime.now(UTC)
        judging = asyncio.create_task(health.judged(self.site.actions))
        parts, trouble = await self._parts(), None
        seen, found, weeks = None, None, list[list[reconciliations.Checked]]()
        try:
            seen, found, weeks = await asyncio.gather(
                pipeline.arrivals(self.warehouse, live, now),
                pipeline.pipeline(self.warehouse, live, now),
                reconciliations.calendar(self.warehouse, live, today(self.config.calendar.zones, now)),
            )
        except Unavailable as error:
            trouble = error
        page = self.site.page(
            request,
            "health.html",
            status=503 if trouble else 200,
            seen=seen,
            found=found,
            weeks=weeks,
            parts={part.name: part for part in parts},
            balance=balance(parts),
            verdict=await judging,
            trouble=trouble,
        )
        if trouble:
            page.headers["Retry-After"] = "5"
        return page

    async def flow(self, request: web.Request) -> web.Response:
        """The picture alone."""
        live, now = forms.parsed(forms.Asked, request.query).live, datetime.now(UTC)
        seen, found, parts = await asyncio.gather(
            pipeline.arrivals(self.warehouse, live, now), pipeline.pipeline(self.warehouse, live, now), self._parts()
        )
        named = {part.name: part for part in parts}
        return self.site.page(request, "flow.html", seen=seen, found=found, parts=named, balance=balance(parts))

    async def judged(self, request: web.Request) -> web.Response:
        """The verdict alone."""
        verdict = await health.judged(self.site.actions, health.LONG_PATIENCE)
        return self.site.page(request, "judged.html", verdict=verdict)

    async def replay(self, request: web.Request) -> web.Response:
        """Every open dead letter again; then back to the page, which says what was done."""
        async with self.site.change(request, Action.REPLAY):
            told = await self.actions.replay_letters()
        return self.site.back(request, "/health", done=told)

    async def _parts(self) -> list[Part]:
        return await self.site.actions.parts() if self.site.actions else []


def balance(parts: list[Part]) -> Balance | None:
    """None when the processors' counters are not known."""
    counts = next((part.counts for part in parts if part.name == "process" and part.counts), {})
    told = tuple((name, int(count)) for name, count in sorted(counts.items(), key=lambda one: -one[1]))
    return Balance(told) if told else None
