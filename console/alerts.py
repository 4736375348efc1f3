"""Tells by mail, webhook and in Slack's format that the light has been red for some minutes, and that it is no longer.

The console sends: it needs neither Kafka nor ClickHouse to start and to judge, which is what is most often the matter,
it has the verdict and the mail server's login already, and `up` or a container starts it again. `up`'s supervisor
outlives it by moments only, and is nowhere where each role has a container of its own. What no program on the machine
can tell is that the machine is gone: for that, let something elsewhere ask `/readyz`.

What was told is kept in `DATA/console/alerts.json`, so that a restart neither repeats nor forgets it. Of several
consoles that share the directory one tells.
"""

import asyncio
import fcntl
import html
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from doctor.alerting import Told, due, looked
from engage.senders.outcome import Again, Outcome, Refused, Sent
from engage.senders.smtp import Mail, Smtp, address
from engage.senders.webhook import Hook, Webhooks
from schemas.errors import ConfigurationError, TillstreamError
from schemas.verdict import Light, Severity, Verdict
from settings.loading import load_settings
from settings.runtime import read_json, write_json
from settings.table import Settings, plain

LOOK_SECONDS: Final = 20.0
_MOST = 10  # findings in a message
log = structlog.get_logger(__name__)

Judge = Callable[[], Awaitable[Verdict]]


def ways(settings: Settings) -> dict[str, str]:
    """Where somebody is told, by way; nothing where no way is set. A mail needs a mail server."""
    found = {
        "mail": settings.tillstream_alert_mail if settings.smtp_url else "",
        "webhook": plain(settings.tillstream_alert_webhook),
        "slack": plain(settings.tillstream_alert_slack),
    }
    return {way: where for way, where in found.items() if where}


def check_ways(settings: Settings) -> None:
    """Raises ConfigurationError for a way by which nobody can be told."""
    for to in filter(None, settings.tillstream_alert_mail.split(",")):
        try:
            address(to)
        except ValueError as error:
            raise ConfigurationError(
                f"TILLSTREAM_ALERT_MAIL: {error}", remedy="give addresses, comma-separated"
            ) from None
    if settings.tillstream_alert_mail and not settings.smtp_url:
        raise ConfigurationError("TILLSTREAM_ALERT_MAIL is set, and no mail server", remedy="set SMTP_URL as well")
    for name in ("tillstream_alert_webhook", "tillstream_alert_slack"):
        parts = urlsplit(plain(getattr(settings, name)))
        if (parts.scheme or parts.path) and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ConfigurationError(
                f"{name.upper()} is no web address", remedy="give one such as https://hooks.example.com"
            )


async def send_test(settings: Settings) -> str:
    """A message by every way that is set, marked as a test; a sentence.

    Raises ConfigurationError when there is none, or one does not take it.
    """
    check_ways(settings)
    where = ways(settings)
    if not where:
        raise ConfigurationError("nobody is told yet", remedy="save an address for mail, a webhook or Slack first")
    sample = Verdict(Light.GREEN, "this is a test, and nothing is wrong", ())
    sender = Sender()
    try:
        for way, at in where.items():
            for outcome in await sender.send(settings, way, at, sample, None, "test"):
                if not isinstance(outcome, Sent):
                    raise ConfigurationError(f"{way} has not taken it: {outcome.reason}", remedy="check its address")
    finally:
        await sender.close()
    return f"A test went out by {' and '.join(where)}."


class Sender:
    """Sends one message by one way."""

    def __init__(self) -> None:
        self._hooks = Webhooks()

    async def send(
        self, settings: Settings, way: str, where: str, verdict: Verdict, since: float | None, event: str
    ) -> list[Outcome]:
        """What came of it, for each recipient. `event`: red, over or test."""
        title, lines = words(settings, verdict, event)
        if way == "mail":
            return await self._mail(settings, where, title, lines)
        body = {"text": slack(title, lines)} if way == "slack" else told_json(settings, verdict, since, event)
        return [await self._hooks.send(Hook(where, json.dumps(body).encode(), uuid4().hex))]

    async def close(self) -> None:
        """The connections."""
        await self._hooks.close()

    async def _mail(self, settings: Settings, where: str, title: str, lines: list[str]) -> list[Outcome]:
        mailer, sender = Smtp(plain(settings.smtp_url)), settings.tillstream_mail_from
        text = "\n".join([title, "", *lines, ""])
        try:
            recipients = [to.strip() for to in where.split(",") if to.strip()]
            return [await mailer.send(Mail(f"alert-{uuid4().hex}", sender, to, title, "", text)) for to in recipients]
        finally:
            await mailer.close()


