"""Webhook endpoints take what Stripe takes; the pieces around them that need no network."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.stripe_types import wanted_types
from simulator.api.faults import ApiFaults, Bucket, Fault
from simulator.api.forms import form
from simulator.api.keys import Keys, key_in, livemode_of, masked
from simulator.delivery.endpoints import MOST_ENDPOINTS, Endpoints
from simulator.errors import ApiError

HOOK = "https://shop.example/hook"


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("thin", [False, True])
def test_all_types_that_connect_asks_for_are_known(extended: bool, thin: bool) -> None:
    made = Endpoints(livemode=True).add(HOOK, list(wanted_types(extended=extended, thin=thin)), 1, thin=thin)
    assert made.wants("charge.refunded")
    assert made.wants("customer.deleted") == extended
    assert not made.wants("price.created")


@pytest.mark.parametrize(
    ("url", "types", "param"),
    [
        ("shop.example/hook", ["charge.failed"], "url"),
        ("http://shop.example/hook", ["charge.failed"], "url"),
        ("ftp://shop.example/hook", ["charge.failed"], "url"),
        (HOOK, [], "enabled_events"),
        (HOOK, ["charge.suceeded"], "enabled_events[0]"),
        (HOOK, ["charge.failed", "Charge"], "enabled_events[1]"),
        (HOOK, ["*", "charge.failed"], "enabled_events"),
    ],
)
def test_what_stripe_refuses_is_refused(url: str, types: list[str], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        Endpoints(livemode=True).add(url, types, 1)
    assert refused.value.param == param


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/hook", "http://localhost/hook", "http://[::1]:1/hook"])
def test_plain_http_reaches_this_machine_only(url: str) -> None:
    assert Endpoints(livemode=False).add(url, ["*"], 1).url == url


def test_sixteen_endpoints_are_the_most() -> None:
    endpoints = Endpoints(livemode=False)
    for _ in range(MOST_ENDPOINTS):
        endpoints.add(HOOK, ["*"], 1)
    with pytest.raises(ApiError, match="16 test webhook endpoints"):
        endpoints.add(HOOK, ["*"], 1)


def test_a_change_that_is_refused_changes_nothing() -> None:
    endpoints = Endpoints(livemode=True)
    made = endpoints.add(HOOK, ["charge.failed"], 1, metadata={"a": "1"})
    with pytest.raises(ApiError):
        endpoints.change(made, 2, url="https://other.example", enabled_events=["nonsense"], metadata={"a": ""})
    assert (made.url, made.enabled_events, made.metadata, made.updated) == (HOOK, ["charge.failed"], {"a": "1"}, 1)


def test_forms_with_brackets() -> None:
    pairs = [("enabled_events[0]", "a"), ("enabled_events[1]", "b"), ("metadata[x]", "1"), ("url", HOOK)]
    known = ("enabled_events", "metadata", "url")
    assert form(pairs, known) == {"enabled_events": ["a", "b"], "metadata": {"x": "1"}, "url": HOOK}
    with pytest.raises(ApiError, match="unknown parameter: secret"):
        form([("secret", "whsec_")], known)


def test_a_restricted_key_names_what_it_lacks() -> None:
    keys = Keys()
    keys.restrict("rk_live_abcdefgh", {"charge_read", "webhook_write"})
    keys.permit("rk_live_abcdefgh", "charge", write=False, account="acct_1")
    keys.permit("rk_live_abcdefgh", "webhook", write=False, account="acct_1")
    with pytest.raises(ApiError, match=r"'rk_live_[*]{4}efgh'.*'rak_charge_write' permission") as refused:
        keys.permit("rk_live_abcdefgh", "charge", write=True, account="acct_1")
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("key", "message"), [("", "did not provide"), ("whsec_1", "Invalid API Key"), ("sk_live_old1", "Expired API Key")]
)
def test_keys_that_open_nothing(key: str, message: str) -> None:
    keys = Keys()
    keys.revoke("sk_live_old1")
    with pytest.raises(ApiError, match=message) as refused:
        keys.check(key)
    assert refused.value.status == 401


def test_the_key_says_its_mode_and_is_never_shown_whole() -> None:
    assert livemode_of("rk_live_1")
    assert not livemode_of("sk_test_live_")
    assert "secretsecret" not in masked("sk_live_secretsecret1234")
    assert key_in("Basic c2tfbGl2ZV94Og==") == "sk_live_x"
    assert key_in("Basic !") == key_in("Digest x") == ""


@settings(max_examples=200, deadline=None)
@given(st.floats(1, 500), st.lists(st.floats(0, 0.05), max_size=300))
def test_no_second_sees_more_than_a_burst_and_the_rate(rate: float, pauses: list[float]) -> None:
    bucket, now, taken = Bucket(), 100.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(rate, now)
    assert taken <= rate + rate * sum(pauses) + 1


def test_planned_faults_come_in_their_turn() -> None:
    plan = ApiFaults(planned=[Fault("error", "/v1/charges", after=1, times=2), Fault("too_many", times=None)])
    paths = ["/v1/charges"] * 4 + ["/v1/invoices"]
    met = [fault.what if (fault := plan.strikes(path, cursor=False)) else "" for path in paths]
    assert met == ["too_many", "error", "error", "too_many", "too_many"]
