"""Monthly recurring revenue by Stripe's definition, each case reckoned by hand.

Source: Stripe, "Billing metric definitions" (active and past_due, a yearly price by twelve, no trials or metered ones,
unpaid and canceled are churn), "Impact of discounts and coupons on MRR", "Impact of subscription cancellations on MRR",
"Tiered pricing", "Pause payment collection" (the status stays as it is).
"""

from decimal import Decimal
from typing import Any

import pytest

from schemas.errors import BadEvent
from schemas.mrr import MrrMovement
from tests.fixtures.stripe.belongings import subscription
from tests.fixtures.stripe.charges import CUSTOMER
from tests.fixtures.stripe.invoices import SUBSCRIPTION
from tests.fixtures.stripe.shapes import ENDIVE, SHAPES, Json, Shape, at, stripe_list
from tests.fixtures.stripe.story import happened, outcome
from tests.ledger_harness import World, run

BERTH = (CUSTOMER, "prod_berth", "usd")
MADE, LATER = "09-01 09:00:00", "09-05 09:00:00"
LAST = at("12-31 23:59:59")


def item(quantity: int | None = 1, unit: int | str | None = 1200, name: str = "berth", **changes: Any) -> Json:
    """An item of a price in cents; `changes` of its price or of the price's `recurring`."""
    period = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
    period |= {key: value for key, value in changes.items() if key in period}
    price: Json = {"id": f"price_{name}", "object": "price", "currency": "usd", "product": f"prod_{name}"}
    price |= {"billing_scheme": "per_unit", "recurring": period, "unit_amount_decimal": unit and str(unit)}
    price |= {key: value for key, value in changes.items() if key not in (*period, "discounts")}
    body: Json = {"id": f"si_{name}", "object": "subscription_item", "price": price, "quantity": quantity}
    return body | ({"discounts": changes["discounts"]} if "discounts" in changes else {})


def sub(*items: Json, status: str = "active", shape: Shape = ENDIVE, **changes: Any) -> Json:
    listed = {"items": stripe_list("/v1/subscription_items", *(items or (item(),)))}
    return subscription(shape, status, **({"currency": "usd"} | listed | changes))


def event(name: str, when: str, body: Json, previous: Json | None = None) -> Json:
    return happened(f"customer.subscription.{name}", when, body, previous)


def created(*items: Json, **changes: Any) -> Json:
    return event("created", MADE, sub(*items, **changes))


def berth(*events: Json) -> Decimal:
    """What the berth comes to a month in the end."""
    return outcome(*events).mrr(LAST).get(BERTH, Decimal(0))


def moves(world: World) -> list[tuple[str, str, str, bool]]:
    """(when, change, why it does not count, found late) of each movement."""
    return [
        (one["occurred_at"][5:16], item["amount"].rstrip("0").rstrip("."), one["status"], one["found_late"])
        for one in world.movements().values()
        for item in one["items"]
    ]


@pytest.mark.parametrize(
    ("one", "a_month"),
    [
        (item(1, 1200), "12"),
        (item(3, 1200), "36"),
        (item(1, 120_000, interval="year"), "100"),  # Stripe's own example: 1,200 a year is 100 a month
        (item(1, 60_000, interval="year"), "50"),
        (item(1, 3000, interval_count=3), "10"),
        (item(1, 240_000, interval="year", interval_count=2), "100"),
        (item(1, 1200, interval="week"), "52"),  # 12 × 52 / 12
        (item(1, 2400, interval="week", interval_count=2), "52"),
        (item(1, 120, interval="day"), "36.5"),  # 1.20 × 365 / 12
        (item(7, "0.5"), "0.035"),  # seven half cents: rounded only when it is shown
        (item(1, 1000, interval="year"), "0.833333333333"),  # 10 / 12
        (item(0, 1200), "0"),
        (item(1, 0), "0"),  # a free plan
        (item(None, 1200, usage_type="metered"), "0"),
        (item(12, 900, transform_quantity={"divide_by": 5, "round": "up"}), "27"),  # three packs
    ],
)
def test_a_price_is_brought_to_a_month_exactly(one: Json, a_month: str) -> None:
    assert berth(created(one)) == Decimal(a_month)


