"""What is told of messages: a row on `messages` for every state, a dead letter and a suppression for a bounce."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from engage import telemetry
from engage.flows.rules.state import Entry
from engage.stages.letters import trigger_of
from schemas.dead_letter import DeadLetter, Stage
from schemas.messages import MessageStatus, Suppression, message_version
from schemas.profile import split_key
from schemas.times import rfc3339
from schemas.topics import DEAD_LETTERS, MESSAGES, SUPPRESSIONS, full_name
from streams.checkpoint import Output

_ARCHIVED = 6 * 1024 * 1024  # bytes: as JSON within JSON at most twice that, and Kafka takes 16 MiB


class Reports:
    """Makes the outputs; `send` has them sent with the next checkpoint."""

    def __init__(self, prefix: str) -> None:
        self._messages = full_name(MESSAGES, prefix)
        self._suppressions = full_name(SUPPRESSIONS, prefix)
        self._dead = full_name(DEAD_LETTERS, prefix)
        self.send: Callable[[Output], None]

    def message(
        self,
        key: str,
        entry: Entry,
        event: Mapping[str, Any],
        status: MessageStatus,
        *,
        reason: str = "",
        recipient: str = "",
        subject: str = "",
        content: bytes = b"",
    ) -> dict[str, Any]:
        """A message's new state, as `schemas.messages.Message` describes it."""
        email, livemode = split_key(key)
        row = {
            "message_id": entry.id,
            "flow": entry.flow,
            "step": entry.step,
            "trigger": trigger_of(event),
            "metric_id": str(event.get("metric_id", "")),
            "email": email,
            "livemode": livemode,
            "recipient": recipient,
            "channel": entry.channel,
            "status": str(status),
            "reason": reason,
            "subject": subject,
            "content": content.decode("utf-8", "replace") if len(content) <= _ARCHIVED else "",
            "attempts": entry.attempts,
            "at": rfc3339(time.time()),
            "version": message_version(status, entry.attempts),
        }
        self.send(Output(self._messages, key.encode(), orjson.dumps(row)))
        telemetry.MESSAGES.labels(entry.channel, str(status)).inc()
        return row

    def bounce(self, key: str, row: Mapping[str, Any], reason: str, *, address_is_bad: bool) -> None:
        """A mail that was refused for good: a dead letter; and no more mail to an address that does not exist."""
        letter = DeadLetter(
            account="",
            event_id=str(row["message_id"]),
            type="email",
            stage=Stage.ENGAGE,
            reason=reason,
            path="recipient",
            topic=self._messages,
            partition=-1,  # it was never read from there: the place only has to be its own
            offset=int(str(row["message_id"])[:15], 16),
            failed_at=rfc3339(time.time()),
            payload=orjson.dumps(row).decode(),
        )
        self.send(Output(self._dead, letter.key, orjson.dumps(letter.model_dump(mode="json"))))
        if address_is_bad:
            self.suppress(key, "bounced", reason)

    def suppress(self, key: str, reason: str, detail: str) -> None:
        """No more mail to this person; '' for `reason` takes that back."""
        self.send(Output(self._suppressions, key.encode(), suppression(key, reason, detail, time.time())))


def suppression(key: str, reason: str, detail: str, now: float) -> bytes:
    """The value on `suppressions`."""
    email, livemode = split_key(key)
    told = Suppression(email=email, livemode=livemode, reason=reason, detail=detail[:300], at=rfc3339(now))
    return orjson.dumps(told.model_dump(mode="json"))
