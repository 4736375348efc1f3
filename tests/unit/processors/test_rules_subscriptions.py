"""Subscription Started, Changed, Canceled and Trial Ending, whatever the order of events and the API version.

Source: Stripe, the Subscription object and "Types of events": `previous_attributes` of `customer.subscription.updated`;
`cancel_at_period_end` and `ended_at`; a price is licensed or metered, per unit or tiered, for an interval.
"""

from typing import Any

import pytest

from schemas.errors import BadEvent
from tests.fixtures.stripe.belongings import subscription
from tests.fixtures.stripe.charges import CUSTOMER, customer
from tests.fixtures.stripe.invoices import SUBSCRIPTION
from tests.fixtures.stripe.shapes import ENDIVE, SHAPES, Json, Shape, at, stripe_list
from tests.fixtures.stripe.story import happened, outcome, told
from tests.ledger_harness import World, run

PREFIX = f"default:live:subscription_started:{SUBSCRIPTION}"
WHO = happened("customer.created", "08-31 18:00:00", customer(ENDIVE))


def priced(quantity: int = 2, unit: int | None = 900, **recurring: object) -> Json:
    """Items of one price, 9.00 a month for each of two."""
    period = {"interval": "month", "interval_count": 1, "usage_type": "licensed"} | recurring
    price: Json = {"id": f"price_{unit}", "object": "price", "currency": "usd", "product": "prod_berth"}
    price |= {"billing_scheme": "per_unit", "nickname": "Berth", "recurring": period, "unit_amount": unit}
    item: Json = {"id": "si_1", "object": "subscription_item", "price": price, "quantity": quantity}
    return stripe_list("/v1/subscription_items", item)


def sub(status: str = "active", shape: Shape = ENDIVE, **changes: object) -> Json:
    return subscription(shape, status, **({"currency": "usd", "items": priced()} | changes))


def event(name: str, when: str, body: Json, previous: Json | None = None, shape: Shape = ENDIVE) -> Json:
    return happened(f"customer.subscription.{name}", when, body, previous, shape=shape)


def rows(world: World, metric: str) -> list[dict[str, Any]]:
    return [row for row in world.rows().values() if row["metric"] == metric]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
def test_a_subscription_starts_with_its_plan_in_every_shape(shape: Shape) -> None:
    """The oldest shapes tell the currency and the price by the plan of each item."""
    (row,) = outcome(WHO, event("created", "09-01 09:00:00", subscription(shape), shape=shape)).rows().values()
    assert (row["metric"], row["metric_id"], row["email"]) == ("Subscription Started", PREFIX, "iris.vale@example.com")
    assert (row["occurred_at"], row["amount"], row["currency"]) == ("2026-09-01T09:00:00.000Z", "42.00", "usd")
    assert row["customer_id"] == CUSTOMER
    expected = {"Subscription": SUBSCRIPTION, "Price": "price_berth", "Product": "prod_berth", "Quantity": 1}
    assert (expected | {"Interval": "month", "IntervalCount": 1}).items() <= row["properties"].items()
    assert row["properties"]["metadata"]["subscription"] == {"tier": "captain"}


def test_what_it_started_with_stays_when_it_changes_and_each_change_is_a_row() -> None:
    before = {"items": {"data": priced()["data"]}, "quantity": 2}
    world = outcome(
        event("created", "09-01 09:00:00", sub()),
        event("updated", "09-05 09:00:00", sub(items=priced(5)), before),
        event("updated", "09-09 09:00:00", sub(items=priced(5), metadata={"tier": "mate"}), {"metadata": {}}),
    )
    assert [row["amount"] for row in rows(world, "Subscription Started")] == ["18.00"]
    (changed,) = rows(world, "Subscription Changed")
    assert (changed["amount"], changed["occurred_at"]) == ("45.00", "2026-09-05T09:00:00.000Z")
    expected = {"PreviousAmount": "18.00", "PreviousQuantity": 2, "PreviousPrice": "price_900", "Quantity": 5}
    assert expected.items() <= changed["properties"].items()


def test_two_changes_of_one_second_are_two_rows_and_a_repeated_one_is_one() -> None:
    one = event("updated", "09-05 09:00:00", sub(items=priced(3)), {"items": {"data": priced(2)["data"]}})
    two = event("updated", "09-05 09:00:00", sub(items=priced(4)), {"items": {"data": priced(3)["data"]}})
    again = {**one, "id": "evt_of_another_endpoint"}
    amounts = sorted(row["amount"] for row in rows(outcome(one, two, again), "Subscription Changed"))
    assert amounts == ["27.00", "36.00"]


def test_a_discount_changes_what_it_costs_and_is_told() -> None:
    coupon = {"id": "SPRING", "percent_off": 20, "amount_off": None}
    world = outcome(
        event(
            "updated",
            "09-05 09:00:00",
            sub(discounts=[{"id": "di_1", "source": {"coupon": coupon}}]),
            {"discounts": []},
        )
    )
    (changed,) = rows(world, "Subscription Changed")
    assert changed["amount"] == "18.00"  # before discounts
    assert (changed["properties"]["Coupon"], changed["properties"]["PercentOff"]) == ("SPRING", "20")


