"""The shapes of the answers. What is published stays: a later version may add fields, never take one away."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from reports.text import iso
from schemas.metrics import Metric

Money = Annotated[str, Field(description="Exact decimal text in major units", pattern=r"^-?\d+(\.\d+)?$")]
Amounts = Annotated[dict[str, Money], Field(description="By currency (ISO code, lower case); never to be added up")]
Moment = Annotated[datetime, PlainSerializer(iso, return_type=str, when_used="json")]
Mode = Literal["live", "test"]


class Answer(BaseModel):
    """What every answer has in common: nothing. An answer is made by us, so its values are not checked again."""

    model_config = ConfigDict(from_attributes=True)


class Head(Answer):
    """Of which mode the numbers are, and whose days."""

    mode: Mode
    timezone: str = Field(description="Of accounts that are not in `timezones`")
    timezones: dict[str, str] = Field(description="Account to IANA timezone")


class Cell(Answer):
    """What happened in a period, or in all."""

    count: int
    unique_profiles: int = Field(description="Different emails; can't be added up")
    amounts: Amounts


class Period(Cell):
    """One interval."""

    begin: date | Moment = Field(description="Its first day, or the instant at which the hour begins")


class Earlier(Cell):
    """The time of the same length right before."""

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    periods: list[Period]
    known: bool = Field(description="Whether anything is known from before that time: else there is no comparing")


class Part(Cell):
    """The events whose property has one value."""

    part: str = Field(description="The value; '' is none")
    others: bool = Field(description="Not one value but all that are not among the largest")
    periods: list[Period]


class MetricAnswer(Head):
    """One metric by time."""

    metric: Metric
    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    interval: Literal["hour", "day", "week", "month"]
    split: str
    total: Cell
    periods: list[Period]
    parts: list[Part]
    before: Earlier | None
    sql: list[str] = Field(description="The statements behind these numbers, to be run as they are")


class DayCount(Answer):
    """A day of the overview."""

    day: date
    count: int
    amounts: Amounts


class Before(Answer):
    """As many days right before."""

    count: int
    amounts: Amounts
    known: bool = Field(description="Whether anything is known from before these days: else there is no comparing")


class MetricSummary(Cell):
    """A metric of the overview."""

    metric: Metric
    slug: str
    days: list[DayCount]
    before: Before


class MetricsAnswer(Head):
    """Every metric by day."""

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    metrics: list[MetricSummary]


class MrrProduct(Answer):
    """What a product comes to a month in one currency."""

    product_id: str
    currency: str
    mrr: Money
    customers: int


class MrrMonth(Answer):
    """How a month went in one currency: opening and all that moved is closing."""

    month: date = Field(description="Its first day")
    currency: str
    opening: Money
    moved: dict[str, Money] = Field(description="By kind; opening is what was first seen then, and is older")
    closing: Money


class MrrMovement(Answer):
    """A movement, as the view `mrr_movements` has it."""

    occurred_at: Moment
    kind: str
    account: str
    customer_id: str
    email: str = Field(description="'' when nobody is known")
    subscription_id: str
    product_id: str
    currency: str
    amount: Money
    status: str
    excludes: str
    found_late: bool


class MrrAnswer(Head):
    """Monthly recurring revenue at the end of a day, and how it came to that. Exact: round it where it is shown."""

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    known_since: Moment | None = Field(description="Before that MRR is unknown, not nothing")
    mrr: Amounts = Field(description="At the end of the last day")
    products: list[MrrProduct]
    months: list[MrrMonth]
    movements: list[MrrMovement] = Field(description="The newest hundred")


class PropertyItem(Answer):
    """What a metric can be split and filtered by."""

    key: str
    label: str


class PropertiesAnswer(Head):
    """Those that a sample of the metric's events has."""

    properties: list[PropertyItem]


class Event(Answer):
    """A row of `metrics`."""

    metric: Metric
    metric_id: str
    occurred_at: Moment
    email: str = Field(description="'' when unlinked")
    account: str
    livemode: bool
    customer_id: str
    charge_id: str
    invoice_id: str
    currency: str
    amount: Money
    amount_minor: int
    attempt_count: int
    reason: str
    reason_code: str
    source: str
    api_version: str
    received_at: Moment
    version: int


