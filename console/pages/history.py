"""The history of a definition: who saved it when, what that changed, and the way back."""

from typing import Annotated, Final, NamedTuple

from aiohttp import web
from pydantic import BaseModel, Field

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.pages.site import Page
from engage.definitions.keeping import Stale
from schemas.definitions import FILE, Kind
from schemas.errors import ConfigurationError


class _Place(NamedTuple):
    """Where a kind is in the console: `path` is what its history is below; `all` and `home` are the list of them."""

    path: str
    page: str
    all: str
    home: str


_PLACES: Final = {
    Kind.SEGMENT: _Place("/segment", "/segment", "Segments", "/segments"),
    Kind.FLOW: _Place("/flow", "/flow", "Flows", "/flows"),
    Kind.TEMPLATE: _Place("/template", "/template/edit", "Templates", "/templates"),
    Kind.BRAND: _Place("/brand", "/brand", "Templates", "/templates"),
}


class HistoryQuery(forms.Asked):
    """Of which definition."""

    name: Annotated[forms.Text, Field(min_length=1)]


class RollBackForm(BaseModel):
    """To which revision; `base` is the one that was the newest on the page."""

    name: Annotated[forms.Text, Field(min_length=1)]
    revision: Annotated[forms.Text, Field(min_length=1)]
    base: Annotated[forms.Text, Field(min_length=1)]


class HistoryPages(Page):
    """`/segment/history` and its like, and the way back from there."""

    def routes(self) -> list[web.RouteDef]:
        """Two for each kind."""
        return [
            route
            for each in _PLACES.values()
            for route in (
                web.get(f"{each.path}/history", self.history),
                web.post(f"{each.path}/roll-back", self.roll_back),
            )
        ]

    async def history(self, request: web.Request) -> web.Response:
        """Every revision, newest first."""
        kind, name = _kind(request), forms.parsed(HistoryQuery, request.query).name
        return self.site.page(
            request,
            "history.html",
            kind=kind,
            name=name,
            place=_PLACES[kind],
            by_file=FILE,
            changes=await self.engagement.history(kind, name),
        )

    async def roll_back(self, request: web.Request) -> web.Response:
        """A new revision with the text of an earlier one."""
        kind, form = _kind(request), forms.parsed(RollBackForm, await forms.posted(request))
        detail = f"{kind} {form.name}: {form.revision[:8]}"
        async with self.site.change(request, Action.ROLL_BACK, detail=detail):
            found = await self.engagement.roll_back(kind, form.name, form.revision, form.base, request[VISITOR].name)
            if isinstance(found, Stale):
                raise ConfigurationError(
                    f"the {kind} '{form.name}' was changed meanwhile", remedy="look at its history again"
                )
        return self.site.back(
            request,
            f"{_PLACES[kind].path}/history",
            name=form.name,
            done="It is as it was then: that is a revision of its own.",
        )


def _kind(request: web.Request) -> Kind:
    return next(kind for kind, place in _PLACES.items() if request.path.startswith(f"{place.path}/"))
