"""The shapes of the answers about closed books."""

from datetime import date

from pydantic import Field

from console.api.models import Answer, Head, Moment, Money


class Total(Answer):
    """What rows of a metric come to in one currency."""

    metric: str
    currency: str
    count: int
    amount: Money
    amount_minor: int


class Closing(Answer):
    """A month whose books were closed, as it was known at `known_at`."""

    closing_id: str
    account: str
    month: date = Field(description="Its first day")
    timezone: str = Field(description="IANA name: whose month it is")
    known_at: Moment
    closed_at: Moment
    closed_by: str
    totals: list[Total]


class ClosingsAnswer(Head):
    """Closings, the newest month first; a month may have several."""

    closings: list[Closing]


class Worth(Answer):
    """What a row counted as."""

    currency: str
    amount: Money


class Cause(Answer):
    """What made the difference."""

    known_at: Moment = Field(description="Since when it is known here")
    event_id: str = Field(description="The event, or the fetched object; '' where none was kept")
    type: str = Field(description="The event's, '' of a fetched object")
    source: str
    rules: int = Field(description="The revision of the rules, where newer ones made the difference; else 0")


class ChangedRow(Answer):
    """A row that counts otherwise than before; null where it did not count, or does not."""

    metric_id: str
    metric: str
    email: str
    then: Worth | None
    now: Worth | None
    moved_to: Moment | None = Field(description="Where it counts now, when that is outside the month")
    causes: list[Cause]


class TotalChange(Answer):
    """A metric in one currency: then and now."""

    metric: str
    currency: str
    count_then: int
    count_now: int
    amount_then: Money
    amount_now: Money


class ChangesAnswer(Head):
    """What has changed in a month since `as_of`."""

    account: str
    month: date
    as_of: Moment
    closing: Closing | None = Field(description="The closing that it is compared with; null for any other time")
    equal: bool
    altered: bool = Field(description="The closing and the history of versions disagree: one of them was changed")
    more: bool = Field(description="There are more rows than these")
    totals: list[TotalChange]
    rows: list[ChangedRow] = Field(description="The largest differences first")
