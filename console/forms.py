"""What a request asks for: query parameters as typed models, from which the API's document is made too.

Everything wrong is a 400 that names the parameter and says what it may be.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeVar

from aiohttp import web
from multidict import MultiMapping
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from reports import mrr
from reports.days import EARLIEST, LATEST, Calendar, Interval, check, last_days, today
from reports.feed import PAGE, Cursor, Filter
from reports.metrics import Measure, Question
from reports.properties import MOST_FILTERS, Is, Property
from schemas.emails import normal
from schemas.metrics import Metric
from schemas.money import CURRENCIES, is_code

LONGEST_TEXT: Final = 254  # characters: the longest email there is, and a parameter that fits into a URL
LONGEST_PAGE: Final = 500  # events
BY_SLUG: Final = {metric.slug: metric for metric in Metric}


def _is_text(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a zero byte")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is no UTF-8") from None
    return value.strip()


def _is_property(key: str) -> str:
    if key:
        Property.parse(key)
    return key


Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_is_text)]
Day = Annotated[date, Field(ge=EARLIEST, le=LATEST)]
Key = Annotated[Text, AfterValidator(_is_property)]
Slug = Literal[
    "failed_payment",
    "issued_invoice",
    "refunded_payment",
    "successfully_paid",
    "upcoming_invoice",
    "credit_note",
    "dispute",
    "subscription_started",
    "subscription_changed",
    "subscription_canceled",
    "trial_ending",
]
Currency = Annotated[str, Field(json_schema_extra={"enum": sorted(CURRENCIES)})]


class Asked(BaseModel):
    """What every request may carry."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, frozen=True)

    mode: Literal["live", "test"] = Field(default="live", description="The two never mix")

    @property
    def live(self) -> bool:
        """Whether real money is asked for."""
        return self.mode == "live"


class Range(Asked):
    """Days, both part of it; 30 by default."""

    first: Day | None = Field(default=None, alias="from", description="The first day, as the accounts count days")
    last: Day | None = Field(default=None, alias="to", description="The last day, part of it; today by default")

    def days(self, calendar: Calendar, now: datetime, interval: Interval = Interval.DAY) -> tuple[date, date]:
        """First and last day. Raises 400."""
        last = self.last or today(calendar.zones, now)
        first = self.first or max(last_days(last)[0], EARLIEST)
        try:
            check(first, last, interval)
        except ValueError as error:
            raise bad(str(error)) from None
        return first, last


class MrrQuery(Range):
    """Which days of monthly recurring revenue, and which of its movements; the last twelve months by default."""

    kind: mrr.Kind | None = Field(default=None, description="Only movements of this kind")
    currency: str = Field(default="", pattern="^([a-z][a-z0-9]{2,4})?$", description="Only movements in it")

    def months(self, calendar: Calendar, now: datetime) -> tuple[date, date]:
        """First and last day: eleven months before this one begin by default. Raises 400."""
        last = self.last or today(calendar.zones, now)
        first = self.first or max(Interval.MONTH.begin(last - timedelta(days=335)), EARLIEST)
        return self.model_copy(update={"first": first, "last": last}).days(calendar, now)


class Where(Asked):
    """Filters: the first `where` is a property that has the first `is` as its value, and so on."""

    where: Annotated[list[Key], Field(max_length=MOST_FILTERS)] = Field(
        default=[], description="Properties, such as `currency`, `properties.CardBrand`, `metadata.charge.order_id`"
    )
    equals: Annotated[list[Text], Field(max_length=MOST_FILTERS)] = Field(
        default=[], alias="is", description="The value of each, in the same order"
    )
    currency: Text = Field(default="", description="Short for a filter by currency")

    def filters(self) -> tuple[Is, ...]:
        """Raises 400."""
        if len(self.where) != len(self.equals):
            raise bad("each where needs an is of its own")
        pairs = [(key, value) for key, value in zip(self.where, self.equals, strict=True) if key]
        if self.currency:
            if not is_code(self.currency.lower()):
                raise bad(f"currency: {self.currency!r} is no currency's code, such as usd")
            pairs.append(("currency", self.currency))
        about = [(Property.parse(key), value) for key, value in pairs]
        return tuple(dict.fromkeys(Is(known, known.stored(value)) for known, value in about))


class MetricQuery(Range, Where):
    """A metric by time."""

    interval: Interval = Field(default=Interval.DAY, description="Weeks begin on Monday")
    split: Key = Field(default="", description="Take the numbers apart by this property")
    compare: bool = Field(default=False, description="Also the time of the same length right before")
    measure: Measure = Field(default=Measure.COUNT, description="What the page draws; JSON always has all three")

    def question(self, metric: Metric, calendar: Calendar, now: datetime) -> Question:
        """Raises 400."""
        first, last = self.days(calendar, now, self.interval)
        split = Property.parse(self.split) if self.split else None
        return Question(metric, first, last, self.live, self.interval, split, self.filters(), self.compare)


