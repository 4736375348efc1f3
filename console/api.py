"""`/api/v1`: every number that a page shows, as JSON. Money is decimal text, times are RFC 3339 in UTC."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from console import feed, forms, health, people
from console.config import ConsoleConfig
from console.days import last_days, today
from console.numbers import Answer, Cell, ask, overview
from console.text import exact, iso
from console.warehouse import Warehouse
from schemas.metrics import Metric


class Api:
    """The handlers."""

    def __init__(self, config: ConsoleConfig, warehouse: Warehouse) -> None:
        self._config = config
        self._warehouse = warehouse

    def routes(self) -> list[web.RouteDef]:
        """All under /api/v1."""
        return [
            web.get("/api/v1/overview", self.overview),
            web.get("/api/v1/metrics/{metric}", self.metric),
            web.get("/api/v1/feed", self.feed),
            web.get("/api/v1/event", self.event),
            web.get("/api/v1/profiles", self.profiles),
            web.get("/api/v1/profile", self.profile),
            web.get("/api/v1/health", self.health),
        ]

    async def overview(self, request: web.Request) -> web.Response:
        """The last 30 days of every metric, by day and currency."""
        live = forms.livemode(request.query)
        first, last = last_days(today(self._config.zones, datetime.now(UTC)))
        found = await overview(self._warehouse, self._config, first, last, live)
        return answer(
            {
                **self._head(live),
                "from": first,
                "to": last,
                "metrics": [
                    {
                        "metric": metric.value,
                        "slug": metric.slug,
                        **cell_json(found.cell(metric)),
                        "days": [
                            {"day": day, "count": cell.count, "amounts": amounts_json(cell)}
                            for day in found.days
                            for cell in [found.cell(metric, day)]
                        ],
                    }
                    for metric in Metric
                ],
            }
        )

    async def metric(self, request: web.Request) -> web.Response:
        """One metric by `interval`, `split`, `currency`, `from`, `to`."""
        wanted = forms.question(request.query, request.match_info["metric"], self._config, datetime.now(UTC))
        found = await ask(self._warehouse, self._config, wanted)
        return answer(
            {
                **self._head(wanted.livemode),
                "metric": wanted.metric.value,
                "from": wanted.first,
                "to": wanted.last,
                "interval": wanted.interval,
                "split": wanted.split,
                "total": cell_json(found.cell()),
                "periods": [{"begin": begin, **cell_json(found.cell(begin))} for begin in found.periods],
                "parts": parts_json(found) if wanted.split != "none" else [],
                "sql": [query.shown for query in found.queries],
            }
        )

    async def feed(self, request: web.Request) -> web.Response:
        """The newest events; `next` is the cursor to pass as `before` for the page after."""
        wanted = forms.feed_filter(request.query)
        rows, following = await feed.page(self._warehouse, wanted, datetime.now(UTC))
        events = [event_json(row) for row in rows]
        return answer({**self._head(wanted.livemode), "events": events, "next": str(following) if following else None})

    async def event(self, request: web.Request) -> web.Response:
        """One event by `id`, with its properties and invoice lines."""
        live = forms.livemode(request.query)
        found = await feed.event(self._warehouse, forms.text(request.query, "id"), live)
        if found is None:
            raise web.HTTPNotFound(text="there is no such event in this mode")
        lines = [{**line, "amount": exact(line["amount"], line["currency"])} for line in found.lines]
        return answer({**event_json(found.row), "properties": found.properties, "lines": lines})

    async def profiles(self, request: web.Request) -> web.Response:
        """People whose email holds `q`."""
        live = forms.livemode(request.query)
        rows = await people.search(self._warehouse, forms.text(request.query, "q"), live)
        return answer({**self._head(live), "profiles": [person_json(row) for row in rows]})

    async def profile(self, request: web.Request) -> web.Response:
        """One person by `email`; the timeline is `feed?email=…`."""
        live = forms.livemode(request.query)
        found = await people.person(self._warehouse, forms.text(request.query, "email").lower(), live)
        if found is None:
            raise web.HTTPNotFound(text="nobody is known by that email in this mode")
        return answer(person_json(found))

    async def health(self, request: web.Request) -> web.Response:
        """The verdict and what it rests on."""
        live, now = forms.livemode(request.query), datetime.now(UTC)
        seen = await health.arrivals(self._warehouse, live, now)
        down = health.not_ready(self._config.runtime)
        judged = health.verdict(seen, down, now)
        return answer(
            {
                **self._head(live),
                "verdict": judged.light,
                "title": judged.title,
                "reasons": judged.reasons,
                "events": seen.events,
                "last_received_at": seen.last_received,
                "events_last_hour": seen.last_hour,
                "dead_letters": seen.dead_letters,
                f"unlinked_{health.UNLINKED_DAYS}_days": seen.unlinked,
                "not_ready": down,
            }
        )

    def _head(self, live: bool) -> dict[str, Any]:
        return {
            "mode": "live" if live else "test",
            "timezone": self._config.default_timezone,
            "timezones": dict(self._config.timezones),
        }


def parts_json(found: Answer) -> list[dict[str, Any]]:
    """Each part with its periods."""
    return [
        {
            "part": part,
            **cell_json(found.cell(None, part)),
            "periods": [{"begin": begin, **cell_json(found.cell(begin, part))} for begin in found.periods],
        }
        for part in found.parts
    ]


def cell_json(cell: Cell) -> dict[str, Any]:
    """`count`, `unique_profiles`, and `amounts` by currency."""
    return {"count": cell.count, "unique_profiles": cell.people, "amounts": amounts_json(cell)}


def amounts_json(cell: Cell) -> dict[str, str]:
    """Currency to exact decimal text in major units."""
    return {currency: exact(amount, currency) for currency, amount in sorted(cell.amounts.items())}


def event_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the feed; `amount` with the places of its currency."""
    return {**row, "amount": exact(row["amount"], row["currency"])}


def person_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `profiles`; `lifetime_value` with the places of its currency."""
    value = [{**one, "lifetime_value": exact(one["lifetime_value"], one["currency"])} for one in row["value"]]
    return {**row, "value": value}


def answer(value: Any, status: int = 200) -> web.Response:
    """`value` as JSON."""
    return web.Response(
        body=orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME),
        status=status,
        content_type="application/json",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no JSON form")
