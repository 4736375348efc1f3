"""Our facts against Stripe's: equal to the minor unit, or every difference by name; days as the account has them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.reconcile.compare import Comparison, Kind, compare
from connector.reconcile.facts import Fact, Span
from schemas.metrics import Metric

UTC_ZONE, NEW_YORK = ZoneInfo("UTC"), ZoneInfo("America/New_York")
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))


def at(text: str) -> float:
    """'2026-03-08 01:59' in UTC, in Unix seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def paid(name: str, amount: int = 1000, moment: str = "2026-03-10 12:00", currency: str = "usd") -> Fact:
    return Fact(Metric.SUCCESSFULLY_PAID, name, name, currency, amount, at(moment))


def refunded(charge: str, name: str, amount: int, moment: str = "2026-03-11 12:00") -> Fact:
    return Fact(Metric.REFUNDED_PAYMENT, charge, name, "usd", amount, at(moment))


def compared(ours: list[Fact], stripes: list[Fact], zone: ZoneInfo = UTC_ZONE, span: Span = MARCH) -> Comparison:
    return compare(ours, stripes, span, zone, zone)


def named(comparison: Comparison) -> list[tuple[str, str]]:
    return [(difference.kind.value, difference.id) for difference in comparison.differences]


def test_the_same_facts_are_equal_and_add_up_by_currency_and_day() -> None:
    facts = [paid("ch_1"), paid("ch_2", 250), paid("ch_3", 500, currency="jpy"), paid("ch_4", 1, "2026-03-11 00:00")]
    comparison = compared(facts, facts[::-1])
    assert comparison.equal
    assert {key[1:]: cell.ours for key, cell in comparison.cells.items()} == {
        ("usd", date(2026, 3, 10)): (2, 1250),
        ("jpy", date(2026, 3, 10)): (1, 500),
        ("usd", date(2026, 3, 11)): (1, 1),
    }


def test_a_detail_counts_where_both_sides_tell_it() -> None:
    mine, theirs = paid("ch_1"), paid("ch_1")
    other = replace(theirs, details={"reason": "Your card was declined."})
    assert compared([mine], [other]).equal
    assert compared([replace(mine, details={"status": "open"})], [theirs]).equal
    for told in ("", "Your card has expired."):
        comparison = compared([replace(mine, details={"reason": told, "status": "open"})], [other])
        (difference,) = comparison.differences
        assert (difference.kind, difference.what) == (Kind.DIFFERENT, ("reason",))
    later = replace(other, at=at("2026-03-11 12:00"), amount=7)
    assert compared([mine], [later]).differences[0].what == ("amount", "day")


def test_what_cannot_be_is_a_difference_of_its_day() -> None:
    fact, old = refunded("ch_1", "ch_1", 700), refunded("ch_2", "ch_2", 700, "2026-02-11 12:00")
    impossible = [(fact, "more was refunded than paid"), (old, "more was refunded than paid")]
    comparison = compare([], [], MARCH, UTC_ZONE, UTC_ZONE, impossible=impossible)
    assert not comparison.equal
    assert [(one.id, one.what) for one in comparison.differences] == [("ch_1", ("more was refunded than paid",))]
    assert comparison.cells[Metric.REFUNDED_PAYMENT, "usd", date(2026, 3, 11)].different == ["ch_1"]


def test_what_is_missing_extra_or_different_is_named() -> None:
    ours = [paid("ch_1"), paid("ch_2", 999), paid("ch_made_up")]
    stripes = [paid("ch_1"), paid("ch_2"), paid("ch_lost", moment="2026-03-12 00:00")]
    comparison = compared(ours, stripes)
    assert not comparison.equal
    assert named(comparison) == [("different", "ch_2"), ("extra", "ch_made_up"), ("missing", "ch_lost")]
    cell = comparison.cells[Metric.SUCCESSFULLY_PAID, "usd", date(2026, 3, 10)]
    assert (cell.ours, cell.stripes) == ((3, 2999), (2, 2000))
    assert (cell.extra, cell.different) == (["ch_made_up"], ["ch_2"])


def test_equal_sums_of_different_facts_are_not_equal() -> None:
    comparison = compared([paid("ch_1"), paid("ch_2")], [paid("ch_1"), paid("ch_3")])
    assert named(comparison) == [("extra", "ch_2"), ("missing", "ch_3")]


def test_a_fact_that_we_have_twice_is_extra() -> None:
    assert named(compared([paid("ch_1"), paid("ch_1")], [paid("ch_1")])) == [("extra", "ch_1")]


def test_refunds_are_matched_by_id_and_without_one_by_amount() -> None:
    stripes = [refunded("ch_1", "re_1", 100), refunded("ch_1", "re_2", 250, "2026-03-11 13:00")]
    ours = [refunded("ch_1", "", 250, "2026-03-11 13:00:01"), refunded("ch_1", "re_1", 100)]
    assert compared(ours, stripes).equal
    assert named(compared(ours[1:], stripes)) == [("missing", "re_2")]


def test_two_refunds_that_we_saw_as_one_are_told_apart() -> None:
    stripes = [refunded("ch_1", "re_1", 100), refunded("ch_1", "re_2", 250)]
    assert named(compared([refunded("ch_1", "", 350)], stripes)) == [("different", "re_1"), ("missing", "re_2")]


