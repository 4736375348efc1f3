"""One fact as either side tells it, and the days and metrics that are compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.metrics import Metric

#: What is compared: what is money, and invoices. Upcoming invoices come from events alone.
COMPARED = (
    Metric.SUCCESSFULLY_PAID,
    Metric.FAILED_PAYMENT,
    Metric.REFUNDED_PAYMENT,
    Metric.ISSUED_INVOICE,
    Metric.CREDIT_NOTE,
    Metric.DISPUTE,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A payment, failure, refund, issued invoice, credit note or dispute.

    `owner` is the charge, invoice, credit note or dispute whose row it is; `object` is what names it in Stripe: the
    same, or the refund ('' in our rows when only the charge told of it). Money in minor units, `at` in Unix seconds.
    `details` is what else is known of it, by name: email, linked (to anybody: yes or no), reason, reason code, invoice,
    status.
    """

    metric: Metric
    owner: str
    object: str
    currency: str
    amount: int
    at: float
    details: Mapping[str, str] = field(default_factory=dict, compare=False)

    def day(self, zone: ZoneInfo) -> date:
        """The calendar day in `zone`."""
        return datetime.fromtimestamp(self.at, zone).date()


@dataclass(frozen=True, slots=True)
class Span:
    """The days `first` to `last`, both included."""

    first: date
    last: date

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day <= self.last

    def seconds(self, zone: ZoneInfo, margin: timedelta = timedelta()) -> tuple[int, int]:
        """From the first midnight until before the last, in Unix seconds, `margin` wider on both sides."""
        start = datetime.combine(self.first, time.min, zone)
        end = datetime.combine(self.last + timedelta(days=1), time.min, zone)
        return int((start - margin).timestamp()), int((end + margin).timestamp())

    def slices(self, days: int) -> Iterable["Span"]:
        """The same days in pieces of at most `days`, in order."""
        first = self.first
        while first <= self.last:
            last = min(first + timedelta(days=days - 1), self.last)
            yield Span(first, last)
            first = last + timedelta(days=1)
