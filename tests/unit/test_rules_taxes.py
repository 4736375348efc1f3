"""Tax and discount of an invoice, which its payments tell too: the parts of what a receipt adds up."""

import pytest

from processors.rules import invoice as invoices
from schemas.errors import BadEvent
from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, V2020, V2024, Json, Shape
from tests.fixtures.stripe.story import happened, outcome


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (V2020, {"tax": 700, "total_tax_amounts": [{"amount": 700, "inclusive": False}]}),
        (ENDIVE, {"total_taxes": [{"amount": 500, "tax_behavior": "exclusive"}, {"amount": 200}]}),
    ],
    ids=lambda value: getattr(value, "version", ""),
)
def test_tax_and_discount_are_told_in_every_shape(shape: Shape, said: Json) -> None:
    discounted = {"subtotal": 4000, "total_discount_amounts": [{"amount": 300, "discount": "di_1"}, {"amount": 200}]}
    body = invoice(shape, "amber", "open") | discounted | said
    rows = outcome(happened("invoice.finalized", "09-01 09:58:00", body, shape=shape)).rows().values()
    [properties] = [row["properties"] for row in rows]
    assert (properties["Subtotal"], properties["Discount"], properties["Tax"]) == ("40.00", "5.00", "7.00")


@pytest.mark.parametrize("shape", [V2020, V2024, BASIL, ENDIVE], ids=lambda shape: shape.version)
def test_an_invoice_without_tax_and_discount_tells_of_neither(shape: Shape) -> None:
    body = invoice(shape, "amber", "open") | {"subtotal": 4200}
    rows = outcome(happened("invoice.finalized", "09-01 09:58:00", body, shape=shape)).rows().values()
    assert rows
    assert all(not {"Subtotal", "Discount", "Tax"} & row["properties"].keys() for row in rows)


@pytest.mark.parametrize("taxes", ["much", [7], [{"amount": "7"}]])
def test_taxes_that_make_no_sense_are_named(taxes: object) -> None:
    with pytest.raises(BadEvent) as caught:
        invoices.normalize(invoice(ENDIVE, "amber", "open") | {"total_taxes": taxes}, "data.object")
    assert caught.value.path.startswith("data.object.total_taxes")
