"""The steps of a flow: waiting, splitting, acting."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import AnyHttpUrl, Field, field_validator, model_validator

from engage.flows.conditions import Conditions, Filters
from engage.flows.duration import Duration
from engage.flows.parts import Name, Part, TimeOfDay, Weekday, ZoneName
from schemas.topics import ALL


# --- steps
class Delay(Part):
    """Wait for a length of time, then for the next allowed weekday and hour, by the clock on a wall."""

    KIND: ClassVar = "delay"
    length: Duration = Field(default=Duration(), alias="for")
    until: TimeOfDay | None = None
    weekdays: tuple[Weekday, ...] = ()
    timezone: ZoneName = "account"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"for": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _some(self) -> "Delay":
        if self.length == Duration() and self.until is None and not self.weekdays:
            raise ValueError("a delay needs a length (for: 3 days), a time of day (until) or weekdays")
        return self


class WaitUntil(Part):
    """Wait until a condition is true, at most for `timeout`; the run goes on either way."""

    KIND: ClassVar = "wait_until"
    when: Conditions
    timeout: Duration


class Split(Part):
    """Conditional split: `then` when the condition about the person is true, else `else`."""

    KIND: ClassVar = "split"
    when: Conditions
    then: "tuple[Step, ...]" = ()
    otherwise: "tuple[Step, ...]" = Field(default=(), alias="else")


class TriggerSplit(Part):
    """Trigger split: `then` when the event that started the run passes the filters, else `else`."""

    KIND: ClassVar = "trigger_split"
    where: Filters
    then: "tuple[Step, ...]" = ()
    otherwise: "tuple[Step, ...]" = Field(default=(), alias="else")


class Email(Part):
    """Send a mail. `to` is the person's own address unless it names another, such as the team's.

    `transactional` mail, such as a receipt, also goes to people who unsubscribed, and may ignore quiet hours and smart
    sending; one whose address bounces or was suppressed by hand gets none.
    """

    KIND: ClassVar = "email"
    template: str = Field(min_length=1)
    subject: str = Field(default="", description="A template too; '' for the subject that the template itself has")
    sender: str = Field(default="", alias="from", description="'' for TILLSTREAM_MAIL_FROM")
    reply_to: str = ""
    to: str = ""
    transactional: bool = False
    if_unknown: Literal["keep", "repeat"] = Field(
        default="keep", description="What to do when the process ended in mid-send: leave it, or send it once more"
    )


class Webhook(Part):
    """POST the event and the person as JSON, signed like Stripe's own webhooks when there is a secret."""

    KIND: ClassVar = "webhook"
    url: AnyHttpUrl
    secret_env: str = Field(default="", description="Name of the environment variable that holds the signing secret")
    headers: dict[str, str] = Field(default={})
    timeout: Duration = Duration(seconds=10)
    attempts: int = Field(default=8, ge=1, le=50)


class Publish(Part):
    """Put the event and the person on a Kafka topic, keyed by the email; the topic must exist."""

    KIND: ClassVar = "publish"
    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")

    @field_validator("topic")
    @classmethod
    def _of_others(cls, value: str) -> str:
        if any(value.endswith(topic.name) for topic in ALL):  # there may be a prefix
            raise ValueError(f"{value} is a topic of Tillstream's own: a flow that wrote there could start itself")
        return value


class SetProfileProperty(Part):
    """Set properties of the person, for later conditions and templates; values are templates."""

    KIND: ClassVar = "set_profile_property"
    properties: dict[str, str] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"properties": value} if isinstance(value, dict) and "properties" not in value else value


class Exit(Part):
    """The run ends here."""

    KIND: ClassVar = "exit"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {} if value in (True, "true", "yes", None) else value


Action = Email | Webhook | Publish | SetProfileProperty
Kind = Delay | WaitUntil | Split | TriggerSplit | Email | Webhook | Publish | SetProfileProperty | Exit


class Step(Part):
    """One step: exactly one of the kinds, and an `id` of its own if wanted.

    Give steps an id when you mean to change a live flow: a waiting run goes on at the step of the same id.
    """

    id: Name | None = None
    delay: Delay | None = None
    wait_until: WaitUntil | None = None
    split: Split | None = None
    trigger_split: TriggerSplit | None = None
    email: Email | None = None
    webhook: Webhook | None = None
    publish: Publish | None = None
    set_profile_property: SetProfileProperty | None = None
    exit: Exit | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_exit(cls, value: Any) -> Any:
        if isinstance(value, dict) and "exit" in value and value["exit"] is None:
            return {**value, "exit": True}
        return {"exit": True} if value == "exit" else value

    @model_validator(mode="after")
    def _one(self) -> "Step":
        if len([name for name in KINDS if getattr(self, name) is not None]) != 1:
            raise ValueError(f"a step is exactly one of {', '.join(KINDS)}")
        return self

    @property
    def kind(self) -> Kind:
        """What the step does."""
        found: Kind = next(part for name in KINDS if (part := getattr(self, name)) is not None)
        return found


KINDS = tuple(name for name in Step.model_fields if name != "id")


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Every step, also those inside of splits, in the order of the file."""
    for step in steps:
        yield step
        kind = step.kind
        if isinstance(kind, Split | TriggerSplit):
            yield from walk(kind.then)
            yield from walk(kind.otherwise)


Split.model_rebuild()
TriggerSplit.model_rebuild()
