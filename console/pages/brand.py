"""The brand: how all mails look."""

from collections.abc import Mapping
from typing import Final

from aiohttp import BodyPartReader, web

from console import forms
from console.audit import Action
from console.pages.drafts import DefinitionPage, Kept
from engage.templates import colours, logo
from engage.templates.brand import checked, write
from schemas.definitions import Kind

NAME: Final = "brand"  # there is one
UPLOADED: Final = "uploaded"  # stands in the form for a logo that has no address
_READ: Final = 32_000_000  # bytes of a file
#: The fields: label, hint and a note below.
FIELDS: Final = {
    "colour": ("Colour of buttons", colours.USUAL[0], "Text on it stays legible, in the dark too."),
    "background": ("Colour around the mail", colours.USUAL[1], "In the dark it is dark."),
    "logo": (
        "Logo",
        "https://shop.example/logo.png",
        "Its address, or upload it below. Shown 40 pixels high, in place of the name.",
    ),
}


class BrandPage(DefinitionPage):
    """`/brand`."""

    kind = Kind.BRAND
    saves = Action.SAVE_BRAND

    def routes(self) -> list[web.RouteDef]:
        """The page and saving."""
        return [
            web.get("/brand", self.show),
            web.post("/brand/save", self.save),
            web.get("/brand/logo", self.logo),
            web.post("/brand/logo", self.upload),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """The form."""
        self.must_be_allowed(request)
        base = await self.engagement.base(self.kind, NAME)  # first: what comes after it makes the edit stale
        return await self._form(request, (await self.engagement.brand()).brand.model_dump(), base)

    async def save(self, request: web.Request) -> web.Response:
        """Makes it the newest revision, if nothing is wrong with it and nobody else has changed it meanwhile."""
        posted = await forms.posted(request)
        given, base = {name: posted.get(name, "") for name in FIELDS}, posted.get("base", "")
        if given["logo"] == UPLOADED:
            given["logo"] = (await self.engagement.brand()).brand.logo
        new, wrong = checked(given)
        why = "; ".join(f"{name}: {each}" for name, each in wrong.items())
        kept = await self.keep(request, NAME, write(new) if new else "", base, wrong=why)
        if kept.status != 200:
            return await self._form(request, given, kept.base, wrong=wrong, kept=kept)
        return self.site.back(request, "/brand", done="Saved: every mail has it from now on.")

    async def logo(self, request: web.Request) -> web.Response:
        """The logo that was uploaded."""
        self.must_be_allowed(request)
        found = logo.unpacked((await self.engagement.brand()).brand.logo)
        if found is None:
            raise web.HTTPNotFound(text="There is no logo.")
        return web.Response(body=found[1], content_type=found[0])

    async def upload(self, request: web.Request) -> web.Response:
        """A file becomes the logo. One that is too large is read to its end, so that the browser shows why not."""
        self.must_be_allowed(request)
        content, size = b"", 0
        if request.content_type == "multipart/form-data":
            async for part in await request.multipart():
                while isinstance(part, BodyPartReader) and (chunk := await part.read_chunk()) and size < _READ:
                    size += len(chunk)
                    content += chunk if size <= logo.LARGEST else b""
        base = await self.engagement.base(self.kind, NAME)  # before its file: whoever comes between is not lost
        now, text, why = (await self.engagement.brand()).brand, "", ""
        try:
            if size > logo.LARGEST:
                raise ValueError(logo.too_large(size))
            text = write(now.model_copy(update={"logo": logo.packed(content)}))
        except ValueError as error:
            why = str(error)
        kept = await self.keep(request, NAME, text, base, wrong=why, detail="logo")
        if kept.status != 200:
            wrong = {"upload": f"{why[:1].upper()}{why[1:]}."} if why else {}
            return await self._form(request, now.model_dump(), kept.base, wrong=wrong, kept=kept)
        return self.site.back(request, "/brand", done="The logo is saved: every mail has it from now on.")

    async def _form(
        self,
        request: web.Request,
        given: Mapping[str, str],
        base: str,
        *,
        wrong: Mapping[str, str] | None = None,
        kept: Kept | None = None,
    ) -> web.Response:
        file = await self.engagement.brand()
        return self.site.page(
            request,
            "brand.html",
            status=kept.status if kept else 200,
            fields=FIELDS,
            given=given,
            uploaded=UPLOADED if given["logo"].startswith("data:") else "",
            unreachable=file.unreachable,
            base=base,
            wrong=wrong or {},
            theirs=kept.theirs if kept else None,
            refused=kept.refused if kept else "",
            problem=file.problem,
            changed=bool(file.text) or bool(self.engagement.definitions.archived(Kind.BRAND)),
            who=file.settings,
        )