def test_products_and_currencies_stand_apart() -> None:
    world = outcome(created(item(2, 1000), item(1, 120_000, "hull", interval="year"), item(1, 500, "buoy")))
    expected = {"prod_berth": 20, "prod_hull": 100, "prod_buoy": 5}
    assert world.mrr(LAST) == {(CUSTOMER, product, "usd"): Decimal(amount) for product, amount in expected.items()}
    yen = item(1, 1200) | {"price": item(1, 1200)["price"] | {"currency": "jpy"}}
    assert outcome(created(yen, currency="jpy")).mrr(LAST) == {(CUSTOMER, "prod_berth", "jpy"): Decimal(1200)}
    assert outcome(created(item(1, 1200), currency="kwd")).mrr(LAST) == {
        (CUSTOMER, "prod_berth", "kwd"): Decimal("1.2")
    }


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
def test_every_shape_tells_what_it_comes_to(shape: Shape) -> None:
    told = happened("customer.subscription.created", MADE, subscription(shape), shape=shape)
    assert outcome(told).mrr(LAST) == {BERTH: Decimal(42)}


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("active", True),
        ("past_due", True),
        ("trialing", False),
        ("incomplete", False),
        ("incomplete_expired", False),
        ("unpaid", False),
        ("paused", False),
        ("canceled", False),
    ],
)
def test_only_active_and_past_due_count(status: str, counts: bool) -> None:
    assert berth(created(status=status)) == (12 if counts else 0)


def test_a_trial_is_new_when_it_is_paid_for_and_unpaid_is_churn_until_it_is_paid() -> None:
    world = outcome(
        created(status="trialing"),
        event("updated", "09-15 09:00:00", sub(), {"status": "trialing"}),
        event("updated", "10-15 09:00:00", sub(status="past_due"), {"status": "active"}),
        event("updated", "10-30 09:00:00", sub(status="unpaid"), {"status": "past_due"}),
        event("updated", "11-05 09:00:00", sub(), {"status": "unpaid"}),
    )
    assert moves(world) == [
        ("09-15T09:00", "12", "active", False),
        ("10-30T09:00", "-12", "unpaid", False),
        ("11-05T09:00", "12", "active", False),
    ]
    for one in world.moved.values():
        MrrMovement.model_validate(one)


def test_more_less_and_another_product_move_what_changes() -> None:
    hull = item(1, 5000, "hull")
    world = outcome(
        created(item(2, 1000)),
        event("updated", LATER, sub(item(5, 1000)), {"items": {"data": [item(2, 1000)]}}),
        event("updated", "09-09 09:00:00", sub(item(1, 1000)), {"items": {"data": [item(5, 1000)]}}),
        event("updated", "09-11 09:00:00", sub(hull), {"items": {"data": [item(1, 1000)]}}),
        event("deleted", "09-20 09:00:00", sub(hull, status="canceled", ended_at=at("09-20 09:00:00"))),
    )
    assert [amount for _, amount, _, _ in moves(world)] == ["20", "30", "-40", "-10", "50", "-50"]
    assert world.mrr(LAST) == {}


def test_what_is_to_end_with_its_period_no_longer_counts_from_when_that_was_asked_for() -> None:
    ends, asked = at("10-01 09:00:00"), at("09-10 12:00:00")
    will = {"cancel_at_period_end": True, "canceled_at": asked, "cancel_at": ends}
    world = outcome(
        created(),
        event("updated", "09-10 12:00:00", sub(**will), {"cancel_at_period_end": False}),
        event("updated", "09-12 12:00:00", sub(), {"cancel_at_period_end": True}),
        event("updated", "09-14 12:00:00", sub(**will), {"cancel_at_period_end": False}),
        event("deleted", "10-01 09:00:00", sub(status="canceled", ended_at=ends, **will)),
    )
    assert [(when, amount) for when, amount, _, _ in moves(world)] == [
        ("09-01T09:00", "12"),
        ("09-10T12:00", "-12"),
        ("09-12T12:00", "12"),
        ("09-14T12:00", "-12"),
    ]


def test_a_date_of_end_counts_from_its_last_period_on() -> None:
    """`cancel_at` of a contract may be a year away. Since 2025 the period is the item's."""
    one = item() | {"current_period_end": at("10-01 09:00:00")}
    assert berth(created(one, cancel_at=at("12-01 09:00:00"))) == 12
    assert berth(created(one, cancel_at=at("10-01 09:00:00"))) == 0
    assert berth(created(cancel_at=at("10-01 09:00:00"), current_period_end=at("10-01 09:00:00"))) == 0


