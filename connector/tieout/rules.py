"""Which row, or which other name, each cent has. Pure, and on purpose not a line of the ledger's code.

Sources: Stripe, "Reporting categories" (a partial capture is two transactions), "Payout reconciliation" (automatic
payouts have contents, those by hand don't), "Currency conversions".
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from connector.tieout.facts import BalanceFact, Difference, Line, Name, PayoutFact, Row, Span, Tied, TieOut
from schemas.metrics import Metric
from schemas.money import major

_PAYMENT: Final = frozenset({"charge", "partial_capture_reversal", "charge_failure"})
_REFUND: Final = frozenset({"refund", "refund_failure"})
_DISPUTE: Final = frozenset({"dispute", "dispute_reversal"})
#: Every other of Stripe's reporting categories, by what it is called here. One that is not here is a difference.
REASONS: Final = {
    "fee": "Stripe's fee",
    "tax": "tax on fees",
    "network_cost": "network cost",
    "payout": "payout",
    "payout_reversal": "payout that came back",
    "topup": "top-up",
    "topup_reversal": "top-up taken back",
    "transfer": "transfer",
    "transfer_reversal": "transfer taken back",
    "platform_earning": "platform's earning",
    "platform_earning_refund": "platform's earning given back",
    "other_adjustment": "adjustment",
    "connect_collection_transfer": "Connect collection transfer",
    "connect_reserved_funds": "Connect reserve",
    "risk_reserved_funds": "risk reserve",
    "advance": "advance",
    "advance_funding": "advance funding",
    "anticipation_repayment": "anticipation repayment",
    "financing_payout": "financing",
    "financing_payout_reversal": "financing taken back",
    "financing_paydown": "financing repaid",
    "financing_paydown_reversal": "financing repayment taken back",
    "issuing_authorization_hold": "Issuing hold",
    "issuing_authorization_release": "Issuing hold released",
    "issuing_dispute": "Issuing dispute",
    "issuing_transaction": "Issuing transaction",
    "minimum_balance_hold": "minimum balance held",
    "payment_network_reserved_funds": "network's reserve",
    "unreconciled_customer_funds": "customers' funds on hold",
    "balance_transfer": "transfer between balances",
    "climate_order_purchase": "Climate order",
    "climate_order_refund": "Climate order given back",
    "contribution": "contribution",
    "obligation": "obligation",
}
FAILED_DEBIT, PENDING_DEBIT, TRANSFERRED, FAILED_REFUND, OLDER = (
    "debit that failed",
    "debit on its way",
    "share of a platform's charge",
    "refund that failed",
    "older than what is known",
)
WON: Final = "dispute won"
_LOST: Final = ("failed", "canceled")
#: A dispute that takes no money: an inquiry, or one that was settled before it began.
_NO_MONEY: Final = ("warning_needs_response", "warning_under_review", "warning_closed", "prevented")


class _Tying:
    """What is found on the way."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.names: dict[str, Name] = {}
        self.differences: list[Difference] = []
        self.waiting: list[str] = []

    def name(self, lines: Iterable[Line], name: str, state: Tied = Tied.TIED, rows: Iterable[Row] = ()) -> None:
        """These transactions are that."""
        ids = tuple(row.metric_id for row in rows)
        for line in lines:
            self.names[line.id] = Name(name, state, ids)

    def apart(self, kind: str, lines: Sequence[Line], rows: Sequence[Row], text: str, name: str = "") -> None:
        """They do not tie; what is young may be on its way, and what is older than what is known can't be told."""
        moments = [line.created for line in lines] + [max(row.at, row.received) for row in rows]
        begun = [line.source_created for line in lines if line.source_created is not None] + [row.at for row in rows]
        if any(moment >= self.span.horizon for moment in moments):
            self.name(lines, name or kind, Tied.PENDING, rows)
            self.waiting += [row.metric_id for row in rows if not lines]
        elif any(moment < self.span.known_since for moment in begun):
            self.name(lines, OLDER, Tied.TIED, rows)
        else:
            self.name(lines, name or kind, Tied.DIFFERENT, rows)
            ids = tuple(line.id for line in lines) + tuple(row.metric_id for row in rows)
            currency = rows[0].currency if rows else lines[0].currency
            self.differences.append(Difference(kind, ids, text, currency, min(moments)))


