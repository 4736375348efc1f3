"""Every mapped event type, in every shape since 2018, tells what was written down for it by hand."""

from typing import Any

import orjson
import pytest

from processors.rules import charge as charges
from processors.rules import invoice as invoices
from processors.rules.observation import kind_of, observe
from tests.fixtures.stripe.expected import CARDS, LATER, ROWS, SEEN, STATES, SUBSCRIPTIONS, Rows, cases
from tests.fixtures.stripe.history import HISTORIES
from tests.fixtures.stripe.shapes import ENDIVE, SHAPES, V2018, V2020, Shape
from tests.ledger_harness import World, envelope_of, run

THE_BRIEFS_18 = (
    "charge.captured charge.expired charge.failed charge.pending charge.refunded charge.succeeded charge.updated "
    "invoice.created invoice.deleted invoice.finalized invoice.marked_uncollectible invoice.payment_action_required "
    "invoice.payment_failed invoice.payment_succeeded invoice.sent invoice.upcoming invoice.updated invoice.voided"
).split()

EVERY_TYPE_AND_SHAPE = [
    pytest.param(type_, shape, id=f"{type_}-{shape.version}")
    for type_ in HISTORIES
    for shape in SHAPES
    if shape is not V2018 or type_ not in LATER
]


def line(row: dict[str, Any]) -> str:
    """A row as `expected` writes it."""
    ids = " ".join(row[name] for name in ("customer_id", "charge_id", "invoice_id") if row.get(name))
    why = " ".join(row[name] for name in ("reason", "reason_code") if row.get(name))
    parts = [
        row["metric"],
        row["metric_id"],
        row["occurred_at"],
        f"{row['amount']} {row['currency']} {row['amount_minor']}",
        row["email"] or f"? {row['unlinked_reason']}",
        ids,
        str(row.get("attempt_count", 0)),
        why,
    ]
    return " | ".join(parts)


def told(type_: str, shape: Shape) -> World:
    return run(HISTORIES[type_](shape))


def test_every_mapped_type_has_a_history_and_is_expected_in_every_shape_that_had_it() -> None:
    assert set(THE_BRIEFS_18) <= HISTORIES.keys()
    assert HISTORIES.keys() == ROWS.keys() == SEEN.keys()
    assert all(kind_of(type_) for type_ in HISTORIES)
    expected = sorted((type_, shape.version) for type_, shape, _ in cases())
    assert expected == sorted((param.values[0], param.values[1].version) for param in EVERY_TYPE_AND_SHAPE)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("type_", "shape", "rows"),
    [pytest.param(*case, id=f"{case[0]}-{case[1].version}") for case in cases()],
)
def test_the_rows_are_those_written_by_hand(type_: str, shape: Shape, rows: Rows) -> None:
    assert sorted(line(row) for row in told(type_, shape).rows().values()) == sorted(rows)


@pytest.mark.parametrize(("type_", "shape"), EVERY_TYPE_AND_SHAPE)
def test_an_event_is_seen_as_what_it_is(type_: str, shape: Shape) -> None:
    event = orjson.loads(orjson.dumps(HISTORIES[type_](shape)[-1]))
    assert (event["type"], event["api_version"]) == (type_, shape.version)
    observation = observe(envelope_of(event), event)
    assert observation is not None
    kind, identifier, customer, at = SEEN[type_]
    if shape is ENDIVE and kind == "refund":
        customer = "cus_Iris01"  # refunds name theirs since then
    assert (observation.kind, observation.id, observation.customer, observation.at) == (kind, identifier, customer, at)
    assert (observation.scope, observation.source, observation.api_version) == (
        "default|live",
        "webhook",
        shape.version,
    )


@pytest.mark.parametrize(("type_", "shape"), EVERY_TYPE_AND_SHAPE)
def test_every_delivery_of_a_duplicate_or_in_reverse_changes_nothing(type_: str, shape: Shape) -> None:
    history = HISTORIES[type_](shape)
    expected = told(type_, shape)
    for other in ([*history, *history], history[::-1], [*history[::-1], history[0]]):
        again = run(other, partitions=3)
        assert again.facts() == expected.facts()
        assert again.profiles() == expected.profiles()


