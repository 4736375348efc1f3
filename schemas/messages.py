"""What flows sent, or did not (the value on `messages`), and who must not be written to (on `suppressions`)."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class MessageStatus(StrEnum):
    """Where a message is. All but `waiting` and `held` are final; when it is tried again, the reason says so."""

    HELD = "held"  # its flow is manual: a person releases it
    WAITING = "waiting"
    SENT = "sent"  # the mail server, the endpoint or the topic has taken it
    SKIPPED = "skipped"  # quiet by rule: suppressed, smart sending, profile filters, no SMTP_URL
    FAILED = "failed"  # refused for good, or too often
    UNKNOWN = "unknown"  # the process ended while it was sent: it may have arrived, and is not repeated


class Message(BaseModel):
    """One state of one message. The highest `version` of a `message_id` is the newest; also the row of `messages`."""

    model_config = ConfigDict(extra="forbid")

    message_id: str = Field(description="Made of the flow, the step and what started the run: the same after any crash")
    flow: str
    step: str = Field(description="The id of the flow's step")
    trigger: str = Field(description="What started the run: a metric's name, `segment NAME` or `date NAME`")
    metric_id: str = Field(default="", description="The fact that started it; '' for segments and dates")
    email: str = Field(description="Whose flow it is, lower case")
    livemode: bool
    recipient: str = Field(default="", description="The address, URL or topic that it goes to")
    channel: str = Field(description="email, webhook, publish or set_profile_property")
    status: MessageStatus
    reason: str = Field(default="", description="Why it was skipped or failed, or is tried again")
    subject: str = Field(default="", description="Of a mail that was sent")
    content: str = Field(
        default="",
        description="What went out (or may have): of a mail the whole message (RFC 5322), else the body that was sent",
    )
    attempts: int = Field(default=0, ge=0)
    at: str = Field(description="RFC 3339: when it came into this state")
    version: int = Field(ge=0)


class Suppression(BaseModel):
    """Who is not sent mail. Key and compaction as on `profiles`; the newest value of a person counts."""

    model_config = ConfigDict(extra="forbid")

    email: str
    livemode: bool
    reason: str = Field(description="unsubscribed, bounced or suppressed; '' when the person may be written to again")
    detail: str = Field(default="", description="The mail server's words, or who asked for it")
    at: str = Field(description="RFC 3339")


#: The order of the states, for `version`.
_RANKS = {status: rank for rank, status in enumerate(MessageStatus)}


def message_version(status: MessageStatus, attempts: int) -> int:
    """The version of a message's state: the same however often it is told, and higher for what comes later."""
    return attempts * len(_RANKS) + _RANKS[status]


def as_json(model: Message | Suppression) -> dict[str, Any]:
    """The JSON form."""
    return model.model_dump(mode="json")
