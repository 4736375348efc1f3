"""The mails: a list, and an editor with blocks or HTML and the mail as somebody would get it beside them."""

from collections import OrderedDict
from hashlib import sha256
from typing import Annotated, Final, Literal, cast

from aiohttp import web
from pydantic import AfterValidator, BaseModel, Field

from console import forms, mail_form
from console.access.gate import VISITOR
from console.audit import Action
from console.mail_shapes import MailFile
from console.pages.drafts import DefinitionPage, file_name_of
from console.pages.flows import MAIL_HEADERS
from console.pages.site import METRICS, Site
from engage.conditions.problems import Problem
from engage.templates import blocks, files
from engage.templates.blocks import BlockMail, Wrong
from schemas.definitions import Kind, Revision

_KEPT: Final = 24  # mails that were shown last, each until its frame has asked for it
_NIGHT: Final = "(prefers-color-scheme: dark)"
_UNDONE: Final = {
    "remove": "The block is removed.",
    "up": "The block is moved.",
    "down": "The block is moved.",
    "copy": "The block is there twice.",
}
Html = Annotated[str, Field(max_length=files.LONGEST), AfterValidator(lambda text: text.replace("\r\n", "\n"))]


class EditQuery(forms.Asked):
    """A template that is there, or a new one: as blocks that begin as `start`, or as a copy of `copy`."""

    name: forms.Text = ""
    start: forms.Text = ""
    copy_of: forms.Text = Field(default="", alias="copy")


class Edited(BaseModel):
    """What stands in the editor besides the blocks. `undo` is the mail before the last block was moved or removed.

    `was`: how the mail is saved by now; `base` is the id of the revision that the edit began with, '' for none.
    """

    name: forms.Text = ""
    title: forms.Text = ""
    new: bool = False
    view: Literal["blocks", "html"] = "blocks"
    was: Literal["blocks", "html"] = "blocks"
    html: Html = ""
    undo: Html = ""
    do: forms.Text = ""
    base: forms.Text = ""
    email: forms.Text = ""
    about: forms.Text = Field(default="", alias=":about")


class SeenQuery(forms.Asked):
    """A mail that was made a moment ago."""

    id: forms.Text = ""
    night: bool = False


class ToForm(BaseModel):
    """To whom a test goes."""

    recipient: Annotated[forms.Text, Field(min_length=3)]


