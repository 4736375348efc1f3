"""What the console answers when it is asked wrongly, by a stranger, or while ClickHouse is away."""

import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from console.config import ConsoleConfig
from embedded.child import free_port
from tests.conftest import ClickHouseServer, start_clickhouse, stop
from tests.integration.console_support import create_schema, fill, serving
from warehouse.address import Address

PAGES = (
    "/",
    "/metric/failed_payment?split=reason&measure=amount",
    "/feed",
    "/profiles",
    "/search?q=ada",
    "/integration",
    "/payouts",
    "/books",
    "/books/since?month=2026-01&as_of=2200-01-01T00:00",
    "/mrr",
    "/health",
    "/part/health",
    "/part/feed",
)
LARGEST_PAGE = 300 * 1000  # bytes, with everything that it loads


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@pytest.fixture
async def config(clickhouse_server: ClickHouseServer, database: str) -> ConsoleConfig:
    await create_schema(clickhouse_server.url, database)
    return ConsoleConfig(Address(clickhouse_server.url, database=database))


@pytest.mark.parametrize(
    "asked",
    [
        "/?mode=both",
        "/metric/failed_payment?from=yesterday",
        "/metric/failed_payment?from=2026-02-01&to=2026-01-01",
        "/metric/failed_payment?from=1970-01-01&to=2026-01-01",
        "/metric/failed_payment?interval=fortnight",
        "/metric/failed_payment?currency=us%24",
        "/metric/failed_payment?measure=joy",
        "/metric/failed_payment?split=joy",
        "/metric/failed_payment?where=currency",
        "/metric/failed_payment?where=properties.a`b&is=x",
        "/metric/failed_payment?interval=hour&from=2020-01-01&to=2026-01-01",
        "/feed?before=nonsense",
        "/feed?metric=nonsense",
        "/api/v1/events?limit=0",
        "/api/v1/events?limit=١٢",
        "/feed?email=%00",
        "/profile",
        "/profiles?q=" + "x" * 300,
        "/search?q=" + "x" * 300,
    ],
)
async def test_a_question_that_makes_no_sense_is_400_and_says_why(
    http: aiohttp.ClientSession, config: ConsoleConfig, asked: str
) -> None:
    async with serving(config) as url, http.get(url + asked) as answer:
        assert answer.status == 400
        assert len(await answer.text()) > 20


@pytest.mark.parametrize("asked", ["/nope", "/metric/nope", "/profile?email=nobody@example.com", "/event?id=x"])
async def test_what_is_not_there_is_404(http: aiohttp.ClientSession, config: ConsoleConfig, asked: str) -> None:
    async with serving(config) as url, http.get(url + asked) as answer:
        assert answer.status == 404


async def test_odd_text_is_searched_for_as_it_is(http: aiohttp.ClientSession, config: ConsoleConfig) -> None:
    odd = ['it\'s \\ "x"', "tab\t\\N", "%s {a:String} %(x)s", "é\u202e🦄", "\\", "'", "<script>"]
    async with serving(config) as url:
        for text in odd:
            for page in ("profiles", "search"):
                async with http.get(f"{url}/{page}", params={"q": text}) as answer:
                    assert answer.status == 200, text
                    assert "<script>&" not in await answer.text()


async def test_no_address_makes_the_console_say_something(http: aiohttp.ClientSession, config: ConsoleConfig) -> None:
    said = "Your account is locked, call 555-0100"
    forged = base64.urlsafe_b64encode(json.dumps(["/profiles", 2**40, said]).encode()).decode()
    async with serving(config) as url:
        for page in ("/profiles", "/integration", "/health"):
            async with http.get(url + page, params={"done": said, "notice": said}) as answer:
                text = await answer.text()
                assert (answer.status, 'role="status"' in text, "locked, call" in text) == (200, False, False)
        for value in (forged, f"{forged}.{'0' * 64}"):
            async with http.get(f"{url}/profiles", headers={"Cookie": f"tillstream_notice={value}"}) as answer:
                assert (answer.status, 'role="status"' in await answer.text()) == (200, False)


async def test_every_page_is_light_and_loads_nothing_from_elsewhere(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer, database: str
) -> None:
    await fill(clickhouse_server.url, database, datetime.now(UTC))
    async with serving(ConsoleConfig(Address(clickhouse_server.url, database=database))) as url:
        for page in (*PAGES, "/profile?email=ada.20@example.com", "/metric/issued_invoice?from=2020-01-01"):
            async with http.get(url + page) as answer:
                text = await answer.text()
                assert answer.status == 200
                assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"(https?:)?//", text)
            assert " style=" not in text
            assert not re.search(r" on\w+=", text)
            size = len(text)
            for asset in set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text)):
                async with http.get(url + asset) as answer:
                    assert answer.status == 200
                    assert "immutable" in answer.headers["Cache-Control"]
                    size += len(await answer.read())
            assert size < LARGEST_PAGE, page


