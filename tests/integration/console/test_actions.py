"""What people have done from the console, against the simulated Stripe: connect, compare, erase; and who may."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from connector.keyed import KeyedConnector
from console.actions import Actions
from console.app import create_app
from console.config import ConsoleConfig
from schemas.stripe_types import EVENT_TYPES
from schemas.topics import SUPPRESSIONS
from settings.loading import load_settings
from settings.needs import only_for
from settings.secrets import read_account, secrets_path
from simulator.api.app import create_app as create_stripe
from simulator.api.virtual import VirtualStripe
from simulator.world.history import World
from tests.conftest import ClickHouseServer, MakeTopics, eventually
from tests.integration.connector_support import START, published
from tests.integration.console_support import fill
from tillstream.broker import own_broker
from warehouse.address import Address
from warehouse.waiting import open_warehouse

KEY = "sk_live_simulated"
READ = "whoever has this may look"
DAY = datetime.fromtimestamp(START + 2 * 86_400, UTC).date()


@dataclass
class Place:
    """A console with its actions, over a filled database and a Stripe account of its own."""

    config: ConsoleConfig
    actions: Actions
    stripe: VirtualStripe
    data: Path

    async def serve(self, **changes: Any) -> TestServer:
        """Another console on the same place."""
        server = TestServer(create_app(replace(self.config, **changes), self.actions))
        await server.start_server()
        return server


def browsing(server: TestServer) -> aiohttp.ClientSession:
    """A client that keeps cookies, as a browser does."""
    return aiohttp.ClientSession(server.make_url("/"), cookie_jar=aiohttp.CookieJar(unsafe=True))


@pytest.fixture
async def place(
    clickhouse_server: ClickHouseServer,
    database: str,
    kafka_bootstrap: str,
    topic_prefix: str,
    make_topics: MakeTopics,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> AsyncIterator[Place]:
    await make_topics(topic_prefix)
    await fill(clickhouse_server.url, database, datetime.now(UTC))
    virtual = VirtualStripe(World(3, START, 5, 20), timezone="UTC")
    async with TestServer(create_stripe(virtual)) as stripe:
        for name, value in {
            "STRIPE_API_BASE": f"http://127.0.0.1:{stripe.port}",
            "CLICKHOUSE_URL": clickhouse_server.url,
            "CLICKHOUSE_DATABASE": database,
            "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
            "TILLSTREAM_TOPIC_PREFIX": topic_prefix,
            "TILLSTREAM_DATA": str(tmp_path),
            "TILLSTREAM_STRIPE_RATE": "1000",
        }.items():
            monkeypatch.setenv(name, value)
        config = ConsoleConfig(
            Address(clickhouse_server.url, database=database),
            door_url="https://hooks.example.com",
            state=tmp_path / "console",
        )
        yield Place(config, Actions(load_settings(), own_broker), virtual, tmp_path)


async def test_an_account_is_connected_and_compared_from_the_page(place: Place) -> None:
    async with await place.serve() as server, aiohttp.ClientSession(server.make_url("/")) as http:
        form = {"account": "default", "api_key": KEY, "url": "https://hooks.example.com"}
        async with http.post("/integration/connect", data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/integration")
        (made,) = place.stripe.account("default").endpoints
        assert (made.url, tuple(made.enabled_events)) == ("https://hooks.example.com/webhooks/stripe", EVENT_TYPES)
        assert len(read_account(place.data, "default").secrets()) == 1
        async with http.post("/part/connection") as answer:
            page = await answer.text()
        assert page.count("✓ enabled") == len(EVENT_TYPES)
        assert KEY not in page
        assert "whsec_" not in page
        for asks in ("/part/compare", "/part/connection"):
            async with http.get(asks, params={"day": str(DAY)}) as answer:
                assert answer.status == 405  # a link must not have Stripe asked
        async with http.post("/part/compare", data={"day": str(DAY)}) as answer:
            page = await answer.text()
        assert f"{DAY}: not equal to Stripe" in page  # the rows here are of another month than the account's
        assert "missing" in page
        async with http.get("/health") as answer:
            assert "day different" in await answer.text() or DAY.toordinal() + 84 < datetime.now(UTC).toordinal()


@pytest.mark.parametrize("key", ["nonsense", "sk_live_unknown", "rk_live_weak"])
async def test_a_key_that_is_refused_is_not_kept_and_the_form_stays(place: Place, key: str) -> None:
    place.stripe.keys.restrict("rk_live_weak", {"charge_read"})
    place.stripe.keys.revoke("sk_live_unknown")
    form = {"api_key": key, "url": "https://typed.example.com", "extended": "true"}
    async with await place.serve() as server, browsing(server) as http:
        async with http.post("/integration/connect", data=form) as answer:
            page = await answer.text()
        assert (answer.status, answer.url.path) == (409, "/integration/connect")
        assert 'role="alert"' in page
        assert 'value="https://typed.example.com"' in page
        assert 'name="extended" value="true" checked' in page
        assert f'"{key}"' not in page
        assert "An API key is kept" not in page
    assert not secrets_path(place.data, "default").exists()
    assert list(place.stripe.account("default").endpoints) == []


async def test_signing_secrets_are_listed_added_and_removed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_of_the_settings_0000")
    async with await place.serve() as server, browsing(server) as http:
        for secret in ("whsec_first_by_hand_1111", "whsec_second_by_hand_2222"):
            async with http.post("/integration/secret/add", data={"secret": secret}) as answer:
                page = await answer.text()
                assert (answer.status, answer.url.path) == (200, "/integration")
                assert "The signing secret is kept" in page
        assert [f"whsec_…{end}" in page for end in ("0000", "1111", "2222")] == [True] * 3
        assert "by_hand" not in page
        assert "of_the_settings" not in page
        stored = read_account(place.data, "default").endpoints
        assert [one.until for one in stored] == [None, None]  # a second one by hand does not end the first
        assert page.count('name="id"') == 2  # what the settings hold can't be removed here
        async with http.post("/integration/secret/add", data={"secret": "sk_live_elsewhere"}) as answer:
            assert (answer.status, "begins with whsec_" in await answer.text()) == (409, True)
        async with http.post("/integration/secret/remove", data={"id": stored[0].id}) as answer:
            assert "whsec_…1111 is removed" in await answer.text()
        assert [one.id for one in read_account(place.data, "default").endpoints] == [stored[1].id]
        async with http.post("/integration/secret/remove", data={"id": stored[0].id}) as answer:
            assert answer.status == 409


async def test_disconnecting_takes_back_what_connecting_made(place: Place) -> None:
    account = place.stripe.account("default")
    async with await place.serve() as server, browsing(server) as http:
        form = {"api_key": KEY, "url": "https://hooks.example.com"}
        async with http.post("/integration/connect", data=form) as answer:
            assert "An API key is kept" in await answer.text()
        async with http.post("/integration/secret/add", data={"secret": "whsec_made_by_hand_1111"}) as answer:
            assert answer.status == 200
        (made,) = account.endpoints
        async with http.get("/integration/disconnect") as answer:
            page = await answer.text()
        assert "deleted in Stripe" in page
        assert made.id in page
        assert "stays in Stripe" in page
        assert list(account.endpoints) == [made]  # asking changes nothing
        async with http.post("/integration/disconnect") as answer:
            page = await answer.text()
        assert f"endpoint {made.id} is deleted in Stripe" in page
        assert "made by hand stays in Stripe" in page
        assert list(account.endpoints) == []
        assert not secrets_path(place.data, "default").exists()
        async with http.post("/integration/disconnect") as answer:
            assert (answer.status, "nothing is kept" in await answer.text()) == (409, True)


async def test_a_key_that_was_revoked_can_be_disconnected_and_says_what_stays(place: Place) -> None:
    async with await place.serve() as server, browsing(server) as http:
        form = {"api_key": KEY, "url": "https://hooks.example.com"}
        async with http.post("/integration/connect", data=form) as answer:
            assert answer.status == 200
        (made,) = place.stripe.account("default").endpoints
        place.stripe.keys.revoke(KEY)
        async with http.post("/integration/disconnect") as answer:
            assert f"{made.id} stays in Stripe" in await answer.text()
        assert not secrets_path(place.data, "default").exists()


@asynccontextmanager
async def connector() -> AsyncIterator[None]:
    """The role, with the settings of now."""
    role, stop = KeyedConnector(only_for("connector", load_settings())), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run(stop))
        try:
            await eventually(lambda: not role.ready(), deadline=60)
            yield
        finally:
            stop.set()


async def test_an_import_that_nobody_can_do_yet_is_kept_and_told_on_the_open_page_when_it_is_done(place: Place) -> None:
    async with await place.serve() as server, browsing(server) as http:

        async def page(path: str) -> str:
            async with http.get(path) as answer:
                return await answer.text()

        form = {"account": "default", "api_key": KEY, "url": "https://hooks.example.com"}
        async with http.post("/integration/connect", data=form) as answer:
            assert answer.status == 200
        assert "was never imported" in await page("/part/judged")
        assert "Import everything" in await page("/part/imports")
        for told in ("begins as soon as a connector runs", "is under way"):
            async with http.post("/integration/import", data={"account": "default"}) as answer:
                assert answer.status == 200
                assert told in await answer.text()

        async def finished() -> bool:
            return "✓ all of it" in await page("/part/imports")

        async def judged() -> bool:
            told = await page("/part/judged")
            return "imported" not in told and "import of" not in told

        async with connector():
            await eventually(finished, deadline=90)
            await eventually(judged, interval=1.0)  # the page asks every four seconds


async def test_a_person_is_erased_only_when_the_email_is_written_out(place: Place) -> None:
    email = "ada.20@example.com"
    async with await place.serve() as server, aiohttp.ClientSession(server.make_url("/")) as http:
        async with http.get("/profile/erase", params={"email": email}) as answer:
            assert "Erase for good" in await answer.text()
        async with http.post("/profile/erase", data={"email": email, "again": "ada"}) as answer:
            assert (answer.status, "another email" in await answer.text()) == (400, True)
        async with http.get("/profile", params={"email": email}) as answer:
            assert answer.status == 200
        async with http.post("/profile/erase", data={"email": email, "again": email.upper()}) as answer:
            assert (answer.status, answer.url.path) == (200, "/profiles")
        async with http.get("/profile", params={"email": email}) as answer:
            assert answer.status == 404
        page = await eventually_told(http, email.upper())
        assert page.count("erased a person") == 1
        async with http.get("/audit", params={"email": "grace.1@example.com"}) as answer:
            assert "Nothing about that person" in await answer.text()
        warehouse = open_warehouse(load_settings())
        found = warehouse.rows("SELECT * FROM audit")
        assert [(row["action"], row["outcome"]) for row in found] == [("erased a person", "done")]
        assert "ada.20" not in str(found).casefold()  # with the dot: "ada" alone stands in some hexadecimal ids
        # What ClickHouse has is let go of here, as soon as it has answered: its row can be read before that.
        await eventually(lambda: not list((place.data / "console" / "audit").iterdir()))


async def eventually_told(http: aiohttp.ClientSession, email: str) -> str:
    """The page of the audit log about somebody, as soon as there is something."""

    async def told() -> str:
        async with http.get("/audit", params={"email": email}) as answer:
            page = await answer.text()
            assert "not ended" not in page
            assert "erased" in page
            return page

    return await eventually(told)


async def test_a_merge_says_whom_it_moves_and_needs_somebody_to_move_to(place: Place) -> None:
    email, other = "ada.20@example.com", "ada.40@example.com"
    async with await place.serve(read_token=READ) as server, aiohttp.ClientSession(server.make_url("/")) as http:
        looking = {"Authorization": f"Bearer {READ}"}
        async with http.get("/profile/merge", params={"email": email}, headers=looking) as answer:
            assert answer.status == 403
    async with await place.serve() as server, browsing(server) as http:
        async with http.get("/profile/merge", params={"email": email}) as answer:
            page = await answer.text()
            assert "<code>cus_20</code>" in page
            assert "Merged into this profile" not in page
        for into in (email, "nobody@example.com"):
            async with http.post("/profile/merge", data={"email": email, "into": into}) as answer:
                assert answer.status == 409
        async with http.post("/profile/merge", data={"email": email, "into": other}) as answer:
            assert (answer.status, answer.url.path) == (200, "/profiles")
            assert f"is being moved to {other}" in await answer.text()
        async with http.get(answer.url) as again:
            assert "is being moved" not in await again.text()  # it is told once


async def test_who_may_only_look_is_offered_nothing_to_change(place: Place) -> None:
    async with await place.serve(read_token=READ) as server:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(server.make_url("/"), cookie_jar=jar) as http:
            async with http.post("/login", data={"token": READ, "next": "/integration"}) as answer:
                page = await answer.text()
                assert (answer.status, '<form method="post" action="/integration' in page) == (200, False)
            async with http.get("/profile", params={"email": "ada.20@example.com"}) as answer:
                assert "Erase" not in await answer.text()
            here = {"Origin": str(server.make_url("/"))}
            async with http.post("/profile/erase", data={"email": "ada.20@example.com"}, headers=here) as answer:
                assert answer.status == 403


async def test_support_suppresses_somebody_and_takes_it_back_in_their_own_name(place: Place) -> None:
    email, looking = "ada.20@example.com", {"Authorization": f"Bearer {READ}"}
    told = {"email": email.upper(), "why": "asked by phone"}
    async with await place.serve(read_token=READ) as server, aiohttp.ClientSession(server.make_url("/")) as http:
        for path in ("/profile/suppress", "/profile/unsuppress"):
            async with http.post(path, data=told, headers=looking) as answer:
                assert answer.status == 403
    async with await place.serve() as server, browsing(server) as http:
        async with http.post("/profile/suppress", data=told) as answer:
            assert (answer.status, answer.url.path) == (200, "/profile")
            assert f"{email} gets no more mail" in await answer.text()
        async with http.post("/profile/suppress", params={"mode": "test"}, data=told) as answer:
            assert answer.status == 404  # known in live mode alone
        async with http.post("/profile/unsuppress", data={"email": email}) as answer:
            assert f"{email} may get mail again" in await answer.text()
    settings = load_settings()
    said = await published(settings.kafka_bootstrap_servers, settings.tillstream_topic_prefix, SUPPRESSIONS)
    assert [(one["email"], one["livemode"], one["reason"]) for one in said] == [
        (email, True, "suppressed"),
        (email, True, ""),
    ]
    assert said[0]["detail"].startswith("by ")
    assert said[0]["detail"].endswith(": asked by phone")
