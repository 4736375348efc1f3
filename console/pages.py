"""The pages, rendered on the server. Each handler asks, arranges and renders; nothing is kept between requests."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from console import charts, feed, forms, health, people
from console.charts import COLOUR_OF, Measure
from console.config import ConsoleConfig
from console.days import Interval, last_days, today
from console.numbers import Split, ask, overview
from console.templates_env import environment, linker
from console.text import exact
from console.warehouse import Warehouse
from schemas.metrics import Metric
from schemas.stripe_types import EVENT_TYPES

MAIN: Final = (Metric.SUCCESSFULLY_PAID, Metric.FAILED_PAYMENT, Metric.REFUNDED_PAYMENT, Metric.ISSUED_INVOICE)
TABLE_LINES: Final = 400  # more are in the CSV
BODY_CHARACTERS: Final = 100_000
CELL_ENDS: Final = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would take such a text for a formula


class Pages:
    """The handlers."""

    def __init__(self, config: ConsoleConfig, warehouse: Warehouse, *, closed: bool) -> None:
        self._config = config
        self._warehouse = warehouse
        self._templates = environment(config, closed=closed)

    def routes(self) -> list[web.RouteDef]:
        """All pages, and the parts that pages renew."""
        return [
            web.get("/", self.overview_page),
            web.get("/part/health", self.health_strip),
            web.get("/metric/{metric}", self.metric_page),
            web.get("/metric/{metric}/csv", self.csv_file),
            web.get("/feed", self.feed_page),
            web.get("/part/feed", self.feed_rows),
            web.get("/event", self.event_page),
            web.get("/part/raw", self.raw_list),
            web.get("/raw", self.raw_page),
            web.get("/profiles", self.profiles_page),
            web.get("/profile", self.profile_page),
        ]

    async def overview_page(self, request: web.Request) -> web.Response:
        """The last 30 days, and how things stand."""
        live, now = forms.livemode(request.query), datetime.now(UTC)
        first, last = last_days(today(self._config.zones, now))
        found = await overview(self._warehouse, self._config, first, last, live)
        seen, judged = await self._health(live, now)
        shown = [*MAIN, *(m for m in (Metric.UPCOMING_INVOICE,) if found.cell(m).count)]
        return self.page(
            request,
            "overview.html",
            found=found,
            metrics=shown,
            colour=COLOUR_OF,
            chart=charts.of_overview(found, MAIN),
            day=Interval.DAY,
            seen=seen,
            verdict=judged,
            now=now,
            empty=not any(found.cell(metric).count for metric in Metric),
            webhook_urls=self._config.webhook_urls if self._config.door_url else {},
            event_types=EVENT_TYPES,
        )

    async def health_strip(self, request: web.Request) -> web.Response:
        """The strip on the overview, renewed every few seconds."""
        live, now = forms.livemode(request.query), datetime.now(UTC)
        seen, judged = await self._health(live, now)
        return self.page(request, "health.html", seen=seen, verdict=judged, now=now)

    async def metric_page(self, request: web.Request) -> web.Response:
        """One metric: chart, table, SQL."""
        wanted = forms.question(request.query, request.match_info["metric"], self._config, datetime.now(UTC))
        measure = forms.measure(request.query)
        found = await ask(self._warehouse, self._config, wanted)
        chart, lines = charts.of_answer(found, measure)
        return self.page(
            request,
            "metric.html",
            metric=wanted.metric,
            metrics=[*MAIN, Metric.UPCOMING_INVOICE],
            colour=COLOUR_OF,
            wanted=wanted,
            found=found,
            measure=measure,
            measures=list(Measure),
            intervals=list(Interval),
            splits=list(Split),
            chart=chart,
            lines=lines,
            drawn=len(chart["series"]),
            drawn_currency=charts.currency_of(found) if measure is Measure.AMOUNT else "",
            shown_periods=list(reversed(found.periods))[: max(TABLE_LINES // max(len(found.parts), 1), 1)],
        )

    async def csv_file(self, request: web.Request) -> web.Response:
        """The same numbers for a spreadsheet: a line a period, part and currency."""
        wanted = forms.question(request.query, request.match_info["metric"], self._config, datetime.now(UTC))
        found = await ask(self._warehouse, self._config, wanted)
        out = io.StringIO()
        table = csv.writer(out)
        table.writerow(("period", "part", "count", "unique_profiles", "currency", "amount"))
        for begin in found.periods:
            for part in found.parts:
                cell = found.cell(begin, part)
                amounts = [(c, exact(amount, c)) for c, amount in sorted(cell.amounts.items())] or [("", "")]
                for currency, amount in amounts:
                    table.writerow((begin, harmless(part), cell.count, cell.people, currency, amount))
        name = f"{wanted.metric.slug}_{wanted.first}_{wanted.last}.csv"
        return web.Response(
            text=out.getvalue(),
            content_type="text/csv",
            charset="utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def feed_page(self, request: web.Request) -> web.Response:
        """What happened, newest first."""
        return await self._feed(request, "feed.html")

    async def feed_rows(self, request: web.Request) -> web.Response:
        """Its list, renewed every few seconds."""
        return await self._feed(request, "events.html")

    async def event_page(self, request: web.Request) -> web.Response:
        """Everything about one fact."""
        found = await self._event(request)
        return self.page(
            request,
            "event.html",
            row=found.row,
            lines=found.lines,
            line_count=found.line_count,
            plain={k: v for k, v in found.properties.items() if not isinstance(v, (dict, list))},
            nested={k: pretty(v) for k, v in found.properties.items() if isinstance(v, (dict, list)) and v},
            colour=COLOUR_OF,
            metric=Metric(found.row["metric"]),
        )

    async def raw_list(self, request: web.Request) -> web.Response:
        """Stripe's own events about the fact: asked for only when somebody wants to see them."""
        found = await self._event(request)
        rows = await feed.raw_events(self._warehouse, found.row)
        template = "raw_events.html" if "HX-Request" in request.headers else "raw_page.html"
        return self.page(request, template, rows=rows, limit=feed.RAW_EVENTS, account=found.row["account"])

    async def raw_page(self, request: web.Request) -> web.Response:
        """One of Stripe's events, as it came."""
        live = forms.livemode(request.query)
        wanted = forms.text(request.query, "id"), forms.text(request.query, "account")
        row = await feed.raw_body(self._warehouse, *wanted, live)
        if row is None:
            raise web.HTTPNotFound(text="there is no such event in this mode")
        body = row.pop("body")
        try:
            text = pretty(json.loads(body))
        except ValueError:
            text = body
        return self.page(
            request, "raw.html", row=row, body=text[:BODY_CHARACTERS], left_out=max(len(text) - BODY_CHARACTERS, 0)
        )

    async def profiles_page(self, request: web.Request) -> web.Response:
        """Search."""
        live, wanted = forms.livemode(request.query), forms.text(request.query, "q")
        rows = await people.search(self._warehouse, wanted, live)
        return self.page(request, "profiles.html", rows=rows, wanted=wanted, limit=people.FOUND_AT_MOST)

    async def profile_page(self, request: web.Request) -> web.Response:
        """One person."""
        wanted = forms.feed_filter(request.query)
        person = await people.person(self._warehouse, wanted.email, wanted.livemode) if wanted.email else None
        if person is None:
            raise web.HTTPNotFound(
                text=f"Nobody is known as {wanted.email or '…'} in {'live' if wanted.livemode else 'test'} mode."
            )
        rows, following = await feed.page(self._warehouse, wanted, datetime.now(UTC))
        return self.page(
            request,
            "profile.html",
            person=person,
            rows=rows,
            following=following,
            wanted=wanted,
            colour=COLOUR_OF,
            by_name={metric.value: metric for metric in Metric},
            today=today(self._config.zones, datetime.now(UTC)),
        )

    def page(self, request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """Renders; every template also knows `live`, `link`, `here` (the path), `modes` and `status`."""
        live = request.query.get("mode", "live") != "test"
        kept = {name: value for name, value in request.query.items() if name not in ("mode", "before", "id")}
        path = request.path if request.path not in ("/event", "/raw") and status == 200 else "/"
        modes = {mode: linker(mode == "live")(path, **(kept if path != "/" else {})) for mode in ("live", "test")}
        html = self._templates.get_template(template).render(
            live=live, link=linker(live), here=request.path, modes=modes, status=status, **values
        )
        return web.Response(text=html, content_type="text/html", charset="utf-8", status=status)

    async def _feed(self, request: web.Request, template: str) -> web.Response:
        wanted = forms.feed_filter(request.query)
        rows, following = await feed.page(self._warehouse, wanted, datetime.now(UTC))
        return self.page(
            request,
            template,
            rows=rows,
            following=following,
            wanted=wanted,
            metrics=list(Metric),
            colour=COLOUR_OF,
            by_name={metric.value: metric for metric in Metric},
        )

    async def _event(self, request: web.Request) -> feed.Event:
        live = forms.livemode(request.query)
        found = await feed.event(self._warehouse, forms.text(request.query, "id"), live)
        if found is None:
            raise web.HTTPNotFound(text=f"There is no such event in {'live' if live else 'test'} mode.")
        return found

    async def _health(self, live: bool, now: datetime) -> tuple[health.Arrivals, health.Verdict]:
        seen = await health.arrivals(self._warehouse, live, now)
        return seen, health.verdict(seen, health.not_ready(self._config.runtime), now)


def pretty(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def harmless(cell: str) -> str:
    """A text for a spreadsheet that is never a formula there."""
    return f"'{cell}" if cell.startswith(CELL_ENDS) else cell
