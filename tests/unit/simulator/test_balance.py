"""The simulated balance is Stripe's: what came in, what went back, and to the cent what each payout took.

Amounts by hand from Stripe's documentation of balance transactions and reporting categories.
"""

import pytest
from multidict import MultiDict

from simulator.api.views import Views
from simulator.errors import ApiError
from simulator.rendering.shapes import NEWEST
from simulator.world import payments
from simulator.world.balance import settles
from simulator.world.books import Books
from simulator.world.history import World
from simulator.world.objects import BalanceTransaction, Card, Charge
from simulator.world.payments import Payer

START = 1_767_225_600  # 2026-01-01
DAY = 86_400
CARD = Card("pm_1", "visa", "4242", 12, 2030, "DE", "credit", "f")
Line = tuple[str, str, int, int, int]  # type, reporting category, amount, fee, net


@pytest.fixture
def books() -> Books:
    return Books("default", seed=1, livemode=True, extended=True)


def told(books: Books) -> list[Line]:
    every = books.balance.transactions.values()
    return [(one.type, one.reporting_category, one.amount, one.fee, one.net) for one in every]


def charge(books: Books, amount: int = 10_000, currency: str = "usd", method: str = "card") -> Charge:
    return payments.new_charge(books, START, amount, currency, Payer(CARD, "Ada"), method=method)


def test_a_card_payment_comes_in_less_its_fee_and_a_refund_leaves_the_fee_with_stripe(books: Books) -> None:
    made = charge(books)
    payments.succeed(books, made, START)
    payments.refund(books, made, 4_000, START + 60)
    assert told(books) == [("charge", "charge", 10_000, 320, 9_680), ("refund", "refund", -4_000, 0, -4_000)]
    first, second = books.balance.transactions.values()
    assert (first.source, second.source) == (made.id, made.refunds[0].id)
    assert (made.balance_transaction, made.refunds[0].balance_transaction) == (first.id, second.id)


def test_a_partial_capture_is_two_transactions_that_come_to_what_was_captured(books: Books) -> None:
    """Stripe: "one for the full amount of the authorization, and another reversing the uncaptured portion"."""
    made = charge(books)
    payments.authorize(books, made, START)
    assert told(books) == []
    payments.capture(books, made, 6_000, START + 60)
    assert told(books) == [
        ("charge", "charge", 10_000, 320, 9_680),
        ("refund", "partial_capture_reversal", -4_000, -116, -3_884),
    ]
    assert 9_680 - 3_884 == 6_000 - (174 + 30)


def test_a_debit_is_told_while_it_is_pending_and_taken_back_when_it_fails(books: Books) -> None:
    made = charge(books, method="sepa_debit")
    payments.pend(books, made, START)
    assert [line[:3] for line in told(books)] == [("payment", "charge", 10_000)]
    payments.fail(books, made, ("insufficient_funds", None, "No."), START + 4 * DAY)
    assert sum(one.net for one in books.balance.transactions.values()) == 0
    assert told(books)[1][:3] == ("payment_failure_refund", "charge_failure", -10_000)
    assert made.failure_balance_transaction == list(books.balance.transactions)[1]


def test_a_debit_that_comes_through_is_one_transaction(books: Books) -> None:
    made = charge(books, method="sepa_debit")
    payments.pend(books, made, START)
    payments.succeed(books, made, START + 4 * DAY)
    assert [line[:3] for line in told(books)] == [("payment", "charge", 10_000)]


def test_a_hold_that_ran_out_moved_no_money(books: Books) -> None:
    made = charge(books)
    payments.authorize(books, made, START)
    payments.expire(books, made, START + 7 * DAY)
    assert told(books) == []


def test_a_refund_that_fails_comes_back(books: Books) -> None:
    made = charge(books)
    payments.succeed(books, made, START)
    refund, entry = payments.refund(books, made, 10_000, START + 60)
    payments.fail_refund(books, made, refund, entry, START + DAY)
    assert [line[1:3] for line in told(books)][1:] == [("refund", -10_000), ("refund_failure", 10_000)]


def test_a_dispute_takes_the_money_and_a_fee_and_a_won_one_brings_the_money_back(books: Books) -> None:
    made = charge(books)
    payments.succeed(books, made, START)
    dispute = payments.dispute(books, made, START + DAY)
    payments.close_dispute(books, dispute, START + 9 * DAY, won=True)
    assert told(books)[1:] == [
        ("adjustment", "dispute", -10_000, 1_500, -11_500),
        ("adjustment", "dispute_reversal", 10_000, 0, 10_000),
    ]


def test_money_without_a_bank_account_is_converted_at_the_days_rate(books: Books) -> None:
    made = charge(books, 10_000, "gbp")
    payments.succeed(books, made, START)
    (one,) = books.balance.transactions.values()
    assert one.currency == settles("gbp") == "usd"
    assert one.exchange_rate is not None
    assert one.amount == round(10_000 * one.exchange_rate)
    assert settles("eur") == "eur"


def views(world: World, now: int) -> Views:
    return Views(world.accounts["default"], lambda: now, NEWEST, lambda _event: 0)


def test_every_automatic_payout_is_the_sum_of_what_it_took_and_the_balance_of_all() -> None:
    world = World(4, START, 60, 60, rare=True)
    api, balance = views(world, world.end), world.accounts["default"].balance
    kinds = {(one.automatic, one.method) for one in balance.payouts.values()}
    assert kinds == {(True, "standard"), (False, "standard"), (False, "instant")}
    for payout in balance.payouts.values():
        query = MultiDict({"payout": payout.id, "limit": "100"})
        if not payout.automatic:
            with pytest.raises(ApiError, match="only be filtered on automatic"):
                api.page("balance_transactions", query, NEWEST)
            continue
        page = api.page("balance_transactions", query, NEWEST)
        assert not page["has_more"]
        own = [one for one in page["data"] if one["source"] == payout.id and one["type"] == "payout"]
        assert [one["amount"] for one in own] == [-payout.amount]
        assert sum(one["net"] for one in page["data"]) == 0
    failed = [one for one in balance.payouts.values() if one.failed_at is not None]
    assert failed
    assert all(balance.transactions[one.failure_balance_transaction or ""].amount == one.amount for one in failed)
    for currency, parts in balance.totals(world.end).items():
        whole = [one.net for one in balance.transactions.values() if one.currency == currency]
        assert sum(parts.values()) == sum(whole)


def test_a_transaction_is_pending_until_it_is_available_and_unknown_before_it_is_made() -> None:
    world = World(4, START, 20, 40)
    one = next(iter(world.accounts["default"].balance.transactions.values()))
    assert isinstance(one, BalanceTransaction)

    def at(moment: int) -> str | None:
        found = views(world, moment).find("balance_transactions", one.id, NEWEST)
        return found["status"] if found else None

    assert [at(one.created - 1), at(one.created), at(one.available_on)] == [None, "pending", "available"]


def test_however_the_world_is_lived_the_balance_is_the_same() -> None:
    whole = World(4, START, 30, 40, rare=True)
    step = World(4, START, 30, 40, rare=True, until=START)
    for moment in range(START, whole.end + 1, 7_000):
        step.advance(moment)
    step.advance(whole.end)
    mine, theirs = (world.accounts["default"].balance for world in (step, whole))
    assert (mine.transactions, mine.payouts) == (theirs.transactions, theirs.payouts)