class MailPages(DefinitionPage):
    """`/templates`, `/template/edit` and what belongs to them."""

    kind = Kind.TEMPLATE
    saves = Action.SAVE_MAIL

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._shown: OrderedDict[str, str] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """The pages, the parts that follow what is typed, and saving."""
        return [
            web.get("/templates", self.all),
            web.get("/template/new", self.start),
            web.get("/template/edit", self.edit),
            web.post("/part/template/build", self.build),
            web.post("/part/template/seen", self.see),
            web.get("/template/seen", self.seen),
            web.post("/template/test", self.send_test),
            web.post("/template/save", self.save),
            web.post("/template/remove", self.remove),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Every template, those of one's own first."""
        found = await self.engagement.mail_files()
        ordered = sorted(found, key=lambda file: (file.ready, file.name))
        removed = self.engagement.definitions.archived(Kind.TEMPLATE)
        return self.site.page(request, "mails.html", files=ordered, removed=removed)

    async def start(self, request: web.Request) -> web.Response:
        """What a new one may begin with."""
        self.must_be_allowed(request)
        return self.site.page(request, "mail_new.html", starts=self.engagement.mail_starts())

    async def edit(self, request: web.Request) -> web.Response:
        """The editor."""
        self.must_be_allowed(request)
        wanted = forms.parsed(EditQuery, request.query)
        if not (wanted.name or wanted.copy_of):
            return await self._editor(request, Edited(new=True), self.engagement.mail_start(wanted.start))
        base = await self.engagement.base(self.kind, wanted.name)  # first: what comes after it makes the edit stale
        file = await self.engagement.mail_file(wanted.name or wanted.copy_of)
        kind: Literal["blocks", "html"] = "blocks" if file.mail else "html"
        told = {"view": kind, "was": kind, "html": "" if file.mail else file.text, "about": file.about}
        if wanted.copy_of:
            draft = Edited(new=True, title=f"Copy of {file.title}").model_copy(update=told)
        else:
            draft = Edited(name=file.name, base=base).model_copy(update=told)
        return await self._editor(request, draft, file.mail or BlockMail(file.about))

    async def build(self, request: web.Request) -> web.Response:
        """The blocks, or the HTML, after something was done there."""
        self.must_be_allowed(request)
        posted = await forms.posted(request)
        draft, mail, why = forms.parsed(Edited, posted), mail_form.read(posted), ""
        what = draft.do.partition(":")[0]
        if draft.do == "view:html" and draft.view == "blocks":
            if [one for one in blocks.mistakes(mail) if not one.empty]:
                why = "A field is wrong: mend what is marked first."
            else:
                draft = draft.model_copy(update={"view": "html", "html": blocks.write(mail)})
        elif draft.do == "view:blocks" and draft.view == "html":
            if found := blocks.parse(draft.html):
                draft, mail = draft.model_copy(update={"view": "blocks"}), found
            else:
                why = "Blocks can’t show this mail: it is more than they are, and stays HTML."
        elif what == "undo":
            draft, mail = draft.model_copy(update={"undo": ""}), mail_form.unpacked(draft.undo)
        elif draft.view == "blocks":
            before = mail_form.packed(mail) if what in _UNDONE else ""
            draft, mail = draft.model_copy(update={"undo": before}), mail_form.done(mail, draft.do)
        return await self._editor(request, draft, mail, part=True, why=why)

    async def see(self, request: web.Request) -> web.Response:
        """The mail as somebody would get it, or what is wrong with it."""
        self.must_be_allowed(request)
        posted = await forms.posted(request)
        draft, mail, live = (
            forms.parsed(Edited, posted),
            mail_form.read(posted),
            forms.parsed(forms.Asked, request.query).live,
        )
        text, wrong = _text(draft, mail)
        about = mail.about if draft.view == "blocks" else draft.about
        unreadable = [one for one in wrong if not one.empty]
        seen = None
        if not unreadable:
            seen = await self.engagement.see_mail(draft.name or "mail", text, about, draft.email, live=live)
            if seen.problem and seen.line:
                wrong = [
                    *wrong,
                    Wrong(blocks.place(text, seen.line) if draft.view == "blocks" else -1, "", seen.problem),
                ]
        becomes = draft.was == "blocks" and draft.view == "html" and blocks.parse(draft.html) is None
        shown = self._keep(seen.html) if seen and seen.html else ""
        return self.site.page(
            request,
            "mail_seen.html",
            seen=seen,
            wrong=wrong,
            shown=shown,
            becomes=becomes,
            view=draft.view,
            titles=_titles(mail),
        )

    async def seen(self, request: web.Request) -> web.Response:
        """The mail itself, by day or by night, to be shown in a frame that may do nothing."""
        self.must_be_allowed(request)
        wanted = forms.parsed(SeenQuery, request.query)
        html = self._shown.get(wanted.id)
        if html is None:
            raise web.HTTPNotFound(text="This mail is not at hand any more: load the page again.")
        html = html.replace(_NIGHT, "all" if wanted.night else "not all")
        return web.Response(text=html, content_type="text/html", charset="utf-8", headers=MAIL_HEADERS)

    async def send_test(self, request: web.Request) -> web.Response:
        """One mail to the person who edits it."""
        live = forms.parsed(forms.Asked, request.query).live
        posted = await forms.posted(request)
        draft, mail, to = forms.parsed(Edited, posted), mail_form.read(posted), forms.parsed(ToForm, posted).recipient
        text, wrong = _text(draft, mail)
        if wrong:
            raise forms.bad(f"Mend it first: {wrong[0].text}")
        about, people = mail.about if draft.view == "blocks" else draft.about, [to, *filter(None, [draft.email])]
        async with self.site.change(request, Action.SEND_TEST, people=people, detail=f"draft: {draft.name or 'new'}"):
            said = await self.engagement.test_draft(draft.name or "mail", text, about, draft.email, to, live=live)
        return self.site.page(request, "flow_tested.html", said=said)

    async def save(self, request: web.Request) -> web.Response:
        """Makes it the newest revision, if nothing is wrong with it and nobody else has changed it meanwhile."""
        posted = await forms.posted(request)
        draft, mail = forms.parsed(Edited, posted), mail_form.read(posted)
        text, wrong = _text(draft, mail)
        name, base = draft.name, draft.base if not draft.new else None
        if draft.new:
            taken = {file.name for file in await self.engagement.mail_files()}
            name = file_name_of(draft.title, taken, "mail")
        kept = await self.keep(request, name, text, base, wrong="; ".join(one.text for one in wrong))
        if kept.status != 200:
            draft = draft.model_copy(update={"base": kept.base})
            for problem in cast("list[Problem]", kept.mistakes):
                wrong.append(_placed(draft, text, problem.line, problem.message))
            if kept.refused:
                wrong.append(Wrong(-1, "", kept.refused))
            return await self._editor(request, draft, mail, wrong=wrong, status=kept.status, theirs=kept.theirs)
        flows = {use.title for use in (await self.engagement.mail_file(name)).live}
        sent = f" The flow {', '.join(sorted(flows))} sends it so from now on." if flows else ""
        return self.site.back(request, "/template/edit", name=name, done=f"Saved.{sent}")

    async def remove(self, request: web.Request) -> web.Response:
        """A template goes; one that took a ready one's place gives it back."""
        name = forms.parsed(forms.Named, await forms.posted(request)).name
        async with self.site.change(request, Action.REMOVE_MAIL, detail=name):
            gone = await self.engagement.remove_mail(name, request[VISITOR].name)
        back = " The one that came with Tillstream is sent again." if gone.over else ""
        return self.site.back(request, "/templates", done=f"The template {name} is removed.{back}")

    def _keep(self, html: str) -> str:
        """The mail is at hand for a while, by this name."""
        name = sha256(html.encode()).hexdigest()[:32]
        self._shown[name] = html
        self._shown.move_to_end(name)
        while len(self._shown) > _KEPT:
            self._shown.popitem(last=False)
        return name

    async def _editor(
        self,
        request: web.Request,
        draft: Edited,
        mail: BlockMail,
        *,
        wrong: list[Wrong] | None = None,
        status: int = 200,
        part: bool = False,
        why: str = "",
        theirs: Revision | None = None,
    ) -> web.Response:
        """The whole page, or the `part` of it that changes."""
        file: MailFile | None = None
        if not draft.new:
            file = await self.engagement.mail_file(draft.name)
        told = _text(draft, mail)[1] if wrong is None else wrong
        what = draft.do.partition(":")[0]
        post = await self.engagement.post()
        return self.site.page(
            request,
            "mail_building.html" if part else "mail_edit.html",
            status=status,
            builder="/part/template/build",
            draft=draft,
            mail=mail,
            file=file,
            uses=file.uses if file else (),
            title=draft.title if draft.new else file.title if file else draft.name,
            cards=mail_form.cards(mail, told, empty=wrong is not None),
            wrong=wrong or [one for one in told if not one.empty],
            kinds=mail_form.TITLES.items(),
            links=mail_form.LINKS,
            metrics=[metric.value for metric in METRICS],
            about=mail.about if draft.view == "blocks" else draft.about,
            why=why,
            theirs=theirs,
            undone=_UNDONE.get(what, "Changed."),
            focus=mail_form.focus(draft.do) if part and not why else "",
            how={"up": "up", "down": "down"}.get(what, "first"),
            sender=post.sender,
            can_send=not post.missing,
        )


def _text(draft: Edited, mail: BlockMail) -> tuple[str, list[Wrong]]:
    """The template, and what is wrong with its fields; '' when it can't be written."""
    if draft.view == "html":
        return draft.html, [] if draft.html.strip() else [Wrong(-1, "", "the mail is empty", empty=True)]
    wrong = blocks.mistakes(mail)
    return ("" if any(not one.empty for one in wrong) else blocks.write(mail)), wrong


def _placed(draft: Edited, text: str, line: int, reason: str) -> Wrong:
    """A mistake in the template (0: of no line), at its block or with its line."""
    if draft.view == "blocks":
        return Wrong(blocks.place(text, line) if line else -1, "", reason)
    return Wrong(-1, "", f"line {line}: {reason}" if line else reason)


def _titles(mail: BlockMail) -> dict[int, str]:
    """How the blocks are called where something is told of them."""
    return {at: f"{at + 1}, {mail_form.TITLES[block.kind]}" for at, block in enumerate(mail.blocks)}
