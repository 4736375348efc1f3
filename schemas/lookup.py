"""What the ledger would like to know from Stripe's API: asked once, answered as an observation on `stripe.events`."""

from pydantic import BaseModel, ConfigDict, Field


class Lookup(BaseModel):
    """The value on `lookups`, as JSON; the key is the object's id."""

    model_config = ConfigDict(extra="forbid")

    account: str
    livemode: bool
    object: str = Field(description="The kind of API object: customer, charge, … `event`, `upcoming`: a thin event's")
    id: str
    at: float = Field(default=0, description="Unix seconds: an answer that was fetched before then does not do")
    reason: str = Field(description="thin event, customer unknown, or more lines than the event carried")
    webhook_at: str = Field(
        default="", description="RFC 3339: when the webhook came in whose thin event asks; '' when no webhook's does"
    )
