"""What editors share: a draft, a new definition's name, and the one way in which a draft is saved."""

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, Field

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.building import Fault
from console.pages.site import Page
from engage.conditions.problems import Problem
from engage.definitions.keeping import Stale
from schemas.definitions import Kind, Revision
from schemas.errors import Unavailable

LONGEST_YAML: Final = 12_000  # characters

Yaml = Annotated[str, Field(max_length=LONGEST_YAML), AfterValidator(lambda text: text.replace("\r\n", "\n"))]


class Draft(BaseModel):
    """What stands in an editor; `base` is the id of the revision that the edit began with, '' for none."""

    name: forms.Text = ""
    yaml: Yaml = ""
    new: bool = False
    view: Literal["builder", "yaml"] = "yaml"
    do: forms.Text = ""
    base: forms.Text = ""


D = TypeVar("D", bound=Draft)


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a text: `status` is 200 when it was saved, else the editor shows it again, with the reason.

    `base` is what it is saved on next time: on `theirs`, when somebody else was faster, since it is meant then.
    """

    status: int = 200
    base: str = ""
    mistakes: list[Problem] | list[Fault] = field(default_factory=list)
    theirs: Revision | None = None
    refused: str = ""


class DefinitionPage(Page):
    """A page that saves definitions of one kind."""

    kind: ClassVar[Kind]
    saves: ClassVar[Action]

    async def keep(
        self, request: web.Request, name: str, text: str, base: str | None, *, wrong: str = "", detail: str = ""
    ) -> Kept:
        """Makes a text the newest revision of `name`. In no case is it lost: the caller shows it again.

        `base` is None for a new one. `wrong`: why it is not even tried. `detail` is the audit log's; else the name.
        """
        same = base or ""
        async with self.site.change(request, self.saves, detail=detail or name) as outcome:
            if wrong:
                outcome.error = wrong
                return Kept(400, same)
            try:
                found = await self.engagement.save(self.kind, name, text, base=base, author=request[VISITOR].name)
            except Unavailable as error:
                outcome.error = str(error)
                return Kept(503, same, refused=f"Not saved: {error}. Next: {error.remedy}")
            if isinstance(found, Stale):
                outcome.error = "it was changed meanwhile"
                return Kept(409, found.theirs.id if found.theirs else "", theirs=found.theirs)
            if isinstance(found, list):
                outcome.error = "; ".join(one.message if isinstance(one, Problem) else one.text for one in found)
                return Kept(400, same, mistakes=found)
        return Kept(base=found.id)


class EditorPage(DefinitionPage):
    """One whose texts are YAML."""

    @abstractmethod
    async def titled(self, text: str) -> tuple[str, Collection[str]]:
        """The title that a text has, and the names that are taken."""

    async def keep_draft(self, request: web.Request, draft: D) -> tuple[D, Kept]:
        """Saves a draft, under a name made of its title if it has none; the draft as the editor shows it then."""
        if draft.new and not draft.name:
            title, taken = await self.titled(draft.yaml)
            draft = draft.model_copy(update={"name": file_name_of(title, taken, self.kind)})
        kept = await self.keep(request, draft.name, draft.yaml, None if draft.new else draft.base)
        if kept.status == 409:
            draft = draft.model_copy(update={"base": kept.base, "view": "yaml"})
        return draft, kept


def file_name_of(title: str, taken: Collection[str], otherwise: str) -> str:
    """A file's name that is not `taken`, made of a title; `otherwise` when nothing of it can be in a name."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    base = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or otherwise
    return next(name for name in (base, *(f"{base}-{number}" for number in range(2, 1000))) if name not in taken)
