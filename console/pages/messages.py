"""One message as it was sent."""

from typing import Any, Final

from aiohttp import web

from console import archive, forms
from console.pages.site import Page
from schemas.emails import normal

#: Nothing of it runs, leads elsewhere or asks anybody for anything, pictures neither: who looks is nobody's business.
BODY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; sandbox; "
        "frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}


class MessagePage(Page):
    """`/message`."""

    def routes(self) -> list[web.RouteDef]:
        """The page, and the mail within it."""
        return [web.get("/message", self.page), web.get("/message/body", self.body)]

    async def page(self, request: web.Request) -> web.Response:
        """When, why and to whom, and what it was."""
        row = await self._found(request)
        letter = archive.opened(row["content"], row["channel"])
        return self.site.page(request, "message.html", row=row, letter=letter)

    async def body(self, request: web.Request) -> web.Response:
        """The mail itself, for a frame that may do nothing."""
        row = await self._found(request)
        html = archive.opened(row["content"], row["channel"]).html
        return web.Response(text=html, content_type="text/html", charset="utf-8", headers=BODY_HEADERS)

    async def _found(self, request: web.Request) -> dict[str, Any]:
        wanted = forms.parsed(forms.MessageQuery, request.query)
        row = await archive.message(self.warehouse, normal(wanted.email), wanted.id, wanted.live)
        if row is None:
            raise web.HTTPNotFound(text=f"There is no such message in {wanted.mode} mode.")
        return row
