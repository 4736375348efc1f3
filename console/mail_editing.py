"""Editing mails in the console: the project's templates and its brand, read and written by `engage`."""

import asyncio
from collections import defaultdict
from pathlib import Path

from console.flows import test_sent
from console.mail_shapes import BrandFile, MailFile, Seen, Use
from engage import mail_links, mail_test
from engage.conditions.problems import Problem
from engage.flows import library as flows
from engage.flows.model import Flow, MetricTrigger
from engage.flows.preview import Preview, organization
from engage.flows.preview import library as templates
from engage.flows.rules.program import compile_flow
from engage.flows.steps import Email
from engage.templates import files, places, samples, starts, tags
from engage.templates.blocks import BlockMail
from engage.templates.brand import Brand, of_settings, read
from engage.templates.context import Values, values
from engage.templates.errors import TemplateProblem
from reports.flow_data import FlowData
from schemas.emails import normal
from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from settings.loading import load_settings
from settings.table import Settings
from warehouse.waiting import open_warehouse


class MailEditing:
    """Each raises TillstreamError, whose text and remedy are shown. Settings are read anew for each call."""

    def __init__(self, settings: Settings) -> None:
        self._data = settings.tillstream_data

    async def mail_files(self) -> list[MailFile]:
        """Every template, with the flows that use it."""
        return await asyncio.to_thread(self._mail_files)

    async def mail_file(self, name: str) -> MailFile:
        """One of them."""
        return await asyncio.to_thread(self._mail_file, name)

    def mail_starts(self) -> list[tuple[str, str, str]]:
        """What a new mail of blocks may begin with: name, title, and what it is for."""
        return [(name, title, about) for name, (title, about, _) in starts.STARTS.items()]

    def mail_start(self, name: str) -> BlockMail:
        """The mail that a new one begins as."""
        return (starts.STARTS.get(name) or starts.STARTS["empty"])[2]

    async def see_mail(self, name: str, text: str, about: str, email: str, *, live: bool) -> Seen:
        """The draft of a template as somebody would get it, with the tags that there are for this event and person.

        `about` is the metric whose newest event it is made from, '' for none.
        """
        return await asyncio.to_thread(self._see_mail, name, text, about, email, live)

    async def test_draft(self, name: str, text: str, about: str, email: str, to: str, *, live: bool) -> str:
        """Sends the draft to somebody who tests it; a sentence."""
        settings = self._settings()
        mail_test.mail_server(settings)
        made = await asyncio.to_thread(self._drafted, settings, name, text, about, email, live)
        return await test_sent(settings, made, to)

    async def brand(self) -> BrandFile:
        """The brand's file, and what the settings say instead."""
        return await asyncio.to_thread(self._brand)

    def _mail_files(self) -> list[MailFile]:
        project = self._settings().project
        uses = _uses(project)
        return [_told(file, uses) for file in files.found(project)]

    def _mail_file(self, name: str) -> MailFile:
        project = self._settings().project
        return _told(files.get(project, name), _uses(project))

    def _mail_mistakes(self, name: str, text: str, _new: bool) -> list[Problem]:
        files.must_be_name(name)
        try:
            files.check(self._settings().project, name, text)
        except TemplateProblem as error:
            return [Problem(error.line or 0, 1, error.reason)]
        return []

    def _brand_mistakes(self, _name: str, text: str, _new: bool) -> list[Problem]:
        try:
            read(text)
        except ConfigurationError as error:
            return [Problem(1, 1, str(error))]
        return []

    def _removable(self, name: str) -> MailFile:
        file = self._mail_file(name)
        if file.ready:
            raise ConfigurationError(f"{name} came with Tillstream", remedy="leave it as it is")
        if file.uses and not (file.over or file.language):
            used = ", ".join(sorted({use.flow for use in file.uses}))
            raise ConfigurationError(f"the flow {used} sends this mail", remedy="choose another mail there first")
        return file

    def _see_mail(self, name: str, text: str, about: str, email: str, live: bool) -> Seen:
        settings = self._settings()
        try:
            named, to, metric_id, made_up = self._subject(settings, about, email, live)
        except ConfigurationError as error:
            return Seen(problem=f"{error}: {error.remedy}")
        offered = tuple(tags.offered(named))
        try:
            templates(settings).check(name, draft=text)
            made = templates(settings).render(name, named, draft=text)
        except TemplateProblem as error:
            return Seen(tags=offered, problem=error.reason, line=error.line)
        sender = settings.tillstream_mail_from
        blanks = tuple(f"{lack.name}{f' ({lack.hint})' if lack.hint else ''}" for lack in made.missing)
        return Seen(made.subject, sender, to, made.html, made.text, metric_id, made_up, blanks, offered)

    def _drafted(self, settings: Settings, name: str, text: str, about: str, email: str, live: bool) -> Preview:
        named, to, metric_id, _ = self._subject(settings, about, email, live)
        made = templates(settings).render(name, named, draft=text)
        return Preview(f"template {name}", "", name, "", to, metric_id, made)

    def _subject(self, settings: Settings, about: str, email: str, live: bool) -> tuple[Values, str, str, bool]:
        """What a mail is made from, to whom it would go, the event's id, and whether it is made up."""
        data, who, email = FlowData(open_warehouse(settings), live), organization(settings), normal(email)
        event = next(data.newest(about, email, 1), None) if about else None
        if email and about and event is None:
            raise ConfigurationError(f"no {about} of {email} is known yet", remedy="choose somebody else, or nobody")
        whose = email or (event or {}).get("email", "")
        person = data.people([whose]).get(whose) if whose else data.somebody()
        if email and person is None and event is None:
            raise ConfigurationError(f"nobody {email} is known yet", remedy="choose somebody else, or nobody")
        if (about and event is None) or (event is None and person is None):
            return samples.made_up(who, about), "ada@example.com", "", True
        named = values(event, person, who, unsubscribe_url="https://unsubscribe.invalid/preview")
        return named, whose or str((person or {}).get("email", "")), (event or {}).get("metric_id", ""), False

    def _brand(self) -> BrandFile:
        settings = self._settings()
        text, usual = files.read_brand(settings.project), of_settings(settings)
        try:
            return BrandFile(text, read(text), usual, mail_links.trouble(settings))
        except ConfigurationError as error:
            return BrandFile(text, Brand(), usual, problem=str(error))

    def _settings(self) -> Settings:
        return load_settings(tillstream_data=Path(self._data))


