"""SQL: any question to the views, with what there is to ask beside it."""

import asyncio

from aiohttp import web
from pydantic import Field

from console import forms
from console.asking import LONGEST, PAGE_ROWS, SECONDS, Analyst, Asked, examples
from console.pages.site import Page, Site
from schemas.errors import ConfigurationError

_FIRST = """SELECT metric, currency, count(), sum(amount)
FROM metrics
WHERE livemode
GROUP BY metric, currency
ORDER BY metric, currency"""


class SqlQuery(forms.Asked):
    """The page."""

    example: int | None = Field(default=None, ge=1, description="A question of the cookbook, by its number")


class SqlPage(Page):
    """`/sql`. Asking is a POST: a link must not have ClickHouse work."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        state = self.config.state
        self._analyst = Analyst(self.config.warehouse, state.parent if state else None)

    def routes(self) -> list[web.RouteDef]:
        """The page, its answer, and the same as a file."""
        return [web.get("/sql", self.page), web.post("/sql", self.answer), web.post("/sql/csv", self.file)]

    async def page(self, request: web.Request) -> web.Response:
        """With a question of the cookbook, if one is named."""
        wanted, known = forms.parsed(SqlQuery, request.query), examples()
        sql = known[wanted.example - 1].sql if wanted.example and wanted.example <= len(known) else _FIRST
        return await self._page(request, sql)

    async def answer(self, request: web.Request) -> web.Response:
        """Rows, or what ClickHouse says to it."""
        sql = await _question(request)
        try:
            return await self._page(request, sql, await self._analyst.ask(sql))
        except ConfigurationError as error:
            return await self._page(request, sql, error=error)

    async def file(self, request: web.Request) -> web.Response:
        """As CSV."""
        sql = await _question(request)
        try:
            body = await self._analyst.file(sql)
        except ConfigurationError as error:
            return await self._page(request, sql, error=error)
        headers = {"Content-Disposition": 'attachment; filename="answer.csv"'}
        return web.Response(body=body, content_type="text/csv", charset="utf-8", headers=headers)

    async def _page(
        self, request: web.Request, sql: str, answer: Asked | None = None, error: ConfigurationError | None = None
    ) -> web.Response:
        views = await self._analyst.schema()
        return await asyncio.to_thread(
            self.site.page,
            request,
            "sql.html",
            sql=sql,
            answer=answer,
            error=error,
            views=views,
            examples=list(enumerate(examples(), 1)),
            most=PAGE_ROWS,
            seconds=SECONDS,
            longest=LONGEST,
        )


async def _question(request: web.Request) -> str:
    return (await forms.posted(request)).get("sql", "")