class Alerts:
    """`run` looks until it is cancelled. `judge` gives the verdict."""

    def __init__(self, data: Path, judge: Judge, clock: Callable[[], float] = time.time) -> None:
        self._data, self._judge, self._clock = data, judge, clock
        self._path = data / "console" / "alerts.json"
        self._sender = Sender()

    async def run(self) -> None:
        """Every twenty seconds, while it is the one that tells."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._path.with_suffix(".lock").open("a") as lock:
                while True:
                    with suppress(BlockingIOError):
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        await self._look_safely()
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self.close()

    async def close(self) -> None:
        """The connections."""
        await self._sender.close()

    async def _look_safely(self) -> None:
        try:
            await self.look()
        except (TillstreamError, OSError) as error:
            log.warning("alerts: no look at the light", cause=str(error))

    async def look(self) -> None:
        """Once: judge, and tell what is due. Raises TillstreamError, OSError."""
        settings = load_settings(tillstream_data=self._data)
        where = ways(settings)
        if not where:
            return
        verdict, now = await self._judge(), self._clock()
        told = looked(self._read(), verdict.light, now)
        self._write(told)
        red, over = due(told, where, settings.tillstream_alert_minutes, now)
        for way in (*red, *over):
            if await self._tell(settings, way, where[way], verdict, told.since, over=way in over):
                told = Told(told.since, {**told.red, way: way in red})
                self._write(told)

    async def _tell(
        self, settings: Settings, way: str, where: str, verdict: Verdict, since: float | None, *, over: bool
    ) -> bool:
        """Whether that way need not be tried again."""
        event = "over" if over else "red"
        outcomes = await self._sender.send(settings, way, where, verdict, since, event)
        for outcome in outcomes:
            if isinstance(outcome, Again | Refused):
                log.error("alert not sent", way=way, cause=outcome.reason, again=isinstance(outcome, Again))
        log.info("alert", way=way, alert=event, light=verdict.light.value, title=verdict.title)
        return not outcomes or not all(isinstance(outcome, Again) for outcome in outcomes)

    def _read(self) -> Told:
        kept = read_json(self._path) or {}
        since, red = kept.get("since"), kept.get("red")
        known = {str(way): bool(value) for way, value in red.items()} if isinstance(red, Mapping) else {}
        return Told(float(since) if isinstance(since, int | float) else None, known)

    def _write(self, told: Told) -> None:
        if told != self._read():
            write_json(self._path, {"since": told.since, "red": dict(told.red)})


def words(settings: Settings, verdict: Verdict, event: str) -> tuple[str, list[str]]:
    """A title, and a line each for what is wrong and what to do."""
    name = settings.tillstream_organization
    says = {"red": "is red", "over": "is no longer red", "test": "can tell you"}[event]
    title = f"Tillstream{f' of {name}' if name else ''} {says}: {verdict.title}"
    shown = {Severity.ERROR} if event == "red" else {Severity.WARNING, Severity.WAITING}
    wrong = [one for one in verdict.findings if one.severity in shown]
    lines = [line for one in wrong[:_MOST] for line in (f"- {one.text}", f"  Next: {one.remedy}")]
    more = [f"- and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else []
    return title, [*lines, *more, *filter(None, [settings.tillstream_console_url])]


def slack(title: str, lines: list[str]) -> str:
    """As Slack's incoming webhooks take `text`: only &, < and > are escaped ("Formatting text for app surfaces")."""
    return html.escape("\n".join([title, *lines]), quote=False)


def told_json(settings: Settings, verdict: Verdict, since: float | None, event: str) -> dict[str, object]:
    """For programs: `event` (red, over or test), the verdict, `since` and `at` (RFC 3339), the console's address."""
    began = None if since is None else datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")
    return {
        "event": event,
        **verdict.as_json(),
        "since": began,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "console": settings.tillstream_console_url,
    }
