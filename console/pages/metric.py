"""One metric: chart, table, parts, filters, the time before, CSV, and the SQL behind its numbers."""

import asyncio
import csv
import io
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from console import charts, forms
from console.pages.site import Page
from console.templates_env import address
from reports.days import Interval, span
from reports.metrics import Answer, Measure, Question, ask, values
from reports.properties import known
from reports.spreadsheet import METRIC_HEAD, metric_lines

TABLE_LINES: Final = 200  # more are in the CSV


class MetricPage(Page):
    """`/metric/{metric}`."""

    def routes(self) -> list[web.RouteDef]:
        """The page, its CSV, and the values that a filter may have."""
        return [
            web.get("/metric/{metric}", self.page),
            web.get("/metric/{metric}/csv", self.csv_file),
            web.get("/part/values/{metric}", self.values),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Chart, table, SQL."""
        wanted, question = self._asked(request)
        since, until = span(question.first, question.last, self.config.calendar.zones)
        found, properties = await asyncio.gather(
            ask(self.warehouse, self.config.calendar, question),
            known(self.warehouse, question.livemode, since, until, question.metric.value),
        )
        chart, lines = charts.of_answer(found, wanted.measure, self.config.calendar.zone_of(""))
        if question.split and question.split.key not in [one.key for one in properties]:
            properties.append(question.split)
        page = self.site.page(
            request,
            "metric.html",
            metric=question.metric,
            wanted=question,
            measure=wanted.measure,
            measures=list(Measure),
            intervals=list(Interval),
            properties=properties,
            kept=kept(wanted, question),
            found=found,
            chart=chart,
            lines=lines,
            drawn=min(lines, charts.DRAWN_AT_MOST),
            drawn_currency=found.currency if wanted.measure is Measure.AMOUNT else "",
            shown_periods=list(reversed(found.periods))[: max(TABLE_LINES // max(len(found.parts), 1), 1)],
            earlier=dict(zip(found.periods, found.earlier_periods, strict=False)),
        )
        page.headers["HX-Push-Url"] = address(
            request.path, [*kept(wanted, question).items(), ("mode", "" if wanted.live else "test")]
        )
        return page

    async def values(self, request: web.Request) -> web.Response:
        """The most frequent values of the property that is being chosen, for the field beside it."""
        _, question = self._asked(request)
        found = await values(self.warehouse, self.config.calendar, question)
        shown = question.split.shown if question.split else str
        return self.site.page(request, "values.html", values=[(value, shown(value)) for value in found])

    async def csv_file(self, request: web.Request) -> web.Response:
        """The same numbers for a spreadsheet: a line a period, part and currency."""
        _, question = self._asked(request)
        found = await ask(self.warehouse, self.config.calendar, question)
        name = f"{question.metric.slug}_{question.first}_{question.last}.csv"
        return web.Response(
            text=csv_text(found),
            content_type="text/csv",
            charset="utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _asked(self, request: web.Request) -> tuple[forms.MetricQuery, Question]:
        wanted = forms.parsed(forms.MetricQuery, request.query)
        metric = forms.metric_of(request.match_info["metric"])
        return wanted, wanted.question(metric, self.config.calendar, datetime.now(UTC))


def kept(wanted: forms.MetricQuery, question: Question) -> dict[str, Any]:
    """The parameters of the page, as links to it have them."""
    return {
        "from_": question.first,
        "to": question.last,
        "interval": question.interval.value,
        "measure": wanted.measure.value,
        "split": wanted.split,
        "compare": wanted.compare,
        "where": [one.property.key for one in question.filters],
        "is_": [one.value for one in question.filters],
    }


def csv_text(found: Answer) -> str:
    """The lines of `spreadsheet.metric_lines` below their head."""
    out = io.StringIO()
    csv.writer(out).writerows([METRIC_HEAD, *metric_lines(found)])
    return out.getvalue()