def test_it_is_canceled_when_it_has_ended_and_not_when_that_was_asked_for() -> None:
    asked, ends = at("09-10 12:00:00"), at("10-01 09:00:00")
    why = {"reason": "cancellation_requested", "feedback": "too_expensive", "comment": "It rains."}
    will = {"cancel_at_period_end": True, "canceled_at": asked, "cancel_at": ends, "cancellation_details": why}
    first = event("updated", "09-10 12:00:00", sub(**will), {"cancel_at_period_end": False})
    assert not rows(outcome(first), "Subscription Canceled")
    assert not rows(outcome(first), "Subscription Changed")
    world = outcome(WHO, first, event("deleted", "10-01 09:00:00", sub("canceled", ended_at=ends, **will)))
    (row,) = rows(world, "Subscription Canceled")
    assert (row["occurred_at"], row["amount"], row["reason_code"]) == (
        "2026-10-01T09:00:00.000Z",
        "18.00",
        "too_expensive",
    )
    expected = {"CanceledAt": "2026-09-10T12:00:00.000Z", "CancelAtPeriodEnd": True, "CancellationComment": "It rains."}
    expected |= {"CancellationReason": "cancellation_requested", "CancellationFeedback": "too_expensive"}
    assert expected.items() <= row["properties"].items()


def test_what_was_never_paid_for_first_has_not_started() -> None:
    made = event("created", "09-01 09:00:00", sub("incomplete"))
    assert outcome(made).rows() == {}
    assert (
        outcome(made, event("updated", "09-02 09:00:00", sub("incomplete_expired"), {"status": "incomplete"})).rows()
        == {}
    )
    paid = event("updated", "09-01 09:00:05", sub(), {"status": "incomplete"})
    assert told(outcome(made, paid), "metric") == [(f"subscription_started:{SUBSCRIPTION}", "Subscription Started")]


def test_a_trial_is_told_to_end_once_an_end_and_a_paused_one_starts_again() -> None:
    ends = at("09-15 09:00:00")
    trial = {"trial_start": at("09-01 09:00:00"), "trial_end": ends}
    world = outcome(
        event("created", "09-01 09:00:00", sub("trialing", **trial)),
        event("trial_will_end", "09-12 09:00:00", sub("trialing", **trial)),
        event("trial_will_end", "09-12 09:00:07", sub("trialing", **trial)),
        event("paused", "09-15 09:00:00", sub("paused", **trial)),
        event("resumed", "09-20 10:00:00", sub(**trial)),
    )
    assert [(row["metric_id"], row["occurred_at"]) for row in rows(world, "Trial Ending")] == [
        (f"default:live:trial_ending:{SUBSCRIPTION}:{ends}", "2026-09-12T09:00:00.000Z")
    ]
    assert sorted(
        (row["metric_id"], row["properties"].get("Resumed")) for row in rows(world, "Subscription Started")
    ) == [
        (PREFIX, None),
        (f"{PREFIX}:{at('09-20 10:00:00')}", True),
    ]


@pytest.mark.parametrize(
    ("items", "amount", "excluded"),
    [
        (priced(2, 900, usage_type="metered"), "0.00", "metered"),
        (priced(3, None), "0.00", "unknown"),
        (priced(1, 120_000, interval="year"), "1200.00", None),
        (priced(2, 900, interval_count=3), "18.00", None),
        (
            stripe_list("", *priced(2, 900)["data"], *priced(1, 5000, interval="year")["data"]),
            "18.00",
            "other interval",
        ),
    ],
)
def test_the_amount_is_a_period_of_the_fixed_prices_and_says_what_is_not_in_it(
    items: Json, amount: str, excluded: str | None
) -> None:
    (row,) = outcome(event("created", "09-01 09:00:00", sub(items=items))).rows().values()
    assert (row["amount"], row["properties"].get("AmountExcludes")) == (amount, excluded)


def test_tiers_packs_and_parts_of_a_cent() -> None:
    tiered, packs, part = (priced(7, 900)["data"][0] for _ in range(3))
    tiered["price"] |= {"billing_scheme": "tiered", "unit_amount": None}
    packs["price"] |= {"transform_quantity": {"divide_by": 5, "round": "up"}}  # two packs of 9.00
    part["price"] |= {"unit_amount": None, "unit_amount_decimal": "0.5"}  # seven half cents
    (row,) = (
        outcome(event("created", "09-01 09:00:00", sub(items=stripe_list("", tiered, packs, part)))).rows().values()
    )
    assert (row["amount"], row["properties"]["AmountExcludes"]) == ("18.04", "tiered")


def test_an_import_alone_tells_of_start_and_end_and_events_of_before_mend_what_it_started_with() -> None:
    world = World()
    world.fetch(sub("canceled", items=priced(5), ended_at=at("10-01 09:00:00")), at("11-01 09:00:00"))
    world.settle()
    assert {row["metric"]: (row["amount"], row["source"]) for row in world.rows().values()} == {
        "Subscription Started": ("45.00", "import"),
        "Subscription Canceled": ("45.00", "import"),
    }
    world.feed(event("created", "09-01 09:00:00", sub()))
    world.settle()
    assert {row["metric"]: row["amount"] for row in world.rows().values()} == {
        "Subscription Started": "18.00",
        "Subscription Canceled": "45.00",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"items": {"data": [7]}},
        {"items": {"data": [{"price": 7}]}},
        {"items": {"data": [{"price": {"unit_amount_decimal": "Infinity"}}]}},
        {"items": {"data": [{"quantity": -1}]}},
        {"currency": "zz"},
        {"discounts": 7},
        {"discounts": [7]},
        {"cancellation_details": {"comment": 7}},
        {"trial_end": "soon"},
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused(changes: Json) -> None:
    with pytest.raises(BadEvent):
        run([event("updated", "09-01 09:00:00", sub(**changes), {"items": {"data": []}})])
