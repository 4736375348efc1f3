"""Money is exact: integers in minor units, and major units by the exponent that Stripe uses for the currency."""

from decimal import Decimal

import pytest

from processors.rules import profiles
from schemas.errors import BadEvent
from schemas.money import CURRENCIES, exponent, major, major_decimal
from schemas.profile import CurrencyValue, Profile
from tests.fixtures.stripe.charges import charge
from tests.fixtures.stripe.shapes import ENDIVE, at
from tests.fixtures.stripe.story import happened, outcome, told
from tests.ledger_harness import run

AMOUNTS = [
    ("usd", 1234, "12.34"),
    ("usd", 100, "1.00"),
    ("usd", 5, "0.05"),
    ("usd", 0, "0.00"),
    ("eur", 99, "0.99"),
    ("jpy", 1234, "1234"),
    ("krw", 0, "0"),
    ("xof", 7, "7"),
    ("kwd", 1230, "1.230"),
    ("bhd", 10, "0.010"),
    ("tnd", 999_990, "999.990"),
    ("isk", 120_000, "1200.00"),  # no decimals in life, but Stripe takes it times 100
    ("ugx", 500_000, "5000.00"),
    ("usd", 2**53 + 1, "90071992547409.93"),  # a float would lose the last cent
    ("jpy", 2**53 + 1, "9007199254740993"),
    ("kwd", 2**63 - 1, "9223372036854775.807"),
]


@pytest.mark.parametrize(("currency", "minor", "text"), AMOUNTS)
def test_minor_units_become_exact_major_units(currency: str, minor: int, text: str) -> None:
    assert major(minor, currency) == text
    assert major_decimal(minor, currency) == Decimal(text)


@pytest.mark.parametrize(("currency", "minor", "text"), [a for a in AMOUNTS if a[1]])
def test_a_payment_keeps_its_amount_to_the_last_digit(currency: str, minor: int, text: str) -> None:
    world = outcome(
        happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber", amount=minor, currency=currency))
    )
    assert told(world, "amount_minor", "amount", "currency") == [("paid:ch_amber", minor, text, currency)]
    (profile,) = world.profiles().values()
    assert profile["value"][0]["lifetime_value"] == text


def test_a_credit_is_negative_to_the_cent() -> None:
    assert [major(-1234, "usd"), major(-5, "usd"), major(-7, "jpy"), major(-10, "kwd")] == [
        "-12.34",
        "-0.05",
        "-7",
        "-0.010",
    ]


def test_the_exponents_are_those_that_stripe_documents() -> None:
    assert {c for c in CURRENCIES if exponent(c) == 0} == set(
        "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
    )
    assert {c for c in CURRENCIES if exponent(c) == 3} == {"bhd", "jod", "kwd", "omr", "tnd"}
    assert exponent("isk") == exponent("ugx") == exponent("usd") == 2
    assert all(len(code) in (3, 4) and code.islower() for code in CURRENCIES)


def test_money_of_different_currencies_is_never_added() -> None:
    world = outcome(
        happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber")),
        happened("charge.succeeded", "09-02 10:00:02", charge(ENDIVE, "birch", currency="jpy", amount=5000)),
    )
    (profile,) = world.profiles().values()
    assert [(v["currency"], v["paid_minor"], v["lifetime_value"]) for v in profile["value"]] == [
        ("jpy", 5000, "5000"),
        ("usd", 4200, "42.00"),
    ]


def test_a_currency_in_capitals_is_the_same_currency() -> None:
    world = outcome(happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber", currency="USD")))
    assert told(world, "currency", "amount") == [("paid:ch_amber", "usd", "42.00")]


def test_a_profiles_sums_are_exact_beyond_64_bits_and_come_back_from_there() -> None:
    most = 2**63 - 1
    large = [
        happened(
            "charge.succeeded",
            f"09-0{day} 10:00:02",
            charge(ENDIVE, f"n{day}", amount=most, created=at(f"09-0{day} 10:00:00")),
        )
        for day in (1, 2, 3)
    ]
    (profile,) = outcome(*large).profiles().values()
    (value,) = profile["value"]
    assert (value["paid_minor"], value["lifetime_value"]) == (3 * most, major(3 * most, "usd"))
    assert Profile.model_validate_json(profiles.dumps(profile | {"updated_at": "", "version": 1})).value == [
        CurrencyValue(**value)
    ]
    undone = [
        happened(
            "charge.refunded",
            "09-05 10:00:02",
            charge(ENDIVE, f"n{day}", amount=most, amount_refunded=most, created=at(f"09-0{day} 10:00:00")),
        )
        for day in (1, 2, 3)
    ]
    (profile,) = outcome(*large, *undone).profiles().values()
    assert profile["value"][0] == value | {
        "refunded_minor": 3 * most,
        "lifetime_value_minor": 0,
        "lifetime_value": "0.00",
    }


@pytest.mark.parametrize("field", ["amount", "amount_captured", "amount_refunded"])
def test_an_amount_beyond_64_bits_is_refused_with_its_path(field: str) -> None:
    body = charge(ENDIVE, "amber") | {field: 2**63}
    with pytest.raises(BadEvent) as error:
        run([happened("charge.succeeded", "09-01 10:00:02", body)])
    assert error.value.path == f"data.object.{field}"
