"""The flow editor: trigger, rules and steps as cards, or the YAML, with the flow in words beside it."""

from collections.abc import Collection, Mapping
from typing import Annotated, Final, Literal, cast

from aiohttp import web
from pydantic import BaseModel, Field

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.building import Fault, FlowBuilt, Way
from console.engagement_shapes import FlowChecked, MailWanted
from console.flow_controls import TITLES
from console.pages.drafts import Draft, EditorPage, Yaml
from console.pages.flows import MAIL_HEADERS
from reports import messages, segments
from schemas.definitions import Kind, Revision
from schemas.errors import ConfigurationError, TillstreamError

#: What can be undone, and how it is told.
_UNDONE: Final = {
    "step-remove": "The step is removed.",
    "step-up": "The step is moved.",
    "step-down": "The step is moved.",
    "step-in": "The step is moved.",
    "step-copy": "The step is there twice.",
    "remove": "The condition is removed.",
    "drop": "That part is removed.",
}
_HOW: Final = {**dict.fromkeys(("step-add", "step-in", "step-copy"), "first"), "step-up": "up", "step-down": "down"}


class FlowEditQuery(forms.Asked):
    """An existing flow, or a new one that begins as `start`."""

    name: forms.Text = ""
    start: forms.Text = ""


class FlowDraft(Draft):
    """What stands in the editor; `undo` is the text before the last step was removed or moved."""

    undo: Yaml = ""
    then: Literal["", "live"] = ""
    email: forms.Text = ""


class MailQuery(forms.Asked):
    """What makes a mail of a flow that is being edited."""

    template: Annotated[forms.Text, Field(min_length=1)]
    subject: forms.Text = ""
    sender: forms.Text = Field(default="", alias="from")
    to: forms.Text = ""
    metric_id: forms.Text = ""
    email: forms.Text = ""

    def mail(self) -> MailWanted:
        """As `engage` is asked for it."""
        return MailWanted(self.template, self.subject, self.sender, self.to, self.metric_id, self.email)


class ToForm(BaseModel):
    """To whom a test goes."""

    recipient: Annotated[forms.Text, Field(min_length=3)]


