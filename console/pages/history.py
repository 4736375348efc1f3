"""The history of a definition: who saved it when, what that changed, and the way back."""

from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, Field

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.pages.site import Page
from engage.definitions.keeping import Stale
from schemas.definitions import FILE, Kind
from schemas.errors import ConfigurationError

#: Of each kind that has a history here: the path of its page, and the name and path of the list of all.
_PLACES: Final = {
    Kind.SEGMENT: ("/segment", "Segments", "/segments"),
    Kind.FLOW: ("/flow", "Flows", "/flows"),
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
    """`/segment/history`, `/flow/history` and the way back from there."""

    def routes(self) -> list[web.RouteDef]:
        """Two for each kind."""
        return [
            route
            for path, *_ in _PLACES.values()
            for route in (web.get(f"{path}/history", self.history), web.post(f"{path}/roll-back", self.roll_back))
        ]

    async def history(self, request: web.Request) -> web.Response:
        """Every revision, newest first."""
        kind, name = _kind(request), forms.parsed(HistoryQuery, request.query).name
        path, title, home = _PLACES[kind]
        return self.site.page(
            request,
            "history.html",
            kind=kind,
            name=name,
            path=path,
            home=home,
            all=title,
            by_file=FILE,
            changes=await self.engagement.history(kind, name),
        )

    async def roll_back(self, request: web.Request) -> web.Response:
        """A new revision with the text of an earlier one."""
        kind, form = _kind(request), forms.parsed(RollBackForm, await forms.posted(request))
        path, *_ = _PLACES[kind]
        detail = f"{kind} {form.name}: {form.revision[:8]}"
        async with self.site.change(request, Action.ROLL_BACK, detail=detail):
            found = await self.engagement.roll_back(kind, form.name, form.revision, form.base, request[VISITOR].name)
            if isinstance(found, Stale):
                raise ConfigurationError(
                    f"the {kind} '{form.name}' was changed meanwhile", remedy="look at its history again"
                )
        return self.site.back(
            request, f"{path}/history", name=form.name, done="It is as it was then: that is a revision of its own."
        )


def _kind(request: web.Request) -> Kind:
    return next(kind for kind, (path, *_) in _PLACES.items() if request.path.startswith(f"{path}/"))
