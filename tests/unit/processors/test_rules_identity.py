"""Who a fact belongs to: the email is the identity, trimmed and in lower case; names never are."""

from itertools import permutations

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


def test_what_a_guests_charge_tells_of_a_person_is_on_every_profile_of_the_customer_it_is_given_to() -> None:
    nameless = paid("09-02 10:00:02", "birch", billing_details=NOBODY)
    change = known("09-02 09:00:00", "customer.updated", email="new@example.com", before="old@example.com", name=None)
    guest = paid(customer=None)
    world = run([change, nameless, guest, paid() | {"created": at("09-01 10:00:05")}], checkpoint_every=1)
    assert {(email, profile["city"]) for email, profile in world.profiles().items()} == {
        ("old@example.com", "Porto"),
        ("new@example.com", "Porto"),
    }


# Customers that are no more, or never were.

DELETED = {"id": "cus_Iris01", "object": "customer", "deleted": True}
MISSING = {"id": "cus_Iris01", "object": "customer", "missing": True}


def looked_up(world: World, *answers: Json, created: str = "09-20 12:00:00") -> World:
    """`world` after Stripe's API answered."""
    for answer in answers:
        world.fetch(answer, at(created))
    world.settle()
    return world


def test_a_deleted_customers_rows_and_money_stay_and_the_profile_says_so() -> None:
    gone = happened("customer.deleted", "09-20 12:00:00", customer(ENDIVE))
    for world in (outcome(known(), paid(), gone), looked_up(run([known(), paid()]), DELETED)):
        (profile,) = world.profiles().values()
        assert (profile["customer_ids"], profile["deleted_customer_ids"]) == (["cus_Iris01"], ["cus_Iris01"])
        assert (profile["value"][0]["paid_minor"], profile["properties"]) == (4200, {"boat": "Sardinha"})
        (row,) = world.rows().values()
        assert (row["email"], row["properties"]["metadata"]["customer"]) == (
            "iris.vale@example.com",
            {"boat": "Sardinha"},
        )
    assert outcome(known(), paid()).profiles()["iris.vale@example.com"]["deleted_customer_ids"] == []


@pytest.mark.parametrize(
    ("answer", "reason"), [(DELETED, "customer deleted"), (MISSING, "customer not found")], ids=["deleted", "missing"]
)
def test_a_look_ups_negative_answer_names_the_reason_in_any_order(answer: Json, reason: str) -> None:
    nameless = paid(billing_details=NOBODY)
    after, before = looked_up(run([nameless]), answer), looked_up(World(), answer)
    before.feed(nameless)
    before.settle()
    for world in (after, before):
        assert told(world, "unlinked_reason", "amount_minor") == [("paid:ch_amber", reason, 4200)]
    assert after.facts() == before.facts()


def test_what_was_not_found_is_known_as_soon_as_it_is_told_of() -> None:
    world = looked_up(run([paid(billing_details=NOBODY), known(email=None)]), MISSING)
    assert told(world, "unlinked_reason") == [("paid:ch_amber", "customer has no email")]
    world.feed(known("09-25 12:00:00", "customer.updated"))
    world.settle()
    assert told(world, "email") == [("paid:ch_amber", "iris.vale@example.com")]


@pytest.mark.parametrize("kind", ["charge", "invoice", "refund", "payment_method", "subscription"])
@pytest.mark.parametrize("end", ["missing", "deleted"])
def test_no_answer_on_any_other_object_invents_or_undoes_a_row(kind: str, end: str) -> None:
    names = {"charge": "ch_amber", "invoice": "in_amber", "refund": "re_amber1"}
    world = run([paid()])
    expected = world.facts()
    for identifier in (names.get(kind, "x_1"), "other_1"):
        looked_up(world, {"id": identifier, "object": kind, end: True})
    assert world.facts() == expected


# Relinking.


def relinked(created: str) -> Json:
    """What `tillstream relink` publishes, as far as the story goes."""
    return {"id": "cus_Iris01", "object": "tillstream.relink", "customer": "cus_Iris01", "at": created}


def after(*events: Json, partitions: int = 1) -> World:
    """Events, and relinks where they come."""
    world = World(partitions)
    for event in events:
        if event["object"] == "event":
            world.feed(event)
        else:
            world.fetch(event, at(event["at"]))
        world.checkpoint()
    world.settle()
    return world


