"""What editors share: a draft, a new definition's name, and the one way in which a draft is saved."""

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Generic, Literal, TypeVar

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
class Kept(Generic[D]):
    """What became of a draft: `status` is 200 when it was saved, else the editor shows it again, with the reason."""

    draft: D
    status: int = 200
    mistakes: list[Problem] | list[Fault] = field(default_factory=list)
    theirs: Revision | None = None
    refused: str = ""


class EditorPage(Page):
    """A page that edits definitions of one kind."""

    kind: ClassVar[Kind]
    saves: ClassVar[Action]

    @abstractmethod
    async def titled(self, text: str) -> tuple[str, Collection[str]]:
        """The title that a text has, and the names that are taken."""

    async def keep(self, request: web.Request, draft: D) -> Kept[D]:
        """Saves a draft, under a name made of its title if it has none. In no case is a text lost."""
        if draft.new and not draft.name:
            title, taken = await self.titled(draft.yaml)
            draft = draft.model_copy(update={"name": file_name_of(title, taken, self.kind)})
        base = None if draft.new else draft.base
        async with self.site.change(request, self.saves, detail=draft.name) as outcome:
            try:
                found = await self.engagement.save(
                    self.kind, draft.name, draft.yaml, base=base, author=request[VISITOR].name
                )
            except Unavailable as error:
                outcome.error = str(error)
                return Kept(draft, 503, refused=f"Not saved: {error}. Next: {error.remedy}")
            if isinstance(found, Stale):
                outcome.error = "it was changed meanwhile"
                base = found.theirs.id if found.theirs else ""  # saving once more is meant, then
                draft = draft.model_copy(update={"base": base, "view": "yaml"})
                return Kept(draft, 409, theirs=found.theirs)
            if isinstance(found, list):
                outcome.error = "; ".join(one.message if isinstance(one, Problem) else one.text for one in found)
                return Kept(draft, 400, mistakes=found)
        return Kept(draft)


def file_name_of(title: str, taken: Collection[str], otherwise: str) -> str:
    """A file's name that is not `taken`, made of a title; `otherwise` when nothing of it can be in a name."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    base = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or otherwise
    return next(name for name in (base, *(f"{base}-{number}" for number in range(2, 1000))) if name not in taken)
