"""Where Stripe does not say which charge paid which invoice, the nearest of the same amount and currency did."""

from random import Random
from typing import Any

import pytest

from processors.rules.links import group_key, match, parse, trim
from tests.fixtures.stripe.charges import charge
from tests.fixtures.stripe.invoices import invoice, invoice_payment
from tests.fixtures.stripe.shapes import BASIL, V2024, Json, Shape, at
from tests.fixtures.stripe.story import happened, outcome, told

T = 1_788_256_800


def group(charges: dict[str, int], offers: dict[str, list[int]]) -> list[dict[str, Any]]:
    return [charges, offers, {}]


def test_a_charge_is_matched_with_the_invoice_nearest_in_time() -> None:
    near, far = [T, T + 5], [T - 1000, T - 900]
    assert match(group({"ch_1": T}, {"in_far": far, "in_near": near})) == {"ch_1": "in_near"}


def test_each_charge_and_each_invoice_is_used_once() -> None:
    charges = {"ch_1": T, "ch_2": T + 60, "ch_3": T + 61}
    offers = {"in_1": [T, T + 2], "in_2": [T + 50, T + 61]}
    assert match(group(charges, offers)) == {"ch_1": "in_1", "ch_3": "in_2"}


def test_what_lies_more_than_an_hour_apart_does_not_belong_together() -> None:
    assert match(group({"ch_1": T + 3600}, {"in_1": [T, T]})) == {"ch_1": "in_1"}
    assert match(group({"ch_1": T + 3601}, {"in_1": [T, T]})) == {}
    assert match(group({"ch_1": T - 3601}, {"in_1": [T, T]})) == {}
    assert match(group({"ch_1": T}, {"in_1": [T - 86_400, T + 86_400]})) == {"ch_1": "in_1"}  # issued long before


def test_nothing_matches_nothing() -> None:
    assert match(group({}, {"in_1": [T, T]})) == match(group({"ch_1": T}, {})) == {}


def test_the_match_depends_on_no_order() -> None:
    rng = Random(7)
    charges = {f"ch_{n}": T + rng.randrange(900) for n in range(20)}
    offers = {f"in_{n}": [T + n * 40, T + n * 40 + 5] for n in range(20)}
    expected = match(group(charges, offers))
    assert len(expected) > 10
    for _ in range(10):
        mixed = [dict(rng.sample(sorted(part.items()), len(part))) for part in (charges, offers)]
        assert match(group(*mixed)) == expected  # type: ignore[arg-type]


def test_only_one_amount_currency_and_outcome_make_a_group() -> None:
    keys = {group_key(True, "usd", 1), group_key(False, "usd", 1), group_key(True, "eur", 1), group_key(True, "usd", 2)}
    assert len(keys) == 4


def test_an_offer_names_its_invoice_and_the_attempt_that_failed() -> None:
    assert parse("in_1") == ("in_1", 0)
    assert parse("in_1:3:1788256800") == ("in_1", 3)


def test_a_large_group_forgets_its_oldest() -> None:
    large = group({f"ch_{n}": T + n for n in range(250)}, {f"in_{n}": [T + n, T + n] for n in range(250)})
    trim(large)
    assert [len(part) for part in large[:2]] == [200, 200]
    assert "ch_249" in large[0]
    assert "ch_0" not in large[0]


# Through the ledger, in any order of arrival.


def bought(name: str, created: str, shape: Shape = BASIL, **changes: object) -> Json:
    return happened("charge.succeeded", created, charge(shape, name, created=at(created), **changes), shape=shape)


def settled(name: str, created: str, shape: Shape = BASIL, **changes: object) -> Json:
    body = invoice(shape, name, "paid", **changes)
    body["status_transitions"] = body["status_transitions"] | {"finalized_at": at(created), "paid_at": at(created)}
    return happened("invoice.paid", created, body, shape=shape)


def links(*events: Json) -> dict[str, str]:
    rows = told(outcome(*events), "invoice_id")
    return {metric_id.removeprefix("paid:"): invoice_id for metric_id, invoice_id in rows if "paid:" in metric_id}


def test_a_charge_and_an_invoice_that_do_not_name_each_other_are_linked_and_marked_inferred() -> None:
    world = outcome(bought("amber", "09-01 10:00:02"), settled("amber", "09-01 10:00:05"))
    (row,) = (row for row in world.rows().values() if row["metric"] == "Successfully Paid")
    assert (row["invoice_id"], row["properties"]["LinkInferred"]) == ("in_amber", True)
    assert row["properties"]["InvoiceNumber"] == "HARBOR-0007"


def test_two_payments_of_one_amount_find_their_own_invoices() -> None:
    events = (
        bought("one", "09-01 10:00:02"),
        bought("two", "09-01 10:20:02"),
        settled("two", "09-01 10:20:05"),
        settled("one", "09-01 10:00:05"),
    )
    assert links(*events) == {"ch_one": "in_one", "ch_two": "in_two"}


@pytest.mark.parametrize(
    "changes", [{"amount": 4300, "amount_captured": 4300}, {"currency": "eur"}, {"customer": "cus_2"}]
)
def test_another_amount_currency_or_customer_is_never_linked(changes: Json) -> None:
    assert links(bought("amber", "09-01 10:00:02", **changes), settled("amber", "09-01 10:00:05")) == {"ch_amber": ""}


def test_a_guests_charge_is_never_guessed_at() -> None:
    assert links(bought("amber", "09-01 10:00:02", customer=None), settled("amber", "09-01 10:00:05")) == {
        "ch_amber": ""
    }


def test_stripes_word_that_there_is_no_invoice_is_final() -> None:
    events = (bought("amber", "09-01 10:00:02", V2024, invoice=None), settled("amber", "09-01 10:00:05"))
    assert links(*events) == {"ch_amber": ""}


def test_an_id_of_stripes_beats_a_guess() -> None:
    events = (
        bought("amber", "09-01 10:00:02"),
        settled("near", "09-01 10:00:05"),
        settled("named", "09-01 10:40:00", V2024, charge="ch_amber"),
    )
    assert links(*events) == {"ch_amber": "in_named"}


def test_an_invoice_payment_names_the_charge_by_its_payment_intent_whatever_comes_first() -> None:
    events = (
        bought("amber", "09-01 10:00:02"),
        settled("near", "09-01 10:00:05"),
        settled("amber", "09-01 18:00:05"),
        happened("invoice_payment.paid", "09-01 18:00:05", invoice_payment("amber"), shape=BASIL),
    )
    world = outcome(*events)
    (row,) = (row for row in world.rows().values() if row["metric"] == "Successfully Paid")
    assert (row["invoice_id"], row["properties"].get("LinkInferred")) == ("in_amber", None)