MOVED = (
    known(email="old@example.com"),
    paid("09-01 10:00:02", "amber"),
    known("09-10 12:00:00", "customer.updated", email="new@example.com", before="old@example.com"),
    paid("09-20 10:00:02", "birch"),
)


def test_a_relink_moves_past_rows_and_their_money_to_the_present_email() -> None:
    world = after(*MOVED, relinked("09-25 00:00:00"))
    assert [email for _, email in told(world, "email")] == ["new@example.com"] * 2
    (profile,) = world.profiles().values()
    assert (profile["email"], profile["value"][0]["paid_minor"]) == ("new@example.com", 2 * 4200)


def test_a_relink_holds_for_what_was_before_it_and_for_no_later_change() -> None:
    moved_again = known("09-28 12:00:00", "customer.updated", email="third@example.com", before="new@example.com")
    events = (*MOVED, relinked("09-25 00:00:00"), moved_again, paid("09-29 10:00:02", "elm"))
    assert [email for _, email in told(after(*events), "email")] == [*["new@example.com"] * 2, "third@example.com"]
    again = (*events, relinked("09-30 00:00:00"))
    assert [email for _, email in told(after(*again), "email")] == ["third@example.com"] * 3


def test_a_relink_ends_the_same_in_any_order() -> None:
    events = (*MOVED, relinked("09-25 00:00:00"))
    expected = after(*events)
    for number, order in enumerate(permutations(events)):
        world = after(*order, order[number % 5], partitions=1 + number % 3)
        assert (world.facts(), world.profiles()) == (expected.facts(), expected.profiles())


def test_a_relink_of_a_customer_without_a_known_email_changes_nothing() -> None:
    world = after(paid(), relinked("09-25 00:00:00"))
    assert [email for _, email in told(world, "email")] == ["iris.vale@example.com"]


# Merging.


def merged(created: str, email: str = "vale@example.com") -> Json:
    """What the console's merge publishes, as far as the story goes."""
    return {"id": "cus_Iris01", "object": "tillstream.merge", "customer": "cus_Iris01", "email": email, "at": created}


def test_a_merge_moves_all_rows_and_their_money_past_and_future_to_the_other_person() -> None:
    world = after(*MOVED, merged("09-25 00:00:00", "  Vale@Example.com"), paid("09-29 10:00:02", "elm"))
    assert [email for _, email in told(world, "email")] == ["vale@example.com"] * 3
    (profile,) = world.profiles().values()
    assert (profile["email"], profile["value"][0]["paid_minor"]) == ("vale@example.com", 3 * 4200)


def test_a_merge_is_taken_back_and_all_is_as_stripe_says() -> None:
    world = after(*MOVED, merged("09-25 00:00:00"), merged("09-26 00:00:00", ""))
    assert [email for _, email in told(world, "email")] == [email for _, email in told(after(*MOVED), "email")]
    assert {profile["email"] for profile in world.profiles().values()} == {"old@example.com", "new@example.com"}


def test_merges_end_the_same_in_any_order() -> None:
    events = (*MOVED, merged("09-25 00:00:00"), merged("09-26 00:00:00", "iris@vale.example"))
    expected = after(*events)
    assert {email for _, email in told(expected, "email")} == {"iris@vale.example"}
    for number, order in enumerate(permutations(events)):
        if number % 7 == 0:  # all of them take too long
            world = after(*order, order[number % 6], partitions=1 + number % 3)
            assert (world.facts(), world.profiles()) == (expected.facts(), expected.profiles())


def test_a_merge_goes_before_a_relink_whichever_comes_first() -> None:
    for order in permutations((relinked("09-27 00:00:00"), merged("09-25 00:00:00"))):
        assert {email for _, email in told(after(*MOVED, *order), "email")} == {"vale@example.com"}


def test_only_what_is_published_inside_relinks() -> None:
    """A webhook of that name is of a type that is not mapped."""
    world = after(*MOVED)
    world.feed(happened("tillstream.relink", "09-25 00:00:00", relinked("")))
    world.settle()
    assert world.facts() == after(*MOVED).facts()
    assert world.outcomes["unmapped"] == 1
