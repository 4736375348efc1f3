"""Who enters and leaves segments: the value on `segments.changes`."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Change(StrEnum):
    """What happened to a person's membership."""

    ENTERED = "entered"
    LEFT = "left"


class SegmentChange(BaseModel):
    """One person entered or left one segment. A crash may tell the same change again, with the same `change_id`."""

    model_config = ConfigDict(extra="forbid")

    change_id: str = Field(description="Made of segment, person and the number of the change: the same after any crash")
    segment: str = Field(description="The name of the segment's file, without .yaml")
    email: str = Field(description="Lower case")
    livemode: bool
    change: Change
    at: str = Field(description="RFC 3339: when it was found")
    initial: bool = Field(
        default=False,
        description="Found by the first evaluation of a new or edited segment: it tells who is in it, not that "
        "anything happened to the person, so nothing is sent for it",
    )


def change_id(segment: str, livemode: bool, email: str, sequence: int) -> str:
    """The id of a person's change number `sequence` in a segment."""
    return f"{segment}:{'live' if livemode else 'test'}:{sequence}:{email}"
