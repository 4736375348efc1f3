"""Closed books: months are closed here, and later it is told what has changed in them since, and why."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.pages.site import Page
from reports import books
from reports.books import Month
from reports.days import ONE_DAY, today

_MONTHS: Final = 24  # offered to be closed
SHOWN: Final = 500  # changed rows on a page


class BooksPages(Page):
    """`/books` and `/books/since`."""

    def routes(self) -> list[web.RouteDef]:
        """What was closed, closing, and what has changed since."""
        return [
            web.get("/books", self.page),
            web.get("/books/since", self.since),
            web.post("/books/close", self.close),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """All closings, the newest month first."""
        live = forms.parsed(forms.Asked, request.query).live
        found, begin = await books.closings(self.warehouse, live), await books.begin(self.warehouse)
        months = [today(self.config.calendar.zones, datetime.now(UTC)).replace(day=1)]
        while len(months) <= _MONTHS:
            months.append((months[-1] - ONE_DAY).replace(day=1))
        accounts = list(self.config.webhook_urls)
        return self.site.page(request, "books.html", closings=found, begin=begin, months=months[1:], accounts=accounts)

    async def since(self, request: web.Request) -> web.Response:
        """What has changed in a month since it was closed, or since any time."""
        wanted = forms.parsed(forms.BooksQuery, request.query)
        found = await books.compared(self.warehouse, self.month(wanted), wanted.closing, wanted.as_of)
        return self.site.page(request, "books_since.html", found=found, shown=SHOWN, asked=wanted)

    async def close(self, request: web.Request) -> web.Response:
        """Keep what the month comes to now. One that was closed may be closed again: both are kept."""
        form = forms.parsed(forms.MonthForm, {**request.query, **await forms.posted(request)})
        mode = "live" if form.live else "test"
        async with self.site.change(
            request, Action.CLOSE_BOOKS, account=form.account, detail=f"{form.month}, {mode} mode"
        ):
            await self.actions.close_books(self.month(form), request[VISITOR].name)
        return self.site.back(request, "/books", done=f"{form.first:%B %Y} is closed")

    def month(self, form: forms.MonthForm) -> Month:
        """As the account counts days."""
        return Month(form.account, form.live, form.first, self.config.calendar.zone_of(form.account))
