"""The comparison of our numbers with Stripe's."""

from datetime import date

from tillstream.compare import FactKey, compare

DAY, OTHER = date(2026, 1, 5), date(2026, 1, 6)
PAID = FactKey("Successfully Paid", "ch_1", "usd", 1000, 1767607200)
FAILED = FactKey("Failed Payment", "ch_2", "jpy", 500, 1767607201)
DAILY = {(DAY, "Successfully Paid", "usd"): (1, 1000), (OTHER, "Failed Payment", "jpy"): (1, 500)}


def test_equal_numbers_and_facts_are_equal() -> None:
    assert compare(DAILY, dict(DAILY), [PAID, FAILED], [FAILED, PAID]).equal


def test_a_missing_fact_is_named() -> None:
    found = compare({(DAY, "Successfully Paid", "usd"): (1, 1000)}, DAILY, [PAID], [PAID, FAILED])
    assert not found.equal
    assert found.missing == (FAILED,)
    assert found.cell(OTHER, "Failed Payment") == (0, 1, False)
    assert found.cell(DAY, "Successfully Paid") == (1, 1, True)


def test_a_doubled_fact_is_named() -> None:
    found = compare(DAILY, DAILY, [PAID, PAID, FAILED], [PAID, FAILED])
    assert found.surplus == (PAID,)
    assert not found.equal


def test_equal_counts_with_another_sum_are_not_equal() -> None:
    found = compare(DAILY, {**DAILY, (DAY, "Successfully Paid", "usd"): (1, 1001)}, [PAID], [PAID])
    assert found.cell(DAY, "Successfully Paid") == (1, 1, False)
    assert not found.equal


def test_currencies_are_never_added_up() -> None:
    theirs = {(DAY, "Successfully Paid", "usd"): (1, 1000), (DAY, "Successfully Paid", "eur"): (1, 900)}
    ours = {(DAY, "Successfully Paid", "usd"): (1, 900), (DAY, "Successfully Paid", "eur"): (1, 1000)}
    found = compare(ours, theirs, [], [])
    assert found.cell(DAY, "Successfully Paid") == (2, 2, False)
    assert [(currency, ours, theirs) for _, currency, ours, theirs in found.totals()] == [
        ("eur", (1, 1000), (1, 900)),
        ("usd", (1, 900), (1, 1000)),
    ]
