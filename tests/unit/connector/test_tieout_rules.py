"""Each cent has one name, and what has none is named. Amounts by hand, after Stripe's reporting categories."""

from dataclasses import replace
from typing import Any

import pytest

from connector.tieout.facts import BalanceFact, Difference, Line, PayoutFact, Row, Span, Tied, TieOut
from connector.tieout.rules import OLDER, tie

HOUR = 3_600
START, END = 1_000_000.0, 2_000_000.0
SPAN = Span(START, END, known_since=0, horizon=END - 2 * HOUR)
AT = 1_500_000.0


def line(name: str, category: str = "charge", amount: int = 1_000, fee: int = 0, **more: Any) -> Line:
    """A transaction of the charge ch_1 in dollars, unless told otherwise."""
    usual = {
        "currency": "usd",
        "parts": fee,
        "net": amount - fee,
        "created": AT,
        "observed": AT,
        "charge": "ch_1",
        "source": "ch_1" if category in ("charge", "charge_failure") else "re_1",
        "source_currency": "usd",
        "source_amount": abs(amount),
        "source_status": "succeeded",
        "source_created": AT,
    }
    return Line(f"txn_{name}", category, amount=amount, fee=fee, **usual | more)


def row(amount: int = 1_000, metric: str = "Successfully Paid", refund: str = "", **more: Any) -> Row:
    usual = {"charge": "ch_1", "currency": "usd", "at": AT, "received": AT}
    kind = "refunded" if refund or metric == "Refunded Payment" else "paid"
    return Row(
        **{"metric_id": f"{kind}:ch_1:{amount}", "metric": metric, "refund": refund, "amount": amount} | usual | more
    )


def refunded(amount: int, refund: str = "re_1", **more: Any) -> Row:
    return row(amount, "Refunded Payment", refund, **more)


def tied(*facts: Line | Row | PayoutFact | BalanceFact, span: Span = SPAN) -> TieOut:
    def of(kind: type) -> list[Any]:
        return [fact for fact in facts if isinstance(fact, kind)]

    return tie(of(Line), of(Row), of(PayoutFact), of(BalanceFact), span)


def names(found: TieOut) -> dict[str, tuple[str, str]]:
    return {identifier: (name.name, name.state.value) for identifier, name in found.names.items()}


def named(found: TieOut) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.kind, one.ids) for one in found.differences]


def test_a_payment_is_its_row_whatever_the_fee() -> None:
    found = tied(line("a", fee=59), row())
    assert found.state is Tied.TIED
    assert found.names["txn_a"].rows == ("paid:ch_1:1000",)


def test_a_partial_capture_is_two_transactions_and_one_row() -> None:
    found = tied(line("a"), line("b", "partial_capture_reversal", -400), row(600))
    assert found.state is Tied.TIED
    assert names(found) == {"txn_a": ("Successfully Paid", "tied"), "txn_b": ("Successfully Paid", "tied")}


def test_captures_in_parts_come_to_one_row() -> None:
    assert tied(line("a", amount=200), line("b", amount=300), row(500)).state is Tied.TIED


def test_a_debit_on_its_way_has_a_transaction_and_no_row_yet() -> None:
    found = tied(line("a", source_status="pending"))
    assert (found.state, names(found)["txn_a"]) == (Tied.TIED, ("debit on its way", "tied"))


def test_a_debit_that_failed_is_two_transactions_that_come_to_nothing() -> None:
    failed = {"source_status": "failed", "source_amount": 0}
    found = tied(line("a", **failed), line("b", "charge_failure", -1_000, **failed))
    assert found.state is Tied.TIED
    assert set(names(found).values()) == {("debit that failed", "tied")}


def test_refunds_are_their_rows_one_by_one() -> None:
    found = tied(
        *(line("a"), line("b", "refund", -300), line("c", "refund", -200, source="re_2")),
        *(row(), refunded(300), refunded(200, "re_2")),
    )
    assert found.state is Tied.TIED
    assert found.names["txn_c"].rows == ("refunded:ch_1:200",)


