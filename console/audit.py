"""The audit log: who had what done, from where, when, and what came of it.

An entry is kept in the data directory before anything is done, and completed after it; from there it goes to ClickHouse
(`audit_rows`, the view `audit`) as soon as that answers. So no entry is lost while ClickHouse is away, no result waits
for it, and what was begun and never ended stays visible. When the directory can't be written either, nothing is done.

People whom Stripe knows are never named: an email stands there as a digest that only the console's key makes.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from secrets import token_hex
from typing import Final

import structlog

from console.access.keys import Key
from console.access.shelf import Shelf
from console.access.visitors import Visitor
from console.config import ConsoleConfig
from schemas.emails import normal
from schemas.errors import TillstreamError, Unavailable
from warehouse.client import Warehouse
from warehouse.tables import AUDIT

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts to reach ClickHouse
_SEND_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 2.0  # for what is left when the console ends
_LONGEST: Final = 500  # characters of a text
_EMAIL: Final = re.compile(r"[^\s@<>\"'“”,;:()]+@[^\s@<>\"'“”,;:()]+")
log = structlog.get_logger(__name__)


class Action(StrEnum):
    """What can be done from the console, as the log names it."""

    SIGN_IN = "signed in"
    SIGN_OUT = "signed out"
    CONNECT = "connected to Stripe"
    DISCONNECT = "disconnected from Stripe"
    ADD_SECRET = "added a signing secret"
    REMOVE_SECRET = "removed a signing secret"
    IMPORT = "started an import"
    COMPARE = "compared a day with Stripe"
    REPLAY = "tried dead letters again"
    MERGE = "merged profiles"
    UNMERGE = "took a merge back"
    ERASE = "erased a person"
    SUPPRESS = "suppressed somebody"
    UNSUPPRESS = "took a suppression back"
    SAVE_SEGMENT = "saved a segment"
    REMOVE_SEGMENT = "removed a segment"
    SAVE_FLOW = "saved a flow"
    ARCHIVE_FLOW = "archived a flow"
    RESTORE_FLOW = "brought a flow back"
    SAVE_MAIL = "saved a template"
    REMOVE_MAIL = "removed a template"
    SAVE_BRAND = "saved the brand"
    ROLL_BACK = "went back to an earlier revision"
    SET_STATUS = "set a flow's status"
    RELEASE = "released held messages"
    CLOSE_BOOKS = "closed the books"
    SEND_TEST = "sent a test mail"
    SET = "changed settings"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of `audit_rows`; times are RFC 3339. `outcome` is begun, done or failed; `about` are digests of emails."""

    id: str
    at: str
    who: str
    way: str
    source: str
    action: str
    account: str
    about: tuple[str, ...]
    detail: str
    outcome: str
    error: str
    ended_at: str
    version: int


@dataclass(slots=True)
class Outcome:
    """What came of it, if that is no exception: `error` says why nothing was done, '' when it was."""

    error: str = ""


class Audit:
    """One for a console. `run` brings the entries to ClickHouse."""

    def __init__(self, config: ConsoleConfig, key: Key) -> None:
        self._key = key
        self._warehouse = Warehouse(config.warehouse, seconds=_SEND_SECONDS)
        self._shelf = Shelf(config.state / "audit" if config.state else None)
        self._new = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Entries that ClickHouse has not yet."""
        return len({name.partition(".")[0] for name in self._shelf.names()})

    def person(self, email: str) -> str:
        """How the log names somebody: the same text for the same email, and nothing that leads back to it."""
        return "person " + self._key.digest("person", normal(email))[:16]

    @asynccontextmanager
    async def change(
        self, visitor: Visitor, action: Action, *, account: str = "", people: Iterable[str] = (), detail: str = ""
    ) -> AsyncIterator["Outcome"]:
        """Around what is done. Raises Unavailable, before it is done, when it can't be written down."""
        people, now = tuple(people), _now()
        entry = Entry(
            id=token_hex(12),
            at=now,
            who=visitor.name[:_LONGEST],
            way=visitor.way,
            source=visitor.source,
            action=action,
            account=account,
            about=tuple(self.person(email) for email in people),
            detail=self._without_emails(detail, people),
            outcome="begun",
            error="",
            ended_at=now,
            version=1,
        )
        try:
            self._keep(entry)
        except Unavailable as error:
            told = f"nothing was done, since the audit log can't be written: {error}"
            raise Unavailable(told, remedy=error.remedy) from None
        outcome = Outcome()
        try:
            yield outcome
        except BaseException as error:
            self._end(entry, "failed", self._without_emails(_told(error), people))
            raise
        self._end(entry, "failed" if outcome.error else "done", self._without_emails(outcome.error, people))

    async def run(self) -> None:
        """Bring entries to ClickHouse until cancelled, those of an earlier run too."""
        pause = 0.0
        while True:
            if pause:
                await asyncio.sleep(pause)
            elif not self._shelf.names():
                await self._new.wait()
            self._new.clear()
            try:
                await self._send()
                pause = 0.0
            except (Unavailable, OSError) as error:
                if not pause:
                    log.warning("audit entries wait for ClickHouse", entries=self.waiting, cause=str(error)[:_LONGEST])
                pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)

    async def close(self) -> None:
        """Once more, for a moment; what is left waits for the next start."""
        with suppress(Unavailable, OSError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._send()
        await self._warehouse.close()

    def _keep(self, entry: Entry) -> None:
        self._shelf.put(f"{entry.id}.{entry.version}", json.dumps(asdict(entry)))
        self._new.set()

    def _end(self, entry: Entry, outcome: str, error: str) -> None:
        """What was done is done: its result is told, whatever becomes of the entry."""
        ended = replace(entry, outcome=outcome, error=error, ended_at=_now(), version=2)
        try:
            self._keep(ended)
        except Unavailable as trouble:
            log.critical("audit entry not kept", cause=str(trouble), **asdict(ended))

    async def _send(self) -> None:
        """Everything that is kept; raises when ClickHouse does not take it."""
        kept = {name: text for name in self._shelf.names() if (text := self._shelf.get(name))}
        if kept:
            await self._warehouse.insert(AUDIT.name, "\n".join(kept.values()).encode())
        for name in kept:
            self._shelf.remove(name)

    def _without_emails(self, text: str, people: Iterable[str]) -> str:
        for email in people:
            text = re.sub(re.escape(email), self.person(email), text, flags=re.IGNORECASE) if email else text
        return _EMAIL.sub(lambda found: self.person(found[0]), text)[:_LONGEST]


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, TillstreamError) else getattr(error, "text", "") or type(error).__name__


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
