"""The handlers of `/api/v1`, and the table of operations that both the routes and the document are made from."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from console import forms, health
from console.actions import Actions
from console.api import answers, books_models, models
from console.api.engagement import EngagementApi
from console.api.openapi import Operation, text
from console.config import ConsoleConfig
from console.engagement import Engagement
from reports import books, feed, mrr, pipeline, profiles, search
from reports.days import span
from reports.metrics import ask
from reports.properties import known
from reports.summary import summary
from schemas.emails import normal
from schemas.errors import Unavailable
from warehouse.address import Address
from warehouse.client import Warehouse, reader

_SLUG = {"type": "string", "enum": list(forms.BY_SLUG)}
_NAME = {"type": "string", "minLength": 1, "maxLength": forms.LONGEST_TEXT}


class Api:
    """The handlers: each is given its query and what the path names, and gives its answer as a model."""

    def __init__(
        self,
        config: ConsoleConfig,
        warehouse: Warehouse,
        engagement: Engagement | None = None,
        actions: Actions | None = None,
    ) -> None:
        self._calendar = config.calendar
        self._warehouse = warehouse
        self._actions = actions
        self._engagement = EngagementApi(config, warehouse, engagement)

    def operations(self) -> list[Operation]:
        """Everything that can be asked."""
        missing = (400, 401, 403, 404, 503)
        metric, event, person = {"metric": _SLUG}, {"metric_id": _NAME}, {"email": _NAME}
        return [
            Operation(
                "/api/v1/metrics",
                "metrics",
                "Every metric by day, and as many days before",
                forms.Range,
                models.MetricsAnswer,
                self.metrics,
            ),
            Operation(
                "/api/v1/metrics/{metric}",
                "metric",
                "One metric by interval, whole and in parts, with the SQL behind it",
                forms.MetricQuery,
                models.MetricAnswer,
                self.metric,
                metric,
                missing,
            ),
            Operation(
                "/api/v1/metrics/{metric}/properties",
                "properties",
                "What the events of a metric can be split and filtered by",
                forms.Range,
                models.PropertiesAnswer,
                self.properties,
                metric,
                missing,
            ),
            Operation(
                "/api/v1/events", "events", "The activity feed", forms.FeedQuery, models.EventsAnswer, self.events
            ),
            Operation(
                "/api/v1/events/{metric_id}",
                "event",
                "One event with all that is known of it",
                forms.Asked,
                models.EventAnswer,
                self.event,
                event,
                missing,
            ),
            Operation(
                "/api/v1/profiles",
                "profiles",
                "Search for people",
                forms.SearchQuery,
                models.ProfilesAnswer,
                self.profiles,
            ),
            Operation(
                "/api/v1/profiles/{email}",
                "profile",
                "One person",
                forms.Asked,
                models.ProfileAnswer,
                self.profile,
                person,
                missing,
            ),
            Operation(
                "/api/v1/search",
                "search",
                "Find anybody or anything by name, email, number or id",
                forms.FindQuery,
                models.SearchAnswer,
                self.search,
            ),
            Operation(
                "/api/v1/closings",
                "closings",
                "Months whose books were closed, with what they came to",
                forms.Asked,
                books_models.ClosingsAnswer,
                self.closings,
            ),
            Operation(
                "/api/v1/closings/changes",
                "changes",
                "What has changed in a month since its books were closed, or since any time, and why",
                forms.BooksQuery,
                books_models.ChangesAnswer,
                self.changes,
                statuses=(400, 401, 403, 409, 503),
            ),
            Operation(
                "/api/v1/mrr",
                "mrr",
                "Monthly recurring revenue at the end of a day, by product, and its movements",
                forms.MrrQuery,
                models.MrrAnswer,
                self.mrr,
            ),
            *self._engagement.operations(_NAME),
            Operation(
                "/api/v1/health",
                "health",
                "The verdict and what it rests on",
                forms.Asked,
                models.HealthAnswer,
                self.health,
            ),
        ]

    def routes(self) -> list[web.RouteDef]:
        """All operations, and the document."""
        operations = self.operations()
        described = text(operations)

        async def openapi(_: web.Request) -> web.Response:
            return web.Response(text=described, content_type="application/json")

        return [
            web.get("/api/v1/openapi.json", openapi),
            *(web.get(one.path, _answered(one)) for one in operations),
        ]

    async def metrics(self, wanted: forms.Range, _: Mapping[str, str]) -> models.MetricsAnswer:
        """The last 30 days unless asked otherwise."""
        days = wanted.days(self._calendar, datetime.now(UTC))
        found = await summary(self._warehouse, self._calendar, *days, wanted.live)
        return answers.metrics(found, self._calendar, wanted.live)

    async def metric(self, wanted: forms.MetricQuery, path: Mapping[str, str]) -> models.MetricAnswer:
        """One metric."""
        question = wanted.question(forms.metric_of(path["metric"]), self._calendar, datetime.now(UTC))
        return answers.metric(await ask(self._warehouse, self._calendar, question), self._calendar)

    async def mrr(self, wanted: forms.MrrQuery, _: Mapping[str, str]) -> models.MrrAnswer:
        """The last twelve months unless asked otherwise."""
        days = wanted.months(self._calendar, datetime.now(UTC))
        found = await mrr.overview(self._warehouse, self._calendar, *days, wanted.live, wanted.kind, wanted.currency)
        return answers.mrr(found, self._calendar, wanted.live)

    async def properties(self, wanted: forms.Range, path: Mapping[str, str]) -> models.PropertiesAnswer:
        """Those of a sample."""
        first, last = wanted.days(self._calendar, datetime.now(UTC))
        metric = forms.metric_of(path["metric"])
        instants = span(first, last, self._calendar.zones)
        found = await known(self._warehouse, wanted.live, *instants, metric.value)
        items = [models.PropertyItem(key=one.key, label=one.label) for one in found]
        return models.PropertiesAnswer(**self._head(wanted), properties=items)

    async def events(self, wanted: forms.FeedQuery, _: Mapping[str, str]) -> models.EventsAnswer:
        """A page, newest first."""
        facts, following = await feed.page(self._warehouse, wanted.wanted(), datetime.now(UTC))
        events = [answers.event(fact) for fact in facts]
        return models.EventsAnswer(**self._head(wanted), events=events, next=str(following) if following else None)

    async def event(self, wanted: forms.Asked, path: Mapping[str, str]) -> models.EventAnswer:
        """One event."""
        found = await feed.whole(self._warehouse, path["metric_id"], wanted.live)
        if found is None:
            raise web.HTTPNotFound(text="there is no such event in this mode")
        versions, stripe_events = await asyncio.gather(
            feed.versions(self._warehouse, found.fact.metric_id, wanted.live),
            feed.stripe_events(self._warehouse, found.fact),
        )
        return answers.whole_event(found, versions, stripe_events)

    async def profiles(self, wanted: forms.SearchQuery, _: Mapping[str, str]) -> models.ProfilesAnswer:
        """Those that match."""
        found = await profiles.search(self._warehouse, wanted.q, wanted.live)
        return models.ProfilesAnswer(**self._head(wanted), profiles=[answers.found_profile(one) for one in found])

    async def search(self, wanted: forms.FindQuery, _: Mapping[str, str]) -> models.SearchAnswer:
        """What is called so, or begins so."""
        found = await search.find(self._warehouse, wanted.q, wanted.live)
        return models.SearchAnswer(
            **self._head(wanted),
            profiles=[answers.found_profile(one) for one in found.people],
            events=[answers.event(one.fact) for one in found.events],
            stripe_events=[models.FoundStripeEvent(**asdict(one)) for one in found.stripe_events],
            more=found.more,
        )

    async def profile(self, wanted: forms.Asked, path: Mapping[str, str]) -> models.ProfileAnswer:
        """One person."""
        found = await profiles.person(self._warehouse, normal(path["email"]), wanted.live)
        if found is None:
            raise web.HTTPNotFound(text="nobody is known by that email in this mode")
        return answers.profile(found)

    async def closings(self, wanted: forms.Asked, _: Mapping[str, str]) -> books_models.ClosingsAnswer:
        """The newest month first."""
        found = await books.closings(self._warehouse, wanted.live)
        return books_models.ClosingsAnswer(**self._head(wanted), closings=[answers.closing(one) for one in found])

    async def changes(self, wanted: forms.BooksQuery, _: Mapping[str, str]) -> books_models.ChangesAnswer:
        """Row by row."""
        month = books.Month(wanted.account, wanted.live, wanted.first, self._calendar.zone_of(wanted.account))
        found = await books.compared(self._warehouse, month, wanted.closing, wanted.as_of)
        return answers.changes(found, self._calendar, wanted.live)

    async def health(self, wanted: forms.Asked, _: Mapping[str, str]) -> models.HealthAnswer:
        """How things stand."""
        actions = self._actions
        if actions is None:
            raise Unavailable("nobody here can tell how things are", remedy="start the console by tillstream up")
        seen, parts, judged = await asyncio.gather(
            pipeline.arrivals(self._warehouse, wanted.live, datetime.now(UTC)), actions.parts(), actions.judge()
        )
        return models.HealthAnswer(
            **self._head(wanted),
            verdict=judged.light.value,
            title=judged.title,
            reasons=[health.told(one) for one in judged.findings],
            findings=[models.Finding(**asdict(one)) for one in judged.findings],
            last_received_at=seen.last_received,
            events_last_hour=seen.last_hour,
            dead_letters=seen.dead_letters,
            unlinked_30_days=seen.unlinked,
            not_ready={part.name: part.reason for part in parts if not part.ready},
        )

    def _head(self, wanted: forms.Asked) -> dict[str, Any]:
        return answers.head(self._calendar, wanted.live)


def operations_alone() -> list[Operation]:
    """The table without anything to read from: for the document."""
    config = ConsoleConfig(Address("http://127.0.0.1:8123"))
    return Api(config, reader(config.warehouse)).operations()


def _answered(operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        path = dict(request.match_info)
        for value in path.values():
            forms.parsed(forms.Named, {"name": value})
        found = await operation.handler(forms.parsed(operation.query, request.query, strict=True), path)
        return model_answer(found)

    return handler


def model_answer(found: BaseModel) -> web.Response:
    """A model as JSON."""
    return web.Response(body=found.model_dump_json(by_alias=True).encode(), content_type="application/json")


def answer(value: Any, status: int = 200) -> web.Response:
    """Plain values as JSON."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
