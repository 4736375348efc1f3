"""Every route of the simulated Stripe, asked by stripe-python as it is: synchronous and asynchronous."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe as stripe_python

from simulator.world.books import Books
from simulator.world.history import World
from simulator.world.people import delete_customer
from tests.conftest import RunningStripe, RunStripe

Ask = Callable[..., Awaitable[Any]]
LISTED = (
    *(
        "charges",
        "credit_notes",
        "customers",
        "disputes",
        "events",
        "invoices",
        "invoice_payments",
        "prices",
        "products",
        "refunds",
    ),
    *("subscriptions", "payment_methods"),
)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, stripe_api: RunningStripe) -> Ask:
    """`await ask("v1.charges", "list", {…})`: the method of a service, in a thread or as a coroutine."""
    client = stripe_api.client()
    plain = stripe_python.StripeClient("sk_live_x", base_addresses={"api": stripe_api.url}, max_network_retries=0)

    async def call(path: str, method: str, *args: Any) -> Any:
        service: Any = client if request.param == "async" else plain
        for name in path.split("."):
            service = getattr(service, name)
        if request.param == "async":
            return await getattr(service, f"{method}_async")(*args)
        return await asyncio.to_thread(getattr(service, method), *args)

    return call


@pytest.fixture
def books(stripe_api: RunningStripe) -> Books:
    return stripe_api.stripe.account().books


@pytest.mark.parametrize("kind", LISTED)
async def test_what_is_listed_is_retrieved(ask: Ask, kind: str) -> None:
    page = await ask(f"v1.{kind}", "list", {"limit": 3})
    assert page.object == "list"
    for row in page.data:
        assert (await ask(f"v1.{kind}", "retrieve", row.id)).to_dict() == row.to_dict()


async def test_the_account_tells_its_timezone(ask: Ask, stripe_api: RunningStripe) -> None:
    stripe_api.stripe.account().timezone = "America/New_York"
    account = await ask("v1.accounts", "retrieve_current")
    assert account.settings.dashboard.timezone == "America/New_York"
    assert account.settings.dashboard.display_name
    assert account.id.startswith("acct_1")
    assert (await ask("v1.accounts", "retrieve", account.id)).id == account.id


async def test_lists_within_objects(ask: Ask, books: Books) -> None:
    invoice = next(i for i in books.invoices.values() if len(i.lines) > 10)
    lines = await ask("v1.invoices.line_items", "list", invoice.id, {"limit": 100})
    assert [line.id for line in lines.data] == [line.id for line in invoice.lines]
    method = next(m for m in books.payment_methods.values() if m.customer)
    cards = await ask("v1.customers.payment_methods", "list", method.customer)
    assert method.id in {card.id for card in cards.data}
    one = await ask("v1.customers.payment_methods", "retrieve", method.customer, method.id)
    assert (one.card.last4, one.customer) == (method.card.last4, method.customer)


async def test_expansions_go_deep(ask: Ask, books: Books) -> None:
    paid = next(i for i in books.invoices.values() if i.charge and i.status == "paid")
    path = "payments.data.payment.payment_intent.latest_charge"
    invoice = await ask("v1.invoices", "retrieve", paid.id, {"expand": ["customer", path]})
    assert invoice.customer.id == paid.customer
    assert invoice.payments.data[0].payment.payment_intent.latest_charge.id == paid.charge
    page = await ask("v1.charges", "list", {"limit": 50, "expand": ["data.refunds", "data.customer"]})
    assert all(charge.refunds.object == "list" for charge in page.data)
    assert all(charge.customer is None or charge.customer.object == "customer" for charge in page.data)


async def test_a_payment_intent_names_its_last_charge(ask: Ask, books: Books) -> None:
    failed = next(c for c in books.charges.values() if c.status == "failed")
    last = [c for c in books.charges.values() if c.payment_intent == failed.payment_intent][-1]
    intent = await ask("v1.payment_intents", "retrieve", failed.payment_intent)
    assert intent.latest_charge == last.id


async def test_a_webhook_endpoint_lives_and_its_secret_is_told_once(ask: Ask) -> None:
    service = "v1.webhook_endpoints"
    params = {
        "url": "https://shop.example/hook",
        "enabled_events": ["charge.succeeded", "charge.failed"],
        "api_version": "2026-09-30.endive",
        "metadata": {"by": "tillstream"},
        "description": "first",
    }
    made = await ask(service, "create", params)
    assert made.secret.startswith("whsec_")
    changed = await ask(
        service, "update", made.id, {"enabled_events": ["*"], "disabled": True, "metadata": {"by": "", "for": "all"}}
    )
    assert (changed.enabled_events, changed.status, changed.metadata.to_dict()) == (["*"], "disabled", {"for": "all"})
    assert changed.api_version == "2026-09-30.endive"
    seen = await ask(service, "retrieve", made.id)
    assert "secret" not in seen.to_dict()
    with pytest.raises(stripe_python.InvalidRequestError, match="unknown parameter: api_version"):
        await ask(service, "update", made.id, {"api_version": "2020-03-02"})
    second = await ask(service, "create", {"url": "http://127.0.0.1:1/x", "enabled_events": ["*"]})
    first_page = await ask(service, "list", {"limit": 1})
    assert ([e.id for e in first_page.data], first_page.has_more) == ([second.id], True)
    rest = await ask(service, "list", {"starting_after": second.id})
    assert [e.id for e in rest.data] == [made.id]
    assert (await ask(service, "delete", made.id)).deleted
    with pytest.raises(stripe_python.InvalidRequestError) as gone:
        await ask(service, "retrieve", made.id)
    assert gone.value.http_status == 404


async def test_a_thin_destination_lives(ask: Ask) -> None:
    service = "v2.core.event_destinations"
    params = {
        "name": "thin",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": ["v1.charge.succeeded"],
        "webhook_endpoint": {"url": "https://shop.example/thin"},
        "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
    }
    made = await ask(service, "create", params)
    assert made.webhook_endpoint.signing_secret.startswith("whsec_")
    changed = await ask(service, "update", made.id, {"enabled_events": ["v1.charge.failed"], "name": "other"})
    assert (changed.name, changed.enabled_events, changed.status) == ("other", ["v1.charge.failed"], "enabled")
    assert (await ask(service, "disable", made.id)).status == "disabled"
    assert (await ask(service, "enable", made.id)).status == "enabled"
    assert (await ask(service, "retrieve", made.id)).webhook_endpoint is None
    assert [row.id for row in (await ask(service, "list", {"include": ["webhook_endpoint.url"]})).data] == [made.id]
    assert not (await ask("v1.webhook_endpoints", "list")).data
    await ask(service, "delete", made.id)
    assert not (await ask(service, "list")).data


async def test_thin_events_name_the_events_of_the_same_change(ask: Ask, books: Books) -> None:
    page = await ask("v2.core.events", "list", {"types": ["v1.charge.refunded"], "limit": 2})
    thin = page.data[0]
    assert thin.type == "v1.charge.refunded"
    snapshot = await ask("v1.events", "retrieve", thin.snapshot_event)
    assert snapshot.type == "charge.refunded"
    assert (await ask("v2.core.events", "retrieve", thin.id)).id == thin.id
    about = await ask("v2.core.events", "list", {"object_id": snapshot.data.object["id"]})
    assert thin.id in {event.id for event in about.data}


async def test_the_same_idempotency_key_makes_one_endpoint(stripe_api: RunningStripe) -> None:
    client = stripe_api.client()
    params: Any = {"url": "https://shop.example/hook", "enabled_events": ["*"]}
    options: Any = {"idempotency_key": "once"}
    ids = {(await client.v1.webhook_endpoints.create_async(params, options)).id for _ in range(3)}
    assert len(ids) == 1
    assert len((await client.v1.webhook_endpoints.list_async()).data) == 1


async def test_a_test_key_sees_nothing_of_a_live_account(stripe_api: RunningStripe) -> None:
    await stripe_api.client().v1.webhook_endpoints.create_async({"url": "https://a.example", "enabled_events": ["*"]})
    client = stripe_api.client("sk_test_x")
    assert not (await client.v1.charges.list_async()).data
    assert not (await client.v1.webhook_endpoints.list_async()).data
    made = await client.v1.webhook_endpoints.create_async({"url": "https://a.example", "enabled_events": ["*"]})
    assert not made.livemode


async def test_a_deleted_customer_is_hidden_and_a_look_up_says_only_that(stripe_api: RunningStripe) -> None:
    books, client = stripe_api.stripe.account().books, stripe_api.client()
    charge = next(charge for charge in books.charges.values() if charge.customer)
    customer = books.customers[str(charge.customer)]
    delete_customer(books, customer, stripe_api.stripe.now())
    found = await client.v1.customers.retrieve_async(customer.id)
    assert found.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    with pytest.raises(stripe_python.InvalidRequestError, match="No such customer"):
        await client.v1.customers.list_async({"starting_after": customer.id})
    listed = [row.id async for row in (await client.v1.customers.list_async({"limit": 100})).auto_paging_iter()]
    assert sorted(listed) == sorted(books.customers.keys() - {customer.id})
    assert (await client.v1.charges.retrieve_async(charge.id)).customer == customer.id


async def test_a_key_opens_the_account_it_belongs_to(run_stripe: RunStripe) -> None:
    running = await run_stripe(World(1, 1_767_225_600, 30, 20, accounts=("shop", "club")))
    running.stripe.keys.belongs("sk_live_of_the_club", "club")
    books = running.stripe.account("club").books
    charges = await running.client("sk_live_of_the_club").v1.charges.list_async({"limit": 100})
    assert {charge.id for charge in charges.data} == books.charges.keys()
    account = await running.client("sk_live_other").v1.accounts.retrieve_current_async()
    assert account.id == running.stripe.account("shop").id


async def test_events_keep_the_accounts_version_whatever_is_asked_for(stripe_api: RunningStripe) -> None:
    page = await stripe_api.client().v1.events.list_async({"limit": 1}, {"stripe_version": "2020-03-02"})
    assert page.data[0].api_version == "2026-09-30.endive"
