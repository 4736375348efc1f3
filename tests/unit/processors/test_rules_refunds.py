"""A charge's refunds always sum to what Stripe says was refunded, whatever is missing, late or taken back."""

from itertools import accumulate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.stripe.charges import charge, refund
from tests.fixtures.stripe.shapes import ENDIVE, V2020, Json, at, stripe_list
from tests.fixtures.stripe.story import amounts, happened, outcome, told
from tests.ledger_harness import World, run

PAID = happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "fern"))


def level(total: int, created: str, before: int | None = None) -> Json:
    """`charge.refunded` with the cumulative amount; with `before` it also tells the amount until then."""
    previous = None if before is None else {"amount_refunded": before}
    return happened("charge.refunded", created, charge(ENDIVE, "fern", amount_refunded=total), previous)


def refund_object(type_: str, created: str, /, **changes: object) -> Json:
    return happened(type_, created, refund(ENDIVE, "fern", **changes))


def test_amount_refunded_is_cumulative_so_two_refunds_are_two_steps() -> None:
    first, second = level(1500, "09-03 12:00:01", 0), level(4200, "09-04 12:00:01", 1500)
    assert told(outcome(PAID, first, second), "amount_minor", "occurred_at") == [
        ("paid:ch_fern", 4200, "2026-09-01T10:00:00.000Z"),
        ("refunded:ch_fern:1500", 1500, "2026-09-03T12:00:01.000Z"),
        ("refunded:ch_fern:4200", 2700, "2026-09-04T12:00:01.000Z"),
    ]


def test_previous_attributes_tell_of_a_refund_whose_own_event_was_lost() -> None:
    assert amounts(PAID, level(4200, "09-04 12:00:01", 1500)) == {
        "paid:ch_fern": 4200,
        "refunded:ch_fern:1500": 1500,
        "refunded:ch_fern:4200": 2700,
    }


def test_without_previous_attributes_a_lost_refund_is_part_of_the_next_one() -> None:
    assert amounts(PAID, level(4200, "09-04 12:00:01")) == {"paid:ch_fern": 4200, "refunded:ch_fern:4200": 4200}


def test_a_refund_object_may_come_without_any_event_of_its_charge_but_the_payment() -> None:
    assert amounts(PAID, refund_object("refund.created", "09-03 12:00:01")) == {
        "paid:ch_fern": 4200,
        "refunded:ch_fern:1500": 1500,
    }


def test_a_refund_alone_waits_for_its_charge() -> None:
    assert amounts(refund_object("refund.created", "09-03 12:00:01")) == {}


def test_a_refund_object_and_the_charges_level_are_one_refund_at_the_refunds_own_time() -> None:
    world = outcome(PAID, refund_object("refund.created", "09-03 12:00:01"), level(1500, "09-03 12:00:05", 0))
    assert told(world, "amount_minor", "occurred_at", "reason_code") == [
        ("paid:ch_fern", 4200, "2026-09-01T10:00:00.000Z", ""),
        ("refunded:ch_fern:1500", 1500, "2026-09-03T12:00:00.000Z", "requested_by_customer"),
    ]


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_came_to_nothing_is_taken_back(status: str) -> None:
    came_to_nothing = refund_object("refund.failed", "09-06 07:00:00", status=status)
    assert amounts(PAID, level(1500, "09-03 12:00:01", 0), came_to_nothing) == {"paid:ch_fern": 4200}
    assert amounts(PAID, refund_object("refund.created", "09-03 12:00:01"), came_to_nothing) == {"paid:ch_fern": 4200}


def test_a_refund_that_failed_before_the_charge_ever_counted_it_is_none() -> None:
    pending = refund_object("refund.created", "09-03 12:00:01", status="pending")
    assert amounts(PAID, pending, refund_object("refund.failed", "09-06 07:00:00", status="failed")) == {
        "paid:ch_fern": 4200
    }


