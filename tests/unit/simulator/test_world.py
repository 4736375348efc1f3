"""The simulated world is the same for the same seed, lives like Stripe, and its truth agrees with its objects."""

from collections import Counter, defaultdict
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.metrics import Metric
from simulator.rendering.objects import event_body
from simulator.world.catalog import CURRENCIES
from simulator.world.history import World
from simulator.world.objects import Charge, Event, Invoice
from simulator.world.truth import Fact, Truth

START = 1_767_225_600  # 2026-01-01
BRIEF_TYPES = {
    *("charge." + name for name in "captured expired failed pending refunded succeeded updated".split()),
    *(
        "invoice." + name
        for name in (
            "created deleted finalized marked_uncollectible payment_action_required payment_failed payment_succeeded "
            "sent upcoming updated voided"
        ).split()
    ),
}
EXTENDED_TYPES = {
    *("customer.created customer.updated refund.created refund.updated refund.failed charge.refund.updated".split()),
    *("invoice.paid", "invoice_payment.paid"),
    *(f"payment_method.{name}" for name in "attached automatically_updated detached".split()),
    *(f"charge.dispute.{name}" for name in "created updated closed funds_withdrawn".split()),
    *(f"customer.subscription.{name}" for name in "created updated deleted trial_will_end".split()),
}
ONLY_EXTENDED = set(Metric) - {
    *(Metric.SUCCESSFULLY_PAID, Metric.FAILED_PAYMENT, Metric.REFUNDED_PAYMENT, Metric.ISSUED_INVOICE),
    Metric.UPCOMING_INVOICE,
}  # told by events that only `connect --extended` asks for
worlds = st.builds(
    World,
    seed=st.integers(0, 10**6),
    start=st.just(START),
    days=st.integers(3, 70),
    customers=st.integers(1, 80),
    accounts=st.sampled_from([("default",), ("acct_1Shop", "acct_2Shop")]),
    extended=st.booleans(),
    until=st.none() | st.integers(START, START + 70 * 86_400),  # in the midst of it too
)
few = settings(max_examples=12, deadline=None)


def amounts(world: World, metric: Metric, facts: list[Fact] | None = None) -> Counter[str]:
    """Sums by charge (or by invoice, for facts without a charge)."""
    sums: Counter[str] = Counter()
    for fact in facts or world.truth().facts:
        if fact.metric is metric:
            sums[fact.charge_id or fact.invoice_id] += fact.amount_minor
    return sums


def charges(world: World) -> list[Charge]:
    return [charge for books in world.accounts.values() for charge in books.charges.values()]


def invoices(world: World) -> list[Invoice]:
    return [invoice for books in world.accounts.values() for invoice in books.invoices.values()]


def test_the_same_seed_gives_the_same_bytes_and_truth() -> None:
    one, two = (World(7, START, 30, 60, extended=True) for _ in range(2))
    assert [event_body(e) for e in one.events] == [event_body(e) for e in two.events]
    assert one.truth() == two.truth()


