"""Monthly recurring revenue as it moves (the values on `mrr_movements`), by the definition in `docs/mrr.md`."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

SCALE: Final = 12  # decimal places of a major unit: a twelfth of a year's price is no finite decimal

_EXACT = f"Major units a month, decimal text with up to {SCALE} places, to be rounded only when it is shown"


class MrrItem(BaseModel):
    """What a movement does to one product of the subscription."""

    model_config = ConfigDict(extra="forbid")

    product_id: str
    currency: str
    amount: str = Field(description=f"The change. {_EXACT}")
    mrr: str = Field(description=f"What the subscription's product comes to from then on. {_EXACT}")


class MrrMovement(BaseModel):
    """A change of what a subscription comes to a month. Keep the highest `version` of a `movement_id`.

    Whether it is new, expansion, contraction, churn or reactivation depends on the customer's other subscriptions: the
    view `mrr_movements` says so.
    """

    model_config = ConfigDict(extra="forbid")

    movement_id: str = Field(description="Of account, mode, subscription and second")
    account: str
    livemode: bool
    customer_id: str
    subscription_id: str
    occurred_at: str = Field(description="RFC 3339: when Stripe says that it was, or when it was first seen")
    items: list[MrrItem] = Field(description="A product each; empty when it is withdrawn")
    status: str = Field(default="", description="active, or why it does not count from then on")
    excludes: str = Field(
        default="", description="What it does not contain: metered, tiered (tiers untold), coupon (untold), unknown"
    )
    found_late: bool = Field(default=False, description="No event of that second told it: it may have been before")
    known_since: str | None = Field(default=None, description="RFC 3339: when the subscription was seen first")
    started_at: str | None = Field(default=None, description="RFC 3339: when the subscription was made")
    withdrawn: bool = Field(default=False, description="It turned out not to have been")
    version: int = Field(ge=0)
