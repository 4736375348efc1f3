"""Payouts: what went to the bank, and whether every cent of Stripe's own account of the money has a name here."""

from aiohttp import web

from console import forms
from console.pages.site import Page
from reports import tieouts


class PayoutsPage(Page):
    """`/payouts`."""

    def routes(self) -> list[web.RouteDef]:
        """The page."""
        return [web.get("/payouts", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """The last tie-out of each account, and the newest payouts."""
        live = forms.parsed(forms.Asked, request.query).live
        found = await tieouts.overview(self.warehouse, live)
        return self.site.page(request, "payouts.html", found=found)
