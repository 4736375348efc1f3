"""stripe-python lists and retrieves from the simulator as it does from Stripe."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import stripe
from aiohttp.test_utils import TestServer

from simulator.api.app import create_app
from simulator.world.history import World

START = 1_767_225_600
KINDS = ("charges", "invoices", "refunds", "customers", "events", "subscriptions", "invoice_payments")


@pytest.fixture(scope="module")
def world() -> World:
    return World(1, START, 30, 60, accounts=("default", "acct_1Second"))


@pytest.fixture(scope="module")
async def url(world: World) -> AsyncIterator[str]:
    async with TestServer(create_app(world)) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def client(url: str) -> stripe.StripeClient:
    return stripe.StripeClient("sk_live_simulated", base_addresses={"api": url}, max_network_retries=0)


def listed(client: stripe.StripeClient, kind: str, params: dict[str, Any]) -> list[str]:
    page = getattr(client.v1, kind).list(params)
    return [item.id for item in page.auto_paging_iter()]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_object_is_listed_page_by_page(client: stripe.StripeClient, world: World, kind: str) -> None:
    params = {"limit": 7, **({"status": "all"} if kind == "subscriptions" else {})}
    ids = await asyncio.to_thread(listed, client, kind, params)
    books = world.accounts["default"]
    known: Any = books.events if kind == "events" else getattr(books, kind).values()
    assert sorted(ids) == sorted(o.id for o in known if getattr(o, "status", "") != "deleted")


@pytest.mark.parametrize("kind", KINDS[:-1])
async def test_every_kind_is_retrieved_as_it_is_listed(client: stripe.StripeClient, kind: str) -> None:
    def both() -> tuple[Any, Any]:
        service = getattr(client.v1, kind)
        first = service.list({"limit": 1}).data[0]
        return first, service.retrieve(first.id)

    first, alone = await asyncio.to_thread(both)
    assert first.to_dict() == alone.to_dict()


async def test_lists_go_backwards_too(client: stripe.StripeClient) -> None:
    def walk() -> tuple[list[str], list[str]]:
        forward = [c.id for c in client.v1.charges.list({"limit": 20}).data]
        back = client.v1.charges.list({"limit": 5, "ending_before": forward[15]}).data
        return forward, [c.id for c in back]

    forward, back = await asyncio.to_thread(walk)
    assert back == forward[10:15]


async def test_created_filters_bound_the_list(client: stripe.StripeClient, world: World) -> None:
    times = sorted(c.created for c in world.accounts["default"].charges.values())
    low, high = times[5], times[-5]
    inclusive = await asyncio.to_thread(listed, client, "charges", {"created": {"gte": low, "lte": high}})
    exclusive = await asyncio.to_thread(listed, client, "charges", {"created": {"gt": low, "lt": high}})
    assert len(inclusive) == sum(low <= at <= high for at in times)
    assert len(exclusive) == sum(low < at < high for at in times)


async def test_events_are_chosen_by_type_and_charges_by_customer(client: stripe.StripeClient, world: World) -> None:
    books = world.accounts["default"]
    types = ["charge.failed", "invoice.voided"]
    ids = await asyncio.to_thread(listed, client, "events", {"types": types})
    assert sorted(ids) == sorted(e.id for e in books.events if e.type in types)
    charge = next(c for c in books.charges.values() if c.customer)
    ids = await asyncio.to_thread(listed, client, "charges", {"customer": charge.customer})
    assert sorted(ids) == sorted(c.id for c in books.charges.values() if c.customer == charge.customer)


async def test_the_link_of_charge_and_invoice_is_found_by_invoice_payments(
    client: stripe.StripeClient, world: World
) -> None:
    charge = next(c for c in world.accounts["default"].charges.values() if c.invoice and c.paid)

    def look_up() -> Any:
        return client.v1.invoice_payments.list(
            {"payment": {"type": "payment_intent", "payment_intent": charge.payment_intent}}
        ).data

    found = await asyncio.to_thread(look_up)
    assert [payment.invoice for payment in found] == [charge.invoice]


async def test_out_of_band_money_shows_when_expanded(client: stripe.StripeClient, world: World) -> None:
    invoice = next(i for i in world.accounts["default"].invoices.values() if i.paid_off_stripe)

    def look_up(expand: list[Any]) -> dict[str, Any]:
        return client.v1.invoices.retrieve(invoice.id, {"expand": expand}).to_dict()

    assert (await asyncio.to_thread(look_up, ["amount_paid_off_stripe"]))["amount_paid_off_stripe"] > 0
    assert "amount_paid_off_stripe" not in await asyncio.to_thread(look_up, [])


async def test_lines_past_the_first_page_are_listed(client: stripe.StripeClient, world: World) -> None:
    long = next(i for i in world.accounts["default"].invoices.values() if len(i.lines) > 10)

    def walk() -> list[str]:
        return [line.id for line in client.v1.invoices.line_items.list(long.id, {"limit": 8}).auto_paging_iter()]

    assert await asyncio.to_thread(walk) == [line.id for line in long.lines]


async def test_the_version_header_chooses_the_shape(url: str) -> None:
    old = stripe.StripeClient("rk_live_x", base_addresses={"api": url}, stripe_version="2020-03-02")
    charge = await asyncio.to_thread(lambda: old.v1.charges.list({"limit": 1}).data[0].to_dict())
    assert {"invoice", "refunds"} <= charge.keys()


async def test_another_account_is_chosen_by_its_header(client: stripe.StripeClient, world: World) -> None:
    def walk() -> list[str]:
        page = client.v1.charges.list({"limit": 100}, {"stripe_account": "acct_1Second"})
        return [charge.id for charge in page.auto_paging_iter()]

    assert sorted(await asyncio.to_thread(walk)) == sorted(world.accounts["acct_1Second"].charges)


async def test_what_is_not_there_is_an_error_in_stripes_form(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await asyncio.to_thread(client.v1.charges.retrieve, "ch_3nothing")
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (404, "resource_missing", "id")


async def test_deleted_drafts_are_gone(client: stripe.StripeClient, world: World) -> None:
    deleted = next(i.id for i in world.accounts["default"].invoices.values() if i.status == "deleted")
    with pytest.raises(stripe.InvalidRequestError, match="No such invoice"):
        await asyncio.to_thread(client.v1.invoices.retrieve, deleted)


async def test_a_wrong_key_is_refused(url: str) -> None:
    wrong = stripe.StripeClient("whsec_no_key", base_addresses={"api": url})
    with pytest.raises(stripe.AuthenticationError):
        await asyncio.to_thread(wrong.v1.charges.list)


async def test_the_key_may_be_the_user_name_of_basic_authentication(url: str) -> None:
    headers = {"Authorization": aiohttp.encode_basic_auth("sk_live_x", "")}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{url}/v1/charges?limit=1") as answer:
            assert answer.status == 200
        async with session.get(f"{url}/v1/charges?limit=1000") as answer:
            assert answer.status == 400
        async with session.get(f"{url}/v1/unknown") as answer:
            assert (answer.status, (await answer.json())["error"]["type"]) == (404, "invalid_request_error")