def test_a_failed_refund_of_a_partly_captured_charge_leaves_what_was_captured() -> None:
    captured = {"amount": 9000, "amount_captured": 6500}
    events = (
        happened("charge.captured", "09-02 10:00:00", charge(ENDIVE, "birch", **captured, amount_refunded=2500)),
        happened(
            "charge.refunded",
            "09-03 12:00:01",
            charge(ENDIVE, "birch", **captured, amount_refunded=4000),
            {"amount_refunded": 2500},
        ),
        happened("refund.failed", "09-06 07:00:00", refund(ENDIVE, "birch", status="failed")),
    )
    assert amounts(*events[:2]) == {"paid:ch_birch": 6500, "refunded:ch_birch:1500": 1500}
    assert amounts(*events) == {"paid:ch_birch": 6500}


def test_a_payment_given_back_in_its_own_second_is_both() -> None:
    back = level(4200, "09-01 10:00:02", 0)
    assert amounts(PAID, back) == {"paid:ch_fern": 4200, "refunded:ch_fern:4200": 4200}


@pytest.mark.parametrize("apart", [0, 1, 3600])
def test_a_refund_that_had_failed_before_everything_was_imported_is_not_taken_back_twice(apart: int) -> None:
    good = {"id": "re_fern2", "amount": 2000, "created": at("09-04 12:00:00")}
    objects = (
        charge(ENDIVE, "fern", amount_refunded=2000),
        refund(ENDIVE, "fern", **good),
        refund(ENDIVE, "fern", status="failed"),
    )
    world = World()
    for number, one in enumerate(objects):
        world.fetch(one, at("09-08 10:00:00") + number * apart)
    world.settle()
    assert told(world, "amount_minor") == [("paid:ch_fern", 4200), ("refunded:ch_fern:2000", 2000)]


def test_of_two_refunds_only_the_one_that_failed_is_taken_back() -> None:
    second = {"id": "re_fern2", "amount": 2000, "created": at("09-04 12:00:00")}
    events = (
        PAID,
        refund_object("refund.created", "09-03 12:00:01"),
        refund_object("refund.created", "09-04 12:00:01", **second),
        level(1500, "09-03 12:00:01", 0),
        level(3500, "09-04 12:00:01", 1500),
        refund_object("refund.failed", "09-06 07:00:00", status="failed"),
    )
    assert amounts(*events) == {"paid:ch_fern": 4200, "refunded:ch_fern:2000": 2000}


def test_a_later_charge_that_shows_less_refunded_takes_the_step_back() -> None:
    less = happened("charge.updated", "09-06 07:00:00", charge(ENDIVE, "fern"), {"amount_refunded": 1500})
    assert amounts(PAID, level(1500, "09-03 12:00:01", 0), less) == {"paid:ch_fern": 4200}


def test_refunds_of_one_second_are_told_in_the_order_of_their_ids() -> None:
    events = (
        PAID,
        refund_object("refund.created", "09-03 12:00:01", id="re_b", amount=500, reason="duplicate"),
        refund_object("refund.created", "09-03 12:00:01", id="re_a", amount=700, reason=None),
        level(1200, "09-03 12:00:02"),
    )
    assert told(outcome(*events), "amount_minor", "reason_code") == [
        ("paid:ch_fern", 4200, ""),
        ("refunded:ch_fern:1200", 500, "duplicate"),
        ("refunded:ch_fern:700", 700, ""),
    ]


def test_in_the_old_shape_the_charges_own_list_tells_every_refund() -> None:
    second = refund(V2020, "fern", id="re_fern2", amount=2700, created=at("09-04 12:00:00"), reason="duplicate")
    listed = stripe_list("/v1/charges/ch_fern/refunds", refund(V2020, "fern"), second)
    body = charge(V2020, "fern", amount_refunded=4200, refunded=True, refunds=listed)
    world = outcome(happened("charge.refunded", "09-04 12:00:01", body, shape=V2020))
    assert told(world, "amount_minor", "occurred_at", "reason_code") == [
        ("paid:ch_fern", 4200, "2026-09-01T10:00:00.000Z", ""),
        ("refunded:ch_fern:1500", 1500, "2026-09-03T12:00:00.000Z", "requested_by_customer"),
        ("refunded:ch_fern:4200", 2700, "2026-09-04T12:00:00.000Z", "duplicate"),
    ]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(1, 500), min_size=1, max_size=8),
    kept=st.lists(st.booleans(), min_size=8, max_size=8),
    tells_before=st.booleans(),
    randomness=st.randoms(use_true_random=False),
)
def test_whatever_is_lost_the_rows_sum_to_the_newest_amount_refunded(
    steps: list[int], kept: list[bool], tells_before: bool, randomness: object
) -> None:
    totals = list(accumulate(steps))
    events = [
        level(total, f"09-1{number} 12:00:00", total - step if tells_before else None)
        for number, (step, total) in enumerate(zip(steps, totals, strict=True))
        if kept[number] or total == totals[-1]
    ]
    events.append(PAID)
    randomness.shuffle(events)  # type: ignore[attr-defined]
    rows = run(events, partitions=2).rows().values()
    assert sum(row["amount_minor"] for row in rows if row["metric"] == "Refunded Payment") == totals[-1]
    assert all(row["amount_minor"] > 0 for row in rows)


