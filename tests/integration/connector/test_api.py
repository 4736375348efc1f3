"""The client of Stripe's API: whole lists, Stripe's own JSON, retries that end, and errors that say what to do."""

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connector.errors import BadRequest, EndlessList, KeyRevoked, NotFound, PermissionMissing, RateLimited, StripeDown
from connector.stripe_api import StripeAccess, StripeApi
from schemas.errors import ConfigurationError
from simulator.world.history import World
from tests.integration.connector_support import KEY, START, Stripe, error, simulated


@pytest.fixture(scope="module")
def world() -> World:
    return World(2, START, 30, 60)


@pytest.fixture
async def stripe(world: World) -> AsyncIterator[Stripe]:
    async with simulated(world) as running:
        yield running


async def ids(api: StripeApi, path: str, params: dict[str, Any] | None = None) -> list[str]:
    return [one["id"] async for page in api.pages(path, params) for one in page.objects]


async def test_a_list_is_read_to_its_end_and_each_object_once(stripe: Stripe, world: World) -> None:
    async with StripeApi(stripe.access()) as api:
        found = await ids(api, "/v1/charges")
    assert len(found) > 100
    assert sorted(found) == sorted(world.accounts["default"].charges)


async def test_an_object_is_as_stripe_sent_it(stripe: Stripe, world: World) -> None:
    customer = next(iter(world.accounts["default"].customers))
    path = f"/v1/customers/{customer}"
    async with StripeApi(stripe.access()) as api:
        got, fetched_at = await api.fetch(path)
    auth = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=auth) as session, session.get(stripe.url + path) as response:
        assert got == await response.json()
    assert time.time() - 30 < fetched_at <= time.time()


async def test_bounds_of_time_and_filters_reach_stripe(stripe: Stripe) -> None:
    async with StripeApi(stripe.access()) as api:
        page = await api.page("/v1/charges", {"created": {"gte": START, "lte": START + 86_400}, "limit": 3})
        everything = await ids(api, "/v1/subscriptions", {"status": "all"})
        active = await ids(api, "/v1/subscriptions")
    assert all(START <= charge["created"] <= START + 86_400 for charge in page.objects)
    assert len(page.objects) == 3
    assert set(active) < set(everything)


async def test_an_unknown_object_and_an_unknown_parameter_are_told_apart(stripe: Stripe) -> None:
    async with StripeApi(stripe.access()) as api:
        with pytest.raises(NotFound):
            await api.get("/v1/customers/cus_nobody")
        with pytest.raises(BadRequest):
            await api.get("/v1/customers", {"limit": 101})


async def test_a_revoked_key_is_named_at_once(stripe: Stripe) -> None:
    async def revoked(_: web.Request) -> web.Response:
        return error(401, "Expired API Key provided: sk_test_*****", code="api_key_expired")

    stripe.fault = revoked
    async with StripeApi(stripe.access()) as api:
        with pytest.raises(KeyRevoked, match="account default: Expired API Key") as caught:
            await api.get("/v1/charges")
    assert "STRIPE_API_KEY" in caught.value.remedy
    assert len(stripe.asked) == 1


@pytest.mark.parametrize(
    ("message", "permission"),
    [
        ("The provided key does not have the required permissions.", "rak_invoice_read"),
        ("Having the 'rak_billing_read' permission would allow this request to continue.", "rak_billing_read"),
    ],
)
async def test_a_missing_permission_names_resource_and_permission(
    stripe: Stripe, message: str, permission: str
) -> None:
    async def forbidden(_: web.Request) -> web.Response:
        return error(403, message)

    stripe.fault = forbidden
    async with StripeApi(stripe.access()) as api:
        with pytest.raises(PermissionMissing, match="may not read invoices") as caught:
            await api.get("/v1/invoices/in_1/lines")
    assert (caught.value.resource, caught.value.permission) == ("invoices", permission)
    assert "“Read” for invoices" in caught.value.remedy


