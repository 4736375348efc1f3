"""What Stripe keeps of the money itself: balance transactions in the currencies of settlement, and payouts to a bank.

It is told by what happened to the money alone, and shares nothing with the facts that a ledger should find.
Source: Stripe, "Balance transaction types", "Reporting categories", "Payout reconciliation", "Currency conversions",
"Instant Payouts", "Handle payout failures".
"""

import random
from collections import defaultdict

from schemas.money import exponent
from simulator.world import catalog
from simulator.world.ids import Ids
from simulator.world.objects import BalanceTransaction, Charge, Dispute, Payout, Refund

_DAY = 86_400
_SETTLED = ("usd", "eur")  # there is a bank account for these; all other money is converted to the first
_CARD_DAYS, _DEBIT_DAYS, _ARRIVAL_DAYS = 2, 7, 2
_PAID_OUT_AT = 600  # seconds after midnight
_RECONCILED_AFTER = 6 * 3_600
_BY_HAND, _INSTANT, _RETURNED, _FEE_DAY = 9, 13, 17, 5  # of every 30 days
_DISPUTE_FEE = 1_500


class Balance:
    """One account's. `transactions` and `payouts` by id, in the order in which they were made."""

    def __init__(self, seed: str) -> None:
        self._ids = Ids(random.Random(f"{seed}/balance"))
        self.transactions: dict[str, BalanceTransaction] = {}
        self.payouts: dict[str, Payout] = {}
        self.contents: dict[str, list[BalanceTransaction]] = defaultdict(list)  # by automatic payout
        self._waiting: list[BalanceTransaction] = []  # that no automatic payout has taken
        self._returned: list[Payout] = []  # that the bank will send back
        self._due: int | None = None  # when the next payouts are

    def charge(self, charge: Charge, amount: int, at: int) -> BalanceTransaction:
        """`amount` (minor units of the charge's currency) comes in; of a hold, Stripe tells all that was authorized."""
        kind = "charge" if charge.id.startswith("ch_") else "payment"
        days = _CARD_DAYS if kind == "charge" else _DEBIT_DAYS
        money = self._settled(amount, charge.currency, at)
        fees = () if charge.source_transfer else self._fees(money, charge.currency)
        made = self._add(
            at, kind, "charge", money, charge.currency, charge.id, available=_midnight(at, days), fees=fees
        )
        charge.balance_transaction = charge.balance_transaction or made.id
        return made

    def release(self, charge: Charge, refund: Refund, at: int) -> None:
        """The part of a hold that was not captured goes back, with the fee for it, at the rate of the capture."""
        told = self.transactions[charge.balance_transaction or ""]
        captured = self._settled(charge.amount_captured, charge.currency, told.created)
        kept = sum(amount for _, amount in self._fees(captured, charge.currency))
        made = self._add(
            *(at, "refund", "partial_capture_reversal", captured - told.amount, charge.currency, refund.id),
            available=_midnight(at, _CARD_DAYS),
            fees=(("Stripe processing fee refund", kept - told.fee),),
            rate_at=told.created,
        )
        refund.balance_transaction = made.id
        charge.refunds = (*charge.refunds[:-1], refund.snapshot())

    def fail(self, charge: Charge, at: int) -> None:
        """A debit that was told while it was pending did not come through."""
        if charge.balance_transaction is None:
            return
        told = self.transactions[charge.balance_transaction]
        fees = tuple((words, -amount) for words, amount in told.fees)
        made = self._add(
            *(at, "payment_failure_refund", "charge_failure", -told.amount, charge.currency, charge.id),
            available=max(at, told.available_on),  # no sooner than what it takes back
            fees=fees,
            rate_at=told.created,
        )
        charge.failure_balance_transaction = made.id

    def refund(self, charge: Charge, refund: Refund, at: int) -> None:
        """Money goes back; fees stay with Stripe."""
        kind = "refund" if charge.id.startswith("ch_") else "payment_refund"
        money = self._settled(refund.amount, refund.currency, at)
        refund.balance_transaction = self._add(at, kind, "refund", -money, refund.currency, refund.id).id

    def fail_refund(self, refund: Refund, at: int) -> None:
        """The bank sent it back."""
        told = self.transactions[refund.balance_transaction or ""]
        made = self._add(
            *(at, "refund_failure", "refund_failure", -told.amount, refund.currency, refund.id), rate_at=told.created
        )
        refund.failure_balance_transaction = made.id

    def dispute(self, dispute: Dispute, at: int) -> None:
        """The cardholder's bank takes the money, and Stripe a fee."""
        money = self._settled(dispute.amount, dispute.currency, at)
        made = self._add(
            *(at, "adjustment", "dispute", -money, dispute.currency, dispute.id), fees=(("Dispute fee", _DISPUTE_FEE),)
        )
        dispute.transactions = (made,)

    def win(self, dispute: Dispute, at: int) -> None:
        """The money comes back; the fee does not."""
        told = dispute.transactions[0]
        made = self._add(
            *(at, "adjustment", "dispute_reversal", -told.amount, dispute.currency, dispute.id), rate_at=told.created
        )
        dispute.transactions = (*dispute.transactions, made)

    def pay_out(self, until: int, start: int, end: int) -> None:
        """All payouts of each day from `start` (Unix seconds) on that are due by `until` and before `end`.

        What has become available by then goes out, a currency at a time: by itself every day, and beside that now and
        then a part by hand, or at once for a fee. The bank returns one.
        """
        first = start - start % _DAY + _DAY + _PAID_OUT_AT
        due = first if self._due is None else self._due
        while due <= min(until, end):
            self._day(due, (due - first) // _DAY % 30)
            due += _DAY
        self._due = due

    def status(self, transaction: BalanceTransaction, now: int) -> str:
        """pending until the money is available."""
        return "available" if transaction.available_on <= now else "pending"

    def totals(self, now: int) -> dict[str, dict[str, int]]:
        """available and pending by currency, as of a moment."""
        sums: dict[str, dict[str, int]] = {}
        for one in self.transactions.values():
            if one.created <= now:
                of = sums.setdefault(one.currency, {"available": 0, "pending": 0})
                of[self.status(one, now)] += one.net
        return sums

    def _day(self, at: int, number: int) -> None:
        if number == _FEE_DAY:
            self._add(at, "stripe_fee", "fee", -2_500, "usd", None)
        for payout in self._returned:
            back = self._add(at, "payout_failure", "payout_reversal", payout.amount, payout.currency, payout.id)
            payout.failed_at, payout.failure_balance_transaction = at, back.id
        self._returned.clear()
        for currency in _SETTLED:
            if number in (_BY_HAND, _INSTANT):
                part = sum(one.net for one in self._ready(currency, at)) // 3
                if part > 0:
                    self._send(at, part, currency, instant=number == _INSTANT)
            ready = self._ready(currency, at)
            total = sum(one.net for one in ready)
            if total <= 0:
                continue
            payout = self._send(at, total, currency)
            own = self.transactions[payout.balance_transaction]
            for one in (*ready, own):
                one.payout = payout.id
                self._waiting.remove(one)
            self.contents[payout.id] = [*ready, own]
            if number == _RETURNED:
                self._returned.append(payout)

    def _ready(self, currency: str, at: int) -> list[BalanceTransaction]:
        return [
            one for one in self._waiting if one.currency == currency and one.available_on <= at and one.created <= at
        ]

    def _send(self, at: int, amount: int, currency: str, *, instant: bool | None = None) -> Payout:
        """By itself, or by hand (`instant` is not None)."""
        made = Payout(
            id=self._ids.next("po_1", at),
            created=at,
            amount=amount,
            currency=currency,
            automatic=instant is None,
            method="instant" if instant else "standard",
            arrival_date=at + (1_800 if instant else _ARRIVAL_DAYS * _DAY),
            balance_transaction="",
        )
        fees = (("Instant Payout fee", max(50, amount // 100)),) if instant else ()
        made.balance_transaction = self._add(at, "payout", "payout", -amount, currency, made.id, fees=fees).id
        self.payouts[made.id] = made
        return made

    def _add(
        self,
        at: int,
        kind: str,
        category: str,
        amount: int,
        currency: str,
        source: str | None,
        *,
        available: int | None = None,
        fees: tuple[tuple[str, int], ...] = (),
        rate_at: int | None = None,
    ) -> BalanceTransaction:
        """`amount` is in the currency of settlement; `currency` is the source's. `available`: else at once."""
        kept = settles(currency)
        made = BalanceTransaction(
            id=self._ids.next("txn_3", at),
            created=at,
            type=kind,
            reporting_category=category,
            amount=amount,
            currency=kept,
            source=source,
            available_on=at if available is None else available,
            fees=fees,
            exchange_rate=None if kept == currency else rate(currency, at if rate_at is None else rate_at),
        )
        self.transactions[made.id] = made
        self._waiting.append(made)
        return made

    def _settled(self, amount: int, currency: str, at: int) -> int:
        return amount if settles(currency) == currency else round(amount * rate(currency, at))

    def _fees(self, amount: int, currency: str) -> tuple[tuple[str, int], ...]:
        fees = [("Stripe processing fees", round(amount * 0.029) + 30)]
        if settles(currency) != currency:
            fees.append(("Stripe currency conversion fee", round(amount * 0.01)))
        return tuple(fees)


def _midnight(at: int, days: int) -> int:
    """When money of `at` becomes available, so many days later."""
    return at - at % _DAY + days * _DAY


def settles(currency: str) -> str:
    """The currency in which money of another is kept."""
    return currency if currency in _SETTLED else _SETTLED[0]


def rate(currency: str, at: int) -> float:
    """How many cents a minor unit of the currency is worth on a day: another one each day."""
    worth = catalog.WORTH.get(currency, 1) * 10.0 ** (exponent(currency) - 2)
    sway = 1 + ((at // _DAY * 37) % 41 - 20) / 1_000
    return round(sway / worth, 8)


def payout_status(payout: Payout, now: int) -> str:
    """As Stripe tells it. One of the day `_RETURNED` fails when the next day's go out."""
    if payout.failed_at is not None and payout.failed_at <= now:
        return "failed"
    return "paid" if payout.arrival_date <= now else "in_transit"


def reconciliation_status(payout: Payout, now: int) -> str:
    """Which transactions are in a payout is known some hours later, and never of one that was made by hand."""
    if not payout.automatic:
        return "not_applicable"
    return "completed" if payout.created + _RECONCILED_AFTER <= now else "in_progress"
