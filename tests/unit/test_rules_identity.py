"""Who a fact belongs to: the email is the identity, trimmed and in lower case; names never are."""

import pytest

from schemas.profile import profile_key
from tests.fixtures.stripe.charges import charge, customer, declined
from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import ENDIVE, V2024, Json, at
from tests.fixtures.stripe.story import happened, outcome, told
from tests.ledger_harness import World, run

NOBODY = {"address": None, "email": None, "name": None, "phone": None}


def paid(created: str = "09-01 10:00:02", name: str = "amber", **changes: object) -> Json:
    return happened("charge.succeeded", created, charge(ENDIVE, name, created=at(created)) | changes)


def known(created: str = "08-31 18:00:00", type_: str = "customer.created", **changes: object) -> Json:
    previous = {"email": changes.pop("before")} if "before" in changes else None
    return happened(type_, created, customer(ENDIVE, **changes), previous)


def emails(*events: Json) -> list[str]:
    return [email for _, email in told(outcome(*events), "email")]


def sources(*, given: str) -> list[Json]:
    """A paid charge linked to an invoice, and another invoice; each place of an email has one if `given` names it."""

    def email(place: str) -> str | None:
        return f"{place}@example.com" if place in given.split() else None

    body = charge(V2024, "amber", invoice="in_amber", receipt_email=email("receipt"))
    body |= {"billing_details": NOBODY | {"email": email("billing")}}
    return [
        happened("customer.created", "08-31 18:00:00", customer(V2024, email=email("customer")), shape=V2024),
        happened("charge.succeeded", "09-01 10:00:02", body, shape=V2024),
        happened(
            "invoice.paid",
            "09-01 10:00:05",
            invoice(V2024, "amber", "paid", charge="ch_amber", customer_email=email("invoice")),
            shape=V2024,
        ),
        happened(
            "invoice.created",
            "09-20 10:00:05",
            invoice(V2024, "later", "draft", customer_email=email("newest")),
            shape=V2024,
        ),
    ]


@pytest.mark.parametrize(
    ("given", "email"),
    [
        ("customer billing receipt invoice newest", "customer@example.com"),
        ("billing receipt invoice newest", "billing@example.com"),
        ("receipt invoice newest", "receipt@example.com"),
        ("invoice newest", "invoice@example.com"),
        ("newest", "newest@example.com"),
        ("", ""),
    ],
)
def test_a_payments_email_is_the_first_of_five_places(given: str, email: str) -> None:
    world = outcome(*sources(given=given))
    assert ("paid:ch_amber", email) in told(world, "email")


@pytest.mark.parametrize("typed", ["Iris.Vale@Example.com", " iris.vale@example.com\n", "IRIS.VALE@EXAMPLE.COM"])
def test_an_email_in_odd_case_or_with_spaces_is_the_same_person(typed: str) -> None:
    world = outcome(
        known(email=typed),
        paid(),
        paid("09-02 10:00:02", "birch", billing_details=NOBODY | {"email": "iris.vale@example.com"}),
    )
    assert list(world.profiles()) == ["iris.vale@example.com"]


def test_when_a_customers_email_changes_old_rows_keep_the_old_one() -> None:
    events = (
        known(email="old@example.com"),
        paid("09-01 10:00:02", "amber"),
        known("09-10 12:00:00", "customer.updated", email="new@example.com", before="old@example.com"),
        paid("09-20 10:00:02", "birch"),
    )
    assert emails(*events) == ["old@example.com", "new@example.com"]
    profiles = outcome(*events).profiles()
    assert {key: profile["metrics"][0]["count"] for key, profile in profiles.items()} == {
        "old@example.com": 1,
        "new@example.com": 1,
    }


def test_the_update_alone_tells_of_the_old_email_as_well() -> None:
    update = known("09-10 12:00:00", "customer.updated", email="new@example.com", before="old@example.com")
    assert emails(update, paid("09-01 10:00:02", "amber"), paid("09-20 10:00:02", "birch")) == [
        "old@example.com",
        "new@example.com",
    ]


def test_an_email_that_becomes_known_later_links_the_rows_from_before() -> None:
    failed = happened("charge.failed", "09-01 10:00:01", declined(ENDIVE, "dune"))
    assert emails(failed) == [""]
    late = known("09-02 12:00:00", "customer.updated")
    assert emails(failed, late) == ["iris.vale@example.com"]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([paid(customer=None, billing_details=NOBODY)], "guest: no email on the charge"),
        ([paid(billing_details=NOBODY)], "customer unknown: look-up pending"),
        ([paid(billing_details=NOBODY), known(email=None)], "customer has no email"),
        ([paid()], ""),
    ],
)
def test_a_row_without_an_email_says_why_and_still_counts_the_money(events: list[Json], reason: str) -> None:
    assert told(outcome(*events), "unlinked_reason", "amount_minor") == [("paid:ch_amber", reason, 4200)]


def test_a_row_without_an_email_belongs_to_no_profile() -> None:
    assert outcome(paid(billing_details=NOBODY)).profiles() == {}


def test_two_people_of_one_name_are_two_profiles() -> None:
    other = NOBODY | {"name": "Iris Vale", "email": "other@example.com"}
    profiles = outcome(paid(), paid(name="birch", customer="cus_2", billing_details=other)).profiles()
    assert sorted(profiles) == ["iris.vale@example.com", "other@example.com"]


def test_two_customers_of_one_email_are_one_profile() -> None:
    (profile,) = (
        outcome(paid(), paid(name="birch", customer="cus_Iris02"), paid(name="elm", customer=None)).profiles().values()
    )
    assert profile["customer_ids"] == ["cus_Iris01", "cus_Iris02"]
    assert profile["value"][0]["paid_minor"] == 3 * 4200


def test_test_and_live_people_never_mix() -> None:
    world = outcome(paid(), paid(name="birch") | {"livemode": False})
    profiles = world.profiles()
    assert sorted(profiles) == ["iris.vale@example.com", profile_key("iris.vale@example.com", False)]
    assert [profile["value"][0]["paid_minor"] for profile in profiles.values()] == [4200, 4200]


def test_one_id_in_two_accounts_is_two_facts() -> None:
    world = run([paid() | {"account": "acct_north"}, paid() | {"account": "acct_south", "id": "evt_2"}])
    assert sorted(world.rows()) == ["acct_north:live:paid:ch_amber", "acct_south:live:paid:ch_amber"]
    (profile,) = world.profiles().values()
    assert profile["accounts"] == ["acct_north", "acct_south"]


def test_a_customers_metadata_and_address_are_on_the_profile() -> None:
    place = {"country": "PT", "city": "Faro", "postal_code": "8000-001"}
    world: World = outcome(known(address=place, name="Iris V."), paid())
    (profile,) = world.profiles().values()
    assert (profile["name"], profile["city"], profile["postal_code"]) == ("Iris V.", "Faro", "8000-001")
    assert profile["properties"] == {"boat": "Sardinha"}


def test_a_payment_keeps_the_email_of_its_time_when_the_customer_changes_twice() -> None:
    changes = [
        known("09-02 09:00:00", "customer.updated", email="second@example.com", before="first@example.com"),
        known("09-03 09:00:00", "customer.updated", email="third@example.com", before="second@example.com"),
    ]
    assert emails(paid("09-01 10:00:02"), *changes) == ["first@example.com"]
