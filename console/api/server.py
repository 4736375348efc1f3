"""The handlers of `/api/v1`, and the table of operations that both the routes and the document are made from."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel

from console import forms, health
from console.actions import Actions
from console.api import models
from console.api.engagement import EngagementApi
from console.api.openapi import Operation, text
from console.config import ConsoleConfig
from console.engagement import Engagement
from reports import feed, profiles, search
from reports.days import before, span
from reports.metrics import Cell, Series, ask
from reports.properties import known
from reports.summary import summary
from reports.text import aware, exact
from schemas.emails import normal
from schemas.errors import Unavailable
from schemas.metrics import Metric
from warehouse.address import Address
from warehouse.client import Row, Warehouse, reader

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
        self._config = config
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
        first, last = wanted.days(self._config, datetime.now(UTC))
        found = await summary(self._warehouse, self._config, first, last, wanted.live)
        return models.MetricsAnswer(
            **self._head(wanted),
            first=first,
            last=last,
            metrics=[
                models.MetricSummary(
                    metric=metric,
                    slug=metric.slug,
                    **cell(series.total),
                    days=[
                        models.DayCount(day=day, count=series.at(day).count, amounts=amounts(series.at(day)))
                        for day in found.days
                    ],
                    before=models.Before(
                        count=found.earlier[metric].count,
                        amounts=amounts(found.earlier[metric]),
                        known=metric not in found.begun,
                    ),
                )
                for metric, series in found.series.items()
            ],
        )

    async def metric(self, wanted: forms.MetricQuery, path: Mapping[str, str]) -> models.MetricAnswer:
        """One metric."""
        question = wanted.question(forms.metric_of(path["metric"]), self._config, datetime.now(UTC))
        found = await ask(self._warehouse, self._config, question)
        earlier = None
        if found.earlier is not None:
            first, last = before(question.first, question.last)
            earlier = models.Earlier(
                first=first,
                last=last,
                **cell(found.earlier.total),
                periods=cells(found.earlier, found.earlier_periods),
                known=found.begun is None,
            )
        return models.MetricAnswer(
            **self._head(wanted),
            metric=question.metric,
            first=question.first,
            last=question.last,
            interval=question.interval.value,
            split=wanted.split,
            total=models.Cell(**cell(found.whole.total)),
            periods=cells(found.whole, found.periods),
            parts=[
                models.Part(
                    part=part.value,
                    others=part.others,
                    **cell(part.series.total),
                    periods=cells(part.series, found.periods),
                )
                for part in found.parts
            ],
            before=earlier,
            sql=[query.shown for query in found.queries],
        )

    async def properties(self, wanted: forms.Range, path: Mapping[str, str]) -> models.PropertiesAnswer:
        """Those of a sample."""
        first, last = wanted.days(self._config, datetime.now(UTC))
        metric = forms.metric_of(path["metric"])
        instants = span(first, last, self._config.zones)
        found = await known(self._warehouse, wanted.live, *instants, metric.value)
        items = [models.PropertyItem(key=one.key, label=one.label) for one in found]
        return models.PropertiesAnswer(**self._head(wanted), properties=items)

    async def events(self, wanted: forms.FeedQuery, _: Mapping[str, str]) -> models.EventsAnswer:
        """A page, newest first."""
        rows, following = await feed.page(self._warehouse, wanted.wanted(), datetime.now(UTC))
        events = [models.Event(**event_values(row)) for row in rows]
        return models.EventsAnswer(**self._head(wanted), events=events, next=str(following) if following else None)

    async def event(self, wanted: forms.Asked, path: Mapping[str, str]) -> models.EventAnswer:
        """One event."""
        found = await feed.event(self._warehouse, path["metric_id"], wanted.live)
        if found is None:
            raise web.HTTPNotFound(text="there is no such event in this mode")
        lines = [
            models.Line(**models.plain(line) | {"amount": exact(line["amount"], line["currency"])})
            for line in found.lines
        ]
        live, id_ = found.row["livemode"], found.row["metric_id"]
        versions, raw = await asyncio.gather(
            feed.versions(self._warehouse, id_, live), feed.raw_events(self._warehouse, found.row)
        )
        return models.EventAnswer(
            **event_values(found.row),
            properties=found.properties,
            lines=lines,
            versions=[
                models.Version(**models.plain(row) | {"amount": exact(row["amount"], row["currency"])})
                for row in versions
            ],
            stripe_events=[models.StripeEvent(**models.plain(row)) for row in raw],
        )

    async def profiles(self, wanted: forms.SearchQuery, _: Mapping[str, str]) -> models.ProfilesAnswer:
        """Those that match."""
        rows = await profiles.search(self._warehouse, wanted.q, wanted.live)
        found = [models.FoundProfile(**person_values(row)) for row in rows]
        return models.ProfilesAnswer(**self._head(wanted), profiles=found)

    async def search(self, wanted: forms.FindQuery, _: Mapping[str, str]) -> models.SearchAnswer:
        """What is called so, or begins so."""
        found = await search.find(self._warehouse, wanted.q, wanted.live)
        return models.SearchAnswer(
            **self._head(wanted),
            profiles=[models.FoundProfile(**person_values(row)) for row in found.people],
            events=[models.Event(**event_values(row)) for row in found.events],
            stripe_events=[models.FoundStripeEvent(**models.plain(row)) for row in found.stripe_events],
            more=found.more,
        )

    async def profile(self, wanted: forms.Asked, path: Mapping[str, str]) -> models.ProfileAnswer:
        """One person."""
        found = await profiles.person(self._warehouse, normal(path["email"]), wanted.live)
        if found is None:
            raise web.HTTPNotFound(text="nobody is known by that email in this mode")
        return models.ProfileAnswer(**person_values(found))

    async def health(self, wanted: forms.Asked, _: Mapping[str, str]) -> models.HealthAnswer:
        """How things stand."""
        actions = self._actions
        if actions is None:
            raise Unavailable("nobody here can tell how things are", remedy="start the console by tillstream up")
        seen, parts, judged = await asyncio.gather(
            health.arrivals(self._warehouse, wanted.live, datetime.now(UTC)), actions.parts(), actions.judge()
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
        zones = dict(self._config.timezones)
        return {"mode": wanted.mode, "timezone": self._config.default_timezone, "timezones": zones}


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


def cells(series: Series, periods: list[date]) -> list[models.Period]:
    """One a period."""
    return [models.Period(begin=begin, **cell(series.at(begin))) for begin in periods]


def cell(one: Cell) -> dict[str, Any]:
    """The values of a `models.Cell`."""
    return {"count": one.count, "unique_profiles": one.people, "amounts": amounts(one)}


def amounts(one: Cell) -> dict[str, str]:
    """Currency to exact decimal text in major units."""
    return {currency: exact(amount, currency) for currency, amount in sorted(one.amounts.items())}


def event_values(row: Row) -> dict[str, Any]:
    """A row of the feed; `amount` with the places of its currency."""
    moments = {name: aware(row[name]) for name in ("occurred_at", "received_at")}
    return {**row, **moments, "amount": exact(row["amount"], row["currency"]), "metric": Metric(row["metric"])}


def person_values(row: Row) -> dict[str, Any]:
    """A row of `profiles`; `lifetime_value` with the places of its currency."""
    value = [{**one, "lifetime_value": exact(one["lifetime_value"], one["currency"])} for one in row["value"]]
    return {**models.plain(row), "value": value}


def model_answer(found: BaseModel) -> web.Response:
    """A model as JSON."""
    return web.Response(body=found.model_dump_json(by_alias=True).encode(), content_type="application/json")


def answer(value: Any, status: int = 200) -> web.Response:
    """Plain values as JSON."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
