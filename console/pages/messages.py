"""One message as it was sent."""

from typing import Final

from aiohttp import web

from console import archive, forms
from console.pages.site import Page
from reports import messages
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
        message, letter = await self._found(request)
        return self.site.page(request, "message.html", row=message, letter=letter)

    async def body(self, request: web.Request) -> web.Response:
        """The mail itself, for a frame that may do nothing."""
        _, letter = await self._found(request)
        return web.Response(text=letter.html, content_type="text/html", charset="utf-8", headers=BODY_HEADERS)

    async def _found(self, request: web.Request) -> tuple[messages.Message, archive.Letter]:
        wanted = forms.parsed(forms.MessageQuery, request.query)
        found = await messages.one(self.warehouse, normal(wanted.email), wanted.id, wanted.live)
        if found is None:
            raise web.HTTPNotFound(text=f"There is no such message in {wanted.mode} mode.")
        message, content = found
        return message, archive.opened(content, message.channel)