def test_the_same_amount_refunded_again_after_a_failure_has_the_time_of_the_second() -> None:
    failed = happened("charge.updated", "09-04 08:00:00", charge(ENDIVE, "fern"), {"amount_refunded": 1500})
    again = level(1500, "09-05 12:00:01", 0)
    assert told(outcome(PAID, level(1500, "09-03 12:00:01", 0), failed, again), "amount_minor", "occurred_at") == [
        ("paid:ch_fern", 4200, "2026-09-01T10:00:00.000Z"),
        ("refunded:ch_fern:1500", 1500, "2026-09-05T12:00:01.000Z"),
    ]


def test_a_refund_that_names_no_charge_is_looked_up() -> None:
    body = refund(ENDIVE, "fern") | {"charge": None, "customer": None}
    world = run([])
    world.feed(happened("refund.created", "09-03 12:00:01", body))
    assert list(world.ledgers[0].changes.lookups) == [("default|live", "refund", body["id"])]


# A refund and its reversal in one second.

REVERSED = happened("charge.updated", "09-03 12:00:00", charge(ENDIVE, "fern"), {"amount_refunded": 1500})
MADE = refund_object("refund.created", "09-03 12:00:00")
FAILED = refund_object("refund.failed", "09-03 12:00:00", status="failed")


@pytest.mark.parametrize(
    "events",
    [
        [level(1500, "09-03 12:00:00", 0), FAILED],
        [level(1500, "09-03 12:00:00"), FAILED],
        [level(1500, "09-03 12:00:00", 0), REVERSED],
        [level(1500, "09-03 12:00:00"), REVERSED],
        [level(1500, "09-03 12:00:00", 0), REVERSED, FAILED],
        [MADE, FAILED],
        [MADE, level(1500, "09-03 12:00:00", 0), REVERSED],
        [MADE, FAILED, REVERSED, level(1500, "09-03 12:00:00", 0)],
    ],
)
def test_a_refund_that_is_reversed_in_its_own_second_is_none(events: list[Json]) -> None:
    assert amounts(PAID, *events) == {"paid:ch_fern": 4200}


@pytest.mark.parametrize("known", [True, False])
def test_what_was_refunded_before_stays_when_a_refund_is_reversed_in_its_own_second(known: bool) -> None:
    earlier = refund_object("refund.created", "09-02 12:00:01", id="re_0", amount=500, created=at("09-02 12:00:00"))
    events = [
        PAID,
        level(500, "09-02 12:00:01", 0),
        level(2000, "09-03 12:00:00", 500),
        happened(
            "charge.updated", "09-03 12:00:00", charge(ENDIVE, "fern", amount_refunded=500), {"amount_refunded": 2000}
        ),
        FAILED,
        *([earlier] if known else []),
    ]
    expected = {"paid:ch_fern": 4200, "refunded:ch_fern:500": 500}
    assert amounts(*events) == expected
    without_the_reversal = [event for event in events if event["type"] != "charge.updated"]
    assert amounts(*without_the_reversal) == expected
    without_the_charges_word = [event for event in events if event not in events[2:4]]
    assert amounts(*without_the_charges_word) == expected


