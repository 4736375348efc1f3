"""A receipt adds up: Subtotal - Discount - CreditGrants + Shipping + Tax + NotToldByStripe = Total, in every shape.

Source: Stripe, the Invoice object. `subtotal` has "item discounts already incorporated", `total_discount_amounts` are
"calculated per discount across all line items" (so item discounts are in it once more), and a tax is on top of the
prices or in them. The first example is a recorded invoice.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules import invoice as invoices
from processors.rules import receipt
from schemas.errors import BadEvent
from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import BASIL, ENDIVE, SHAPES, V2020, V2024, Json, Shape
from tests.fixtures.stripe.story import happened, outcome

PARTS = ("Subtotal", "Discount", "CreditGrants", "Shipping", "Tax", "NotToldByStripe")
NOTES = ("DiscountIncluded", "TaxIncluded")


def told(shape: Shape, fields: Json) -> dict[str, Any]:
    """The properties of the issued invoice, 42.00 USD where `fields` says nothing else."""
    body = invoice(shape, "amber", "open") | fields
    [row] = outcome(happened("invoice.finalized", "09-01 09:58:00", body, shape=shape)).rows().values()
    properties: dict[str, Any] = row["properties"]
    return properties


def shown(properties: dict[str, Any]) -> dict[str, str]:
    return {name: properties[name] for name in (*PARTS, *NOTES, "Total") if name in properties}


def discounts(*amounts: tuple[str, int], own: list[Any]) -> Json:
    listed = [{"amount": amount, "discount": discount} for discount, amount in amounts]
    return {"discounts": own, "total_discount_amounts": listed}


RECORDED = discounts(("di_item", 870), ("di_all", 2523), own=["di_all"]) | {"subtotal": 25230, "total": 24512}
BEFORE_BASIL = [
    ({"tax": 1805, "total_tax_amounts": [{"amount": 1805, "inclusive": False, "tax_rate": "txr_1"}]}, ""),
    ({"discount": {"id": "di_all"}, "discounts": ["di_all"], "tax": 1805, "total_tax_amounts": None}, "no parts"),
]
SINCE_BASIL = {
    "total_taxes": [{"amount": 1805, "tax_behavior": "exclusive", "tax_rate_details": {"tax_rate": "txr_1"}}]
}


@pytest.mark.parametrize(
    ("shape", "taxes"),
    [
        (V2020, BEFORE_BASIL[0][0]),
        (V2020, BEFORE_BASIL[1][0]),
        (V2024, BEFORE_BASIL[0][0]),
        (BASIL, SINCE_BASIL),
        (ENDIVE, SINCE_BASIL),
    ],
    ids=lambda value: getattr(value, "version", ""),
)
def test_a_discount_of_an_item_is_in_the_subtotal_and_not_subtracted_again(shape: Shape, taxes: Json) -> None:
    assert shown(told(shape, RECORDED | taxes)) == {
        "Subtotal": "252.30",
        "Discount": "25.23",
        "DiscountIncluded": "8.70",
        "Tax": "18.05",
        "Total": "245.12",
    }


def test_both_kinds_of_tax_on_one_invoice_are_kept_apart() -> None:
    taxes = [{"amount": 100, "tax_behavior": "inclusive"}, {"amount": 300, "tax_behavior": "exclusive"}] * 2
    properties = told(ENDIVE, {"subtotal": 4000, "total": 4600, "total_taxes": taxes})
    assert (properties["Tax"], properties["TaxIncluded"]) == ("6.00", "2.00")


def test_shipping_is_added() -> None:
    shipping = {"amount_shipping": 500, "shipping_cost": {"amount_subtotal": 500, "amount_tax": 0, "amount_total": 500}}
    expected = {"Subtotal": "40.00", "Shipping": "5.00", "Total": "45.00"}
    assert shown(told(ENDIVE, {"subtotal": 4000, "total": 4500} | shipping)) == expected
    del shipping["amount_shipping"]
    assert shown(told(ENDIVE, {"subtotal": 4000, "total": 4500} | shipping)) == expected


def test_the_tax_of_shipping_counts_whether_or_not_it_is_among_the_taxes() -> None:
    shipping = {
        "amount_shipping": 500,
        "shipping_cost": {"amount_subtotal": 500, "amount_tax": 50, "amount_total": 550},
    }
    for taxed in (450, 400):  # with and without it
        taxes = {"total_taxes": [{"amount": taxed, "tax_behavior": "exclusive"}]}
        properties = told(ENDIVE, {"subtotal": 4000, "total": 4950} | shipping | taxes)
        assert shown(properties) == {"Subtotal": "40.00", "Shipping": "5.00", "Tax": "4.50", "Total": "49.50"}


def test_discounts_are_known_by_their_ids_also_when_they_were_expanded() -> None:
    body = discounts(("di_all", 300), own=[{"id": "di_all", "object": "discount"}]) | {"subtotal": 4000, "total": 3700}
    body["total_discount_amounts"][0]["discount"] = {"id": "di_all", "object": "discount"}
    assert told(ENDIVE, body)["Discount"] == "3.00"


def test_a_tax_of_which_it_is_not_told_whether_it_is_in_the_price_is_not_guessed() -> None:
    properties = told(ENDIVE, {"subtotal": 4000, "total": 4500, "total_taxes": [{"amount": 500}]})
    assert shown(properties) == {"Subtotal": "40.00", "NotToldByStripe": "5.00", "Total": "45.00"}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.version)
def test_an_invoice_that_is_its_subtotal_has_no_parts(shape: Shape) -> None:
    assert "sum" not in invoices.normalize(invoice(shape, "amber", "open"), "data.object")


def test_a_credit_invoice_adds_up_too() -> None:
    taxes = {"total_taxes": [{"amount": -420, "tax_behavior": "exclusive"}]}
    parts = receipt.parts(invoice(ENDIVE, "amber", "open") | taxes | {"subtotal": -4200, "total": -4620}, "data.object")
    assert parts == {"subtotal": -4200, "tax": -420}


@pytest.mark.parametrize("field", ["total_taxes", "total_tax_amounts", "total_discount_amounts"])
@pytest.mark.parametrize("value", ["much", [7], [{"amount": "7"}], {"amount": 7}])
def test_parts_that_make_no_sense_are_named(field: str, value: object) -> None:
    with pytest.raises(BadEvent) as caught:
        receipt.parts(invoice(ENDIVE, "amber", "open") | {"discounts": [], field: value}, "data.object")
    assert caught.value.path.startswith(f"data.object.{field}")


AMOUNT = st.integers(0, 10**7)
MANY = st.lists(AMOUNT, max_size=3)


@st.composite
def made(draw: st.DrawFn) -> tuple[Json, dict[str, int]]:
    """An invoice as Stripe puts it together from prices, and its parts."""
    items, item_discounts, own, grants = draw(MANY), draw(MANY), draw(MANY), draw(MANY)
    included, added, shipping = draw(MANY), draw(MANY), draw(AMOUNT)
    subtotal = sum(items) - sum(item_discounts)
    amounts = [(f"di_item{n}", amount) for n, amount in enumerate(item_discounts)]
    amounts += [(f"di_{n}", amount) for n, amount in enumerate(own)]
    taxes = [(amount, True) for amount in included] + [(amount, False) for amount in added]
    body: Json = discounts(*draw(st.permutations(amounts)), own=[f"di_{n}" for n in range(len(own))])
    body |= {
        "subtotal": subtotal,
        "total": subtotal - sum(own) - sum(grants) + shipping + sum(added),
        "amount_shipping": shipping,
        "total_pretax_credit_amounts": [{"amount": n, "type": "credit_balance_transaction"} for n in grants],
    }
    if draw(st.booleans()):
        behavior = {True: "inclusive", False: "exclusive"}
        body["total_taxes"] = [{"amount": amount, "tax_behavior": behavior[inside]} for amount, inside in taxes]
    else:
        body["total_tax_amounts"] = [{"amount": amount, "inclusive": inside} for amount, inside in taxes]
        body["tax"] = sum(included) + sum(added) or None
    parts = {"discount": sum(own), "items": sum(item_discounts), "credits": sum(grants), "ship": shipping}
    return body, parts | {"tax": sum(added), "within": sum(included)}


@given(made())
def test_every_part_is_found_where_all_are_told(case: tuple[Json, dict[str, int]]) -> None:
    body, expected = case
    known = {name: amount for name, amount in expected.items() if amount}
    assert receipt.parts(body, "") == (known | {"subtotal": body["subtotal"]} if known else {})


@given(
    made(),
    st.sets(
        st.sampled_from(("discounts", "total_taxes", "total_tax_amounts", "amount_shipping", "total_discount_amounts"))
    ),
)
def test_the_parts_are_the_total_whatever_a_shape_leaves_out(
    case: tuple[Json, dict[str, int]], left_out: set[str]
) -> None:
    body = {name: value for name, value in case[0].items() if name not in left_out}
    parts = receipt.parts(body, "")
    if parts:
        total = sum(parts.get(name, 0) for name in ("subtotal", "ship", "tax", "rest"))
        assert total - parts.get("discount", 0) - parts.get("credits", 0) == body["total"]
    else:
        assert body["total"] == body["subtotal"]


@given(made())
def test_the_properties_of_every_row_add_up(case: tuple[Json, dict[str, int]]) -> None:
    body = invoice(ENDIVE, "amber", "open") | {"total_taxes": None} | case[0]
    [row] = outcome(happened("invoice.finalized", "09-01 09:58:00", body)).rows().values()
    said = {name: Decimal(row["properties"].get(name, 0)) for name in PARTS}
    assert Decimal(row["properties"]["Total"]) == Decimal(body["total"]) / 100
    if "Subtotal" in row["properties"]:
        less = said["Discount"] + said["CreditGrants"]
        more = said["Shipping"] + said["Tax"] + said["NotToldByStripe"]
        assert said["Subtotal"] - less + more == Decimal(row["properties"]["Total"])
