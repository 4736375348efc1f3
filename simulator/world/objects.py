"""What the simulated Stripe holds: neutral state, of no API version. Money in minor units, times in Unix seconds."""

from dataclasses import dataclass, field
from typing import Self

from simulator.world.plans import Discount, Plan


class State:
    """Base of the objects that live on after an event; events keep snapshots of them."""

    id: str
    created: int

    def snapshot(self) -> Self:
        """A copy that later changes of the object don't reach. Members are replaced, never changed in place."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin


@dataclass(frozen=True)
class Card:
    """A payment card; a renewed one has a new payment method id and expiry."""

    id: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    country: str
    funding: str
    fingerprint: str


@dataclass(frozen=True)
class Address:
    """A postal address; '' is rendered as null."""

    city: str = ""
    country: str = ""
    postal_code: str = ""
    line1: str = ""


@dataclass
class Customer(State):
    """`email` is None when none was ever given; `balance` below zero is credit."""

    id: str
    created: int
    email: str | None
    name: str
    phone: str | None
    address: Address
    currency: str
    card: Card | None
    metadata: dict[str, str]
    balance: int = 0
    delinquent: bool = False
    deleted: bool = False


@dataclass
class PaymentMethod(State):
    """A saved card; `customer` is None for a guest's, or once it is detached."""

    id: str
    created: int
    card: Card
    customer: str | None
    name: str
    email: str | None
    address: Address
    type: str = "card"


@dataclass
class Refund(State):
    """Money given back, or (`release`) the part of an authorization that was never captured."""

    id: str
    created: int
    charge: str
    payment_intent: str
    customer: str | None
    amount: int
    currency: str
    status: str = "succeeded"
    reason: str | None = None
    failure_reason: str | None = None
    balance_transaction: str | None = None
    failure_balance_transaction: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    release: bool = False


@dataclass
class Charge(State):
    """One attempt to move money. `method` is 'card' or an asynchronous method such as 'sepa_debit'."""

    id: str
    created: int
    amount: int
    currency: str
    status: str
    payment_intent: str
    method: str
    card: Card | None
    customer: str | None = None
    invoice: str | None = None
    paid: bool = False
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    refunded: bool = False
    disputed: bool = False
    dispute: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    decline_code: str | None = None
    billing_email: str | None = None
    billing_name: str | None = None
    address: Address = field(default_factory=Address)
    receipt_email: str | None = None
    description: str | None = None
    balance_transaction: str | None = None
    failure_balance_transaction: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    refunds: tuple[Refund, ...] = ()
    source_transfer: str | None = None  # of a seller's share


@dataclass(frozen=True)
class Line:
    """One line of an invoice; without `subscription` it comes from an invoice item."""

    id: str
    amount: int
    description: str
    quantity: int
    price: str
    product: str
    unit_amount: int
    period_start: int
    period_end: int
    subscription: str | None = None
    subscription_item: str | None = None
    invoice_item: str | None = None
    proration: bool = False
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Invoice(State):
    """`id` is '' for a preview (`invoice.upcoming`). `total` less the credit and credit notes is `amount_due`."""

    id: str
    created: int
    customer: str
    customer_email: str | None
    customer_name: str
    customer_phone: str | None
    customer_address: Address
    currency: str
    lines: tuple[Line, ...]
    billing_reason: str
    collection_method: str
    period_start: int
    period_end: int
    subscription: str | None = None
    subscription_metadata: dict[str, str] = field(default_factory=dict)
    status: str = "draft"
    number: str | None = None
    total: int = 0
    amount_due: int = 0
    amount_paid: int = 0
    paid_off_stripe: int = 0
    credited: int = 0  # by credit notes before any payment: `amount_due` is less by it
    credited_after: int = 0  # by those after it
    credit_notes: int = 0  # how many there were
    starting_balance: int = 0
    ending_balance: int | None = None
    attempt_count: int = 0
    attempted: bool = False
    auto_advance: bool = True
    next_payment_attempt: int | None = None
    due_date: int | None = None
    finalized_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    marked_uncollectible_at: int | None = None
    payment_intent: str | None = None
    payment: str | None = None  # the invoice payment that asks for it
    charge: str | None = None
    failure: tuple[str, str | None, str] | None = None  # of a newest attempt without a charge
    description: str | None = None
    footer: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class CreditNote(State):
    """Lowers what an invoice comes to: before it is paid what is due (`pre`), and after it (`post`) as a `refund`, as
    credit on the customer's balance (`balance`), or outside Stripe (`outside`).
    """

    id: str
    created: int
    customer: str
    invoice: str
    number: str
    currency: str
    amount: int
    pre: int
    post: int
    refund: str | None = None
    refunded: int = 0
    balance: int = 0
    outside: int = 0
    reason: str | None = None
    memo: str | None = None
    status: str = "issued"
    voided_at: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class InvoicePayment(State):
    """The link between an invoice and the payment intent, or the payment record (`payment_type`), that pays it."""

    id: str
    created: int
    invoice: str
    payment_intent: str
    amount_requested: int
    currency: str
    amount_paid: int | None = None
    status: str = "open"
    paid_at: int | None = None
    canceled_at: int | None = None
    payment_type: str = "payment_intent"


