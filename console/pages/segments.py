"""Segments: the list, one with its members and growth, and the editor that counts while somebody types."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, cast

from aiohttp import web
from pydantic import Field

from console import forms
from console.access.gate import VISITOR
from console.audit import Action
from console.engagement_shapes import Start
from console.pages.drafts import Draft, EditorPage
from engage.conditions.problems import Problem
from reports import segments
from reports.days import today
from reports.spreadsheet import harmless
from reports.text import iso, number
from schemas.definitions import Kind, Revision
from schemas.errors import ConfigurationError

_CSV_PAGE: Final = 5_000

SegmentName = Annotated[forms.Text, Field(min_length=1, max_length=64)]


class SegmentQuery(forms.Asked):
    """One segment; `after` is the last member of the page before."""

    name: SegmentName
    after: forms.Text = ""


class EditQuery(forms.Asked):
    """An existing one, or a new one that begins as `start`."""

    name: forms.Text = ""
    start: forms.Text = ""


class ValuesQuery(forms.Asked):
    """A property of a metric's facts, or of people, whose values are asked for."""

    metric: forms.Text = ""
    property: forms.Text = ""


class SegmentPages(EditorPage):
    """`/segments`, `/segment` and what belongs to them."""

    kind = Kind.SEGMENT
    saves = Action.SAVE_SEGMENT

    def routes(self) -> list[web.RouteDef]:
        """The pages, the live count, and what can be changed."""
        return [
            web.get("/segments", self.all),
            web.get("/segment", self.one),
            web.get("/segment/csv", self.csv),
            web.get("/segment/sql", self.sql),
            web.get("/segment/new", self.start),
            web.get("/segment/edit", self.edit),
            web.get("/part/segment/count", self.count),
            web.post("/part/segment/check", self.check),
            web.post("/part/segment/build", self.build),
            web.get("/part/segment/values", self.values),
            web.post("/segment/save", self.save),
            web.post("/segment/add", self.add),
            web.post("/segment/remove", self.remove),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Every segment with its size."""
        wanted = forms.parsed(forms.Asked, request.query)
        files, sizes = await asyncio.gather(
            self.engagement.segments(), segments.sizes(self.warehouse, wanted.live, self._today())
        )
        return self.site.page(
            request, "segments.html", files=files, sizes=sizes, removed=self.engagement.definitions.archived(self.kind)
        )

    async def one(self, request: web.Request) -> web.Response:
        """Conditions, growth and members."""
        wanted = forms.parsed(SegmentQuery, request.query)
        file, sizes, rows = await asyncio.gather(
            self.engagement.segment(wanted.name),
            segments.sizes(self.warehouse, wanted.live, self._today(), wanted.name, days=90),
            segments.members(self.warehouse, wanted.name, wanted.live, wanted.after.lower()),
        )
        size = sizes.get(wanted.name)
        return self.site.page(
            request,
            "segment.html",
            file=file,
            size=size,
            chart=growth(size) if size else None,
            rows=rows,
            after=wanted.after,
            limit=segments.PAGE,
        )

    async def count(self, request: web.Request) -> web.Response:
        """How many there are at this moment, condition by condition."""
        wanted = forms.parsed(SegmentQuery, request.query)
        file = await self.engagement.segment(wanted.name)
        return await self._counted(request, wanted.name, file.yaml, wanted.live)

    async def sql(self, request: web.Request) -> web.Response:
        """The statements behind it."""
        wanted = forms.parsed(SegmentQuery, request.query)
        file = await self.engagement.segment(wanted.name)
        asked = await self.engagement.ask(wanted.name, file.yaml)
        if isinstance(asked, list):
            raise ConfigurationError(f"the segment {wanted.name} has mistakes", remedy="mend it in the editor")
        queries = [("Its members", asked.members), ("How many satisfy each condition", asked.counts)]
        return self.site.page(request, "segment_sql.html", file=file, queries=queries)

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """All members as of the last evaluation."""
        wanted = forms.parsed(SegmentQuery, request.query)
        pages = self._all_members(wanted.name, wanted.live)
        head = await anext(pages)  # so that what is wrong is said before the first byte
        headers = {
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{_file_name(wanted.name)}.csv"',
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(head.encode())
        async for text in pages:
            await response.write(text.encode())
        return response

    async def start(self, request: web.Request) -> web.Response:
        """What a new one may begin with."""
        return self.site.page(request, "segment_new.html", starts=await self.engagement.starts())

    async def edit(self, request: web.Request) -> web.Response:
        """The editor."""
        self.must_be_allowed(request)
        wanted = forms.parsed(EditQuery, request.query)
        if wanted.name:
            base = await self.engagement.base(self.kind, wanted.name)  # first: what comes after it makes the edit stale
            file = await self.engagement.segment(wanted.name)
            draft = Draft(name=file.name, yaml=file.yaml, view="builder", base=base)
            return await self._editor(request, draft, ready=file.ready)
        found = {start.name: start for start in await self.engagement.starts()}
        chosen = found.get(wanted.start)
        draft = Draft(name=chosen.name if chosen else "", yaml=_begun(chosen), new=True, view="builder")
        return await self._editor(request, draft)

    async def check(self, request: web.Request) -> web.Response:
        """What is wrong with the draft, or how many it means."""
        live = forms.parsed(forms.Asked, request.query).live
        draft = await self._draft(await forms.posted(request))
        return await self._counted(request, draft.name or "segment", draft.yaml, live, words=True)

    async def build(self, request: web.Request) -> web.Response:
        """The builder, or the text, after something was done there."""
        self.must_be_allowed(request)
        posted = await forms.posted(request)
        draft = forms.parsed(Draft, posted)
        what, _, view = draft.do.partition(":")
        refused = ""
        if draft.view == "builder" and what != "view":
            try:
                return await self._editor(request, draft, posted, part=True)
            except ConfigurationError as error:
                refused = f"{error}: {error.remedy}"
        else:
            draft = await self._draft(posted)
        if what == "view":
            draft = draft.model_copy(update={"view": "yaml" if view == "yaml" else "builder"})
        return await self._editor(request, draft.model_copy(update={"do": ""}), part=True, refused=refused)

    async def values(self, request: web.Request) -> web.Response:
        """The values of a property that occur most, as suggestions."""
        wanted = forms.parsed(ValuesQuery, request.query)
        query = self.engagement.values(wanted.metric, wanted.property)
        found = await segments.values(self.warehouse, query, wanted.live)
        return self.site.page(request, "values.html", values=[(value, value) for value in found])

    async def save(self, request: web.Request) -> web.Response:
        """Makes it the newest revision, if nothing is wrong with it."""
        draft = await self._draft(await forms.posted(request))
        draft, kept = await self.keep_draft(request, draft)
        if kept.status != 200:
            mistakes = cast("list[Problem]", kept.mistakes)
            return await self._editor(
                request,
                draft,
                mistakes=mistakes,
                status=kept.status,
                theirs=kept.theirs,
                refused=kept.refused,
            )
        return self.site.back(
            request,
            "/segment",
            name=draft.name,
            done="Saved. Its members are looked for now, and kept up to date.",
        )

    async def titled(self, text: str) -> tuple[str, Collection[str]]:
        """What the segment is called."""
        title = next((line.partition(":")[2] for line in text.splitlines() if line.startswith("name:")), "")
        return title, {file.name for file in await self.engagement.segments()}

    async def add(self, request: web.Request) -> web.Response:
        """One of the starts, as it is."""
        start = forms.parsed(EditQuery, await forms.posted(request)).start
        async with self.site.change(request, self.saves, detail=start):
            chosen = next((one for one in await self.engagement.starts() if one.name == start), None)
            if chosen is None:
                raise web.HTTPNotFound(text=f"there is no segment {start!r} to begin with")
            found = await self.engagement.save(
                self.kind, chosen.name, chosen.yaml, base=None, author=request[VISITOR].name
            )
            if not isinstance(found, Revision):
                raise ConfigurationError(f"there is a segment '{chosen.name}' already", remedy="look at that one")
        done = f"{chosen.title} is there. Its members are looked for now, and kept up to date."
        return self.site.back(request, "/segment", name=chosen.name, done=done)

    async def remove(self, request: web.Request) -> web.Response:
        """The project's file; who was in the segment leaves it."""
        name = forms.parsed(SegmentQuery, await forms.posted(request)).name
        async with self.site.change(request, Action.REMOVE_SEGMENT, detail=name):
            await self.engagement.set_aside(Kind.SEGMENT, name, request[VISITOR].name)
        ready = name in {file.name for file in await self.engagement.segments()}
        told = f"The ready segment {name} is there again." if ready else f"The segment {name} is removed."
        return self.site.back(request, "/segments", done=told)

    async def _draft(self, posted: Mapping[str, str]) -> Draft:
        """What was posted, with its fields written into its text."""
        draft = forms.parsed(Draft, posted)
        if draft.view == "builder":
            draft = draft.model_copy(update={"yaml": await self.engagement.written(draft.yaml, posted)})
        return draft

    async def _counted(
        self, request: web.Request, name: str, text: str, live: bool, *, words: bool = False
    ) -> web.Response:
        found = await self.engagement.ask(name, text)
        if isinstance(found, list):
            return self.site.page(request, "segment_counted.html", mistakes=found, asked=None)
        counted = await segments.counted(self.warehouse, found.counts, found.members, live, len(found.conditions))
        return self.site.page(
            request,
            "segment_counted.html",
            mistakes=[],
            asked=found,
            words=found.words if words else None,
            members=counted.members,
            other=counted.others,
            conditions=list(zip(found.conditions, counted.conditions, strict=True)),
            people=counted.sample,
        )

    async def _editor(
        self,
        request: web.Request,
        draft: Draft,
        posted: Mapping[str, str] | None = None,
        *,
        ready: bool = False,
        mistakes: list[Problem] | None = None,
        status: int = 200,
        part: bool = False,
        refused: str = "",
        theirs: Revision | None = None,
    ) -> web.Response:
        """The whole page, or the `part` of it that changes; raises ConfigurationError when that can't be done."""
        occurring = await segments.occurring(self.warehouse) if draft.view == "builder" else segments.Occurring()
        built = await self.engagement.build(draft.name, draft.yaml, posted or {}, draft.do, occurring)
        return self.site.page(
            request,
            "segment_building.html" if part else "segment_edit.html",
            status=status,
            builder="/part/segment/build",
            draft=draft,
            built=built,
            refused=refused,
            theirs=theirs,
            ready=ready,
            mistakes=mistakes or [],
            asked=None,
            words=None,
        )

    async def _all_members(self, name: str, live: bool) -> AsyncIterator[str]:
        after = ""
        yield _line(["email", "name", "country", "entered", "last seen", "lifetime value"])
        while rows := await segments.members(self.warehouse, name, live, after, _CSV_PAGE):
            yield "".join(_line(_cells(row)) for row in rows)
            after = rows[-1].email

    def _today(self) -> date:
        return today(self.config.calendar.zones, datetime.now(UTC))


def growth(size: segments.Size) -> dict[str, Any]:
    """The chart: members by day, from the first evaluation on."""
    begin = next(number for number, members in enumerate(size.members) if members is not None)
    days, counts = size.days[begin:], [count or 0 for count in size.members[begin:]]
    changes = [size.changes.get(day, (0, 0)) for day in days]
    return {
        "labels": [f"{day:%a} {day.day} {day:%b %Y}" for day in days],
        "ticks": [f"{day.day} {day:%b}" for day in days],
        "series": [
            {
                "label": "Members",
                "colour": "issued",
                "values": counts,
                "texts": [
                    f"{number(count)} ({number(entered)} entered, {number(gone)} left)"
                    if entered or gone
                    else number(count)
                    for count, (entered, gone) in zip(counts, changes, strict=True)
                ],
            }
        ],
    }


def _begun(start: Start | None) -> str:
    return start.yaml if start else "name: \nall:\n  - metric: Successfully Paid\n"


def _cells(one: segments.Member) -> list[str]:
    value = " ".join(f"{amount} {currency}" for currency, amount in sorted(one.lifetime_value.items()))
    seen = iso(one.last_seen) if one.last_seen else ""
    return [*map(harmless, (one.email, one.name, one.country)), iso(one.entered_at), seen, value]


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def _file_name(name: str) -> str:
    return "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in "-_"))
