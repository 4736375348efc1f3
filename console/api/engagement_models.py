"""The shapes of the answers about segments and flows."""

from datetime import date
from typing import Literal

from pydantic import Field

from console.api.models import Amounts, Answer, Head, Moment


class Mistake(Answer):
    """What is wrong with a segment's file, and where."""

    line: int
    column: int
    message: str
    nearest: str = Field(description="The name that was probably meant, or ''")


class SegmentSummary(Answer):
    """A segment, with its size as of its last evaluation."""

    name: str
    title: str
    description: str
    every: str = Field(description="How often it is evaluated at least; '' when its file has mistakes")
    ready: bool = Field(description="It came with Tillstream")
    members: int | None = Field(description="null before the first evaluation")
    change_7_days: int | None = Field(description="null when it was not there a week ago")
    refreshed_at: Moment | None
    mistakes: list[Mistake]


class SegmentsAnswer(Head):
    """Every segment."""

    segments: list[SegmentSummary]


class SegmentDay(Answer):
    """A segment on one day."""

    day: date
    members: int
    entered: int
    gone: int


class SegmentAnswer(SegmentSummary):
    """One segment, with its size on each of the last 90 days on which it was there."""

    mode: Literal["live", "test"]
    yaml: str
    conditions: list[str] = Field(description="In plain words, without how they are joined")
    days: list[SegmentDay]


class Member(Answer):
    """Somebody in a segment."""

    email: str
    name: str
    country: str
    entered_at: Moment
    last_seen: Moment | None
    lifetime_value: Amounts


class MembersAnswer(Head):
    """A page of a segment's members, by email."""

    members: list[Member]
    next: str | None = Field(description="Pass it as `after` for the page after; null on the last page")


class FlowSummary(Answer):
    """A flow, with what it did in the last 30 days."""

    name: str
    title: str
    description: str
    status: Literal["draft", "manual", "live", "wrong"]
    ready: bool = Field(description="It came with Tillstream")
    trigger: str = Field(description="What starts it, in words")
    problem: str = Field(description="Why it can't be read, or would not work; '' when nothing is wrong")
    people: int = Field(description="For how many people there were messages")
    messages: dict[str, int] = Field(description="Status (sent, waiting, held, skipped, failed, unknown) to how many")


class FlowsAnswer(Head):
    """Every flow."""

    flows: list[FlowSummary]


class FlowStep(Answer):
    """A step of a flow, with its messages of the last 30 days."""

    id: str
    kind: str
    does: str
    messages: dict[str, int]


class FlowAnswer(FlowSummary):
    """One flow with its steps, in the order of its file, also those inside of splits."""

    mode: Literal["live", "test"]
    yaml: str
    rules: list[str] = Field(description="Whom it spares and when it ends, in words")
    steps: list[FlowStep]
