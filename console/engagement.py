"""Segments, flows and mails in the console: `engage` has them, as revisions and as files of the project."""

import asyncio
from collections.abc import Callable

from console.building import Fault
from console.changes import Change, changes
from console.flow_editing import FlowEditing
from console.flows import Flows
from console.mail_editing import MailEditing
from console.mail_shapes import MailFile
from console.segments import Segments
from engage import mail_links
from engage.conditions.problems import Invalid, Problem
from engage.definitions.keeping import Definitions, Stale
from engage.flows import library as flows
from engage.flows.model import Status
from engage.flows.reading import parse
from schemas.definitions import Kind, Revision
from schemas.errors import ConfigurationError, TillstreamError
from settings.loading import load_settings
from settings.table import Settings
from streams.address import open_broker


class Engagement(Segments, Flows, FlowEditing, MailEditing):
    """Segments, flows and mails. Each raises TillstreamError, whose text and remedy are shown."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        data = settings.tillstream_data
        self.definitions = Definitions(lambda: open_broker(load_settings(tillstream_data=data)), settings.project)

    async def base(self, kind: Kind, name: str) -> str:
        """What an edit of a definition begins with, as far as is known while Kafka is away."""
        try:
            head = await self.definitions.head(kind, name)
        except TillstreamError:
            head = next(reversed(self.definitions.taken(kind, name)), None)
        return head.id if head else ""

    async def save(
        self, kind: Kind, name: str, text: str, *, base: str | None, author: str
    ) -> Revision | Stale | list[Problem] | list[Fault]:
        """Saves a definition; with mistakes, which it gives, nothing. `base` is None for a new one."""
        parent = await self.base(kind, name) if base is None else base
        wrong = await asyncio.to_thread(self._mistakes, kind, name, text, base is None)
        return wrong or await self.definitions.save(kind, name, text, parent=parent, author=author)

    async def set_aside(self, kind: Kind, name: str, author: str) -> None:
        """Archives a segment or a flow of the project."""
        found = await self.segment(name) if kind is Kind.SEGMENT else await self.flow(name)
        if found.ready:
            raise ConfigurationError(
                f"{name} came with Tillstream: it can't be taken away", remedy="leave it as it is, or edit it"
            )
        parent = await self.base(kind, name)
        await self._save(kind, name, found.yaml, parent, author, archived=True)

    async def remove_mail(self, name: str, author: str) -> MailFile:
        """Sets the project's template aside, unless a flow needs it; the template."""
        parent = await self.base(Kind.TEMPLATE, name)
        file = await asyncio.to_thread(self._removable, name)
        await self._save(Kind.TEMPLATE, name, file.text, parent, author, archived=True)
        return file

    async def restore_flow(self, name: str, author: str) -> None:
        """Brings it back, as a draft."""
        head = await self.definitions.head(Kind.FLOW, name)
        if head is None or not head.archived:
            raise ConfigurationError(f"no flow '{name}' is set aside", remedy="tillstream flows list")
        await self._save(Kind.FLOW, name, _with_status(head.text, Status.DRAFT), head.id, author)

    async def set_status(self, name: str, status: str, author: str) -> None:
        """draft, manual or live, from now on."""
        parent = await self.base(Kind.FLOW, name)
        text, _ = await asyncio.to_thread(mail_links.text_with, self._settings(), name, Status(status))
        await self._save(Kind.FLOW, name, text, parent, author)

    async def history(self, kind: Kind, name: str) -> list[Change]:
        """Every revision, newest first, with what it changed. Raises ConfigurationError when there never was one."""
        found = await self.definitions.history(kind, name)
        if not found:
            raise ConfigurationError(f"nobody has changed a {kind} '{name}'", remedy="look at its page")
        taken = self.definitions.taken(kind, name)
        return await asyncio.to_thread(changes, found, taken)

    async def roll_back(self, kind: Kind, name: str, number: str, base: str, author: str) -> Revision | Stale:
        """Makes the text of an earlier revision the newest one; a flow keeps the status that it has.

        Raises ConfigurationError when there is no such revision, or when it would not work today.
        """
        found = await self.definitions.history(kind, name)
        old = next((each for each in found if each.id == number), None)
        if old is None:
            raise ConfigurationError(f"the {kind} '{name}' has no such revision", remedy="load the page again")
        now = next((each for each in found if each.id == base), None)
        text = _with_status(old.text, _status(now)) if kind is Kind.FLOW else old.text
        if wrong := await asyncio.to_thread(self._mistakes, kind, name, text, False):
            told = "; ".join(one.message if isinstance(one, Problem) else one.text for one in wrong)
            raise ConfigurationError(f"it would not work today: {told}", remedy="edit what is there now")
        return await self.definitions.save(kind, name, text, parent=base, author=author)

    async def _save(
        self, kind: Kind, name: str, text: str, parent: str, author: str, *, archived: bool = False
    ) -> None:
        found = await self.definitions.save(kind, name, text, parent=parent, author=author, archived=archived)
        if isinstance(found, Stale):
            raise ConfigurationError(f"the {kind} '{name}' was changed meanwhile", remedy="look at it again")

    def _mistakes(self, kind: Kind, name: str, text: str, new: bool) -> list[Problem] | list[Fault]:
        """Why it can't be saved; `new`: there must be none of that name."""
        checks: dict[Kind, Callable[[str, str, bool], list[Problem] | list[Fault]]] = {
            Kind.SEGMENT: self._segment_mistakes,
            Kind.FLOW: self._flow_mistakes,
            Kind.TEMPLATE: self._mail_mistakes,
            Kind.BRAND: self._brand_mistakes,
        }
        return checks[kind](name, text, new)


def _status(now: Revision | None) -> Status:
    """What a flow does now: nothing when it is archived, or can't be read."""
    try:
        return parse(now.text, now.name).status if now is not None and not now.archived else Status.DRAFT
    except Invalid:
        return Status.DRAFT


def _with_status(text: str, status: Status) -> str:
    """The text of a flow with that status; what can't be read stays as it is."""
    try:
        found = parse(text, "flow")
    except Invalid:
        return text
    return text if found.status is status else flows.with_status(text, status)