@dataclass
class BalanceTransaction(State):
    """Money that came into or went out of the account's balance, in the currency that it is kept in.

    `fees` are (what for, amount); `net` is the amount less all of them. `payout` is the automatic payout that took it.
    """

    id: str
    created: int
    type: str
    reporting_category: str
    amount: int
    currency: str
    source: str | None
    available_on: int
    fees: tuple[tuple[str, int], ...] = ()
    exchange_rate: float | None = None
    payout: str | None = None

    @property
    def fee(self) -> int:
        """All fees."""
        return sum(amount for _, amount in self.fees)

    @property
    def net(self) -> int:
        """What it does to the balance."""
        return self.amount - self.fee


@dataclass
class Payout(State):
    """Money on its way to the seller's bank, which arrives at `arrival_date`, or fails at `failed_at`."""

    id: str
    created: int
    amount: int
    currency: str
    automatic: bool
    method: str
    arrival_date: int
    balance_transaction: str
    failed_at: int | None = None
    failure_balance_transaction: str | None = None


@dataclass
class Dispute(State):
    """A cardholder's bank takes a payment back, at least until the dispute is closed as won."""

    id: str
    created: int
    charge: str
    payment_intent: str
    amount: int
    currency: str
    reason: str = "fraudulent"
    status: str = "needs_response"
    metadata: dict[str, str] = field(default_factory=dict)
    transactions: tuple[BalanceTransaction, ...] = ()


@dataclass
class Product(State):
    """Something that is sold."""

    id: str
    created: int
    name: str


@dataclass
class Price(State):
    """What a product costs in one currency; `type` is 'recurring' (monthly) or 'one_time'."""

    id: str
    created: int
    product: str
    unit_amount: int
    currency: str
    type: str


@dataclass
class Subscription(State):
    """`items` pairs a subscription item's id with its plan and quantity."""

    id: str
    created: int
    customer: str
    currency: str
    items: tuple[tuple[str, Plan, int], ...]
    current_period_start: int
    current_period_end: int
    status: str = "active"
    collection_method: str = "charge_automatically"
    latest_invoice: str | None = None
    canceled_at: int | None = None  # when somebody asked for it
    ended_at: int | None = None
    cancel_at_period_end: bool = False
    why: str | None = None  # of the cancellation: Stripe's reason, and the customer's feedback and comment
    feedback: str | None = None
    comment: str | None = None
    trial_end: int | None = None
    discounts: tuple[Discount, ...] = ()
    pause_collection: str | None = None  # what becomes of its invoices while nothing is collected
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def amount(self) -> int:
        """What a period comes to, as far as it is fixed: that of the shortest interval, where there are several."""
        fixed = [(plan, quantity) for _, plan, quantity in self.items if not plan.metered and not plan.tiers]
        shortest = min((plan.days for _, plan, _ in self.items), default=0)
        return sum(plan.unit_amount * quantity for plan, quantity in fixed if plan.days == shortest)


@dataclass(frozen=True)
class Event:
    """A change that Stripe would tell of: the object as it was then, and as it was `before` on update-like events.

    `account` is the configured account's name, or an `acct_…` id (then Stripe's Connect: the body names it).
    """

    id: str
    type: str
    created: int
    account: str
    livemode: bool
    object: State
    before: State | None = None
    request: str | None = None
