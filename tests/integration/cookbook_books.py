"""What the simulated Stripe answers to the questions about its own account of the money, disputes and subscriptions."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from schemas.metrics import Metric
from schemas.money import major_decimal
from simulator.world.objects import BalanceTransaction
from tests.integration.cookbook_support import (
    CLOSED,
    Rows,
    Shop,
    answers,
    at,
    finance_answers,
    grouped,
    local_day,
    money,
    month,
)

_PAYMENT: Final = ("charge", "partial_capture_reversal", "charge_failure")
_DISPUTE: Final = ("dispute", "dispute_reversal")


def moved(shop: Shop) -> list[BalanceTransaction]:
    """All balance transactions of all accounts."""
    return [one for books in shop.accounts for one in books.balance.transactions.values()]


def _sum(amounts: Iterable[int], currency: str) -> Decimal:
    return major_decimal(sum(amounts), currency)


def _when(seconds: int) -> date:
    return month(at(seconds).date())


@finance_answers
def what_is_left_of_payments_after_stripe_s_fees(shop: Shop, now: datetime) -> Rows:
    mine = [one for one in moved(shop) if one.reporting_category in _PAYMENT]
    return [
        (
            *key,
            _sum((o.amount for o in group), key[1]),
            _sum((o.fee for o in group), key[1]),
            _sum((o.net for o in group), key[1]),
        )
        for key, group in grouped(mine, lambda one: (_when(one.created), one.currency)).items()
    ]


@finance_answers
def what_do_we_pay_fees_for(shop: Shop, now: datetime) -> Rows:
    rows = []
    for (category, currency), group in grouped(moved(shop), lambda one: (one.reporting_category, one.currency)).items():
        paid = [one.fee or (-one.amount if category == "fee" else 0) for one in group]
        if sum(paid):
            rows.append((category, currency, len([one for one in paid if one]), _sum(paid, currency)))
    return rows


@finance_answers
def what_went_to_the_bank_each_month(shop: Shop, now: datetime) -> Rows:
    payouts = [one for books in shop.accounts for one in books.balance.payouts.values() if one.failed_at is None]
    return [
        (*key, len(group), _sum((one.amount for one in group), key[1]))
        for key, group in grouped(payouts, lambda one: (_when(one.arrival_date), one.currency)).items()
    ]


@finance_answers
def how_many_disputes_do_we_win(shop: Shop, now: datetime) -> Rows:
    closed = [d for books in shop.accounts for d in books.disputes.values() if d.status in ("won", "lost")]
    rows = []
    for currency, group in grouped(closed, lambda d: d.currency).items():
        lost = [d.amount for d in group if d.status == "lost"]
        won = len(group) - len(lost)
        rows.append((currency, len(group), won, round(won / len(group), 3), _sum(lost, currency)))
    return rows


@finance_answers
def what_did_disputes_cost_us(shop: Shop, now: datetime) -> Rows:
    mine = [one for one in moved(shop) if one.reporting_category in _DISPUTE]
    return [
        (currency, _sum((-o.amount for o in group), currency), _sum((o.fee for o in group), currency))
        for currency, group in grouped(mine, lambda one: one.currency).items()
    ]


@finance_answers
def which_payments_are_disputed_most(shop: Shop, now: datetime) -> Rows:
    """By the kind of card; a payment that is disputed twice counts once."""
    disputed = {d.charge for books in shop.accounts for d in books.disputes.values()}
    charges = [c for c in shop.charges.values() if c.id in {f.charge_id for f in shop.of(Metric.SUCCESSFULLY_PAID)}]
    rows = []
    for brand, group in grouped(charges, lambda c: c.card.brand if c.card else "").items():
        taken = len([c for c in group if c.id in disputed])
        rows.append((brand, len(group), taken, round(taken / len(group), 3)))
    return sorted(rows, key=lambda row: (-row[3], row[0]))


@finance_answers
def how_many_subscriptions_began_and_ended_each_month(shop: Shop, now: datetime) -> Rows:
    facts = list(shop.of(Metric.SUBSCRIPTION_STARTED, Metric.SUBSCRIPTION_CANCELED))
    rows = []
    for key, group in grouped(facts, lambda f: month(local_day(f))).items():
        kinds = Counter(f.metric for f in group)
        rows.append((key, kinds[Metric.SUBSCRIPTION_STARTED], kinds[Metric.SUBSCRIPTION_CANCELED]))
    return rows


@finance_answers
def why_do_subscriptions_end(shop: Shop, now: datetime) -> Rows:
    ended = [s for books in shop.accounts for s in books.subscriptions.values() if s.ended_at is not None]
    reasons = Counter((s.why or "", s.feedback or "") for s in ended)
    return sorted(((*why, count) for why, count in reasons.items()), key=lambda row: (-row[2], row[0], row[1]))


@finance_answers
def what_did_credit_notes_take_back(shop: Shop, now: datetime) -> Rows:
    notes = [n for books in shop.accounts for n in books.credit_notes.values() if n.status != "void"]
    return [
        (
            *key,
            len(group),
            _sum((n.amount for n in group), key[1]),
            _sum((n.pre for n in group), key[1]),
            _sum((n.refunded for n in group), key[1]),
        )
        for key, group in grouped(notes, lambda n: (_when(n.created), n.currency)).items()
    ]


@answers
def how_many_days_of_sales_are_owed_to_us(shop: Shop, now: datetime) -> Rows:
    """DSO: what is owed of the last 90 days' invoices, in days of what was invoiced in them."""
    issued = [i for i in shop.issued() if now - timedelta(days=90) <= at(i.finalized_at) <= now]
    rows = []
    for currency, group in grouped(issued, lambda i: i.currency).items():
        invoiced = _sum((i.total for i in group), currency)
        owed = _sum((i.amount_due for i in group if i.status == "open"), currency)
        if invoiced:
            rows.append((currency, owed, invoiced, round(float(owed) / float(invoiced) * 90, 1)))
    return rows


@answers
def what_has_changed_since_the_books_were_closed(shop: Shop, now: datetime) -> Rows:
    """The closing was made by hand (see `CLOSED`): of payments alone, and less than there are."""
    rows = []
    for (account, currency), (count, amount) in sorted(CLOSED.items()):
        mine = [
            f
            for f in shop.of(Metric.SUCCESSFULLY_PAID)
            if (f.account, f.currency) == (account, currency) and month(local_day(f)) == date(2026, 1, 1)
        ]
        rows.append(
            (
                date(2026, 1, 1),
                account,
                Metric.SUCCESSFULLY_PAID.value,
                currency,
                len(mine) - count,
                money(*mine) - amount,
            )
        )
    return rows
