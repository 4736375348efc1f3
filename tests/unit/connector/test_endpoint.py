"""What `connect` does about the endpoints that it finds: pure, so that every case can be said in a line."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.endpoint import Create, Delete, Endpoint, Plan, Update, Wish, plan, same_url
from schemas.stripe_types import EVENT_TYPES, wanted_types

URL = "https://hooks.example.com/webhooks/stripe"
VERSION = "2026-10-28.endive"
WISH = Wish(URL, wanted_types(), VERSION)
GOOD = Endpoint("we_1", URL, frozenset(EVENT_TYPES), enabled=True, api_version=VERSION, thin=False, created=100)
ELSEWHERE = replace(GOOD, id="we_9", url="https://other.example.com/hook")


def planned(*found: Endpoint, stored: tuple[str, ...] = ("we_1",), wish: Wish = WISH, roll: bool = False) -> Plan:
    return plan(found, wish, stored=stored, other_secrets=False, roll=roll)


def test_without_an_endpoint_one_is_made_and_other_peoples_are_left_alone() -> None:
    assert planned(ELSEWHERE).steps == (Create(WISH, "none sends here yet"),)


def test_what_is_right_is_left_as_it_is() -> None:
    assert planned(GOOD, ELSEWHERE) == Plan((), GOOD)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"enabled": False}, "enable it"),
        ({"types": frozenset(EVENT_TYPES[1:])}, f"add {EVENT_TYPES[0]}"),
        ({"types": frozenset({*EVENT_TYPES, "price.created"})}, "drop price.created"),
        ({"types": frozenset({"*"})}, "drop *"),
        ({"url": "https://old.example.com/webhooks/stripe"}, f"send to {URL} instead of"),
    ],
)
def test_what_can_be_changed_is_changed_in_place(wrong: dict[str, object], said: str) -> None:
    endpoint = replace(GOOD, **wrong)  # type: ignore[arg-type]
    (step,) = planned(endpoint).steps
    assert isinstance(step, Update)
    assert step.changes[0].startswith(said)


def test_further_types_may_stay_and_need_not_be_there() -> None:
    wish = replace(WISH, also=wanted_types(extended=True))
    further = replace(GOOD, types=frozenset({*EVENT_TYPES, "invoice.paid"}))
    assert planned(GOOD, wish=wish).steps == planned(further, wish=wish).steps == ()
    (step,) = planned(replace(further, types=further.types | {"price.created"}), wish=wish).steps
    assert isinstance(step, Update)
    assert (step.changes, step.types) == (("drop price.created",), (*EVENT_TYPES, "invoice.paid"))


def test_of_two_that_are_stored_the_newer_one_stays() -> None:
    newer = replace(GOOD, id="we_0")
    assert planned(GOOD, newer, stored=("we_1", "we_0")).kept == newer


def test_another_api_version_needs_a_new_endpoint_and_the_old_one_goes_last() -> None:
    old = replace(GOOD, api_version="2020-03-02")
    create, delete = planned(old).steps
    assert create == Create(WISH, "the API version of we_1 is 2020-03-02, and can't be changed")
    assert delete == Delete(old, "the new one takes its place")


def test_a_secret_that_nobody_knows_needs_a_new_endpoint() -> None:
    create, delete = planned(GOOD, stored=()).steps
    assert isinstance(create, Create)
    assert "we_1 is not known here" in create.why
    assert isinstance(delete, Delete)


def test_a_secret_in_the_settings_is_taken_for_the_endpoints_own() -> None:
    assert plan([GOOD], WISH, stored=(), other_secrets=True).steps == ()


def test_a_roll_makes_a_new_one_first_and_deletes_the_old_one_last() -> None:
    steps = planned(GOOD, roll=True).steps
    assert [type(step) for step in steps] == [Create, Delete]


def test_two_that_send_everything_twice_become_one() -> None:
    other = replace(GOOD, id="we_2", created=200)
    assert planned(GOOD, other).steps == (Delete(other, "it sends everything twice"),)


def test_of_two_whose_secret_is_only_in_the_settings_none_is_deleted_by_guess() -> None:
    made_by_hand = plan([GOOD, replace(GOOD, id="we_2")], WISH, stored=(), other_secrets=True)
    assert made_by_hand.steps == ()
    assert "delete one of the two" in made_by_hand.notes[0]


def test_a_thin_endpoint_beside_a_snapshot_one_is_another_matter() -> None:
    wish = Wish(URL, wanted_types(thin=True), VERSION, thin=True)
    assert planned(GOOD, wish=wish).steps == (Create(wish, "none sends here yet"),)
    thin = replace(GOOD, id="ed_1", thin=True, types=frozenset(wish.types), api_version="")
    assert planned(GOOD, thin, stored=("ed_1",), wish=wish).steps == ()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (URL, URL + "/", True),
        (URL, URL.replace("hooks.example", "HOOKS.example"), True),
        (URL, URL.replace("https", "http"), False),
        (URL, URL + "/shop", False),
    ],
)
def test_two_addresses_are_the_same_place(one: str, other: str, same: bool) -> None:
    assert same_url(one, other) is same


endpoints = st.builds(
    Endpoint,
    id=st.sampled_from(["we_1", "we_2", "we_3", "we_4"]),
    url=st.sampled_from([URL, ELSEWHERE.url]),
    types=st.frozensets(st.sampled_from([*EVENT_TYPES, "price.created", "*"])),
    enabled=st.booleans(),
    api_version=st.sampled_from([VERSION, "2020-03-02", ""]),
    thin=st.booleans(),
    created=st.integers(0, 3),
)


@given(
    st.lists(endpoints, unique_by=lambda one: one.id, max_size=4),
    st.sets(st.sampled_from(["we_1", "we_2", "we_3"])),
    st.booleans(),
)
@settings(max_examples=500)
def test_after_the_steps_there_is_nothing_left_to_do(found: list[Endpoint], stored: set[str], secrets: bool) -> None:
    """Safe to run twice, from any beginning; and at no moment does none of ours send that sent before."""
    after = {one.id: one for one in found}
    known = set(stored)
    for step in plan(found, WISH, stored=sorted(stored), other_secrets=secrets).steps:
        match step:
            case Create():
                after["we_new"] = Endpoint("we_new", URL, frozenset(WISH.types), True, VERSION, False, 9)
                known.add("we_new")
            case Update():
                after[step.endpoint.id] = replace(step.endpoint, url=URL, types=frozenset(WISH.types), enabled=True)
            case Delete():
                del after[step.endpoint.id]
                assert any(one.url == URL and one.enabled and not one.thin for one in after.values())
    again = plan(after.values(), WISH, stored=sorted(known), other_secrets=secrets)
    assert again.steps == ()
    assert again.kept is not None
    assert again.kept.types == frozenset(WISH.types)