class FlowEditorPages(EditorPage):
    """`/flow/new`, `/flow/edit` and what belongs to them."""

    kind = Kind.FLOW
    saves = Action.SAVE_FLOW

    def routes(self) -> list[web.RouteDef]:
        """The pages, the parts that follow what is typed, and saving."""
        return [
            web.get("/flow/new", self.start),
            web.get("/flow/edit", self.edit),
            web.post("/part/flow/build", self.build),
            web.post("/part/flow/check", self.check),
            web.post("/part/flow/way", self.way),
            web.post("/part/flow/draft/mail", self.mail_part),
            web.get("/flow/draft/mail", self.mail),
            web.post("/flow/draft/test", self.send_test),
            web.post("/flow/save", self.save),
            web.post("/flow/archive", self.archive),
            web.post("/flow/restore", self.restore),
        ]

    async def start(self, request: web.Request) -> web.Response:
        """What a new one may begin with."""
        self.must_be_allowed(request)
        return self.site.page(request, "flow_new.html", starts=await self.engagement.flow_starts())

    async def edit(self, request: web.Request) -> web.Response:
        """The editor."""
        self.must_be_allowed(request)
        wanted = forms.parsed(FlowEditQuery, request.query)
        if not wanted.name:
            text = await self.engagement.flow_start(wanted.start)
            return await self._editor(request, FlowDraft(yaml=text, new=True, view="builder"))
        base = await self.engagement.base(self.kind, wanted.name)  # first: what comes after it makes the edit stale
        flow = await self.engagement.flow(wanted.name)
        draft = FlowDraft(name=flow.name, yaml=flow.yaml, view="builder", base=base)
        return await self._editor(request, draft, ready=flow.ready)

    async def build(self, request: web.Request) -> web.Response:
        """The cards, or the text, after something was done there."""
        self.must_be_allowed(request)
        posted = await forms.posted(request)
        draft = forms.parsed(FlowDraft, posted)
        what, _, view = draft.do.partition(":")
        if what == "undo":
            draft = draft.model_copy(update={"yaml": draft.undo, "undo": "", "do": ""})
            return await self._editor(request, draft, part=True)
        refused = ""
        if draft.view == "builder" and what != "view":
            before = await self.engagement.written_flow(draft.yaml, posted) if what in _UNDONE else ""
            try:
                return await self._editor(request, draft.model_copy(update={"undo": before}), posted, part=True)
            except ConfigurationError as error:
                refused = f"{error}: {error.remedy}"
        else:
            draft = await self._draft(posted)
        if what == "view":
            draft = draft.model_copy(update={"view": "yaml" if view == "yaml" else "builder"})
        return await self._editor(request, draft.model_copy(update={"do": ""}), part=True, refused=refused)

    async def check(self, request: web.Request) -> web.Response:
        """The draft in words, or what is wrong with it."""
        draft = await self._draft(await forms.posted(request))
        checked = await self.engagement.check_flow(draft.name, draft.yaml)
        return self.site.page(request, "flow_checked.html", checked=checked, view=draft.view, nothing=messages.Done())

    async def way(self, request: web.Request) -> web.Response:
        """What would happen to a person."""
        self.must_be_allowed(request)
        live = forms.parsed(forms.Asked, request.query).live
        draft = await self._draft(await forms.posted(request))
        found = await self.engagement.way(draft.name, draft.yaml, draft.email, live=live)
        return self.site.page(request, "flow_way.html", way=found, titles=TITLES)

    async def mail_part(self, request: web.Request) -> web.Response:
        """The mail of a step, as the person of the draft would get it; what its template lacks is said in its place."""
        self.must_be_allowed(request)
        live = forms.parsed(forms.Asked, request.query).live
        posted = await forms.posted(request)
        draft, path = await self._draft(posted), posted.get("step", "")
        mail, problem = None, None
        try:
            mail = await self.engagement.draft_mail(draft.name, draft.yaml, path, draft.email, live=live)
        except TillstreamError as error:
            problem = error
        kept = {name: posted.get(f"{path}:{name}", "") for name in ("template", "subject", "from", "to")}
        kept["metric_id"], kept["email"] = (mail.metric_id, draft.email or mail.to) if mail else ("", "")
        can_send = not (await self.engagement.post()).missing
        return self.site.page(
            request, "flow_draft_mail.html", mail=mail, problem=problem, kept=kept, number=path, can_send=can_send
        )

    async def mail(self, request: web.Request) -> web.Response:
        """The mail itself, to be shown in a frame that may do nothing."""
        self.must_be_allowed(request)
        wanted = forms.parsed(MailQuery, request.query)
        mail = await self.engagement.mail_of(wanted.mail(), live=wanted.live)
        return web.Response(text=mail.html, content_type="text/html", charset="utf-8", headers=MAIL_HEADERS)

    async def send_test(self, request: web.Request) -> web.Response:
        """One mail to the person who looks at it."""
        live = forms.parsed(forms.Asked, request.query).live
        posted = await forms.posted(request)
        wanted, to = forms.parsed(MailQuery, posted), forms.parsed(ToForm, posted).recipient
        people = (to, *([wanted.email] if wanted.email else []))
        async with self.site.change(request, Action.SEND_TEST, people=people, detail=f"draft: {wanted.template}"):
            said = await self.engagement.test_mail_of(wanted.mail(), to, live=live)
        return self.site.page(request, "flow_tested.html", said=said)

    async def save(self, request: web.Request) -> web.Response:
        """Makes it the newest revision, if nothing is wrong with it."""
        draft = await self._draft(await forms.posted(request))
        unnamed = draft.new and draft.view == "builder"
        draft, kept = await self.keep_draft(request, draft)
        if kept.status != 200:
            draft = draft.model_copy(update={"name": ""}) if unnamed else draft
            wrong = cast("list[Fault]", kept.mistakes)
            return await self._editor(
                request, draft, wrong=wrong, status=kept.status, theirs=kept.theirs, refused=kept.refused
            )
        if draft.then == "live":
            return self.site.back(request, "/flow/live", name=draft.name, done="Saved. Nothing is sent yet.")
        return self.site.back(request, "/flow", name=draft.name, done="Saved.")

    async def titled(self, text: str) -> tuple[str, Collection[str]]:
        """What the flow is called."""
        built = await self.engagement.build_flow("", text, {}, "", segments.Occurring())
        return built.title, {flow.name for flow in await self.engagement.flows()}

    async def archive(self, request: web.Request) -> web.Response:
        """A flow is set aside."""
        name = forms.parsed(forms.Named, await forms.posted(request)).name
        async with self.site.change(request, Action.ARCHIVE_FLOW, detail=name):
            await self.engagement.set_aside(Kind.FLOW, name, request[VISITOR].name)
        return self.site.back(request, "/flows", done=f"The flow {name} is archived: nobody is on the way through it.")

    async def restore(self, request: web.Request) -> web.Response:
        """It is there again."""
        name = forms.parsed(forms.Named, await forms.posted(request)).name
        async with self.site.change(request, Action.RESTORE_FLOW, detail=name):
            await self.engagement.restore_flow(name, request[VISITOR].name)
        return self.site.back(request, "/flow", name=name, done="It is there again, as a draft.")

    async def _draft(self, posted: Mapping[str, str]) -> FlowDraft:
        """What was posted, with its fields written into its text."""
        draft = forms.parsed(FlowDraft, posted)
        if draft.view == "builder":
            draft = draft.model_copy(update={"yaml": await self.engagement.written_flow(draft.yaml, posted)})
        return draft

    async def _editor(
        self,
        request: web.Request,
        draft: FlowDraft,
        posted: Mapping[str, str] | None = None,
        *,
        ready: bool = False,
        wrong: list[Fault] | None = None,
        status: int = 200,
        part: bool = False,
        refused: str = "",
        theirs: Revision | None = None,
    ) -> web.Response:
        """The whole page, or the `part` of it that changes; raises ConfigurationError when that can't be done."""
        occurring = await segments.occurring(self.warehouse) if draft.view == "builder" else segments.Occurring()
        built = await self.engagement.build_flow(draft.name, draft.yaml, posted or {}, draft.do, occurring)
        if built.why:
            draft = draft.model_copy(update={"view": "yaml"})
        return self.site.page(
            request,
            "flow_building.html" if part else "flow_edit.html",
            status=status,
            builder="/part/flow/build",
            draft=draft,
            built=built,
            refused=refused,
            theirs=theirs,
            ready=ready,
            checked=FlowChecked(tuple(wrong)) if wrong else None,
            view=draft.view,
            undone=_UNDONE.get(draft.do.partition(":")[0], "Changed."),
            focus=_focus(draft.do, built) if built.steps else "",
            how=_HOW.get(draft.do.partition(":")[0], "last"),
            nothing=messages.Done(),
        )


