"""People. The email is the identity (Klaviyo's rule); names never are."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Card(BaseModel):
    """A card seen on a charge, failed ones too, or as a payment method."""

    model_config = ConfigDict(extra="forbid")

    brand: str
    last4: str
    month: int
    year: int
    seen_at: str = Field(description="RFC 3339: the newest charge or payment method that showed it")


class MetricSummary(BaseModel):
    """How often and when a metric occurred for a profile."""

    model_config = ConfigDict(extra="forbid")

    metric: str
    count: int
    first_at: str
    last_at: str


class CurrencyValue(BaseModel):
    """Money of a profile in one currency; different currencies are never added. The sums may pass 64 bits."""

    model_config = ConfigDict(extra="forbid")

    currency: str
    paid_minor: int
    refunded_minor: int
    lifetime_value_minor: int = Field(description="Paid, less refunded and what disputes took for good")
    lifetime_value: str = Field(description="Major units, exact decimal text")


class Profile(BaseModel):
    """One person: one `email` and `livemode`. The value on `profiles` and the row of `tillstream.profiles`.

    The key on the topic is the email for live people and `test:` + email for test people: they never mix.
    """

    model_config = ConfigDict(extra="forbid")

    email: str
    livemode: bool
    name: str = ""
    phone: str = ""
    country: str = ""
    city: str = ""
    postal_code: str = ""
    learned_at: dict[str, str] = Field(default={}, description="When name, phone and place were learned, RFC 3339")
    accounts: list[str] = []
    customer_ids: list[str] = []
    deleted_customer_ids: list[str] = Field(default=[], description="Those of them that Stripe has deleted")
    subscriptions: dict[str, str] = Field(default={}, description="Stripe's status by subscription id, where known")
    card_expirations: list[Card] = Field(default=[], description="Every card seen, newest first")
    card_expiration_date: str | None = Field(
        default=None, description="YYYY-MM-DD: last day of the newest card's month"
    )
    first_seen: str
    last_seen: str
    currency: str = Field(default="", description="Of the newest metric")
    metrics: list[MetricSummary] = []
    value: list[CurrencyValue] = []
    properties: dict[str, Any] = Field(default={}, description="The customer's metadata")
    updated_at: str
    version: int = Field(ge=0, description="Higher is newer")
    withdrawn: bool = Field(default=False, description="All rows of this email were taken back: no such profile")


def profile_key(email: str, livemode: bool) -> str:
    """The key on `profiles` and `ledger.people`."""
    return email if livemode else f"test:{email}"


def split_key(key: str) -> tuple[str, bool]:
    """(email, livemode) of a person's key."""
    return (key.removeprefix("test:"), False) if key.startswith("test:") else (key, True)


def floor(email: str, livemode: bool, version: int) -> dict[str, Any]:
    """The message on `ledger.people` by which the profile's further versions are above `version`."""
    return {"email": email, "livemode": livemode, "floor": version}