def tie(
    lines: Sequence[Line],
    rows: Sequence[Row],
    payouts: Sequence[PayoutFact],
    balances: Sequence[BalanceFact],
    span: Span,
) -> TieOut:
    """Name every transaction of the span and of the charges that it, or a row of it, is about.

    `lines` hold every transaction of these charges and of the `payouts`, `rows` every money row of the charges.
    """
    tying = _Tying(span)
    about = {line.charge for line in lines if span.start <= line.created < span.end and line.charge}
    about |= {row.charge for row in rows if span.start <= row.at < span.end and row.charge}
    mine: dict[str, list[Line]] = defaultdict(list)
    ours: dict[str, list[Row]] = defaultdict(list)
    for line in lines:
        if line.charge in about:
            mine[line.charge].append(line)
    for row in rows:
        ours[row.charge].append(row)
    for charge in sorted(about):
        of_charge, told = mine[charge], ours[charge]
        paid = [row for row in told if row.metric == Metric.SUCCESSFULLY_PAID]
        _payment(tying, charge, [line for line in of_charge if line.category in _PAYMENT], paid)
        refunded = [row for row in told if row.metric == Metric.REFUNDED_PAYMENT]
        transfer = any(line.transfer for line in of_charge)
        _refunds(tying, charge, [line for line in of_charge if line.category in _REFUND], refunded, transfer=transfer)
        _disputes(
            tying,
            [line for line in of_charge if line.category in _DISPUTE],
            [row for row in told if row.metric == Metric.DISPUTE],
        )
    for line in lines:
        if span.start <= line.created < span.end or line.charge in about:
            _alone(tying, line)
    by_id = {line.id: line for line in lines}
    apart = {fact.currency for fact in balances if not _balanced(fact)}
    for fact in balances:
        if fact.currency in apart:
            tying.differences.append(_unbalanced(fact))
    contents: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        contents[line.payout].append(line)
    checked = {fact.currency for fact in balances}
    states = {}
    for payout in payouts:
        balance = None if payout.currency not in checked else payout.currency not in apart
        states[payout.id] = _payout(tying, payout, by_id, contents[payout.id], balance)
    outside = sum(not row.charge for row in rows if span.start <= row.at < span.end)
    return TieOut(tying.names, states, tuple(tying.differences), tuple(tying.waiting), outside)


def _payment(tying: _Tying, charge: str, lines: list[Line], rows: list[Row]) -> None:
    """A captured charge is what its transactions come to: in its own currency, or by its own word when converted."""
    if not lines:
        if rows:
            tying.apart("no transaction", [], rows, f"{charge} has a row, and Stripe has no transaction of it")
        return
    own = [line for line in lines if line.source == charge]  # the source of a reversal is a refund
    newest = max(own or lines, key=lambda line: line.observed)
    settled, paid = sum(line.amount for line in lines), sum(row.amount for row in rows)
    if newest.converted:
        expected = (newest.source_amount or 0) if newest.source_status == "succeeded" else 0
    else:
        expected = settled
    currency = newest.source_currency or newest.currency
    if newest.transfer and not rows:
        tying.name(lines, TRANSFERRED)
    elif not rows and newest.source_status == "pending":
        tying.name(lines, PENDING_DEBIT)
    elif not rows and settled == 0 and any(line.category == "charge_failure" for line in lines):
        tying.name(lines, FAILED_DEBIT)
    elif not rows:
        tying.apart("no row", lines, [], f"{charge} has {_told(expected, currency)} of transactions, and no row")
    elif any(row.currency != currency for row in rows):
        text = f"{charge} is {rows[0].currency} in its row and {currency} at Stripe"
        tying.apart("currency", lines, rows, text, Metric.SUCCESSFULLY_PAID)
    elif paid != expected or newest.transfer:
        text = f"{charge} is {_told(paid, currency)} in its row and {_told(expected, currency)} at Stripe"
        tying.apart("amount", lines, rows, text, Metric.SUCCESSFULLY_PAID)
    else:
        tying.name(lines, Metric.SUCCESSFULLY_PAID, rows=rows)


