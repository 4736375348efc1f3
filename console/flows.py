"""Flows for the console: their files, what they would do and did, and a mail as somebody would get it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from console.engagement_shapes import Flow, Mail, Post, Step, Trial
from engage import mail_links, mail_test, requests
from engage.flows import library, words
from engage.flows.dry_run import dry_run
from engage.flows.model import Flow as FlowFile
from engage.flows.preview import Preview, preview
from engage.flows.rules.program import Instruction, compile_flow
from engage.flows.soundness import mistakes
from engage.flows.steps import Email, Split, TriggerSplit
from engage.flows.steps import Step as FileStep
from engage.senders.smtp import parse_url
from reports import messages
from reports.flow_data import FlowData
from schemas.errors import ConfigurationError
from settings.loading import load_settings
from settings.table import Settings
from warehouse.address import find_address
from warehouse.client import reader
from warehouse.waiting import open_warehouse


class Flows:
    """Each raises TillstreamError, whose text and remedy are shown. Settings are read anew for each call."""

    def __init__(self, settings: Settings) -> None:
        self._data = settings.tillstream_data

    async def flows(self) -> list[Flow]:
        """Every one, by name."""
        return await asyncio.to_thread(self._all)

    async def flow(self, name: str) -> Flow:
        """One, broken ones too."""
        return await asyncio.to_thread(self._one, name)

    async def release(self, name: str) -> int:
        """Lets the messages go that a manual flow holds back; how many."""
        settings = self._settings()
        async with reader(find_address(settings)) as warehouse:
            waiting = await messages.held(warehouse, name)
        return await requests.publish(settings, requests.release(waiting)) if waiting else 0

    async def mail(self, name: str, step: str, *, live: bool, email: str = "", metric_id: str = "") -> Mail:
        """As `tillstream flows preview` does."""
        return await asyncio.to_thread(self._mail, name, step, live, email, metric_id)

    async def send_test(
        self, name: str, step: str, to: str, *, live: bool, email: str = "", metric_id: str = ""
    ) -> str:
        """As `tillstream flows test` does."""
        settings = self._settings()
        mail_test.mail_server(settings)
        made = await asyncio.to_thread(self._preview, settings, name, step, live, email, metric_id)
        return await test_sent(settings, made, to)

    async def trial(self, name: str, *, live: bool, days: int) -> Trial:
        """What the flow would have done."""
        return await asyncio.to_thread(self._trial, name, live, days)

    async def post(self) -> Post:
        """How mail is sent here."""
        settings = self._settings()
        url = settings.smtp_url.get_secret_value() if settings.smtp_url else ""
        needed = {"SMTP_URL": url, "TILLSTREAM_MAIL_FROM": settings.tillstream_mail_from}
        missing = [name for name, value in needed.items() if not value]
        links = mail_links.trouble(settings)
        return Post(
            _server(url),
            settings.tillstream_mail_from,
            tuple(missing),
            f"{links}. Next: {mail_links.remedy(settings)}" if links and url else "",
        )

    def _all(self) -> list[Flow]:
        project = self._settings().project
        return [_told(name, found, project) for name, found in library.find(project).items()]

    def _one(self, name: str) -> Flow:
        project = self._settings().project
        return _told(name, library.find_one(project, name), project)

    def _mail(self, name: str, step: str, live: bool, email: str, metric_id: str) -> Mail:
        settings = self._settings()
        made = self._preview(settings, name, step, live, email, metric_id)
        return mail_shown(settings, made, email)

    def _preview(self, settings: Settings, name: str, step: str, live: bool, email: str, metric_id: str) -> Preview:
        return preview(
            settings, FlowData(open_warehouse(settings), live), name, step=step, metric_id=metric_id, email=email
        )

    def _trial(self, name: str, live: bool, days: int) -> Trial:
        settings, now = self._settings(), datetime.now(UTC)
        found = dry_run(settings, FlowData(open_warehouse(settings), live), name, now - timedelta(days=days), now)
        tally = found.tally
        skipped: dict[str, int] = {}
        for (_, reason), count in tally.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
        sent = {found.steps.get(step, step): count for step, count in tally.sent.items()}
        return Trial(days, tally.facts, tally.started, sent, dict(tally.refused), skipped, tally.waiting)

    def _settings(self) -> Settings:
        return load_settings(tillstream_data=Path(self._data))


async def test_sent(settings: Settings, made: Preview, to: str) -> str:
    """Sends a test; a sentence."""
    taken, said = await mail_test.send_test(settings, made, to)
    if not taken:
        raise ConfigurationError(f"the mail server has not taken it: {said}", remedy="check SMTP_URL")
    return f"A test was sent to {to}: {said}"


def mail_shown(settings: Settings, made: Preview, email: str) -> Mail:
    """A mail as the pages show it; `email` is whom it was asked for."""
    sender = made.sender or settings.tillstream_mail_from
    return Mail(made.step, sender, made.to, made.mail.subject, made.mail.html, made.mail.text, made.metric_id, email)


def _told(name: str, found: library.Found, project: Path) -> Flow:
    text = found.path.read_text("utf-8", "replace") if found.path.exists() else ""
    if found.flow is None:
        return Flow(name, name, "", "wrong", found.shipped, str(found.path), text, problem=found.problem)
    made = found.flow
    return Flow(
        name,
        made.label,
        made.description,
        str(made.status),
        found.shipped,
        str(found.path),
        text,
        words.trigger(made),
        tuple(words.rules(made)),
        steps(made),
        "; ".join(mistakes(made, project)),
    )


def steps(flow: FlowFile) -> tuple[Step, ...]:
    """The flow's steps as a tree, with the ids that messages name."""
    return _steps(flow.steps, iter(compile_flow(flow).instructions))


def _steps(several: tuple[FileStep, ...], laid: Iterator[Instruction]) -> tuple[Step, ...]:
    """Instructions are laid in the order of the file, splits before what is inside of them."""
    return tuple(_step(next(laid), laid) for _ in several)


def _step(instruction: Instruction, laid: Iterator[Instruction]) -> Step:
    kind = instruction.kind
    ways = (kind.then, kind.otherwise) if isinstance(kind, Split | TriggerSplit) else ((), ())
    then, otherwise = (_steps(way, laid) for way in ways)
    template = kind.template if isinstance(kind, Email) else ""
    return Step(instruction.id, kind.KIND, words.step(kind), then, otherwise, template)


def _server(url: str) -> str:
    """The mail server as people know it, such as `mail.example.com:587`."""
    server = parse_url(url) if url else None
    return f"{server.host}:{server.port}" if server else ""