class FeedQuery(Where):
    """The activity feed."""

    metric: Slug | None = Field(default=None, description="Events of one metric only")
    email: Text = Field(default="", description="Events of one person only")
    before: Text = Field(default="", description="The `next` of the page before")
    limit: int = Field(default=PAGE, ge=1, le=LONGEST_PAGE)

    def wanted(self) -> Filter:
        """Raises 400."""
        before = None
        if self.before:
            try:
                before = Cursor.parse(self.before)
            except (ValueError, OverflowError):
                raise bad("before is no cursor") from None
        metric = BY_SLUG[self.metric].value if self.metric else ""
        return Filter(self.live, metric, normal(self.email), before, self.limit, self.filters())


class SearchQuery(Asked):
    """The search for people."""

    q: Text = Field(default="", description="How the email begins, a part of it, or a customer's id")


class FindQuery(Asked):
    """The search for anybody and anything."""

    q: Text = Field(
        default="",
        description="A name, an email, an invoice number, the last four digits of a card, or an id of Stripe's "
        "(customer, charge, invoice, subscription, payment intent, event); the beginning is enough, but for ids of "
        "charges, invoices, payment intents and events",
    )


class EventQuery(Asked):
    """One event."""

    id: Annotated[Text, Field(min_length=1)] = Field(description="Its metric_id")


class RawQuery(Asked):
    """One of Stripe's events."""

    id: Annotated[Text, Field(min_length=1)] = Field(description="Its evt_… id")
    account: Text = "default"


class Named(BaseModel):
    """What a path names."""

    name: Annotated[Text, Field(min_length=1)]


class MessageQuery(Asked):
    """One message."""

    email: Annotated[Text, Field(min_length=1)] = Field(description="Whose")
    id: Annotated[Text, Field(min_length=1)] = Field(description="Its message_id")


class PersonQuery(Asked):
    """One person."""

    email: Annotated[Text, Field(min_length=1)]
    before: Text = Field(default="", description="The cursor of the timeline")


class SuppressForm(Asked):
    """Somebody who shall get no mail, or get it again, and why."""

    email: Annotated[Text, Field(min_length=1)]
    why: Annotated[Text, Field(max_length=200)] = ""


class MonthForm(Asked):
    """A month of an account."""

    account: Text = "default"
    month: Annotated[str, Field(pattern=r"^(19[7-9]\d|20\d\d)-(0[1-9]|1[0-2])$", description="Such as 2026-10")]

    @property
    def first(self) -> date:
        """Its first day."""
        return date.fromisoformat(f"{self.month}-01")


class BooksQuery(MonthForm):
    """What has changed in a month: since its last closing, or since any time."""

    closing: Text = Field(default="", description="Since this closing, by its id; since the last one by default")
    as_of: datetime | None = Field(default=None, description="Since this time, whether books were closed or not")


async def posted(request: web.Request) -> Mapping[str, str]:
    """The fields of a form that are text."""
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


Model = TypeVar("Model", bound=BaseModel)


def parsed(model: type[Model], query: Mapping[str, str], *, strict: bool = False) -> Model:
    """Raises 400 that names the parameter. Of one that is no list, the last value counts.

    An empty parameter is one that is not there, since forms send such; when `strict`, it is an empty text.
    """
    lists = {field.alias or name for name, field in model.model_fields.items() if "list[" in str(field.annotation)}
    given: dict[str, Any] = {}
    for name in query:
        found = query.getall(name) if isinstance(query, MultiMapping) else [query[name]]
        if name in lists:
            given[name] = found
        elif found[-1] != "" or strict:
            given[name] = found[-1]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise bad("; ".join(_told(error.errors()))) from None


def _told(errors: Iterable[Any]) -> Iterable[str]:
    for error in errors:
        message = str(error["msg"]).removeprefix("Value error, ")
        yield f"{'.'.join(str(part) for part in error['loc'])}: {message[:1].lower()}{message[1:]}"


def metric_of(slug: str) -> Metric:
    """Raises 404 for a metric that there isn't."""
    if slug not in BY_SLUG:
        raise web.HTTPNotFound(text=f"there is no metric {slug!r}; there are {', '.join(BY_SLUG)}")
    return BY_SLUG[slug]


def bad(message: str) -> web.HTTPBadRequest:
    """To be raised."""
    return web.HTTPBadRequest(text=message)
