"""MRR: what it is, how it moved month by month, by which products, and whose movements those were."""

from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web

from console import charts, forms
from console.pages.site import Page
from reports import mrr
from reports.days import Interval


class MrrPage(Page):
    """`/mrr`."""

    def routes(self) -> list[web.RouteDef]:
        """The page."""
        return [web.get("/mrr", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """The last twelve months unless asked otherwise."""
        wanted = forms.parsed(forms.MrrQuery, request.query)
        calendar = self.config.calendar
        first, last = wanted.months(calendar, datetime.now(UTC))
        found = await mrr.overview(self.warehouse, calendar, first, last, wanted.live, wanted.kind, wanted.currency)
        main = wanted.currency or next(iter(found.months), "")
        months = found.months.get(main, [])
        return self.site.page(
            request,
            "mrr.html",
            found=found,
            main=main,
            whole=next((one for one in found.whole if one.currency == main), None),
            closing=months[-1].closing if months else Decimal(0),
            months=months,
            kinds=[kind for kind in mrr.Kind if any(kind in one.moved for one in months)],
            chart=charts.of_movements(months, main, calendar.zone_of("")) if months else None,
            wanted=wanted,
            month=Interval.MONTH,
            movers_at_most=mrr.MOVERS_AT_MOST,
        )
