"""Credit Note: one row a credit note, whatever its events' order and shape, with where the money went.

Source: Stripe, the Credit Note object ("amount: the total amount of the credit note, including tax"; `refund` until
2025-03-31.basil, then `refunds`, `pre_payment_amount` and `post_payment_amount`), "Void a credit note".
"""

import pytest

from schemas.errors import BadEvent
from tests.fixtures.stripe.charges import CUSTOMER, charge, customer
from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, V2020, V2022, V2024, Json, Shape, at, stripe_list
from tests.fixtures.stripe.story import happened, outcome, told

versions = pytest.mark.parametrize("shape", [V2020, V2022, V2024, BASIL, ENDIVE], ids=lambda shape: shape.version)


def credit_note(shape: Shape, **changes: object) -> Json:
    """10.00 of the invoice of 42.00 are taken back before it is paid, 1.60 of it tax."""
    body: Json = {
        "id": "cn_wharf",
        "object": "credit_note",
        "amount": 1000,
        "created": at("09-02 09:00:00"),
        "currency": "usd",
        "customer": CUSTOMER,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice": "in_amber",
        "lines": stripe_list("/v1/credit_notes/cn_wharf/lines"),
        "livemode": True,
        "memo": "The mooring was taken.",
        "metadata": {"ticket": "77"},
        "number": "HARBOR-0001-CN-01",
        "out_of_band_amount": None,
        "pdf": "https://pay.stripe.example/credit_notes/cn_wharf/pdf",
        "reason": "order_change",
        "status": "issued",
        "subtotal": 840,
        "total": 1000,
        "type": "pre_payment",
        "voided_at": None,
    }
    if shape.basil:
        body |= {"refunds": [], "pre_payment_amount": 1000, "post_payment_amount": 0, "pretax_credit_amounts": []}
        body["total_taxes"] = [{"amount": 160, "tax_behavior": "exclusive", "type": "tax_rate_details"}]
    else:
        body |= {"refund": None, "tax_amounts": [{"amount": 160, "inclusive": False, "tax_rate": "txr_1"}]}
    return body | changes


@versions
def test_a_credit_note_is_a_row_and_its_voiding_a_newer_version_of_it(shape: Shape) -> None:
    made = happened("credit_note.created", "09-02 09:00:00", credit_note(shape), shape=shape)
    void = credit_note(shape, status="void", voided_at=at("09-03 09:00:00"))
    voided = happened("credit_note.voided", "09-03 09:00:00", void, {"status": "issued"}, shape=shape)
    who = happened("customer.created", "08-31 18:00:00", customer(shape), shape=shape)
    (row,) = outcome(who, made).rows().values()
    assert (row["metric"], row["metric_id"]) == ("Credit Note", "default:live:credit_note:cn_wharf")
    assert (row["occurred_at"], row["amount"], row["currency"]) == ("2026-09-02T09:00:00.000Z", "10.00", "usd")
    assert (row["email"], row["invoice_id"], row["charge_id"]) == ("iris.vale@example.com", "in_amber", "")
    assert row["reason_code"] == "order_change"
    assert row["properties"]["metadata"]["credit_note"] == {"ticket": "77"}
    expected = {"CreditNoteNumber": "HARBOR-0001-CN-01", "CreditNoteType": "pre_payment", "Tax": "1.60"}
    expected |= {"PrePaymentAmount": "10.00", "Subtotal": "8.40", "Memo": "The mooring was taken.", "status": "issued"}
    assert expected.items() <= row["properties"].items()
    (after,) = outcome(who, made, voided).rows().values()
    assert (after["metric_id"], after["amount"], after["version"] > row["version"]) == (row["metric_id"], "10.00", True)
    assert (after["properties"]["status"], after["properties"]["VoidedAt"]) == ("void", "2026-09-03T09:00:00.000Z")


@versions
def test_after_the_payment_it_says_which_charge_it_is_about_and_how_the_money_went_back(shape: Shape) -> None:
    """10.00: 4.00 as a refund, 3.50 for the next invoice, 2.50 outside Stripe."""
    more: Json = {"type": "post_payment", "out_of_band_amount": 250, "customer_balance_transaction": "cbtxn_1"}
    more |= {"pre_payment_amount": 0, "post_payment_amount": 1000}
    refund = {"amount_refunded": 400, "payment_record_refund": None, "refund": "re_1", "type": "refund"}
    more |= {"refunds": [refund]} if shape.basil else {"refund": "re_1"}
    paid = invoice(shape, "amber", "paid")
    events = [
        happened("invoice.payment_succeeded", "09-01 10:00:02", paid, shape=shape),
        happened("charge.succeeded", "09-01 10:00:00", charge(shape, "amber", invoice="in_amber"), shape=shape),
        happened("credit_note.created", "09-02 09:00:00", credit_note(shape, **more), shape=shape),
    ]
    (row,) = (row for row in outcome(*events).rows().values() if row["metric"] == "Credit Note")
    assert (row["charge_id"], row["amount"], row["email"]) == ("ch_amber", "10.00", "iris.vale@example.com")
    known = {name: row["properties"].get(name) for name in ("Refund", "PostPaymentAmount", "OutOfBandAmount")}
    assert known == {"Refund": "re_1", "PostPaymentAmount": "10.00", "OutOfBandAmount": "2.50"}
    told_apart = (row["properties"].get("RefundAmount"), row["properties"].get("CustomerBalanceAmount"))
    assert told_apart == (("4.00", "3.50") if shape.basil else (None, None))


def test_notes_of_one_invoice_are_rows_of_their_own_and_no_refunds() -> None:
    notes = [
        happened("credit_note.created", "09-02 09:00:00", credit_note(ENDIVE, id=f"cn_{n}", total=n)) for n in (1, 2)
    ]
    assert told(outcome(*notes), "metric", "amount_minor") == [
        ("credit_note:cn_1", "Credit Note", 1),
        ("credit_note:cn_2", "Credit Note", 2),
    ]


@pytest.mark.parametrize("changes", [{"total": -1}, {"total": "10"}, {"status": "gone"}, {"created": None}])
@pytest.mark.parametrize("shape", [V2020, ENDIVE], ids=lambda shape: shape.version)
def test_a_credit_note_that_makes_no_sense_is_refused_and_names_the_field(shape: Shape, changes: Json) -> None:
    with pytest.raises(BadEvent) as refused:
        outcome(happened("credit_note.created", "09-02 09:00:00", credit_note(shape, **changes), shape=shape))
    assert refused.value.path == f"data.object.{next(iter(changes))}"


@pytest.mark.parametrize("refunds", [[7], ["re_1"], 7, [{"refund": 7}], [{"amount_refunded": "x"}]])
def test_refunds_that_make_no_sense_are_refused(refunds: object) -> None:
    with pytest.raises(BadEvent):
        outcome(happened("credit_note.created", "09-02 09:00:00", credit_note(ENDIVE, refunds=refunds)))
