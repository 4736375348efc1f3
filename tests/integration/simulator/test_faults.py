"""The simulated Stripe fails as Stripe does, and stripe-python tells each failure by its own exception."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import stripe as stripe_python

from schemas.stripe_types import wanted_types
from simulator.api.faults import ApiFaults, Fault
from tests.conftest import DAY, RunningStripe

KEY = "sk_live_simulated"


async def charges(running: RunningStripe, key: str = KEY) -> list[str]:
    page = await running.client(key).v1.charges.list_async({"limit": 20})
    return [charge.id async for charge in page.auto_paging_iter()]


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests come at once, for those who count them."""
    monkeypatch.setattr("simulator.api.failing.time", SimpleNamespace(monotonic=lambda: 1.0, time=time.time))


@pytest.mark.parametrize("retry_after", [None, 7])
async def test_above_the_rate_there_is_429(
    stripe_api: RunningStripe, one_second: None, retry_after: int | None
) -> None:
    stripe_api.stripe.faults = ApiFaults(live_rate=5, retry_after=retry_after)
    client = stripe_api.client()

    async def ask() -> stripe_python.RateLimitError | None:
        try:
            await client.v1.accounts.retrieve_current_async()
        except stripe_python.RateLimitError as error:
            return error
        return None

    refused = [error for error in await asyncio.gather(*(ask() for _ in range(30))) if error]
    assert len(refused) == 25
    assert {error.json_body["error"]["code"] for error in refused if error.json_body} == {"rate_limit"}
    told = {(error.headers or {}).get("Retry-After") for error in refused}
    assert told == {None if retry_after is None else str(retry_after)}


async def test_live_and_test_keys_have_limits_of_their_own(stripe_api: RunningStripe, one_second: None) -> None:
    stripe_api.stripe.faults = ApiFaults(test_rate=1)
    await stripe_api.client("sk_test_x").v1.charges.list_async()
    with pytest.raises(stripe_python.RateLimitError):
        await stripe_api.client("sk_test_x").v1.charges.list_async()
    for _ in range(5):
        await stripe_api.client().v1.charges.list_async()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("error"), stripe_python.APIError),
        (Fault("too_many", retry_after=1), stripe_python.RateLimitError),
        (Fault("reset", times=2), stripe_python.APIConnectionError),
        (Fault("revoked"), stripe_python.AuthenticationError),
    ],
)
async def test_a_planned_fault_strikes_in_mid_listing(
    stripe_api: RunningStripe, fault: Fault, expected: type[Exception]
) -> None:
    fault.path, fault.after = "/v1/charges", 2
    stripe_api.stripe.faults.planned.append(fault)
    with pytest.raises(expected):
        await charges(stripe_api)
    assert stripe_api.stripe.requests["/v1/charges"] == (4 if fault.what == "reset" else 3)  # aiohttp asks again


async def test_a_request_can_hang_until_its_client_gives_up(stripe_api: RunningStripe) -> None:
    stripe_api.stripe.faults.planned.append(Fault("hang"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await charges(stripe_api)
    assert await charges(stripe_api)


async def test_a_page_can_repeat(stripe_api: RunningStripe) -> None:
    whole = await charges(stripe_api)
    stripe_api.stripe.faults.planned.append(Fault("repeat_page", "/v1/charges", after=1))
    assert await charges(stripe_api) == whole[:20] + whole  # the first page twice: the cursor goes on from there


async def test_the_object_of_a_cursor_can_be_gone(stripe_api: RunningStripe) -> None:
    stripe_api.stripe.faults.planned.append(Fault("cursor_gone", "/v1/charges", after=1))
    with pytest.raises(stripe_python.InvalidRequestError) as gone:
        await charges(stripe_api)
    assert (gone.value.http_status, gone.value.code, gone.value.param) == (400, "resource_missing", "starting_after")


async def test_stripe_can_be_down_for_a_while(stripe_api: RunningStripe) -> None:
    stripe_api.stripe.faults.down = True
    with pytest.raises(stripe_python.APIError) as down:
        await charges(stripe_api)
    assert down.value.http_status == 503
    stripe_api.stripe.faults.down = False
    assert await charges(stripe_api)


async def test_its_clock_can_differ_from_ours(stripe_api: RunningStripe) -> None:
    stripe_api.stripe.faults.clock_skew_seconds = -3_600
    answer: Any = await stripe_api.client().raw_request_async("get", "/v1/account")
    told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert abs(told - (time.time() - 3_600)) < 60


async def test_a_restricted_key_reads_what_it_may(stripe_api: RunningStripe) -> None:
    stripe_api.stripe.keys.restrict("rk_live_r", {"charge_read", "webhook_write"})
    client = stripe_api.client("rk_live_r")
    assert (await client.v1.charges.list_async()).data
    assert (await client.v1.refunds.list_async()).data
    made = await client.v1.webhook_endpoints.create_async(
        {"url": "https://shop.example", "enabled_events": list(wanted_types())}  # type: ignore[typeddict-item]
    )
    assert made.secret
    for listing, lacks in (
        (client.v1.customers.list_async, "rak_customer_read"),
        (client.v1.invoices.list_async, "rak_invoice_read"),
        (client.v1.invoice_payments.list_async, "rak_invoice_read"),
        (client.v1.subscriptions.list_async, "rak_subscription_read"),
        (client.v1.events.list_async, "rak_event_read"),
        (client.v2.core.events.list_async, "rak_event_read"),
    ):
        with pytest.raises(stripe_python.PermissionError, match=lacks) as refused:
            await listing()  # type: ignore[operator]
        assert refused.value.http_status == 403


async def test_the_clock_and_the_faults_are_controlled_from_outside_too(stripe_api: RunningStripe) -> None:
    async with aiohttp.ClientSession(stripe_api.url) as session:
        before = stripe_api.stripe.now()
        async with session.post("/simulator/clock", json={"advance": DAY}) as answer:
            assert await answer.json() == {"now": before + DAY}
        async with session.post("/simulator/faults", json={"api": {"down": True}, "webhooks": {"lost": 0.5}}) as answer:
            assert (await answer.json())["webhooks"]["lost"] == 0.5
        assert stripe_api.stripe.faults.down
        async with session.post("/simulator/faults", json={"api": {"up": True}}) as answer:
            assert answer.status == 400
            assert "no fault is called up" in await answer.text()