async def test_a_storm_of_429_is_survived_more_slowly(stripe: Stripe, world: World) -> None:
    refused = 0

    async def storm(_: web.Request) -> web.Response | None:
        nonlocal refused
        refused += 1
        return error(429, "Too many requests", code="rate_limit", retry_after="0.05") if refused % 3 else None

    stripe.fault = storm
    async with StripeApi(stripe.access()) as api:
        found = await ids(api, "/v1/customers")
        assert api.turns.pace.rate < 10_000
        assert api.waiting == ""
    assert sorted(found) == sorted(world.accounts["default"].customers)


async def test_retry_after_is_honoured(stripe: Stripe) -> None:
    async def once(_: web.Request) -> web.Response | None:
        return error(429, "Too many requests", retry_after="1") if len(stripe.asked) == 1 else None

    stripe.fault = once
    async with StripeApi(stripe.access()) as api:
        began = time.monotonic()
        await api.get("/v1/charges", {"limit": 1})
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(("status", "named"), [(429, RateLimited), (500, StripeDown), (503, StripeDown)])
async def test_patience_ends_with_the_reason(stripe: Stripe, status: int, named: type[Exception]) -> None:
    async def away(_: web.Request) -> web.Response:
        return error(status, "Not now")

    stripe.fault = away
    async with StripeApi(stripe.access(patience=2.0)) as api:
        with pytest.raises(named, match="Not now"):
            await api.get("/v1/charges")
        assert "Not now" in api.waiting
    assert len(stripe.asked) > 1


async def test_a_broken_answer_and_a_closed_door_are_tried_again(stripe: Stripe) -> None:
    async def broken(_: web.Request) -> web.Response | None:
        return web.Response(text='{"object": "li') if len(stripe.asked) == 1 else None

    stripe.fault = broken
    async with StripeApi(stripe.access()) as api:
        assert (await api.get("/v1/charges", {"limit": 1}))["object"] == "list"
    async with StripeApi(StripeAccess("default", KEY, "http://127.0.0.1:9", patience=0)) as api:
        with pytest.raises(StripeDown, match="does not answer"):
            await api.get("/v1/charges")


async def test_a_deleted_cursor_object_loses_nothing(stripe: Stripe, world: World) -> None:
    gone: list[str] = []

    async def deleted(request: web.Request) -> web.Response | None:
        cursor = request.query.get("starting_after", "")
        if cursor and not gone:
            gone.append(cursor)
        if cursor in gone:
            return error(404, f"No such charge: '{cursor}'", param="starting_after", code="resource_missing")
        return None

    stripe.fault = deleted
    async with StripeApi(stripe.access()) as api:
        found = await ids(api, "/v1/charges")
    assert gone
    assert set(found) == set(world.accounts["default"].charges)


async def test_a_page_that_repeats_is_got_around_or_named(stripe: Stripe, world: World) -> None:
    for_ever = False

    async def repeating(request: web.Request) -> web.Response | None:
        stuck = "starting_after" in request.query or (for_ever and "created[lte]" in request.query)
        if not stuck or (not for_ever and "created[lte]" in request.query):
            return None
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {KEY}"}
            async with session.get(f"{stripe.url}/v1/charges?limit=100", headers=headers) as first:
                return web.json_response(await first.json())

    stripe.fault = repeating
    async with StripeApi(stripe.access()) as api:
        assert set(await ids(api, "/v1/charges")) == set(world.accounts["default"].charges)
        for_ever = True
        with pytest.raises(EndlessList, match="same page again"):
            await ids(api, "/v1/charges")


@pytest.mark.parametrize("key", ["", "pk_test_x", "whsec_x", "sk_x", "sk_demo_x"])
def test_what_is_no_api_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StripeApi(StripeAccess("shop", key))
    assert "account shop" in str(caught.value)
    assert not key or key not in str(caught.value) + repr(StripeAccess("shop", key))


def test_the_mode_is_the_keys() -> None:
    assert StripeAccess("a", "rk_live_x").livemode
    assert not StripeAccess("a", "sk_test_x").livemode