def test_another_seed_gives_another_world() -> None:
    ids = [{e.id for e in World(seed, START, 30, 60).events} for seed in (1, 2)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("seed", range(8))
def test_all_types_of_the_brief_occur_in_a_month_of_forty_customers(seed: int) -> None:
    assert {e.type for e in World(seed, START, 30, 40).events} == BRIEF_TYPES


def test_an_extended_world_adds_the_types_that_were_asked_for() -> None:
    assert {e.type for e in World(1, START, 30, 80, extended=True).events} == BRIEF_TYPES | EXTENDED_TYPES


def test_extending_the_events_does_not_change_what_is_true() -> None:
    plain, extended = World(3, START, 30, 60), World(3, START, 30, 60, extended=True)
    kinds = [
        Counter((f.metric, f.currency, f.amount_minor) for f in w.truth().facts if f.metric not in ONLY_EXTENDED)
        for w in (plain, extended)
    ]
    assert kinds[0] == kinds[1]


def test_every_metric_every_currency_and_people_without_email_occur() -> None:
    facts = World(1, START, 30, 60).truth().facts
    assert {f.metric for f in facts} == set(Metric) - ONLY_EXTENDED
    assert {f.currency for f in facts} == set(CURRENCIES)
    assert any(not f.email for f in facts)
    assert all(f.email == f.email.strip().lower() for f in facts)
    without_charge = [f for f in facts if f.metric is Metric.FAILED_PAYMENT and not f.charge_id]
    assert without_charge
    assert all(f.invoice_id and f.attempt_count for f in without_charge)


def test_amounts_suit_their_currency() -> None:
    for fact in World(1, START, 60, 60).truth().facts:
        step = {"kwd": 10, "isk": 100, "ugx": 100}.get(fact.currency, 1)
        assert fact.amount_minor % step == 0, fact


@few
@given(worlds)
def test_payments_in_the_truth_are_what_the_charges_say(world: World) -> None:
    paid = amounts(world, Metric.SUCCESSFULLY_PAID)
    expected = Counter({c.id: c.amount_captured for c in charges(world) if c.status == "succeeded" and c.captured})
    expected |= Counter({i.id: i.paid_off_stripe for i in invoices(world) if i.paid_off_stripe})
    assert paid == expected
    failed = {f.charge_id for f in world.truth().facts if f.metric is Metric.FAILED_PAYMENT and f.charge_id}
    assert failed == {c.id for c in charges(world) if c.status == "failed"}


@few
@given(worlds)
def test_refunds_in_the_truth_are_what_stripe_counts_less_what_was_only_released(world: World) -> None:
    refunded = amounts(world, Metric.REFUNDED_PAYMENT)
    for charge in charges(world):
        released = charge.amount - charge.amount_captured if charge.captured else charge.amount_refunded
        expected = 0 if charge.status != "succeeded" else charge.amount_refunded - released
        assert refunded[charge.id] == expected
        assert charge.amount_refunded == sum(r.amount for r in charge.refunds if r.status != "failed")


@few
@given(worlds)
def test_every_finalized_invoice_is_issued_once_and_paid_by_what_it_says(world: World) -> None:
    facts = world.truth().facts
    issued = {f.invoice_id: f for f in facts if f.metric is Metric.ISSUED_INVOICE}
    final = {i.id: i for i in invoices(world) if i.finalized_at is not None}
    assert issued.keys() == final.keys()
    assert len(issued) == sum(f.metric is Metric.ISSUED_INVOICE for f in facts)
    paid: Counter[str] = Counter()
    for fact in facts:
        if fact.metric is Metric.SUCCESSFULLY_PAID and fact.invoice_id:
            paid[fact.invoice_id] += fact.amount_minor
    for invoice in final.values():
        assert issued[invoice.id].amount_minor == invoice.total == sum(line.amount for line in invoice.lines)
        assert issued[invoice.id].occurred_at == invoice.finalized_at
        assert paid[invoice.id] == invoice.amount_paid
        assert (invoice.amount_paid == invoice.amount_due) == (invoice.status == "paid" or not invoice.amount_due)


@few
@given(worlds)
def test_events_come_in_the_order_of_a_life_cycle(world: World) -> None:
    assert [e.created for e in world.events] == sorted(e.created for e in world.events)
    assert len({e.id for e in world.events}) == len(world.events)
    lives: dict[str, list[Event]] = defaultdict(list)
    for event in world.events:
        if event.object.id:
            lives[event.object.id].append(event)
    for life in lives.values():
        types = [e.type for e in life]
        if types[0].startswith("invoice."):
            check_invoice_life(types)
        elif isinstance(life[0].object, Charge):
            assert types[0] in ("charge.succeeded", "charge.failed", "charge.pending")
            assert ("charge.captured" not in types) or types[0] == "charge.succeeded"
            assert types.count("charge.succeeded") + types.count("charge.failed") <= 1
        for event in life:
            assert event.before is None or event.before.__dict__ != event.object.__dict__


def check_invoice_life(types: list[str]) -> None:
    if types[0] == "invoice_payment.paid":
        return
    assert types[0] == "invoice.created"
    issued = types.index("invoice.finalized") if "invoice.finalized" in types else len(types)
    assert set(types[:issued]) <= {"invoice.created", "invoice.deleted"}
    assert types.count("invoice.payment_succeeded") <= 1
    for last in ("invoice.deleted", "invoice.voided"):
        assert last not in types or types[-1] == last


@few
@given(worlds)
def test_a_failed_or_paid_attempt_is_told_within_seconds_of_its_charge(world: World) -> None:
    attempts = defaultdict(list)
    for event in world.events:
        if event.type in ("invoice.payment_succeeded", "invoice.payment_failed"):
            attempts[event.object.id].append(event.created)
    for charge in charges(world):
        if charge.invoice:
            assert any(0 <= told - charge.created <= 5 for told in attempts[charge.invoice])


@few
@given(worlds)
def test_snapshots_are_what_the_object_was_then(world: World) -> None:
    last: dict[str, Charge] = {}
    for event in world.events:
        if isinstance(event.object, Charge):
            assert event.before is None or event.before == last[event.object.id]
            last[event.object.id] = event.object
            if event.type == "charge.refunded":
                assert isinstance(event.before, Charge)
                assert event.object.amount_refunded > event.before.amount_refunded
        if event.type == "invoice.payment_failed":
            assert isinstance(event.object, Invoice)
            assert event.object.status == "open"
    assert all(charge == last[charge.id] for charge in charges(world))


def test_days_are_those_of_the_timezone() -> None:
    def paid(at: int, amount: int) -> Fact:
        return Fact(Metric.SUCCESSFULLY_PAID, "ch_1", "", "default", True, at, "", "usd", amount)

    truth = Truth([paid(START + 23 * 3600, 100), paid(START + 25 * 3600, 50)])
    key = (Metric.SUCCESSFULLY_PAID, "default", "usd")
    assert truth.daily("UTC") == {(date(2026, 1, 1), *key): (1, 100), (date(2026, 1, 2), *key): (1, 50)}
    assert truth.daily("Europe/Berlin") == {(date(2026, 1, 2), *key): (2, 150)}


def test_customers_are_shared_out_over_the_accounts() -> None:
    world = World(1, START, 30, 9, accounts=("a", "b"))
    assert [len(books.customers) for books in world.accounts.values()] == [5, 4]
    assert {e.account for e in world.events} == {"a", "b"}


def test_odd_customers_are_there() -> None:
    emails = [c.email for c in World(1, START, 30, 12).accounts["default"].customers.values()]
    assert None in emails
    assert any(email != email.strip() for email in emails if email)
    assert max(Counter(email for email in emails if email).values()) == 2


def test_rare_stories_all_happen_and_leave_an_ordinary_world_as_it_is() -> None:
    ordinary, rare = (World(3, 1_767_225_600, 40, 25, extended=True, rare=given) for given in (False, True))
    again = World(3, 1_767_225_600, 40, 25, extended=True)
    assert [event.id for event in ordinary.events] == [event.id for event in again.events]
    (books,) = rare.accounts.values()
    assert any(c.method == "sepa_debit" and c.status == "failed" and c.invoice for c in books.charges.values())
    assert any(c.source_transfer for c in books.charges.values())
    assert any(i.credited and i.status == "paid" for i in books.invoices.values())
    assert {i.status for i in books.invoices.values() if i.paid_off_stripe > 0} >= {"paid", "uncollectible"}
    parts = [e.object for e in rare.events if e.type == "charge.updated" and isinstance(e.object, Charge)]
    assert any(part.amount_captured and not part.captured for part in parts)
    gone = [e.object for e in rare.events if e.type == "charge.expired" and isinstance(e.object, Charge)]
    assert any(charge.amount_captured and not charge.captured for charge in gone)
