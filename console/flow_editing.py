"""Editing flows in the console: the files of the project, read and written by `engage`."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from console import flow_controls
from console.building import Fault, FlowBuilt
from console.engagement_shapes import FlowChecked, Mail, MailWanted, Start, Stop, Way
from console.flows import mail_shown, steps, test_sent
from engage import mail_links, mail_test
from engage.conditions.problems import Invalid, Problem
from engage.editing import flow as editing
from engage.editing.flow_changes import changed, new_flow
from engage.flows import library, words
from engage.flows.model import Flow, Status
from engage.flows.preview import Preview, begins, preview_by, preview_of
from engage.flows.preview import library as templates
from engage.flows.reading import parse
from engage.flows.rules.known import Zones
from engage.flows.rules.program import compile_flow
from engage.flows.soundness import faults
from engage.flows.steps import Email
from engage.flows.walk import walk
from engage.segments import library as segments
from reports.flow_data import FlowData
from reports.segments import Occurring
from schemas.errors import ConfigurationError
from settings.loading import load_settings
from settings.table import Settings
from warehouse.waiting import open_warehouse


class FlowEditing:
    """Each raises TillstreamError, whose text and remedy are shown. Settings are read anew for each call."""

    def __init__(self, settings: Settings) -> None:
        self._data = settings.tillstream_data

    async def build_flow(
        self, name: str, text: str, posted: Mapping[str, str], do: str, occurring: Occurring
    ) -> FlowBuilt:
        """The editor's form of the flow in `text`, after its fields were `posted` and `do` was done."""
        return await asyncio.to_thread(self._build_flow, name, text, posted, do, occurring)

    async def written_flow(self, text: str, posted: Mapping[str, str]) -> str:
        """`text` after the editor's fields were `posted`: nothing but what was changed is written anew."""
        return await asyncio.to_thread(changed, text, posted)

    async def check_flow(self, name: str, text: str) -> FlowChecked:
        """The flow in words, and what is wrong with it."""
        return await asyncio.to_thread(self._check_flow, name, text)

    async def flow_starts(self) -> list[Start]:
        """What a new flow may begin with."""
        return await asyncio.to_thread(self._flow_starts)

    async def flow_start(self, name: str) -> str:
        """The text of a new flow that begins as the flow of that name does; as an empty one when it is ''."""
        return await asyncio.to_thread(self._flow_start, name)

    async def way(self, name: str, text: str, email: str, *, live: bool) -> Way:
        """What would happen to a person (to somebody fitting when '') in the flow of `text`."""
        return await asyncio.to_thread(self._way, name, text, email, live)

    async def draft_mail(self, name: str, text: str, path: str, email: str, *, live: bool) -> Mail:
        """The mail of the step at `path`, as a person would get it."""
        return await asyncio.to_thread(self._draft_mail, name, text, path, email, live)

    async def mail_of(self, wanted: MailWanted, *, live: bool) -> Mail:
        """A mail by what makes it."""
        made = await asyncio.to_thread(self._mail_of, wanted, live)
        return mail_shown(self._settings(), made, wanted.email)

    async def test_mail_of(self, wanted: MailWanted, to: str, *, live: bool) -> str:
        """Sends it to somebody who tests it; a sentence."""
        settings = self._settings()
        mail_test.mail_server(settings)
        made = await asyncio.to_thread(self._mail_of, wanted, live)
        return await test_sent(settings, made, to)

    def _way(self, name: str, text: str, email: str, live: bool) -> Way:
        settings, flow = self._settings(), _sound(name, text)
        begin, past = begins(settings, FlowData(open_warehouse(settings), live), flow, email)
        zones = Zones(settings.timezones(), settings.tillstream_timezone)
        whose = str((past.profile or begin.event).get("email", ""))
        stops = walk(compile_flow(flow), begin, past, zones)
        return Way(
            whose,
            str(begin.event.get("metric_id", "")),
            tuple(Stop(datetime.fromtimestamp(one.at, UTC), one.step, one.kind, one.text) for one in stops),
        )

    def _draft_mail(self, name: str, text: str, path: str, email: str, live: bool) -> Mail:
        settings, flow = self._settings(), _sound(name, text)
        found = editing.outline(text)
        assert not isinstance(found, str), found  # a flow that is sound can be shown
        place = [step.path for step in found.steps.all()].index(found.at(path).path)
        step = compile_flow(flow).instructions[place]
        if not isinstance(step.kind, Email):
            raise ConfigurationError("that step sends no mail", remedy="load the page again")
        data = FlowData(open_warehouse(settings), live)
        return mail_shown(settings, preview_of(settings, data, flow, step, email=email), email)

    def _mail_of(self, wanted: MailWanted, live: bool) -> Preview:
        settings = self._settings()
        data = FlowData(open_warehouse(settings), live)
        told = {"template": wanted.template, "subject": wanted.subject, "from": wanted.sender, "to": wanted.to}
        mail = Email.model_validate(told)
        return preview_by(settings, data, mail, metric_id=wanted.metric_id, email=wanted.email)

    def _build_flow(self, name: str, text: str, posted: Mapping[str, str], do: str, occurring: Occurring) -> FlowBuilt:
        text, settings = changed(text, posted, do), self._settings()
        return flow_controls.built(
            text,
            occurring,
            segments.find(settings.project),
            templates(settings).names(),
            self._wrong(settings, name, text)[1],
        )

    def _check_flow(self, name: str, text: str) -> FlowChecked:
        found, wrong = self._wrong(self._settings(), name, text)
        if found is None:
            return FlowChecked(tuple(wrong))
        return FlowChecked(
            tuple(wrong), str(found.status), words.trigger(found), tuple(words.rules(found)), steps(found)
        )

    def _flow_mistakes(self, name: str, text: str, new: bool) -> list[Fault]:
        """Why it can't be saved; `new`: there must be none of that name. Raises ConfigurationError for dead links."""
        settings = self._settings()
        if new and (settings.project / "flows" / f"{name}.yaml").exists():
            return [Fault("", "", f"there is a flow '{name}' already: choose another name, or edit that one")]
        found, wrong = self._wrong(settings, name, text)
        if found is None or (wrong and found.status is not Status.DRAFT):
            return wrong
        mail_links.must_be_reached(settings, found, found.status)
        return []

    def _wrong(self, settings: Settings, name: str, text: str) -> tuple[Flow | None, list[Fault]]:
        """The flow, None when its YAML has mistakes; and all that is wrong with it."""
        try:
            found = parse(text, name or "flow")
        except Invalid as error:
            return None, flow_controls.faults(text, error.problems, [])
        return found, flow_controls.faults(text, self._unknown(settings, text, found), faults(found, settings.project))

    def _unknown(self, settings: Settings, text: str, found: Flow) -> list[Problem]:
        """A trigger by a segment that there isn't."""
        name = getattr(found.trigger, "segment", None)
        if name is None or name in segments.find(settings.project):
            return []
        shown = editing.outline(text)
        line = 1 if isinstance(shown, str) else shown.pairs["trigger"][0].start_mark.line + 1
        return [Problem(line, 1, f"there is no segment '{name}'")]

    def _flow_starts(self) -> list[Start]:
        known = library.find(self._settings().project)
        made = {name: found.flow for name, found in known.items() if found.flow}
        return [
            Start(name, flow.label, flow.description, "", there=not known[name].shipped) for name, flow in made.items()
        ]

    def _flow_start(self, name: str) -> str:
        if not name:
            return new_flow()
        return new_flow(library.get(self._settings().project, name).path.read_text("utf-8"))

    def _settings(self) -> Settings:
        return load_settings(tillstream_data=Path(self._data))


def _sound(name: str, text: str) -> Flow:
    try:
        return parse(text, name or "flow")
    except Invalid as error:
        message = f"the flow has a mistake: {error.problems[0].message}"
        raise ConfigurationError(message, remedy="mend what is marked") from None
