"""From an action and what is known of a person to the very thing that is sent. Pure but for reading templates."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from engage.flows.rules.known import Known, Row
from engage.flows.rules.program import Instruction
from engage.flows.steps import Email, Publish, SetProfileProperty, Webhook
from engage.links import unsubscribe_url
from engage.senders.smtp import Mail
from engage.senders.topic import Publication
from engage.senders.webhook import Hook
from engage.templates import short
from engage.templates.brand import Branding
from engage.templates.context import Values, values
from engage.templates.rendering import Library
from schemas.profile import split_key

log = structlog.get_logger(__name__)

Letter = Mail | Hook | Publication


@dataclass(frozen=True, slots=True)
class Made:
    """A letter; or None and why there is none. `later`: because of us, so that it is made anew after a while."""

    letter: Letter | None
    reason: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """How messages are made: templates, who sends, and where unsubscribing leads."""

    library: Library
    branding: Branding
    mail_from: str
    unsubscribe_base: str
    unsubscribe_secret: bytes
    topic_prefix: str = ""
    environment: Callable[[str], str] = lambda name: os.environ.get(name, "")

    async def letter(self, message_id: str, flow: str, instruction: Instruction, key: str, known: Known) -> Letter:
        """What the step sends; of `known`, nothing is read after the first await.

        Raises TemplateProblem, ValueError for what can't be sent like that, Unavailable when it can't be made now.
        """
        kind = instruction.kind
        if isinstance(kind, Email):
            return await self._mail(message_id, kind, key, known)
        content = _content(message_id, flow, instruction.id, known)
        if isinstance(kind, Webhook):
            secret = self.environment(kind.secret_env) if kind.secret_env else ""
            if kind.secret_env and not secret:
                raise ValueError(f"the signing secret {kind.secret_env} is not in the environment")
            timeout = float(kind.timeout.total_seconds)
            return Hook(str(kind.url), content, message_id, secret, timeout, dict(kind.headers))
        if isinstance(kind, Publish):
            return Publication(kind.topic, key.encode(), content, (("idempotency-key", message_id.encode()),))
        raise ValueError(f"{kind.KIND} sends nothing")

    def properties(self, kind: SetProfileProperty, key: str, known: Known) -> dict[str, str]:
        """The properties that a step sets. Raises TemplateProblem."""
        named = self._values(key, known)
        return {name: short.render(text, named, name=name) for name, text in kind.properties.items()}

    def recipient(self, instruction: Instruction, key: str) -> str:
        """Where the step sends to."""
        kind = instruction.kind
        match kind:
            case Email():
                return kind.to or split_key(key)[0]
            case Webhook():
                return str(kind.url)
            case Publish():
                return kind.topic
        return ""

    async def _mail(self, message_id: str, kind: Email, key: str, known: Known) -> Mail:
        named = self._values(key, known)
        made = await self.library.rendered(kind.template, named, subject=kind.subject)
        if made.missing:
            lacks = [str(lack) for lack in made.missing]
            log.warning("a mail has blanks", template=kind.template, message=message_id, missing=lacks)
        return Mail(
            message_id=message_id,
            sender=kind.sender or self.mail_from,
            to=self.recipient(Instruction("", kind), key),
            subject=made.subject,
            html=made.html,
            text=made.text,
            reply_to=kind.reply_to,
            unsubscribe_url="" if kind.to else self._unsubscribe(key),
        )

    def _values(self, key: str, known: Known) -> Values:
        event = known.event if "metric" in known.event else None
        return values(event, known.profile, self.branding.now(), unsubscribe_url=self._unsubscribe(key))

    def _unsubscribe(self, key: str) -> str:
        return unsubscribe_url(self.unsubscribe_base, self.unsubscribe_secret, key)


def message_id(flow: str, step: str, fact: str) -> str:
    """The name of a message: the same however often it is made."""
    return hashlib.sha256(f"{flow}\0{step}\0{fact}".encode()).hexdigest()[:32]


def trigger_of(event: Mapping[str, Any]) -> str:
    """What started a run, in words."""
    if "metric" in event:
        return str(event["metric"])
    return f"segment {event['segment']}" if "segment" in event else f"date {event.get('date', '')}".strip()


def _content(message_id: str, flow: str, step: str, known: Known) -> bytes:
    profile: Row = {name: value for name, value in known.profile.items() if name != "learned_at"}
    return orjson.dumps({"id": message_id, "flow": flow, "step": step, "event": known.event, "person": profile})
