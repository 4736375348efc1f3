"""What is tied: transactions, rows, payouts and balances as plain values.

Money in minor units, times in Unix seconds.
"""

from dataclasses import dataclass
from enum import StrEnum


class Tied(StrEnum):
    """How a transaction, a row or a payout stands."""

    TIED = "tied"
    PENDING = "pending"  # too young, or Stripe has not said yet
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Line:
    """A balance transaction. `amount`, `fee` and `net` are in the currency of settlement, `parts` the sum of its fees.

    What the source says is in its own currency: of a charge what is captured, of a refund its amount; None when Stripe
    did not say. `transfer`: the charge is a seller's share of a platform's.
    """

    id: str
    category: str
    currency: str
    amount: int
    fee: int
    net: int
    parts: int
    created: float
    observed: float
    source: str = ""
    charge: str = ""
    source_currency: str = ""
    source_amount: int | None = None
    source_status: str = ""
    source_created: float | None = None
    transfer: bool = False
    payout: str = ""

    @property
    def converted(self) -> bool:
        """Whether the source's money is another currency."""
        return bool(self.source_currency) and self.source_currency != self.currency


@dataclass(frozen=True, slots=True)
class Row:
    """A metric row that is money: of a refund `refund` is Stripe's id, '' when only the charge told of it.

    Of a dispute, `dispute` and `status` are Stripe's id and word, `reinstated` whether the money is said to be back.
    """

    metric_id: str
    metric: str
    charge: str
    refund: str
    currency: str
    amount: int
    at: float
    received: float
    dispute: str = ""
    status: str = ""
    reinstated: bool = False


@dataclass(frozen=True, slots=True)
class PayoutFact:
    """A payout. `completed`: what it took is known."""

    id: str
    currency: str
    amount: int
    automatic: bool
    completed: bool
    failed: bool
    created: float
    transaction: str
    failure_transaction: str


@dataclass(frozen=True, slots=True)
class BalanceFact:
    """opening + transactions = closing, of one currency; `since` and `at` are when. Payouts are transactions too."""

    currency: str
    since: float
    at: float
    opening: int
    transactions: int
    closing: int


@dataclass(frozen=True, slots=True)
class Span:
    """Which transactions and rows are asked about: from `start` until before `end`.

    All transactions since `known_since` are known, and what is younger than `horizon` may be on its way yet.
    """

    start: float
    end: float
    known_since: float
    horizon: float


@dataclass(frozen=True, slots=True)
class Difference:
    """What does not tie: every id that it is about, and a sentence."""

    kind: str
    ids: tuple[str, ...]
    text: str
    currency: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Name:
    """What a transaction is: the metric of its row and the row's id, or a reason."""

    name: str
    state: Tied = Tied.TIED
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TieOut:
    """The answer: transaction → name, payout → how it stands, and all differences. `outside`: rows without a charge."""

    names: dict[str, Name]
    payouts: dict[str, Tied]
    differences: tuple[Difference, ...]
    waiting_rows: tuple[str, ...] = ()
    outside: int = 0

    @property
    def state(self) -> Tied:
        """How the whole stands."""
        if self.differences:
            return Tied.DIFFERENT
        every = {name.state for name in self.names.values()} | set(self.payouts.values())
        return Tied.PENDING if Tied.PENDING in every or self.waiting_rows else Tied.TIED