class EventsAnswer(Head):
    """A page of the feed."""

    events: list[Event]
    next: str | None = Field(description="Pass it as `before` for the page after; null on the last page")


class Line(Answer):
    """A line of the event's invoice."""

    line_id: str
    position: int
    product_id: str
    price_id: str
    description: str
    quantity: int
    currency: str
    amount: Money
    period_start: Moment | None
    period_end: Moment | None
    metadata: dict[str, str]


class Version(Answer):
    """What a row said at some time."""

    version: int
    written_at: Moment = Field(description="When it first came to ClickHouse")
    event_id: str = Field(
        description="The event, or the fetched object, that made this version; '' where none was kept"
    )
    received_at: Moment
    occurred_at: Moment
    source: str
    api_version: str
    email: str
    unlinked_reason: str
    customer_id: str
    charge_id: str
    invoice_id: str
    currency: str
    amount: Money
    attempt_count: int
    reason: str
    reason_code: str
    status: str
    withdrawn: bool


class StripeEvent(Answer):
    """One of Stripe's events, or an object that was fetched, without its body."""

    event_id: str
    type: str
    source: str
    api_version: str
    observed_at: Moment
    received_at: Moment
    bytes: int


class EventAnswer(Event):
    """One event with all that is known of it."""

    properties: dict[str, Any]
    lines: list[Line] = Field(description="The first 200 of its invoice")
    versions: list[Version] = Field(description="How it came to be what it is, oldest first; the last 100")
    stripe_events: list[StripeEvent] = Field(description="About its charge or invoice, oldest first; the first 50")


class Card(Answer):
    """A card seen on a charge."""

    brand: str
    last4: str
    month: int
    year: int
    seen_at: Moment


class Value(Answer):
    """What a person paid in one currency."""

    currency: str
    paid_minor: int
    refunded_minor: int
    lifetime_value_minor: int
    lifetime_value: Money = Field(description="Paid, less refunded and what disputes took for good")


class Count(Answer):
    """How often a metric occurred to a person."""

    metric: Metric
    count: int
    first_at: Moment
    last_at: Moment


class FoundProfile(Answer):
    """A person among those found."""

    email: str
    name: str
    last_seen: Moment
    value: list[Value]
    card_expiration_date: date | None
    successfully_paid_count: int
    failed_payment_count: int


class ProfilesAnswer(Head):
    """At most 50; the best match first."""

    profiles: list[FoundProfile]


class FoundStripeEvent(Answer):
    """One of Stripe's events among what was found."""

    event_id: str
    type: str
    account: str
    observed_at: Moment


class SearchAnswer(Head):
    """At most 10 of each; `more` says that there are more which begin so. `events` are facts, the newest first."""

    profiles: list[FoundProfile]
    events: list[Event]
    stripe_events: list[FoundStripeEvent]
    more: bool


class ProfileAnswer(Answer):
    """One person; the timeline is `/api/v1/events?email=…`."""

    email: str
    livemode: bool
    name: str
    phone: str
    country: str
    city: str
    postal_code: str
    accounts: list[str]
    customer_ids: list[str]
    card_expirations: list[Card]
    card_expiration_date: date | None
    first_seen: Moment
    last_seen: Moment
    currency: str
    metrics: list[Count]
    value: list[Value]
    properties: dict[str, str]
    updated_at: Moment


class Finding(Answer):
    """One thing that is not as it should be."""

    name: str = Field(description="Such as endpoint-disabled")
    severity: Literal["error", "waiting", "warning", "hint"]
    text: str
    remedy: str = Field(description="What mends it, mostly a command")
    about: str = Field(description="Whose it is: an account, a part, a topic, a flow; '' for the whole")


class HealthAnswer(Head):
    """The verdict, the same as `tillstream status` and `doctor` tell, and what came."""

    verdict: Literal["green", "amber", "red", "waiting"]
    title: str
    reasons: list[str] = Field(description="The findings, a line each")
    findings: list[Finding] = Field(description="The worst first")
    last_received_at: Moment | None
    events_last_hour: int
    dead_letters: int
    unlinked_30_days: int
    not_ready: dict[str, str] = Field(description="Part of a running `up` to the reason")


class Wrong(Answer):
    """What went wrong."""

    error: str
    next: str = Field(description="What to do about it; '' when the error says it")