def test_a_pause_of_collection_changes_nothing_and_the_status_paused_does() -> None:
    world = outcome(
        created(),
        event("updated", LATER, sub(pause_collection={"behavior": "void"}), {"pause_collection": None}),
        event("paused", "09-20 09:00:00", sub(status="paused")),
        event("resumed", "09-25 09:00:00", sub()),
    )
    assert [(when, amount) for when, amount, _, _ in moves(world)] == [
        ("09-01T09:00", "12"),
        ("09-20T09:00", "-12"),
        ("09-25T09:00", "12"),
    ]


def coupon(duration: str = "forever", percent: float | None = None, off: int | None = None) -> Json:
    body: Json = {"id": f"C{duration}{percent}{off}", "object": "coupon", "duration": duration}
    return body | {"percent_off": percent, "amount_off": off, "currency": "usd" if off else None}


def discount(name: str, *args: Any, **kwargs: Any) -> Json:
    """As since 2025-09-30, when its coupon is shown."""
    return {"id": name, "object": "discount", "source": {"type": "coupon", "coupon": coupon(*args, **kwargs)}}


@pytest.mark.parametrize(
    ("discounts", "a_month"),
    [
        ([discount("di_1", "forever", 50)], "6"),  # Stripe's own example: it is halved
        ([discount("di_1", "once", 50)], "12"),
        ([discount("di_1", "repeating", 50)], "12"),
        ([discount("di_1", "forever", 12.5)], "10.5"),
        ([discount("di_1", "forever", off=300)], "9"),
        ([discount("di_1", "forever", off=5000)], "0"),  # never below nothing
        ([discount("di_1", "forever", 50), discount("di_2", "forever", off=100)], "5"),
        ([discount("di_2", "forever", off=200), discount("di_1", "forever", 50)], "5"),
        ([discount("di_2", "once", off=200), discount("di_1", "forever", 50)], "6"),
    ],
)
def test_coupons_that_are_for_ever_are_taken_off_in_their_order(discounts: list[Json], a_month: str) -> None:
    assert berth(created(discounts=discounts)) == Decimal(a_month)


def test_an_amount_off_is_off_each_invoice_and_shared_by_what_is_on_it() -> None:
    """12.00 off 120.00 a year is 1.00 off 10.00 a month; 6.00 off 12.00 and 24.00 is a sixth off each."""
    off = [discount("di_1", "forever", off=1200)]
    assert berth(created(item(1, 12_000, interval="year"), discounts=off)) == 9
    world = outcome(created(item(1, 1200), item(1, 2400, "hull"), discounts=[discount("di_1", "forever", off=600)]))
    assert world.mrr(LAST) == {BERTH: Decimal(10), (CUSTOMER, "prod_hull", "usd"): Decimal(20)}


def test_an_items_own_discount_comes_before_the_subscriptions() -> None:
    own = item(1, 1200, discounts=[discount("di_1", "forever", off=200)])
    world = outcome(created(own, item(1, 1000, "hull"), discounts=[discount("di_2", "forever", 50)]))
    assert world.mrr(LAST) == {BERTH: Decimal(5), (CUSTOMER, "prod_hull", "usd"): Decimal(5)}


def test_a_discount_as_it_was_shown_until_2025() -> None:
    old = {"id": "di_1", "object": "discount", "coupon": coupon("forever", 25)}
    assert berth(created(discount=old)) == 9
    assert berth(created(discount=old, discounts=["di_1"])) == 9  # the same one, told twice


def asked(world: World) -> list[tuple[str, str]]:
    return [(kind, name) for ledger in world.ledgers for _, kind, name in ledger.changes.lookups if kind != "customer"]


def test_a_coupon_that_events_only_name_is_asked_for_once_and_holds_from_when_it_was_given() -> None:
    world = World()
    world.feed(created())
    world.feed(event("updated", LATER, sub(discounts=["di_1"]), {"discounts": []}))
    assert asked(world) == [("subscription", SUBSCRIPTION)]
    world.settle()
    assert [one["excludes"] for one in world.movements().values()] == [""]  # as if there were none
    world.feed(event("updated", "09-06 09:00:00", sub(discounts=["di_1"]), {"metadata": {}}))
    assert asked(world) == []
    world.fetch(sub(discounts=[discount("di_1", "forever", 50)]), at("09-07 09:00:00"))
    world.settle()
    assert moves(world) == [("09-01T09:00", "12", "active", False), ("09-05T09:00", "-6", "active", False)]