def test_refunds_that_only_the_charge_told_of_tie_by_their_sum() -> None:
    found = tied(
        *(line("a"), line("b", "refund", -300), line("c", "refund", -200, source="re_2")),
        *(row(), refunded(500, "")),
    )
    assert found.state is Tied.TIED


def test_a_refund_that_failed_is_two_transactions_and_no_row() -> None:
    found = tied(line("a"), line("b", "refund", -300), line("c", "refund_failure", 300), row())
    assert found.state is Tied.TIED
    assert names(found)["txn_b"] == names(found)["txn_c"] == ("refund that failed", "tied")


def test_converted_money_ties_by_the_sources_own_word_and_never_by_the_rate() -> None:
    settled = {"currency": "usd", "source_currency": "gbp", "source_amount": 1_000}
    back = settled | {"source_amount": 400}
    facts = (
        *(line("a", amount=1_273, **settled), line("b", "refund", -509, **back)),
        *(row(currency="gbp"), refunded(400, currency="gbp")),
    )
    assert tied(*facts).state is Tied.TIED
    assert named(tied(facts[0], facts[1], replace(facts[2], amount=1_001), facts[3])) == [  # type: ignore[type-var]
        ("amount", ("txn_a", "paid:ch_1:1000"))
    ]


def test_a_converted_hold_that_was_captured_in_part_ties_by_what_the_charge_says() -> None:
    settled = {"source_currency": "gbp"}
    found = tied(
        line("a", amount=1_273, **settled | {"source_amount": 600}),
        line("b", "partial_capture_reversal", -509, observed=AT + 1, **settled | {"source_amount": 400}),
        row(600, currency="gbp"),
    )
    assert found.state is Tied.TIED


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ((line("a"),), ("no row", ("txn_a",))),
        ((row(),), ("no transaction", ("paid:ch_1:1000",))),
        ((line("a"), row(1_001)), ("amount", ("txn_a", "paid:ch_1:1001"))),
        ((line("a", amount=999), row()), ("amount", ("txn_a", "paid:ch_1:1000"))),
        ((line("a"), row(currency="eur")), ("currency", ("txn_a", "paid:ch_1:1000"))),
        ((line("a"), row(), line("b", "refund", -300)), ("no row", ("txn_b",))),
        ((line("a"), row(), refunded(300)), ("no transaction", ("refunded:ch_1:300",))),
        ((line("a", fee=59, net=942), row()), ("arithmetic", ("txn_a",))),
        ((line("a", fee=59, parts=58), row()), ("arithmetic", ("txn_a",))),
        ((line("a", "something_new"),), ("no name", ("txn_a",))),
        ((line("a", charge="", source=""),), ("no source", ("txn_a",))),
        ((line("a", transfer=True), row()), ("amount", ("txn_a", "paid:ch_1:1000"))),
    ],
)
def test_what_does_not_tie_is_named_with_every_id(facts: tuple[Any, ...], wanted: tuple[str, tuple[str, ...]]) -> None:
    found = tied(*facts)
    assert found.state is Tied.DIFFERENT
    assert named(found) == [wanted]


def test_of_several_refunds_the_one_that_differs_is_named_and_the_others_are_tied() -> None:
    found = tied(
        *(line("a"), line("b", "refund", -300), line("c", "refund", -200, source="re_2")),
        *(row(), refunded(300), refunded(250, "re_2")),
    )
    assert named(found) == [("amount", ("txn_c", "refunded:ch_1:250"))]
    assert names(found)["txn_b"] == ("Refunded Payment", "tied")


def test_what_is_younger_than_two_sweeps_is_pending() -> None:
    young = SPAN.horizon
    assert tied(line("a", created=young)).state is Tied.PENDING
    assert tied(row(received=young)).state is Tied.PENDING
    assert tied(line("a", created=young - 1)).state is Tied.DIFFERENT