async def test_without_the_token_nothing_is_told(http: aiohttp.ClientSession, config: ConsoleConfig) -> None:
    closed = replace(config, token="open sesame, by all means")
    async with serving(closed) as url:
        for page in PAGES:
            async with http.get(url + page, allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"].split("?")[0]) == (303, "/login")
        async with http.get(f"{url}/part/feed", headers={"HX-Request": "true"}) as answer:
            assert (answer.status, answer.headers["HX-Redirect"]) == (401, "/login")
        async with http.get(f"{url}/api/v1/metrics") as answer:
            assert answer.status == 401
        for token, status in (("open sesame, by all mean", 401), ("open sesame, by all means", 200)):
            async with http.get(f"{url}/api/v1/metrics", headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == status
        for path in ("/livez", "/readyz", "/metrics"):
            async with http.get(url + path) as answer:
                assert answer.status == 200


async def test_signing_in_and_out(http: aiohttp.ClientSession, config: ConsoleConfig) -> None:
    closed = replace(config, token="open sesame, by all means")
    async with serving(closed) as url:
        async with http.post(f"{url}/login", data={"token": "wrong", "next": "/feed"}) as answer:
            assert answer.status == 403
            assert "not the token" in await answer.text()
        good = {"token": "open sesame, by all means", "next": "/feed?mode=test"}
        async with http.post(f"{url}/login", data=good, headers={"Origin": "https://evil.example"}) as answer:
            assert answer.status == 403
        async with http.post(f"{url}/login", data=good, headers={"Sec-Fetch-Site": "cross-site"}) as answer:
            assert answer.status == 403
        async with http.post(f"{url}/login", data=good, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/feed?mode=test")
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Lax" in cookie
        async with http.get(f"{url}/feed", allow_redirects=False) as answer:
            assert answer.status == 200
        async with http.post(f"{url}/logout", headers={"Origin": url}, allow_redirects=False) as answer:
            assert answer.status == 303
        async with http.get(f"{url}/feed", allow_redirects=False) as answer:
            assert answer.status == 303


async def test_an_open_console_does_not_answer_to_foreign_names(
    http: aiohttp.ClientSession, config: ConsoleConfig
) -> None:
    async with serving(config) as url:
        for host, status in (
            ("evil.example", 403),
            ("localhost.evil.example", 403),
            ("localhost:8081", 200),
            ("127.0.0.1", 200),
            ("[::1]:8081", 200),
        ):
            async with http.get(f"{url}/feed", headers={"Host": host}) as answer:
                assert answer.status == status, host


async def test_while_clickhouse_is_away_every_page_says_so_and_then_recovers(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    port = free_port()
    server = await start_clickhouse(tmp_path, "--port", str(port))
    await create_schema(server.url, "tillstream")
    async with serving(ConsoleConfig(Address(server.url))) as url:
        async with http.get(f"{url}/") as answer:
            assert answer.status == 200
        stop(server)
        for page in PAGES:
            async with http.get(url + page) as answer:
                text = await answer.text()
                assert answer.status == 503
                assert answer.headers["Retry-After"]
                assert "does not answer" in text
                assert 'class="big"' not in text
        async with http.get(f"{url}/part/feed", headers={"HX-Request": "true"}) as answer:
            assert (answer.status, "<html" in await answer.text()) == (503, False)
        async with http.get(f"{url}/api/v1/metrics") as answer:
            assert (answer.status, list(await answer.json())) == (503, ["error", "next"])
        async with http.get(f"{url}/readyz") as answer:
            assert answer.status == 503
            assert "does not answer" in (await answer.json())["reason"]
        server = await start_clickhouse(tmp_path, "--port", str(port))
        try:
            async with http.get(f"{url}/") as answer:
                assert answer.status == 200
        finally:
            stop(server)


@pytest.mark.parametrize("page", ["/", "/metric/successfully_paid?split=product&measure=people", "/feed"])
async def test_an_answer_without_any_row_is_no_answer(http: aiohttp.ClientSession, page: str) -> None:
    """As a proxy gives it, or an engine that is in trouble: whatever there is, a count has one row."""

    async def nothing(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", nothing)
    async with (
        TestServer(app) as server,
        serving(ConsoleConfig(Address(f"http://127.0.0.1:{server.port}"))) as url,
        http.get(url + page) as answer,
    ):
        assert (answer.status, answer.headers.get("Retry-After")) == (503, "5")
        assert "gave 0 rows to a question that always has one" in await answer.text()


async def test_a_database_without_tables_is_not_an_empty_shop(
    http: aiohttp.ClientSession, clickhouse_server: ClickHouseServer
) -> None:
    async with (
        serving(ConsoleConfig(Address(clickhouse_server.url, database="nowhere"))) as url,
        http.get(f"{url}/") as answer,
    ):
        assert answer.status == 503
        assert "no tables" in await answer.text()
