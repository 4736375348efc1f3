"""The brand: how all mails look."""

from collections.abc import Mapping
from typing import Final

from aiohttp import BodyPartReader, web

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.mail_form import digest
from console.pages.site import Page
from engage.templates import colours, logo
from engage.templates.brand import checked
from schemas.definitions import Kind
from schemas.errors import ConfigurationError

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


class BrandPage(Page):
    """`/brand`."""

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
        file = await self.engagement.brand()
        return await self._form(request, file.brand.model_dump(), digest(file.text))

    async def save(self, request: web.Request) -> web.Response:
        """Writes the file, if nothing is wrong with it and nobody else has changed it meanwhile."""
        posted = await forms.posted(request)
        given, base = {name: posted.get(name, "") for name in FIELDS}, posted.get("base", "")
        parent = await self.engagement.base(Kind.BRAND, "brand")  # before its file: whoever comes between is not lost
        if given["logo"] == UPLOADED:
            given["logo"] = (await self.engagement.brand()).brand.logo
        async with self.site.change(request, Action.SAVE_BRAND) as outcome:
            new, wrong = checked(given)
            if new is None:
                outcome.error = "; ".join(f"{name}: {why}" for name, why in wrong.items())
                return await self._form(request, given, base, wrong=wrong, status=400)
            theirs = (await self.engagement.brand()).text
            stale = digest(theirs) != base
            if not stale and (found := await self.engagement.save_brand(new, parent, request[VISITOR].name)):
                stale, theirs = True, found.theirs.text if found.theirs else ""
            if stale:  # saving once more is meant, then
                outcome.error = "it was changed meanwhile"
                return await self._form(request, given, digest(theirs), theirs=theirs, status=409)
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
        parent = await self.engagement.base(Kind.BRAND, "brand")
        async with self.site.change(request, Action.SAVE_BRAND, detail="logo") as outcome:
            file = await self.engagement.brand()
            try:
                if size > logo.LARGEST:
                    raise ValueError(logo.too_large(size))
                new = file.brand.model_copy(update={"logo": logo.packed(content)})
            except ValueError as error:
                outcome.error = str(error)
                wrong = {"upload": outcome.error[:1].upper() + outcome.error[1:] + "."}
                return await self._form(request, file.brand.model_dump(), digest(file.text), wrong=wrong, status=400)
            if await self.engagement.save_brand(new, parent, request[VISITOR].name):
                raise ConfigurationError("the brand was changed meanwhile", remedy="upload the logo again")
        return self.site.back(request, "/brand", done="The logo is saved: every mail has it from now on.")

    async def _form(
        self,
        request: web.Request,
        given: Mapping[str, str],
        base: str,
        *,
        wrong: Mapping[str, str] | None = None,
        theirs: str = "",
        status: int = 200,
    ) -> web.Response:
        file = await self.engagement.brand()
        return self.site.page(
            request,
            "brand.html",
            status=status,
            fields=FIELDS,
            given=given,
            uploaded=UPLOADED if given["logo"].startswith("data:") else "",
            unreachable=file.unreachable,
            base=base,
            wrong=wrong or {},
            theirs=theirs,
            problem=file.problem,
            changed=bool(file.text) or bool(self.engagement.definitions.archived(Kind.BRAND)),
            who=file.settings,
        )
