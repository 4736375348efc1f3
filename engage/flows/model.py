"""A flow as it is written in YAML: what starts it, whom it spares, and its steps.

    name: failed-payment
    status: live
    trigger:
      metric: Failed Payment
      where: {Currency: USD, AttemptCount: {at most: 3}}
    reentry: {once_per: Invoice}
    exit_when: {happened: Successfully Paid, same: invoice}
    steps:
      - email: {template: failed_payment, subject: "Your payment did not go through"}
      - delay: {for: 3 days, until: "09:00", weekdays: [mon, tue, wed, thu, fri], timezone: profile}
      - email: {template: failed_payment_again, subject: "We will try again"}

Names follow Klaviyo's flows: trigger, trigger filters, profile filters, conditional split, trigger split, smart
sending.
"""

from datetime import time
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from engage.flows.conditions import Conditions, Filters
from engage.flows.duration import Duration
from engage.flows.parts import Name, Part, TimeOfDay, ZoneName
from engage.flows.steps import Step, walk
from schemas.metrics import Metric


class Status(StrEnum):
    """`draft`: nothing happens. `manual`: runs start and wait, messages are kept back. `live`: messages are sent."""

    DRAFT = "draft"
    MANUAL = "manual"
    LIVE = "live"


class MetricTrigger(Part):
    """Every fact of a metric that passes the filters of `where`."""

    metric: Metric
    where: Filters = ()


class SegmentTrigger(Part):
    """A person enters (or leaves) a segment."""

    segment: Name
    on: Literal["entered", "left"] = "entered"


class DateTrigger(Part):
    """A date that is known of a person, such as `card_expiration_date`, or any date in the customer's metadata."""

    date: str
    days_before: int = Field(default=0, ge=0, le=3660)
    days_after: int = Field(default=0, ge=0, le=3660)
    at: TimeOfDay = time(9)
    timezone: ZoneName = "account"
    repeat: Literal["once", "yearly"] = "once"


def _trigger_kind(value: Any) -> str:
    names = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
    return next((name for name in ("segment", "date") if name in names), "metric")


Trigger = Annotated[
    Annotated[MetricTrigger, Tag("metric")]
    | Annotated[SegmentTrigger, Tag("segment")]
    | Annotated[DateTrigger, Tag("date")],
    Discriminator(_trigger_kind),
]


class Reentry(Part):
    """How often one person may start the flow; `always`: with every fact."""

    rule: Literal["always", "once"] = "always"
    once_every: Duration | None = Field(default=None, description="At most once in this time")
    once_per: str = Field(default="", description="Once for each value of a property of the event, such as Invoice")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"rule": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> "Reentry":
        if (self.rule != "always") + (self.once_every is not None) + bool(self.once_per) > 1:
            raise ValueError("choose one of once, once_every and once_per")
        return self


class QuietHours(Part):
    """No mail from `from` to `until`: it waits for the end. `from` may be later than `until`: over midnight."""

    begin: TimeOfDay = Field(alias="from")
    until: TimeOfDay
    timezone: ZoneName = "profile"

    @model_validator(mode="after")
    def _some(self) -> "QuietHours":
        if self.begin == self.until:
            raise ValueError("quiet hours begin and end at the same time: leave them out, or write another end")
        return self


class Flow(Part):
    """A whole flow."""

    name: Name
    title: str = ""
    description: str = ""
    status: Status = Status.DRAFT
    trigger: Trigger
    profile_filters: Conditions | None = Field(default=None, description="Re-checked before every action")
    reentry: Reentry = Reentry()
    exit_when: Conditions | None = Field(default=None, description="Ends a run at any step, at once")
    quiet_hours: QuietHours | None = None
    smart_sending: Duration | None = Field(
        default=None, description="Skip a mail when the person was sent one within this time"
    )
    livemode: bool | None = Field(default=None, description="Only live or only test facts; both when it is left out")
    steps: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _step_ids_differ(self) -> "Flow":
        seen: set[str] = set()
        for step in walk(self.steps):
            if step.id is not None and step.id in seen:
                raise ValueError(f"two steps have the id '{step.id}'")
            seen.add(step.id or "")
        return self

    @property
    def label(self) -> str:
        """The name for people."""
        return self.title or self.name.replace("-", " ").replace("_", " ").capitalize()