def _focus(do: str, built: FlowBuilt) -> str:
    """The id of what was added or moved: there one goes on."""
    what, _, rest = do.partition(":")
    path, _, argument = rest.partition(":")
    home, _, last = path.rpartition(".")
    if what in ("step-remove", "remove", "drop"):
        return "undo"
    if what == "step-add":
        return f"step-{path}.{argument.partition(':')[0]}".replace("-.", "-")
    if not what.startswith("step-"):
        return f"step-{path.partition('.when')[0].partition('_when.')[0]}" if what in ("add", "filter", "row") else ""
    number = int(last)
    if what == "step-in":
        split = argument.rpartition(".")[0]
        place = int(split.rpartition(".")[2])
        return f"step-{home}.{place - (number < place)}.{argument.rpartition('.')[2]}.0".replace("-.", "-")
    number += -1 if what == "step-up" else 1
    if number < 0 or not _has(built.steps, f"{home}.{number}".lstrip(".")):  # out of a way of a split
        outer, _, split = home.rpartition(".")[0].rpartition(".")
        return f"step-{outer}.{int(split) + (number > 0)}".replace("-.", "-")
    return f"step-{home}.{number}".replace("-.", "-")


def _has(way: Way | None, path: str) -> bool:
    return way is not None and any(
        card.path == path or any(_has(each, path) for each in card.ways) for card in way.cards
    )