@pytest.mark.parametrize(
    ("type_", "shape"),
    [param for param in EVERY_TYPE_AND_SHAPE if param.values[0] in STATES and param.values[1] is not V2018],
)
def test_an_invoices_state_stands_in_its_properties(type_: str, shape: Shape) -> None:
    (row,) = (row for row in told(type_, shape).rows().values() if row["metric"] == "Issued Invoice")
    assert row["properties"].items() >= STATES[type_].items()
    assert {"overdue", "requires_action"} & row["properties"].keys() == {"overdue", "requires_action"} & STATES[
        type_
    ].keys()
    assert row["properties"]["metadata"]["invoice"] == {"quay": "north"}
    (only,) = row["lines"]
    assert only == {
        "line_id": "il_amber" if row["invoice_id"] == "in_amber" else "il_dune",
        "position": 0,
        "product_id": "prod_berth",
        "price_id": "price_berth",
        "description": "1 × Berth (at $42.00 / month)",
        "quantity": 1,
        "currency": "usd",
        "amount": "42.00",
        "amount_minor": 4200,
        "period_start": "2026-09-01T09:00:00.000Z",
        "period_end": "2026-10-01T09:00:00.000Z",
        "metadata": {"berth": "14"},
    }


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
@pytest.mark.parametrize(
    ("type_", "status"), [("charge.dispute.created", "needs_response"), ("charge.dispute.closed", "lost")]
)
def test_a_dispute_marks_the_payment_and_is_no_refund(type_: str, status: str, shape: Shape) -> None:
    (row,) = (row for row in told(type_, shape).rows().values() if row["metric"] == "Successfully Paid")
    assert row["properties"]["Disputed"] is True
    assert row["properties"]["DisputeStatus"] == status


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if not shape.sources], ids=lambda shape: shape.version)
def test_a_payments_card_and_owner_are_on_the_profile(shape: Shape) -> None:
    (profile,) = told("charge.succeeded", shape).profiles().values()
    assert profile["email"] == "iris.vale@example.com"
    assert (profile["name"], profile["country"], profile["city"]) == ("Iris Vale", "PT", "Porto")
    assert profile["card_expirations"] == [
        {"brand": "visa", "last4": "4242", "month": 9, "year": 2031, "seen_at": "2026-09-01T10:00:00.000Z"}
    ]
    assert profile["card_expiration_date"] == "2031-09-30"
    assert profile["value"] == [
        {
            "currency": "usd",
            "paid_minor": 4200,
            "refunded_minor": 0,
            "lifetime_value_minor": 4200,
            "lifetime_value": "42.00",
        }
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
@pytest.mark.parametrize("type_", CARDS)
def test_a_payment_methods_card_is_on_the_profile_with_the_charges_own(type_: str, shape: Shape) -> None:
    (profile,) = told(type_, shape).profiles().values()
    cards = [(c["last4"], c["month"], c["year"], c["seen_at"]) for c in profile["card_expirations"]]
    assert cards == CARDS[type_]
    assert {card["brand"].lower() for card in profile["card_expirations"]} == {"visa", "mastercard"}


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if not shape.flags], ids=lambda shape: shape.version)
@pytest.mark.parametrize("type_", SUBSCRIPTIONS)
def test_a_subscriptions_metadata_are_on_its_invoice_and_its_state_on_the_profile(type_: str, shape: Shape) -> None:
    world = told(type_, shape)
    (row,) = (row for row in world.rows().values() if row["metric"] == "Issued Invoice")
    newest = "skipper" if shape.basil and type_ == "customer.subscription.created" else "captain"
    assert row["properties"]["metadata"]["subscription"] == {"tier": newest}
    assert [p["subscriptions"] for p in world.profiles().values()] == (
        [] if shape.sources else [{"sub_harbor": SUBSCRIPTIONS[type_]}]
    )


def last_object(type_: str, shape: Shape) -> dict[str, Any]:
    obj: dict[str, Any] = HISTORIES[type_](shape)[-1]["data"]["object"]
    return obj


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
@pytest.mark.parametrize(
    ("type_", "normal"),
    [
        ("charge.succeeded", {"status": "succeeded", "captured": True, "amount": 4200, "got": 4200, "refunded": 0}),
        ("charge.failed", {"status": "failed", "captured": False, "amount": 4200, "got": 0, "code": "card_declined"}),
        ("charge.pending", {"status": "pending", "currency": "eur", "amount": 4200}),
        ("charge.expired", {"status": "succeeded", "captured": False, "amount": 9000, "got": 0, "refunded": 9000}),
        ("charge.refunded", {"status": "succeeded", "got": 4200, "refunded": 1500, "created": 1788256800}),
    ],
)
def test_a_charge_is_normalized_alike_in_every_shape(type_: str, normal: dict[str, Any], shape: Shape) -> None:
    assert charges.normalize(last_object(type_, shape), "data.object").items() >= normal.items()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
def test_a_charges_email_is_found_wherever_the_shape_has_it(shape: Shape) -> None:
    core = charges.normalize(last_object("charge.succeeded", shape), "data.object")
    where = "receipt" if shape.sources else "billing"
    assert {key: core.get(key) for key in ("billing", "receipt")} == {
        "billing": None,
        "receipt": None,
        where: "iris.vale@example.com",
    }


@pytest.mark.parametrize(
    ("type_", "status"),
    [
        ("invoice.created", "draft"),
        ("invoice.updated", "open"),
        ("invoice.payment_failed", "open"),
        ("invoice.payment_succeeded", "paid"),
        ("invoice.marked_uncollectible", "uncollectible"),
    ],
)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
def test_an_invoice_is_normalized_alike_in_every_shape(type_: str, status: str, shape: Shape) -> None:
    core = invoices.normalize(last_object(type_, shape), "data.object")
    assert core["status"] == status
    assert (core["currency"], core["due"], core["total"], core["created"]) == ("usd", 4200, 4200, 1788253200)
    assert (core["sub"], core["collect"]) == ("sub_harbor", "charge_automatically")
    assert core["meta"] == {"quay": "north"}


@pytest.mark.parametrize("shape", [V2018, V2020, ENDIVE], ids=lambda shape: shape.version)
def test_a_line_is_normalized_alike_in_every_shape(shape: Shape) -> None:
    assert invoices.lines_of(last_object("invoice.created", shape), "data.object") == [
        [
            "il_amber",
            0,
            "prod_berth",
            "price_berth",
            "1 × Berth (at $42.00 / month)",
            1,
            "usd",
            4200,
            1788253200,
            1790845200,
            {"berth": "14"},
        ]
    ]
