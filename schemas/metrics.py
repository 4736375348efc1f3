"""The metric rows: what the ledger derives from Stripe's objects, and what a row of `tillstream.metrics` holds.

Source: Klaviyo's Stripe integration (the four metrics and their properties AttemptCount, Currency, Invoice, Reason,
Amount), and metrics beyond it.
"""

from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field


class Metric(StrEnum):
    """A metric's name as people see it. Its topic is `metrics.` and the name in snake case."""

    FAILED_PAYMENT = "Failed Payment"
    ISSUED_INVOICE = "Issued Invoice"
    REFUNDED_PAYMENT = "Refunded Payment"
    SUCCESSFULLY_PAID = "Successfully Paid"
    UPCOMING_INVOICE = "Upcoming Invoice"
    CREDIT_NOTE = "Credit Note"
    DISPUTE = "Dispute"
    SUBSCRIPTION_STARTED = "Subscription Started"
    SUBSCRIPTION_CHANGED = "Subscription Changed"
    SUBSCRIPTION_CANCELED = "Subscription Canceled"
    TRIAL_ENDING = "Trial Ending"

    @property
    def slug(self) -> str:
        """Snake case, as in the topic `metrics.failed_payment` and the view `failed_payment`."""
        return self.value.lower().replace(" ", "_")


#: From this bit on a version is the revision of the rules that told it: above all knowledge (see the ledger's lattice).
RULES_BIT: Final = 49

#: What Stripe's API does not keep: these come from events alone.
TOLD_BY_EVENTS = frozenset({Metric.UPCOMING_INVOICE, Metric.SUBSCRIPTION_CHANGED, Metric.TRIAL_ENDING})


class LineItem(BaseModel):
    """One line of an invoice, money in minor units of `currency`, times RFC 3339 in UTC."""

    model_config = ConfigDict(extra="forbid")

    line_id: str
    position: int = Field(ge=0, description="Place on the invoice, from 0")
    product_id: str = ""
    price_id: str = ""
    description: str = ""
    quantity: int = 0
    currency: str
    amount: str = Field(description="Major units, exact decimal text")
    amount_minor: int
    period_start: str | None = None
    period_end: str | None = None
    metadata: dict[str, str] = {}


class MetricEvent(BaseModel):
    """One version of one fact. The highest `version` of a `metric_id` is the truth; `withdrawn` takes the row back.

    The JSON form is at once the message on `metrics.*` and `unlinked`, and the row that ClickHouse is given.
    A fact whose `occurred_at` changes is withdrawn at its old time first (same `metric_id`, lower `version`).
    """

    model_config = ConfigDict(extra="forbid")

    metric: Metric
    metric_id: str = Field(description="Made of account, mode and Stripe's ids alone: the same for every delivery")
    occurred_at: str = Field(description="RFC 3339, UTC, milliseconds")
    email: str = Field(description="Lower case; '' when unlinked")
    unlinked_reason: str = Field(default="", description="Why there is no email; '' when there is one")
    account: str
    livemode: bool
    customer_id: str = ""
    charge_id: str = ""
    invoice_id: str = ""
    currency: str = Field(description="ISO code, lower case")
    amount: str = Field(description="Major units, exact decimal text")
    amount_minor: int
    attempt_count: int = Field(default=0, ge=0, description="0 when Stripe did not say")
    reason: str = Field(default="", description="Stripe's sentence, such as 'Your card was declined.'")
    reason_code: str = Field(default="", description="Stripe's code, such as 'card_declined'")
    source: str = Field(description="Where the newest knowledge came from: webhook, import, sweep, lookup or replay")
    api_version: str = ""
    properties: dict[str, Any] = Field(default={}, description="Klaviyo's names, and `metadata` by origin")
    lines: list[LineItem] = Field(default=[], description="Issued Invoice only: the invoice's lines")
    received_at: str
    event_id: str = Field(default="", description="The event, or the fetched object, that made this version")
    version: int = Field(ge=0)
    withdrawn: bool = False