def test_what_began_before_anything_was_known_is_no_difference() -> None:
    span = replace(SPAN, known_since=AT)
    found = tied(line("b", "refund", -300, source_created=AT - 1), span=span)
    assert (found.state, names(found)["txn_b"]) == (Tied.TIED, (OLDER, "tied"))
    assert tied(line("b", "refund", -300, source_created=AT), span=span).state is Tied.DIFFERENT


def disputed(amount: int = 1_000, status: str = "needs_response", **more: Any) -> Row:
    return row(amount, "Dispute", **{"dispute": "dp_1", "status": status, "metric_id": "dispute:dp_1"} | more)


def withdrawn(amount: int = 1_000, **more: Any) -> Line:
    """With Stripe's fee for a dispute."""
    return line("w", "dispute", -amount, **{"fee": 1_500, "source": "dp_1"} | more)


def back(amount: int = 1_000, **more: Any) -> Line:
    return line("b", "dispute_reversal", amount, **{"source": "dp_1", "source_amount": 1_000} | more)


@pytest.mark.parametrize(
    ("facts", "named_as"),
    [
        ((disputed(), withdrawn()), {"txn_w": "Dispute"}),
        ((disputed(status="lost"), withdrawn()), {"txn_w": "Dispute"}),
        ((disputed(status="won"), withdrawn(), back()), {"txn_w": "Dispute", "txn_b": "dispute won"}),
        (
            (disputed(status="under_review", reinstated=True), withdrawn(), back()),
            {"txn_w": "Dispute", "txn_b": "dispute won"},
        ),
        ((disputed(status="warning_closed"),), {}),  # an inquiry takes no money
        ((disputed(400), withdrawn(400)), {"txn_w": "Dispute"}),  # of a part of the payment
        # 10.00 EUR, worth 11.00 USD when they went and when they came back
        (
            (
                disputed(currency="eur", status="won"),
                withdrawn(1_100, source_currency="eur", source_amount=1_000),
                back(1_100, source_currency="eur"),
            ),
            {"txn_w": "Dispute", "txn_b": "dispute won"},
        ),
    ],
)
def test_a_disputes_transactions_are_what_its_row_says(facts: tuple[Line | Row, ...], named_as: dict[str, str]) -> None:
    found = tied(line("c"), row(), *facts)
    assert found.state is Tied.TIED
    assert {one: name for one, (name, _) in names(found).items() if one != "txn_c"} == named_as
    assert all(name.rows == ("dispute:dp_1",) for one, name in found.names.items() if one in named_as)


@pytest.mark.parametrize(
    ("facts", "kind", "ids", "says"),
    [
        ((withdrawn(),), "no row", ("txn_w",), "dp_1 took 10.00 USD, and has no row"),
        ((disputed(),), "no transaction", ("dispute:dp_1",), "dp_1 has a row, and Stripe has no transaction of it"),
        (
            (disputed(900), withdrawn()),
            "amount",
            ("txn_w", "dispute:dp_1"),
            "is 9.00 USD in its row and took 10.00 USD",
        ),
        ((disputed(currency="eur"), withdrawn()), "currency", ("txn_w", "dispute:dp_1"), "eur in its row and usd"),
        ((disputed(status="won"), withdrawn()), "amount", ("txn_w", "dispute:dp_1"), "won, and 0.00 USD of 10.00 USD"),
        (
            (disputed(status="lost"), withdrawn(), back()),
            "amount",
            ("txn_w", "txn_b", "dispute:dp_1"),
            "lost, and 10.00 USD came back",
        ),
        ((disputed(reinstated=True), withdrawn()), "amount", ("txn_w", "dispute:dp_1"), "said to have come back"),
        ((disputed(status="warning_closed"), withdrawn(900)), "amount", ("txn_w", "dispute:dp_1"), "took 9.00 USD"),
    ],
)
def test_a_dispute_that_is_not_what_its_row_says_is_named(
    facts: tuple[Line | Row, ...], kind: str, ids: tuple[str, ...], says: str
) -> None:
    found = tied(line("c"), row(), *facts)
    assert named(found) == [(kind, ids)]
    assert says in found.differences[0].text


