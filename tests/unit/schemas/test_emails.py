"""One address is one person, however it is spelled; and what is no address is nobody's, with the reason."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.emails import normal, problem
from schemas.erasing import mask_text, owners
from schemas.profile import profile_key
from tests.fixtures.stripe.charges import charge
from tests.fixtures.stripe.shapes import ENDIVE, Json
from tests.fixtures.stripe.story import happened, outcome

NOBODY = {"email": None, "name": None, "phone": None, "address": None}


@pytest.mark.parametrize(
    "spelled",
    [
        "Iris@Example.com",
        " iris@example.com\r\n",
        "\u00a0iris@example.com\u2009",
        "iris\u200b@example\u2060.com",
        "\ufeffiris@example.com",
        "ir\u00adis@example.com",
        "\u202eiris@example.com\u202c",
        "IR\u0130S@EXAMPLE.COM",  # a Turkish keyboard's capital i
        "iri\u0307s@example.com",
        "\u0130ris@example.com".lower(),
        json.loads('"iris\\u0040example\\u002ecom"'),
    ],
)
def test_an_address_is_the_same_however_it_is_spelled(spelled: str) -> None:
    assert normal(spelled) == "iris@example.com"
    assert problem(normal(spelled)) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jos\u00e9@example.com", "JOSE\u0301@example.com"),  # composed and not
        ("\u03bf\u03b4\u03bf\u03c3@example.com", "\u039f\u0394\u039f\u03a3@example.com"),  # no final sigma
        ("\u212bsa@example.com", "\u00e5SA@example.com"),  # the sign for angstroms
        ("stra\u00dfe@example.com", "STRA\u1e9eE@example.com"),
    ],
)
def test_letters_beyond_ascii_have_one_spelling_and_stay(one: str, other: str) -> None:
    assert normal(one) == normal(other)
    assert problem(normal(one)) == ""
    assert not normal(one).isascii()


@pytest.mark.parametrize("other", ["strasse@example.com", "jose@example.com"])
def test_different_addresses_stay_different(other: str) -> None:
    assert normal(other) not in (normal("stra\u00dfe@example.com"), normal("jos\u00e9@example.com"))


TRAPS = st.sampled_from("aIi\u0130\u0307\u0323\u0301\u03a3\u03c3\u03c2\u212a\u01c5\u1e9e\u200d\u00ad @.")


@given(st.text(TRAPS | st.characters(codec="utf-8")))
@example("i\u0307\u0307@x")
@example("i\u0307\u0323\u0307")
def test_what_is_normal_stays_as_it_is(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a@example.com, b@example.com", "it is more than one address"),
        ("a@example.com;b@example.com", "it is more than one address"),
        ("a@b@example.com", "it is more than one address"),
        ("a\x00@example.com", "it has a control character"),
        ("a@example.com\x7fb", "it has a control character"),
        ("a\nbcc: b@example.com", "it has a control character"),
        ("a\u2028@example.com", "it has a control character"),
        ("none", "it has no name and domain"),
        ("@example.com", "it has no name and domain"),
        ("a@", "it has no name and domain"),
        ("ada lovelace@example.com", "it has a character that no address has"),
        ("ada <ada@example.com>", "it has a character that no address has"),
        ("mailto:ada@example.com", "it has a character that no address has"),
        ("default|live@example.com", "it has a character that no address has"),
        ("a" * 300 + "@example.com", "it is too long"),
        ("\u00e9" * 130 + "@example.com", "it is too long"),
    ],
)
def test_what_is_no_address_is_nobodys_and_says_why(text: str, reason: str) -> None:
    guest = charge(ENDIVE, "amber", customer=None, billing_details=NOBODY | {"email": text})
    world = outcome(happened("charge.succeeded", "09-01 10:00:02", guest))
    [row] = world.rows().values()
    assert (row["email"], row["unlinked_reason"]) == ("", f"guest: not an email: {reason}")
    assert (row["amount"], world.profiles()) == ("42.00", {})


def test_nobody_can_be_taken_for_a_person_of_test_mode() -> None:
    """`test:` and the email is the key of a profile of test mode."""
    assert problem(profile_key("iris@example.com", livemode=False)) != ""


def known(email: object) -> Json:
    return {"id": "cus_Iris01", "object": "customer", "created": 1_700_000_000, "email": email, "metadata": {}}


def nameless(**more: object) -> Json:
    return charge(ENDIVE, "amber", billing_details=NOBODY) | more


def test_a_customer_whose_email_is_none_says_so_until_it_has_one() -> None:
    events = [
        happened("charge.succeeded", "09-01 10:00:02", nameless()),
        happened("customer.updated", "09-01 10:00:05", known("a@example.com, b@example.com")),
    ]
    [row] = outcome(*events).rows().values()
    assert row["unlinked_reason"] == "customer: not an email: it is more than one address"
    mended = happened("customer.updated", "09-02 10:00:05", known("a@example.com"))
    [row] = outcome(*events, mended).rows().values()
    assert (row["email"], row["unlinked_reason"]) == ("a@example.com", "")


def test_a_good_address_beside_one_that_is_none_is_used() -> None:
    body = charge(ENDIVE, "amber", customer=None, billing_details=NOBODY | {"email": "x"}) | {
        "receipt_email": "y@z.com"
    }
    [row] = outcome(happened("charge.succeeded", "09-01 10:00:02", body)).rows().values()
    assert row["email"] == "y@z.com"


def test_the_email_of_a_customer_that_came_whole_is_used() -> None:
    [row] = (
        outcome(happened("charge.succeeded", "09-01 10:00:02", nameless(customer=known("I@example.com"))))
        .rows()
        .values()
    )
    assert (row["email"], row["customer_id"]) == ("i@example.com", "cus_Iris01")


def test_a_customer_that_came_whole_and_deleted_is_deleted() -> None:
    gone = {"id": "cus_Iris01", "object": "customer", "deleted": True}
    [row] = outcome(happened("charge.succeeded", "09-01 10:00:02", nameless(customer=gone))).rows().values()
    assert row["unlinked_reason"] == "customer deleted"


@pytest.mark.parametrize("code", ["zwg", "eurc"])
def test_a_currency_that_stripe_has_added_since_is_kept_with_two_decimals_and_says_so(code: str) -> None:
    [row] = (
        outcome(happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber", currency=code))).rows().values()
    )
    assert (row["currency"], row["amount"], row["amount_minor"]) == (code, "42.00", 4200)
    assert row["properties"]["DecimalsAssumed"] is True
    [row] = outcome(happened("charge.succeeded", "09-01 10:00:02", charge(ENDIVE, "amber"))).rows().values()
    assert "DecimalsAssumed" not in row["properties"]


def test_whoever_is_erased_is_found_in_every_spelling() -> None:
    def until(email: str) -> int:
        return 1_767_607_200 if email == "iris@example.com" else 0

    assert mask_text("from IR\u0130S@EXAMPLE.COM", until) == "from (erased 1767607200)"
    assert owners({"email": "iris\u200b@example.com"}) == ["iris@example.com"]