@given(
    steps=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9), st.booleans()), min_size=1, max_size=7),
    told=st.lists(st.booleans(), min_size=7, max_size=7),
    rng=st.randoms(use_true_random=False),
)
def test_refunds_made_and_reversed_within_seconds_sum_to_the_last_of_them_in_any_order(
    steps: list[tuple[int, int, bool]], told: list[bool], rng: Random
) -> None:
    """A step is (seconds after the one before, tens, whether it reverses the newest refund that stands)."""
    now, total, standing = at("09-03 12:00:00"), 0, list[Json]()
    events = [PAID]
    for number, (later, tens, reverses) in enumerate(steps):
        now, before = now + later, total
        if reverses and standing:
            body = standing.pop() | {"status": "failed"}
            total -= body["amount"]
        else:
            body = refund(ENDIVE, "fern", id=f"re_{number}", amount=tens * 10, created=now)
            standing.append(body)
            total += body["amount"]
        type_ = "charge.refunded" if total > before else "charge.updated"
        previous = {"amount_refunded": before} if told[number] else None
        of_charge = happened(type_, "09-03 12:00:00", charge(ENDIVE, "fern", amount_refunded=total), previous)
        events += [one | {"created": now} for one in (of_charge, happened("refund.updated", "09-03 12:00:00", body))]
    events += rng.choices(events, k=3)
    rng.shuffle(events)
    rows = run(events, partitions=2).rows().values()
    refunds = [row["amount_minor"] for row in rows if row["metric"] == "Refunded Payment"]
    assert (sum(refunds), min(refunds, default=1) > 0) == (total, True)


# The released rest of an authorization.


def captured(created: str, refunded: int = 2500) -> Json:
    body = charge(ENDIVE, "birch", amount=9000, amount_captured=6500, amount_refunded=refunded)
    return happened("charge.captured", created, body)


@pytest.mark.parametrize("counted", [2500, 0])
def test_a_released_rest_that_is_booked_after_the_captures_event_is_no_refund(counted: int) -> None:
    """Also where the capture's event does not count it yet."""
    release = {"amount": 2500, "created": at("09-02 10:00:01"), "reason": None}
    booked = happened("refund.created", "09-02 10:00:01", refund(ENDIVE, "birch", **release))
    assert amounts(captured("09-02 10:00:00", counted), booked) == {"paid:ch_birch": 6500}
    real = happened("refund.created", "09-03 12:00:00", refund(ENDIVE, "birch", id="re_real"))
    assert amounts(captured("09-02 10:00:00", counted), booked, real) == {
        "paid:ch_birch": 6500,
        "refunded:ch_birch:1500": 1500,
    }


def test_a_refund_of_the_released_amount_that_is_made_days_later_is_one() -> None:
    real = refund(ENDIVE, "birch", amount=2500, created=at("09-05 12:00:00"))
    assert amounts(captured("09-02 10:00:00"), happened("refund.created", "09-05 12:00:00", real)) == {
        "paid:ch_birch": 6500,
        "refunded:ch_birch:2500": 2500,
    }


@pytest.mark.parametrize("after", [1, 59])
def test_a_refund_that_is_stamped_a_moment_after_the_snapshot_that_counts_it_is_one(after: int) -> None:
    """Stripe's `created` of the refund can be later than that of the event whose charge shows it."""
    made = at("09-03 12:00:00")
    body = charge(ENDIVE, "stamp", amount_refunded=1500)
    events = (
        happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "stamp")),
        happened("charge.refunded", "09-03 12:00:00", body, {"amount_refunded": 0}),
        happened("refund.created", "09-03 12:00:00", refund(ENDIVE, "stamp", created=made + after)),
    )
    assert amounts(*events) == {"paid:ch_stamp": 4200, "refunded:ch_stamp:1500": 1500}


def test_never_more_is_refunded_than_was_captured() -> None:
    """Refunds that can't all be true, such as those of a charge whose newest state was lost."""
    many = [
        happened(
            "refund.created", f"09-0{day} 12:00:00", refund(ENDIVE, "all") | {"id": f"re_all{day}", "amount": 2000}
        )
        for day in (3, 4, 5)
    ]
    for day, event in zip((3, 4, 5), many, strict=True):
        event["data"]["object"]["created"] = at(f"09-0{day} 12:00:00")
    paid, *rows = told(
        outcome(happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "all")), *many), "amount_minor"
    )
    assert paid == ("paid:ch_all", 4200)
    assert sum(amount for _, amount in rows) == 4200