def test_two_disputes_of_one_charge_are_tied_one_by_one() -> None:
    other = disputed(300, dispute="dp_2", metric_id="dispute:dp_2")
    second = line("x", "dispute", -400, fee=1_500, source="dp_2")
    found = tied(line("c"), row(), disputed(600), withdrawn(600), other, second)
    assert named(found) == [("amount", ("txn_x", "dispute:dp_2"))]


def test_categories_that_are_no_rows_have_names_of_their_own() -> None:
    found = tied(line("a", "fee", -250, charge="", source=""), line("c"), row())
    assert names(found)["txn_a"] == ("Stripe's fee", "tied")
    assert tied(line("a", transfer=True)).names["txn_a"].name == "share of a platform's charge"


def test_what_is_paid_outside_stripe_needs_no_transaction() -> None:
    found = tied(row(charge=""))
    assert (found.state, found.outside) == (Tied.TIED, 1)


def test_transactions_of_other_days_complete_a_charge_and_are_not_asked_about() -> None:
    before = line("a", created=START - 1)
    assert tied(before, line("b", "partial_capture_reversal", -400), row(600, at=START - 2)).state is Tied.TIED
    assert tied(line("z", charge="ch_9", source="ch_9", created=START - 1)).names == {}


PAYOUT = PayoutFact("po_1", "usd", 900, True, True, False, AT, "txn_po", "")
OWN = line("po", "payout", -900, charge="", source="po_1", payout="po_1")


def test_an_automatic_payout_is_the_sum_of_what_it_took() -> None:
    taken = line("a", fee=100, payout="po_1")
    assert tied(taken, row(), OWN, PAYOUT).payouts == {"po_1": Tied.TIED}
    found = tied(taken, row(), line("f", "fee", -1, charge="", payout="po_1"), OWN, PAYOUT)
    assert named(found) == [("payout", ("po_1",))]
    assert "what it took comes to 8.99 USD" in found.differences[0].text


def test_a_payout_whose_contents_stripe_has_not_told_is_pending() -> None:
    assert tied(OWN, replace(PAYOUT, completed=False)).payouts == {"po_1": Tied.PENDING}


def test_a_payout_that_failed_has_come_back() -> None:
    back = line("back", "payout_reversal", 900, charge="", source="po_1")
    failed = replace(PAYOUT, automatic=False, failed=True, failure_transaction="txn_back")
    balance = BalanceFact("usd", 0, END, 0, 0, 0)
    assert tied(OWN, back, failed, balance).payouts == {"po_1": Tied.TIED}
    assert named(tied(OWN, failed, balance)) == [("payout", ("po_1",))]
    assert named(tied(OWN, replace(back, amount=899, net=899), failed, balance)) == [("payout", ("po_1", "txn_back"))]


def test_a_payout_by_hand_ties_by_the_balance() -> None:
    by_hand = replace(PAYOUT, automatic=False)
    good = BalanceFact("usd", 0, END, opening=50, transactions=100, closing=150)
    assert tied(OWN, by_hand, good).payouts == {"po_1": Tied.TIED}
    assert tied(OWN, by_hand).payouts == {"po_1": Tied.PENDING}
    found = tied(OWN, by_hand, replace(good, closing=149))
    assert found.payouts == {"po_1": Tied.DIFFERENT}
    assert found.differences == (
        Difference(
            "balance",
            ("usd",),
            "the balance was 0.50 USD, transactions come to 1.00 USD, and it is 1.49 USD",
            "usd",
            END,
        ),
    )