def test_what_it_does_not_contain_is_named() -> None:
    tiers = item(7, None, "tiers", billing_scheme="tiered")
    world = outcome(created(item(), item(None, 5, "use", usage_type="metered"), tiers, discounts=["di_1"]))
    (one,) = world.movements().values()
    assert one["excludes"] == "coupon, metered, tiered"


TIERS = [
    {"up_to": 5, "unit_amount_decimal": "1000", "flat_amount": None},
    {"up_to": 10, "unit_amount_decimal": "800", "flat_amount": 500},
    {"up_to": None, "unit_amount_decimal": "500", "flat_amount": 0},
]


@pytest.mark.parametrize(
    ("mode", "quantity", "a_month"),
    [
        ("volume", 5, "50"),
        ("volume", 6, "53"),  # 6 × 8 + 5
        ("volume", 20, "100"),
        ("graduated", 5, "50"),
        ("graduated", 6, "63"),  # 5 × 10 + 1 × 8 + 5
        ("graduated", 12, "105"),  # 5 × 10 + 5 × 8 + 5 + 2 × 5
    ],
)
def test_tiers_that_a_look_up_shows_are_counted(mode: str, quantity: int, a_month: str) -> None:
    shown = item(quantity, None, billing_scheme="tiered", tiers_mode=mode, tiers=TIERS)
    hidden = item(quantity, None, billing_scheme="tiered", tiers_mode=mode)
    world = run([created(hidden)])
    assert (world.mrr(LAST), len(world.moved)) == ({}, 0)
    world.fetch(sub(shown), at(LATER))
    world.settle()
    assert moves(world) == [("09-01T09:00", a_month, "active", False)]


def test_an_import_tells_of_now_and_of_no_time_before() -> None:
    world = World()
    world.fetch(sub(), at("11-01 09:00:00"))
    world.settle()
    ((_, one),) = world.movements().items()
    assert moves(world) == [("11-01T09:00", "12", "active", True)]
    assert (one["known_since"], one["started_at"]) == ("2026-11-01T09:00:00.000Z", "2026-09-01T09:00:00.000Z")
    world.fetch(sub(status="canceled", ended_at=at("11-10 09:00:00")), at("11-20 09:00:00"))
    world.settle()
    assert moves(world)[1:] == [("11-10T09:00", "-12", "canceled", True)]  # the object says when


def test_of_what_had_ended_before_it_was_known_nothing_is_told() -> None:
    world = World()
    world.fetch(sub(status="canceled", ended_at=at("10-01 09:00:00")), at("11-01 09:00:00"))
    world.settle()
    assert world.movements() == {}


def test_a_change_whose_event_was_lost_is_found_late_and_its_event_puts_it_right() -> None:
    lost = event("updated", LATER, sub(item(3)), {"items": {"data": [item()]}})
    renewed = event("updated", "10-01 09:00:00", sub(item(3)), {"current_period_start": at(MADE)})
    world = run([created(), renewed])
    assert moves(world) == [("09-01T09:00", "12", "active", False), ("10-01T09:00", "24", "active", True)]
    for one in (lost, lost):
        world.feed(one)
        world.settle()
    assert moves(world) == [("09-01T09:00", "12", "active", False), ("09-05T09:00", "24", "active", False)]
    assert moves(outcome(created(), lost, renewed)) == moves(world)


@pytest.mark.parametrize(
    "changes",
    [
        {"cancel_at": "soon"},
        {"discounts": [{"id": "di_1", "coupon": {"percent_off": 120}}]},
        {"discounts": [{"id": "di_1", "coupon": {"percent_off": "half"}}]},
        {"discounts": [{"id": "di_1", "source": 7}]},
        {"items": {"data": [item(price=None) | {"discounts": 7}]}},
        {"items": {"data": [item(tiers=[{"up_to": -1}])]}},
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(changes: Json) -> None:
    world = run([created()])
    before = {key: bytes(value) for key, value in world.stores[0].stored.items()}
    with pytest.raises(BadEvent):
        world.feed(event("updated", LATER, sub(**changes), {"items": {"data": []}}))
    world.checkpoint()
    assert world.stores[0].stored == before


def test_a_price_beyond_all_bounds_stays_a_number() -> None:
    (one,) = run([created(item(2**31 - 1, 2**63 - 1, interval="day"))]).movements().values()
    assert len(one["items"][0]["mrr"]) < 39