def _told(file: files.File, uses: dict[str, list[tuple[Use, str]]]) -> MailFile:
    language = places.language_of(file.name)
    base = file.name.rpartition(".")[0] if language else file.name
    used, mail = uses.get(base, []), file.mail
    about = mail.about if mail else next((metric for _, metric in used), Metric.SUCCESSFULLY_PAID.value)
    title = base.replace("_", " ").replace("-", " ")
    return MailFile(
        file.name,
        title[:1].upper() + title[1:],
        language,
        file.ready,
        file.over,
        str(file.path),
        file.text,
        mail,
        about,
        tuple(use for use, _ in used),
    )


def _uses(project: Path) -> dict[str, list[tuple[Use, str]]]:
    """The steps that send each template, with the metric that starts their flow ('' for none)."""
    found: dict[str, list[tuple[Use, str]]] = defaultdict(list)
    for name, file in flows.find(project).items():
        if file.flow is None:
            continue
        for each in compile_flow(file.flow).instructions:
            if isinstance(each.kind, Email):
                use = Use(name, file.flow.label, str(file.flow.status), each.id, each.kind.subject, each.kind.sender)
                found[each.kind.template].append((use, _metric(file.flow)))
    return found


def _metric(flow: Flow) -> str:
    return str(flow.trigger.metric) if isinstance(flow.trigger, MetricTrigger) else ""