def test_another_currency_is_a_difference() -> None:
    assert named(compared([paid("ch_1", currency="eur")], [paid("ch_1")])) == [("different", "ch_1")]


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-03-01 04:59:59", None),  # still February in New York
        ("2026-03-01 05:00", date(2026, 3, 1)),
        ("2026-03-08 04:59:59", date(2026, 3, 7)),
        ("2026-03-08 06:59:59", date(2026, 3, 8)),  # the clocks go forward at 07:00 UTC: a day of 23 hours
        ("2026-03-09 03:59:59", date(2026, 3, 8)),
        ("2026-03-09 04:00", date(2026, 3, 9)),
        ("2026-04-01 03:59:59", date(2026, 3, 31)),
        ("2026-04-01 04:00", None),
    ],
)
def test_days_are_the_accounts_late_evenings_and_clock_changes_included(moment: str, day: date | None) -> None:
    comparison = compared([paid("ch_1", moment=moment)], [paid("ch_1", moment=moment)], NEW_YORK)
    assert [key[2] for key in comparison.cells] == ([day] if day else [])


def test_the_autumn_day_has_25_hours() -> None:
    span = Span(date(2026, 11, 1), date(2026, 11, 1))
    start, end = span.seconds(NEW_YORK)
    assert end - start == 25 * 3600


def test_our_days_in_another_timezone_are_recognised_as_the_only_mistake() -> None:
    facts = [paid("ch_1", moment="2026-03-10 02:00"), paid("ch_2", moment="2026-03-10 15:00")]
    comparison = compare(facts, facts, MARCH, UTC_ZONE, NEW_YORK)
    assert not comparison.equal
    assert comparison.right_zone == "America/New_York"
    assert named(comparison) == [("different", "ch_1")]


def test_a_missing_fact_is_not_taken_for_a_timezone_mistake() -> None:
    facts = [paid("ch_1", moment="2026-03-10 02:00"), paid("ch_2", moment="2026-03-10 15:00")]
    assert compare(facts[:1], facts, MARCH, UTC_ZONE, NEW_YORK).right_zone == ""


def test_what_lies_outside_the_days_counts_on_neither_side() -> None:
    outside = [paid("ch_0", moment="2026-02-28 23:59:59"), paid("ch_9", moment="2026-04-01 00:00")]
    comparison = compared([], outside)
    assert comparison.equal
    assert comparison.cells == {}


def test_a_fact_that_moved_over_the_edge_of_the_days_is_still_a_difference() -> None:
    comparison = compared([paid("ch_1", moment="2026-03-31 23:59:59")], [paid("ch_1", moment="2026-04-01 00:00")])
    assert named(comparison) == [("different", "ch_1")]


def test_what_stripes_api_does_not_keep_is_told_apart_and_counts_nowhere() -> None:
    failure = Fact(Metric.FAILED_PAYMENT, "in_1", "in_1", "usd", 500, at("2026-03-10 12:00"))
    late = replace(failure, at=at("2026-05-01 00:00"))
    comparison = compare([], [], MARCH, UTC_ZONE, UTC_ZONE, [failure, late])
    assert comparison.equal
    assert comparison.cells == {}
    assert comparison.apart == (failure,)


facts = st.lists(
    st.builds(
        paid,
        st.sampled_from([f"ch_{number}" for number in range(12)]),
        st.integers(1, 3),
        st.sampled_from(["2026-03-01 00:30", "2026-03-10 12:00", "2026-03-31 23:30", "2026-04-02 00:00"]),
        st.sampled_from(["usd", "jpy"]),
    ),
    unique_by=lambda fact: fact.object,
)


@given(facts, facts)
@settings(max_examples=300)
def test_it_is_equal_exactly_when_the_facts_of_the_days_are_the_same(ours: list[Fact], stripes: list[Fact]) -> None:
    def inside(side: list[Fact]) -> set[Fact]:
        return {fact for fact in side if fact.day(UTC_ZONE) in MARCH}

    mine, theirs = inside(ours), inside(stripes)
    comparison = compared(ours, stripes)
    unlike = {fact.object for fact in mine ^ theirs}
    assert comparison.equal is (not unlike)
    assert {difference.id for difference in comparison.differences} == unlike
    assert sum(cell.ours[1] for cell in comparison.cells.values()) == sum(fact.amount for fact in mine)
    assert sum(cell.stripes[0] for cell in comparison.cells.values()) == len(theirs)
    kinds = {difference.id: difference.kind for difference in comparison.differences}
    both = {fact.object for fact in ours} & {fact.object for fact in stripes}
    assert all((kinds[name] is Kind.DIFFERENT) == (name in both) for name in kinds)


def test_slices_cover_every_day_once() -> None:
    slices = list(MARCH.slices(7))
    assert [piece.first for piece in slices][1:] == [
        date(2026, 3, 8),
        date(2026, 3, 15),
        date(2026, 3, 22),
        date(2026, 3, 29),
    ]
    assert slices[-1] == Span(date(2026, 3, 29), MARCH.last)
