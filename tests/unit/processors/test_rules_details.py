"""What Stripe tells of a payment beyond its amount is kept, under names of Klaviyo's manner. Source: Stripe, Charge."""

import pytest

from processors.rules.declines import decline_class
from tests.fixtures.stripe.charges import charge
from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import ENDIVE, V2020, V2024, Json, Shape
from tests.fixtures.stripe.story import happened, outcome


def properties(type_: str, body: Json, shape: Shape = ENDIVE) -> Json:
    [row] = outcome(happened(type_, "09-01 10:00:02", body, shape=shape)).rows().values()
    told: Json = row["properties"]
    return told


@pytest.mark.parametrize(
    ("code", "decline", "advice", "told"),
    [
        ("card_declined", "insufficient_funds", "", "soft"),
        ("card_declined", "do_not_honor", "", "soft"),
        ("card_declined", "do_not_honor", "do_not_try_again", "hard"),  # the issuer's advice counts more
        ("card_declined", "stolen_card", "", "hard"),
        ("card_declined", "generic_decline", "confirm_card_data", "hard"),
        ("expired_card", "", "", "hard"),
        ("card_declined", "authentication_required", "", "authentication"),
        ("authentication_required", "", "try_again_later", "authentication"),
        ("account_closed", "", "", "hard"),  # of a bank debit
        ("insufficient_funds", "", "", "soft"),
        ("", "", "", ""),
    ],
)
def test_whether_another_try_helps(code: str, decline: str, advice: str, told: str) -> None:
    assert decline_class(code, decline, advice) == told


@pytest.mark.parametrize("method", ["sepa_debit", "us_bank_account", "ideal"])
@pytest.mark.parametrize("shape", [V2020, V2024, ENDIVE], ids=lambda shape: shape.version)
def test_every_payment_tells_how_it_was_made(shape: Shape, method: str) -> None:
    body = charge(shape, "amber") | {"payment_method_details": {"type": method, method: {}}}
    assert properties("charge.succeeded", body, shape)["PaymentMethodType"] == method


@pytest.mark.parametrize(
    ("shape", "taxes"),
    [
        (
            V2024,
            {
                "total_tax_amounts": [
                    {"amount": 300, "inclusive": False, "tax_rate": "txr_city"},
                    {"amount": 100, "inclusive": False, "tax_rate": "txr_city"},
                    {"amount": 261, "inclusive": True, "tax_rate": {"id": "txr_vat", "object": "tax_rate"}},
                ]
            },
        ),
        (
            ENDIVE,
            {
                "total_taxes": [
                    {"amount": 400, "tax_behavior": "exclusive", "tax_rate_details": {"tax_rate": "txr_city"}},
                    {"amount": 261, "tax_behavior": "inclusive", "tax_rate_details": {"tax_rate": "txr_vat"}},
                ]
            },
        ),
    ],
    ids=lambda value: getattr(value, "version", ""),
)
def test_taxes_are_told_by_rate_and_whether_the_price_has_them(shape: Shape, taxes: Json) -> None:
    body = invoice(shape, "amber", "open") | taxes | {"total": 4600, "total_excluding_tax": 3939}
    told = properties("invoice.finalized", body | {"effective_at": 1_788_000_000}, shape)
    assert told["Taxes"] == [
        {"Rate": "txr_city", "Amount": "4.00", "Included": False},
        {"Rate": "txr_vat", "Amount": "2.61", "Included": True},
    ]
    assert (told["TotalExcludingTax"], told["EffectiveAt"]) == ("39.39", "2026-08-29T10:40:00.000Z")
