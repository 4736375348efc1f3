"""The second witness: Stripe's balance transactions and payouts (the values on `balance_transactions` and `payouts`).

They tell of the money itself, and nothing of them is derived by the ledger's rules. No event tells of them, so they are
imported and swept. Descriptions are left out on purpose: they may name people.

Source: Stripe's API reference of the BalanceTransaction and Payout objects.
"""

from pydantic import BaseModel, ConfigDict, Field

_SETTLED = "in the currency of settlement"


class Fee(BaseModel):
    """A part of a transaction's fee."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="stripe_fee, application_fee, tax, …")
    currency: str
    amount_minor: int


class BalanceTransaction(BaseModel):
    """Money that came into or went out of the balance. Keep the highest `version` of a `transaction_id`.

    `amount`, `fee` and `net` are in `currency`, the one of settlement. What the source says is in its own currency:
    the two are never made of each other by the rate.
    """

    model_config = ConfigDict(extra="forbid")

    transaction_id: str
    account: str
    livemode: bool
    type: str = Field(description="Stripe's type, such as charge, payment, refund, adjustment, stripe_fee, payout")
    reporting_category: str = Field(description="Stripe's category for accounting, such as charge, refund or fee")
    balance_type: str = Field(
        default="payments", description="Which balance it changes: payments, or one that is kept apart, such as issuing"
    )
    status: str = Field(description="pending or available")
    currency: str
    amount: str = Field(description=f"Major units, exact decimal text, {_SETTLED}")
    amount_minor: int = Field(description=f"Gross, {_SETTLED}; below zero for what goes out")
    fee: str
    fee_minor: int
    net: str
    net_minor: int = Field(description="What it does to the balance")
    fees: list[Fee] = []
    exchange_rate: float | None = Field(
        default=None, description="From the source's currency; to be read, not to be multiplied"
    )
    created: str = Field(description="RFC 3339")
    available_on: str = Field(description="RFC 3339")
    source_id: str = Field(default="", description="The charge, refund, dispute or payout; '' for fees of the account")
    source_type: str = Field(default="", description="charge, refund, dispute, payout, …; '' when Stripe did not say")
    charge_id: str = Field(default="", description="The charge that it is about in the end")
    source_currency: str = ""
    source_amount_minor: int | None = Field(
        default=None, description="What the source itself says, in its currency: of a charge what is captured"
    )
    source_status: str = Field(
        default="", description="The charge's, refund's, dispute's or payout's status when it was read"
    )
    source_created: str | None = Field(default=None, description="RFC 3339: when the source was made")
    source_transfer: str = Field(default="", description="Of a seller's charge: the platform's transfer that made it")
    payout_id: str = Field(default="", description="The automatic payout that took it, once Stripe says so")
    observed_at: str = Field(description="RFC 3339: when it was read, by Stripe's clock")
    version: int = Field(ge=0)


class Payout(BaseModel):
    """Money on its way to the seller's bank. Keep the highest `version` of a `payout_id`."""

    model_config = ConfigDict(extra="forbid")

    payout_id: str
    account: str
    livemode: bool
    currency: str
    amount: str = Field(description="Major units, exact decimal text")
    amount_minor: int
    status: str = Field(description="pending, in_transit, paid, failed or canceled")
    automatic: bool = Field(description="By the account's schedule; false when somebody asked for it")
    method: str = Field(description="standard or instant")
    reconciliation_status: str = Field(description="completed: what it took is known; not_applicable, in_progress")
    created: str = Field(description="RFC 3339")
    arrival_date: str = Field(description="RFC 3339")
    transaction_id: str = Field(default="", description="Its own balance transaction")
    failure_transaction_id: str = Field(default="", description="The one that brought the money back")
    failure_code: str = ""
    observed_at: str = Field(description="RFC 3339: when it was read, by Stripe's clock")
    version: int = Field(ge=0)
