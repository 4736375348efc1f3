"""The handlers of `/api/v1/segments` and `/api/v1/flows`."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from console import forms
from console.api import answers
from console.api import engagement_models as models
from console.api.openapi import Operation
from console.config import ConsoleConfig
from console.engagement import Engagement
from console.engagement_shapes import Flow, Segment
from engage.conditions.words import Words
from reports import messages, segments
from reports.days import today
from reports.text import exact
from schemas.errors import ConfigurationError
from warehouse.client import Warehouse

_DAYS: Final = 90
_ONE: Final = (400, 401, 403, 404, 409, 503)
_ALL: Final = (400, 401, 403, 409, 503)


class MembersQuery(forms.Asked):
    """A segment's members."""

    after: forms.Text = Field(default="", description="The `next` of the page before")
    limit: int = Field(default=segments.PAGE, ge=1, le=1_000)


class EngagementApi:
    """As `Api`, for what `engagement` knows; without it every answer is 409."""

    def __init__(self, config: ConsoleConfig, warehouse: Warehouse, engagement: Engagement | None) -> None:
        self._config, self._warehouse, self._engagement = config, warehouse, engagement

    def operations(self, name: dict[str, Any]) -> list[Operation]:
        """Everything that can be asked; `name` is the schema of what a path names."""
        segment, flow = {"segment": name}, {"flow": name}
        one = "/api/v1/segments/{segment}"
        return [
            Operation(
                "/api/v1/segments",
                "segments",
                "Every segment with its size",
                forms.Asked,
                models.SegmentsAnswer,
                self.segments,
                statuses=_ALL,
            ),
            Operation(
                one, "segment", "One segment by day", forms.Asked, models.SegmentAnswer, self.segment, segment, _ONE
            ),
            Operation(
                f"{one}/members",
                "members",
                "Who is in a segment",
                MembersQuery,
                models.MembersAnswer,
                self.members,
                segment,
                _ONE,
            ),
            Operation(
                "/api/v1/flows",
                "flows",
                "Every flow with what it did",
                forms.Asked,
                models.FlowsAnswer,
                self.flows,
                statuses=_ALL,
            ),
            Operation(
                "/api/v1/flows/{flow}",
                "flow",
                "One flow by step",
                forms.Asked,
                models.FlowAnswer,
                self.flow,
                flow,
                _ONE,
            ),
        ]

    async def segments(self, wanted: forms.Asked, _: Mapping[str, str]) -> models.SegmentsAnswer:
        """As of their last evaluations."""
        files, sizes = await asyncio.gather(
            self._known.segments(), segments.sizes(self._warehouse, wanted.live, self._today())
        )
        told = [models.SegmentSummary(**_summary(file, sizes.get(file.name))) for file in files]
        return models.SegmentsAnswer(**self._head(wanted), segments=told)

    async def segment(self, wanted: forms.Asked, path: Mapping[str, str]) -> models.SegmentAnswer:
        """One."""
        file = await self._segment(path["segment"])
        sizes = await segments.sizes(self._warehouse, wanted.live, self._today(), file.name, _DAYS)
        size = sizes.get(file.name)
        days = zip(size.days, size.members, strict=True) if size else ()
        return models.SegmentAnswer(
            **_summary(file, size),
            mode=wanted.mode,
            yaml=file.yaml,
            conditions=list(_sentences(file.words)) if file.words else [],
            days=[
                models.SegmentDay(day=day, members=members, entered=changed[0], gone=changed[1])
                for day, members in days
                if members is not None and size is not None
                for changed in (size.changes.get(day, (0, 0)),)
            ],
        )

    async def members(self, wanted: MembersQuery, path: Mapping[str, str]) -> models.MembersAnswer:
        """A page."""
        file = await self._segment(path["segment"])
        rows = await segments.members(self._warehouse, file.name, wanted.live, wanted.after.lower(), wanted.limit)
        following = rows[-1].email if len(rows) == wanted.limit else None
        told = [models.Member(**asdict(one) | {"lifetime_value": _exact(one.lifetime_value)}) for one in rows]
        return models.MembersAnswer(**self._head(wanted), members=told, next=following)

    async def flows(self, wanted: forms.Asked, _: Mapping[str, str]) -> models.FlowsAnswer:
        """With their messages of the last 30 days."""
        files, done = await asyncio.gather(
            self._known.flows(), messages.by_flow(self._warehouse, wanted.live, datetime.now(UTC))
        )
        told = [models.FlowSummary(**_flow(file, done.get(file.name))) for file in files]
        return models.FlowsAnswer(**self._head(wanted), flows=told)

    async def flow(self, wanted: forms.Asked, path: Mapping[str, str]) -> models.FlowAnswer:
        """One."""
        now, files = datetime.now(UTC), await self._known.flows()
        file = next((file for file in files if file.name == path["flow"]), None)
        if file is None:
            raise web.HTTPNotFound(text="there is no such flow")
        done, steps = await asyncio.gather(
            messages.by_flow(self._warehouse, wanted.live, now, file.name),
            messages.by_step(self._warehouse, file.name, wanted.live, now),
        )
        return models.FlowAnswer(
            **_flow(file, done.get(file.name)),
            mode=wanted.mode,
            yaml=file.yaml,
            rules=list(file.rules),
            steps=[
                models.FlowStep(id=step.id, kind=step.kind, does=step.text, messages=_statuses(steps.get(step.id)))
                for step in file.all_steps
            ],
        )

    @property
    def _known(self) -> Engagement:
        if self._engagement is None:
            raise ConfigurationError(
                "this console knows no segments and flows", remedy="start it by tillstream up, or tillstream console"
            )
        return self._engagement

    async def _segment(self, name: str) -> Segment:
        file = next((file for file in await self._known.segments() if file.name == name), None)
        if file is None:
            raise web.HTTPNotFound(text="there is no such segment")
        return file

    def _today(self) -> date:
        return today(self._config.calendar.zones, datetime.now(UTC))

    def _head(self, wanted: forms.Asked) -> dict[str, Any]:
        return answers.head(self._config.calendar, wanted.live)


def _summary(file: Segment, size: segments.Size | None) -> dict[str, Any]:
    return {
        "name": file.name,
        "title": file.title,
        "description": file.description,
        "every": file.every,
        "ready": file.ready,
        "members": size.now if size else None,
        "change_7_days": size.change if size else None,
        "refreshed_at": size.refreshed_at if size else None,
        "mistakes": [
            models.Mistake(line=each.line, column=each.column, message=each.message, nearest=each.nearest)
            for each in file.mistakes
        ],
    }


def _sentences(words: Words) -> list[str]:
    return [sentence for part in words.parts for sentence in _sentences(part)] if words.parts else [words.text]


def _exact(amounts: dict[str, Decimal]) -> dict[str, str]:
    return {currency: exact(amount, currency) for currency, amount in sorted(amounts.items())}


def _flow(file: Flow, done: messages.Done | None) -> dict[str, Any]:
    return {
        **{name: getattr(file, name) for name in ("name", "title", "description", "status", "ready", "trigger")},
        "problem": file.problem,
        "people": done.people if done else 0,
        "messages": _statuses(done),
    }


def _statuses(done: messages.Done | None) -> dict[str, int]:
    return dict(done.statuses) if done else {}
