"""The search that every page has."""

from aiohttp import web

from console import forms
from console.pages.site import Page
from reports import search


class SearchPage(Page):
    """`/search`."""

    def routes(self) -> list[web.RouteDef]:
        """One page, whose results renew themselves while one types."""
        return [web.get("/search", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """Who and what is called so, or begins so; where it is of the other mode, that is said."""
        wanted = forms.parsed(forms.FindQuery, request.query)
        found = await search.find(self.warehouse, wanted.q, wanted.live)
        elsewhere = bool(wanted.q and not found and await search.find(self.warehouse, wanted.q, not wanted.live))
        return self.site.page(
            request,
            "search.html",
            wanted=wanted.q,
            found=found,
            elsewhere=elsewhere,
            kinds=search.KINDS,
            shortest=search.SHORTEST,
        )