def _refunds(tying: _Tying, charge: str, lines: list[Line], rows: list[Row], *, transfer: bool) -> None:
    """A charge's refunds are what its rows say; one that failed is two transactions that come to nothing."""
    if not lines and not rows:
        return
    back = {line.source for line in lines if line.category == "refund_failure"}
    failed = [line for line in lines if line.source in back]
    good = [line for line in lines if line.source not in back]
    if sum(line.amount for line in failed):
        tying.apart("amount", failed, [], f"a refund of {charge} failed, and not all of it came back", FAILED_REFUND)
    else:
        tying.name(failed, FAILED_REFUND)
    if transfer and not rows:
        tying.name(good, TRANSFERRED)
        return
    if not good:
        if rows:
            text = f"refunds of {charge} have rows, and Stripe has no transaction of them"
            tying.apart("no transaction", [], rows, text)
        return
    currency = good[0].source_currency or good[0].currency
    expected = {line.source: _refunded(line) for line in good}
    given = sum(row.amount for row in rows)
    if not rows:
        text = f"{charge} has {_told(sum(expected.values()), currency)} of refunds at Stripe, and no row"
        tying.apart("no row", good, [], text)
    elif any(row.currency != currency for row in rows):
        text = f"refunds of {charge} are {rows[0].currency} in their rows and {currency} at Stripe"
        tying.apart("currency", good, rows, text, Metric.REFUNDED_PAYMENT)
    elif given != sum(expected.values()):
        theirs = _told(sum(expected.values()), currency)
        text = f"refunds of {charge} are {_told(given, currency)} in their rows and {theirs} at Stripe"
        wrong = {row.refund for row in rows if expected.get(row.refund) != row.amount}
        missing = expected.keys() - {row.refund for row in rows}
        named = wrong | missing
        odd = [line for line in good if line.source in named] or good
        tying.name([line for line in good if line not in odd], Metric.REFUNDED_PAYMENT, rows=rows)
        tying.apart("amount", odd, [row for row in rows if row.refund in named] or rows, text, Metric.REFUNDED_PAYMENT)
    else:
        for line in good:
            tying.name([line], Metric.REFUNDED_PAYMENT, rows=[row for row in rows if row.refund == line.source] or rows)


def _refunded(line: Line) -> int:
    if not line.converted:
        return -line.amount
    return 0 if line.source_status in _LOST else line.source_amount or 0


def _disputes(tying: _Tying, lines: list[Line], rows: list[Row]) -> None:
    """Each dispute of a charge: what it took is what its row says, and it came back if it was won."""
    for dispute in sorted({line.source for line in lines} | {row.dispute for row in rows}):
        mine = [line for line in lines if line.source == dispute]
        ours = [row for row in rows if row.dispute == dispute]
        text = f"{dispute} {_disputed(mine, ours)}"
        if not ours:
            tying.apart("no row", mine, [], text)
        elif not mine:
            if ours[0].status not in _NO_MONEY:
                tying.apart("no transaction", [], ours, text)
        elif currency := _other_currency(mine, ours):
            tying.apart("currency", mine, ours, f"{dispute} is {ours[0].currency} in its row and {currency} at Stripe")
        elif _disputed(mine, ours):
            tying.apart("amount", mine, ours, text, Metric.DISPUTE)
        else:
            tying.name([line for line in mine if line.category == "dispute"], Metric.DISPUTE, rows=ours)
            tying.name([line for line in mine if line.category == "dispute_reversal"], WON, rows=ours)


