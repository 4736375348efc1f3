"""An event that makes no sense is refused whole: the field is named, and nothing that was known changes."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from processors.rules.observation import observe
from schemas.errors import BadEvent
from tests.fixtures.stripe.charges import CUSTOMER, charge, customer, dispute, refund, refunded
from tests.fixtures.stripe.history import HISTORIES
from tests.fixtures.stripe.invoices import invoice, upcoming
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, SHAPES, V2018, V2020, V2024, Json, at
from tests.fixtures.stripe.story import happened, told
from tests.ledger_harness import World, envelope_of

LONE_SURROGATE = "caf\ud800"


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = {"deeper": value}
    return value


def some_history() -> World:
    """A world that knows the objects that the bad events are about."""
    world = World()
    for type_ in (
        "charge.refunded",
        "invoice.payment_failed",
        "invoice.upcoming",
        "charge.dispute.created",
        "customer.created",
    ):
        for event in HISTORIES[type_](V2024):
            world.feed(event)
    world.settle()
    return world


def fold(world: World, event: Any, envelope: Json) -> None:
    observation = observe(envelope, event)
    assert observation is not None
    world.ledgers[0].apply(observation)


def kept(world: World) -> Json:
    return {key: orjson.loads(value) for key, value in world.stores[0].stored.items()}


def refuse(event: Any, envelope: Json | None = None) -> str:
    """The path that is named when `event` is refused; fails unless all that is kept stays as it was."""
    world = some_history()
    before, facts = kept(world), world.facts()
    with pytest.raises(BadEvent) as error:
        fold(world, event, envelope or envelope_of(event))
    changes = world.ledgers[0].changes
    assert (changes.rows, changes.people, changes.transfers) == ({}, {}, [])
    world.settle()
    assert kept(world) == before
    assert world.facts() == facts
    assert error.value.reason
    return error.value.path


def bad_charge(**changes: object) -> Json:
    return happened("charge.updated", "09-10 10:00:00", refunded(ENDIVE, "fern") | changes)


def bad_invoice(**changes: object) -> Json:
    return happened("invoice.updated", "09-10 10:00:00", invoice(ENDIVE, "dune", "open") | changes)


def bad_refund(**changes: object) -> Json:
    return happened("refund.updated", "09-10 10:00:00", refund(ENDIVE, "fern") | changes)


def bad_customer(**changes: object) -> Json:
    return happened("customer.updated", "09-10 10:00:00", customer(ENDIVE) | changes)


def line(**changes: object) -> Json:
    body = invoice(ENDIVE, "dune", "open")["lines"]["data"][0] | changes
    return {"object": "list", "data": [body]}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("id", [None, "", 7, [], {}, LONE_SURROGATE]),
        ("amount", [None, "4200", 42.0, -1, True, 2**63, 10**400, [], {}]),
        ("amount_captured", ["4200", -1, 1.5, False]),
        ("amount_refunded", ["1500", -1500, 1e3, [1500]]),
        ("currency", [None, "", "u$d", "us dollar", 840, ["usd"], {"code": "usd"}, LONE_SURROGATE]),
        ("created", [None, 0, -1, 946_684_799, 4_102_444_800, "2026-09-01", 1_788_256_800.5, 1_788_256_800_000, True]),
        ("status", ["done", 7, ["succeeded"], {}, LONE_SURROGATE]),
        ("captured", ["yes", 1, []]),
        ("customer", [7, ["cus_1"], True, LONE_SURROGATE]),
        ("receipt_email", [7, ["a@example.com"], {}, LONE_SURROGATE]),
        ("failure_message", [7, [], LONE_SURROGATE]),
        ("description", [7, {}, LONE_SURROGATE]),
        ("billing_details", ["Iris", 7, []]),
        ("payment_method_details", ["card", [1]]),
        ("payment_intent", [7, [], True]),
        ("disputed", ["no", 0]),
    ],
)
def test_a_charges_field_of_a_wrong_kind_is_named(field: str, values: list[object]) -> None:
    for value in values:
        assert refuse(bad_charge(**{field: value})) == f"data.object.{field}", value


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"customer": {"object": "customer"}}, "data.object.customer.id"),
        ({"billing_details": {"email": 7}}, "data.object.billing_details.email"),
        ({"billing_details": {"email": LONE_SURROGATE}}, "data.object.billing_details.email"),
        ({"billing_details": {"address": "Porto"}}, "data.object.billing_details.address"),
        ({"billing_details": {"address": {"city": 4000}}}, "data.object.billing_details.address.city"),
        (
            {"payment_method_details": {"card": {"last4": "4242", "exp_month": "9"}}},
            "data.object.payment_method_details.card.exp_month",
        ),
        (
            {"payment_method_details": {"card": {"last4": "4242", "exp_year": -1}}},
            "data.object.payment_method_details.card.exp_year",
        ),
        ({"metadata": {"n": 7}}, "data.object.metadata.n"),
        ({"metadata": {"berth": None}}, "data.object.metadata.berth"),
        ({"metadata": {"berth": LONE_SURROGATE}}, "data.object.metadata.berth"),
        ({"metadata": {LONE_SURROGATE: "14"}}, "data.object.metadata"),
        ({"metadata": {"deep": nested(1000)}}, "data.object.metadata.deep"),
        ({"metadata": {f"key{n}": "x" * 8000 for n in range(50)}}, "data.object.metadata"),  # 400 KB
        ({"metadata": "berth=14"}, "data.object.metadata"),
        ({"refunds": []}, "data.object.refunds"),
        ({"refunds": {"data": "none"}}, "data.object.refunds.data"),
        ({"refunds": {"data": ["re_1"]}}, "data.object.refunds.data"),
        ({"refunds": {"data": [{"id": "re_1", "amount": -5}]}}, "data.object.refunds.data.0.amount"),
    ],
)
def test_a_wrong_field_inside_a_charge_is_named_with_its_path(changes: Json, path: str) -> None:
    assert refuse(bad_charge(**changes)) == path


@pytest.mark.parametrize("before", [-1, "0", 1.5, [], True])
def test_a_wrong_amount_in_previous_attributes_is_named(before: object) -> None:
    event = happened("charge.refunded", "09-10 10:00:00", refunded(ENDIVE, "fern"), {"amount_refunded": before})
    assert refuse(event) == "data.previous_attributes.amount_refunded"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": None}, "data.object.id"),
        ({"status": "settled"}, "data.object.status"),
        ({"currency": "dollars"}, "data.object.currency"),
        ({"amount_due": "4200"}, "data.object.amount_due"),
        ({"amount_paid": 42.0}, "data.object.amount_paid"),
        ({"total": 2**63}, "data.object.total"),
        ({"attempt_count": -1}, "data.object.attempt_count"),
        ({"attempt_count": "1"}, "data.object.attempt_count"),
        ({"created": 0}, "data.object.created"),
        ({"due_date": 4_102_444_800}, "data.object.due_date"),
        ({"customer": 7}, "data.object.customer"),
        ({"customer_email": ["a@example.com"]}, "data.object.customer_email"),
        ({"status_transitions": {"finalized_at": 5}}, "data.object.status_transitions.finalized_at"),
        ({"status_transitions": {"paid_at": "soon"}}, "data.object.status_transitions.paid_at"),
        ({"status_transitions": []}, "data.object.status_transitions"),
        ({"parent": "sub_1"}, "data.object.parent"),
        ({"number": 7}, "data.object.number"),
        ({"number": LONE_SURROGATE}, "data.object.number"),
        ({"metadata": {"a": 1}}, "data.object.metadata.a"),
        ({"amount_paid_off_stripe": -1}, "data.object.amount_paid_off_stripe"),
        ({"lines": []}, "data.object.lines"),
        ({"lines": {"data": [None]}}, "data.object.lines.data"),
        ({"lines": line(amount="4200")}, "data.object.lines.data.0.amount"),
        ({"lines": line(currency=None)}, "data.object.lines.data.0.currency"),
        ({"lines": line(description=7)}, "data.object.lines.data.0.description"),
        ({"lines": line(metadata={"a": []})}, "data.object.lines.data.0.metadata.a"),
        ({"lines": line(period=[1, 2])}, "data.object.lines.data.0.period"),
    ],
)
def test_a_wrong_field_of_an_invoice_is_named_with_its_path(changes: Json, path: str) -> None:
    assert refuse(bad_invoice(**changes)) == path


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (bad_refund(id=7), "data.object.id"),
        (bad_refund(amount="1500"), "data.object.amount"),
        (bad_refund(amount=-1500), "data.object.amount"),
        (bad_refund(created=0), "data.object.created"),
        (bad_refund(status=7), "data.object.status"),
        (bad_refund(reason=[]), "data.object.reason"),
        (bad_refund(charge=7), "data.object.charge"),
        (bad_customer(email=7), "data.object.email"),
        (bad_customer(email=LONE_SURROGATE), "data.object.email"),
        (bad_customer(name=[]), "data.object.name"),
        (bad_customer(address="Porto"), "data.object.address"),
        (bad_customer(address={"country": 351}), "data.object.address.country"),
        (bad_customer(metadata=[1]), "data.object.metadata"),
        (bad_customer(id=""), "data.object.id"),
        (
            happened("customer.updated", "09-10 10:00:00", customer(ENDIVE), {"email": 7}),
            "data.previous_attributes.email",
        ),
        (
            happened("charge.dispute.closed", "09-10 10:00:00", dispute(ENDIVE, "amber", "lost") | {"charge": 7}),
            "data.object.charge",
        ),
        (
            happened("charge.dispute.closed", "09-10 10:00:00", dispute(ENDIVE, "amber", "lost") | {"status": 7}),
            "data.object.status",
        ),
        (
            happened("invoice.upcoming", "09-24 09:00:00", upcoming(ENDIVE) | {"period_end": None}),
            "data.object.period_end",
        ),
        (
            happened("invoice.upcoming", "09-24 09:00:00", upcoming(V2020) | {"subscription": None, "customer": None}),
            "data.object.subscription",
        ),
        (
            happened("invoice.upcoming", "09-24 09:00:00", upcoming(ENDIVE) | {"amount_due": "42.00"}),
            "data.object.amount_due",
        ),
        (happened("invoice_payment.paid", "09-24 09:00:00", {"object": "invoice_payment"}), "data.object.id"),
    ],
)
def test_a_wrong_field_of_any_other_object_is_named_with_its_path(event: Json, path: str) -> None:
    assert refuse(event) == path


def without(event: Json, name: str) -> Json:
    return {key: value for key, value in event.items() if key != name}


@pytest.mark.parametrize("type_", sorted(HISTORIES))
@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda event: without(event, "data"), "data.object"),
        (lambda event: event | {"data": None}, "data.object"),
        (lambda event: event | {"data": []}, "data"),
        (lambda event: event | {"data": {"object": None}}, "data.object"),
        (lambda event: event | {"data": {"object": "ch_1"}}, "data.object"),
        (lambda event: event | {"data": event["data"] | {"previous_attributes": 7}}, "data.previous_attributes"),
        (lambda event: event | {"created": None}, "created"),
        (lambda event: event | {"created": "now"}, "created"),
        (lambda event: event | {"created": 0}, "created"),
        (lambda event: event | {"created": 4_102_444_800}, "created"),
        (lambda event: without(event, "livemode"), "livemode"),
        (lambda event: event | {"livemode": "true"}, "livemode"),
        (lambda event: event | {"livemode": 1}, "livemode"),
    ],
)
def test_an_event_without_what_every_event_has_is_refused(type_: str, spoil: Callable[[Json], Json], path: str) -> None:
    event = HISTORIES[type_](ENDIVE)[-1]
    with pytest.raises(BadEvent) as error:
        observe(envelope_of(event), spoil(event))
    assert error.value.path == path


@pytest.mark.parametrize("body", [None, 7, "charge", [], [{}], True])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    event = bad_charge()
    assert refuse(body, envelope_of(event)) == ""


@pytest.mark.parametrize("body", [None, 7, [], {}, {"data": 7}])
def test_what_nobody_asked_for_is_kept_raw_however_strange(body: Any) -> None:
    assert observe(envelope_of({"type": "payout.paid"}), body) is None


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
@pytest.mark.parametrize("type_", ["charge.succeeded", "invoice.updated", "customer.created", "charge.dispute.created"])
def test_fields_that_no_row_needs_may_hold_anything(type_: str, shape: Any) -> None:
    """Stripe adds fields at any time; what isn't read can't be wrong."""
    world, expected = World(), World()
    for event in HISTORIES[type_](shape):
        expected.feed(event)
        strange = {"of_later_years": nested(200), "fraud_details": 7, "shipping": ["?"], "evidence": None}
        world.feed(event | {"data": {**event["data"], "object": {**event["data"]["object"], **strange}}})
    world.settle()
    expected.settle()
    assert world.facts() == expected.facts()


def test_a_thousand_levels_where_nothing_is_read_do_no_harm() -> None:
    world = World()
    observation = observe(
        envelope_of({"type": "charge.succeeded"}),
        happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber")) | {"request": nested(1000)},
    )
    assert observation is not None
    world.ledgers[0].apply(observation)
    world.settle()
    assert told(world, "amount_minor") == [("paid:ch_amber", 4200)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\u0000",
        "\n\t\r",
        "a'b\"c\\d",
        "Ω≈ç√∫",
        "🚤" * 50,
        "\u202eright to left",
        "x" * 500,
        "'; DROP TABLE metrics; --",
    ],
)
def test_any_text_that_can_be_stored_comes_through_as_it_was(text: str) -> None:
    world = World()
    world.feed(happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber", metadata={"note": text})))
    world.settle()
    (row,) = world.rows().values()
    assert row["properties"]["metadata"] == {"charge": {"note": text}}


@pytest.mark.parametrize("size", [64 * 1024 - 4, 64 * 1024 - 3])
def test_metadata_has_a_bound_far_above_what_stripe_allows(size: int) -> None:
    event = happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber", metadata={"note": "x" * size}))
    if size + len("note") <= 64 * 1024:
        world = World()
        world.feed(event)
        world.settle()
        assert len(world.rows()) == 1
    else:
        assert refuse(event) == "data.object.metadata"


def test_the_first_and_last_times_that_make_sense_are_taken() -> None:
    for created, text in ((946_684_800, "2000-01-01T00:00:00.000Z"), (4_102_444_799, "2099-12-31T23:59:59.000Z")):
        world = World()
        world.feed(happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber", created=created)))
        world.settle()
        assert told(world, "occurred_at") == [("paid:ch_amber", text)]


def test_a_refused_event_is_no_obstacle_for_the_same_event_mended() -> None:
    world = World()
    good = happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber"))
    bad = good | {"data": {"object": charge(ENDIVE, "amber") | {"amount": None}}}
    with pytest.raises(BadEvent):
        world.feed(bad)
    world.feed(good)
    world.settle()
    assert world.outcomes == {"folded": 1, "duplicate": 0, "unmapped": 0}
    assert told(world, "amount_minor") == [("paid:ch_amber", 4200)]


@pytest.mark.parametrize("shape", [V2018, BASIL], ids=lambda shape: shape.version)
def test_an_expanded_reference_is_as_good_as_an_id(shape: Any) -> None:
    world = World()
    body = charge(shape, "amber", customer={"id": CUSTOMER, "object": "customer"}, created=at("09-01 10:00:00"))
    world.feed(happened("charge.succeeded", "09-01 10:00:02", body, shape=shape))
    world.settle()
    assert told(world, "customer_id") == [("paid:ch_amber", CUSTOMER)]