def _disputed(lines: list[Line], rows: list[Row]) -> str:
    """What does not tie of one dispute, '' when all does. A converted one is worth what it says itself.

    Some time before Stripe says who has won, the money may be back already.
    """
    if not lines:
        return "has a row, and Stripe has no transaction of it"
    newest = max(lines, key=lambda line: line.observed)
    currency = newest.source_currency or newest.currency
    settled = -sum(line.amount for line in lines if line.category == "dispute")
    back = sum(line.amount for line in lines if line.category == "dispute_reversal")
    taken = (newest.source_amount or 0) if newest.converted and settled else settled
    if not rows:
        return f"took {_told(taken, currency)}, and has no row"
    (row,) = rows[:1]
    if taken != row.amount:
        return f"is {_told(row.amount, row.currency)} in its row and took {_told(taken, currency)} at Stripe"
    if row.status == "won" and back != settled:
        return f"is won, and {_told(back, newest.currency)} of {_told(settled, newest.currency)} came back"
    if row.status == "lost" and back:
        return f"is lost, and {_told(back, newest.currency)} came back"
    if row.reinstated and not back:
        return "is said to have come back, and Stripe has no transaction of it"
    if back not in (0, settled):
        return f"took {_told(settled, newest.currency)}, and {_told(back, newest.currency)} came back"
    return ""


def _other_currency(lines: list[Line], rows: list[Row]) -> str:
    currency = lines[0].source_currency or lines[0].currency
    return currency if currency != rows[0].currency else ""


def _alone(tying: _Tying, line: Line) -> None:
    """What a transaction says by itself: its arithmetic, and its name where that is its category's."""
    if line.net != line.amount - line.fee or line.parts != line.fee:
        text = (
            f"{line.id}: {_told(line.amount, line.currency)} less {_told(line.fee, line.currency)} of fees "
            f"(in parts {_told(line.parts, line.currency)}) is not {_told(line.net, line.currency)}"
        )
        tying.differences.append(Difference("arithmetic", (line.id,), text, line.currency, line.created))
    if line.id in tying.names:
        return
    if reason := REASONS.get(line.category):
        tying.name([line], reason)
    elif line.category in _PAYMENT | _REFUND | _DISPUTE:
        tying.apart("no source", [line], [], f"{line.id} is a {line.category}, and Stripe does not say of which charge")
    else:
        tying.apart("no name", [line], [], f"{line.id} is a {line.category}, which nobody knows here")


def _payout(
    tying: _Tying, payout: PayoutFact, by_id: dict[str, Line], contents: Sequence[Line], balance: bool | None
) -> Tied:
    """By what it took, where Stripe says that; by the balance otherwise (`balance`: whether it ties, None: unknown)."""
    told: list[tuple[tuple[str, ...], str]] = []
    if (own := by_id.get(payout.transaction)) is None:
        told.append(((), "it has no balance transaction"))
    elif own.amount != -payout.amount:
        told.append(((own.id,), f"its transaction is {_told(own.amount, own.currency)}"))
    if payout.failed:
        back = by_id.get(payout.failure_transaction)
        if back is None:
            told.append(((), "it failed, and no transaction brought it back"))
        elif back.amount != payout.amount:
            told.append(((back.id,), f"{_told(back.amount, back.currency)} of it came back"))
    if payout.automatic and payout.completed:
        took = sum(line.net for line in contents if line.id != payout.transaction)
        if took != payout.amount:
            told.append(((), f"what it took comes to {_told(took, payout.currency)}"))
    for ids, what in told:
        if payout.created >= tying.span.horizon:
            return Tied.PENDING
        text = f"{payout.id} is {_told(payout.amount, payout.currency)}, and {what}"
        tying.differences.append(Difference("payout", (payout.id, *ids), text, payout.currency, payout.created))
    if told:
        return Tied.DIFFERENT
    if payout.automatic:
        return Tied.TIED if payout.completed else Tied.PENDING
    return Tied.PENDING if balance is None else Tied.TIED if balance else Tied.DIFFERENT


def _balanced(fact: BalanceFact) -> bool:
    return fact.opening + fact.transactions == fact.closing


def _unbalanced(fact: BalanceFact) -> Difference:
    text = (
        f"the balance was {_told(fact.opening, fact.currency)}, transactions come to "
        f"{_told(fact.transactions, fact.currency)}, and it is {_told(fact.closing, fact.currency)}"
    )
    return Difference("balance", (fact.currency,), text, fact.currency, fact.at)


def _told(amount: int, currency: str) -> str:
    return f"{major(amount, currency)} {currency.upper()}"
