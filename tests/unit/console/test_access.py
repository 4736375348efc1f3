"""Who gets into the console, tried as a stranger would: foreign names, others' forms, guesses, stolen cookies."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, make_mocked_request

from console import notices
from console.access import sessions, throttle
from console.access.keys import Key
from console.access.sessions import Sessions
from console.access.throttle import Throttle
from console.app import create_app
from console.config import ConsoleConfig
from console.notices import Notices
from console.roles import Role
from schemas.errors import ConfigurationError
from warehouse.address import Address

TOKEN, READ = "all-of-it-" + "a" * 20, "only-look-" + "b" * 20
SECRET = "between-proxy-and-console"
LOOK = "/api/v1/openapi.json"  # behind the gate, and asks nobody
CHANGE = "/integration/import"  # answered with 409 by a console that can only show, once somebody is let in
SIGNED: dict[str, Any] = {"token": TOKEN, "read_token": READ}


@asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A console without a ClickHouse, and a client that sends the cookies that it is told to."""
    server = TestServer(create_app(ConsoleConfig(Address("http://127.0.0.1:1"), **changes)))
    jar = aiohttp.DummyCookieJar()
    async with server, aiohttp.ClientSession(server.make_url("/"), cookie_jar=jar) as http:
        yield http


async def status(http: aiohttp.ClientSession, path: str = LOOK, method: str = "GET", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.request(method, path, headers=named, allow_redirects=False) as answer:
        return answer.status


async def sign_in(http: aiohttp.ClientSession, token: str = TOKEN, **headers: str) -> aiohttp.ClientResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post("/login", data={"token": token}, headers=named, allow_redirects=False) as answer:
        await answer.read()
        return answer


@pytest.mark.parametrize(
    ("host", "open_", "signed"),
    [
        ("localhost:8081", 200, 200),
        ("127.0.0.1", 200, 200),
        ("[::1]:8081", 200, 200),
        ("evil.example", 403, 403),
        ("localhost.evil.example", 403, 403),
        ("127.0.0.1.evil.example", 403, 403),
        ("127.0.0.1@evil.example", 403, 403),
        ("console.example", 403, 200),  # without a sign-in a name may be a proxy's
        ("CONSOLE.example:443", 403, 200),
        ("shop.internal", 403, 200),
        ("192.0.2.7", 403, 403),
    ],
)
async def test_only_its_own_names_lead_to_the_console(host: str, open_: int, signed: int) -> None:
    async with serving(hosts=("console.example",)) as http:
        assert await status(http, Host=host) == (open_ if host != "shop.internal" else 403)
    names: dict[str, Any] = {"public_url": "https://console.example", "hosts": ("shop.internal",)}
    async with serving(**SIGNED, **names) as http:
        assert await status(http, Host=host, Authorization=f"Bearer {TOKEN}") == signed
        for health in ("/livez", "/metrics"):
            assert await status(http, health, Host="scraped-as.example", Origin="https://evil.example") == 200


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-Proto": "https"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
    ],
)
async def test_without_a_sign_in_nothing_is_served_through_a_proxy(header: dict[str, str]) -> None:
    async with serving() as http:
        async with http.get(LOOK, headers={"Host": "127.0.0.1", **header}) as answer:
            assert answer.status == 403
            assert "TILLSTREAM_CONSOLE_TOKEN" in await answer.text()
        reader, writer = await asyncio.open_connection("127.0.0.1", http._base_url.port)  # type: ignore[union-attr]
        writer.write(f"GET {LOOK} HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())  # as nginx asks
        assert b" 403 " in (await reader.readline())
        writer.close()


async def test_two_hosts_are_none() -> None:
    async with serving(**SIGNED) as http:
        reader, writer = await asyncio.open_connection("127.0.0.1", http._base_url.port)  # type: ignore[union-attr]
        head = f"GET {LOOK} HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        writer.write(head.encode())
        assert (await reader.readline()).split()[1] in (b"400", b"403")
        writer.close()


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),  # another program of this machine
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Referer": "https://evil.example/form"}, 403),
        ({}, 403),  # a cookie alone says nothing about the page
        ({"Sec-Fetch-Site": "same-origin"}, 409),
        ({"Origin": "https://console.example"}, 409),  # behind a proxy that gives another Host
        ({"Origin": "OWN"}, 409),
        ({"Referer": "OWN/integration"}, 409),
    ],
)
async def test_a_form_of_another_site_changes_nothing(headers: dict[str, str], wanted: int) -> None:
    async with serving(**SIGNED, public_url="https://console.example") as http:
        signed_in = (await sign_in(http)).cookies["tillstream_session"].value
        sent = {name: value.replace("OWN", origin(http)) for name, value in headers.items()}
        sent["Cookie"] = f"tillstream_session={signed_in}"
        for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
            named = {**sent, "Content-Type": content_type}
            async with http.post(CHANGE, data=b"account=default", headers=named) as answer:
                assert answer.status == wanted


@pytest.mark.parametrize("path", ["/", "/feed?email=a@example.com", "/integration"])
async def test_a_stranger_is_led_to_the_sign_in_and_back(path: str) -> None:
    async with serving(**SIGNED) as http:
        async with http.get(path, allow_redirects=False) as answer:
            assert answer.status == 303
            where = answer.headers["Location"]
        assert where.startswith("/login?next=/")
        async with http.get(where) as answer:
            page = await answer.text()
            assert (answer.status, 'name="token"' in page) == (200, True)
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("public", "secure"), [("https://console.example", True), ("", False)])
async def test_the_cookie_can_be_read_by_nobody_and_ends_on_the_server(
    public: str, secure: bool, tmp_path: Path
) -> None:
    async with serving(**SIGNED, public_url=public, state=tmp_path) as http:
        chosen = "chosen-by-somebody-else"
        answer = await sign_in(http, Cookie=f"tillstream_session={chosen}")
        assert answer.status == 303
        cookie = answer.cookies["tillstream_session"]
        assert cookie.value != chosen
        assert len(cookie.value) >= 40
        assert (cookie["httponly"], cookie["samesite"], bool(cookie["secure"])) == (True, "Lax", secure)
        assert await status(http, Cookie=f"tillstream_session={chosen}") == 401
        assert await status(http, Cookie=f"tillstream_session={cookie.value}") == 200
        stolen = {"Cookie": f"tillstream_session={cookie.value}", "Sec-Fetch-Site": "same-origin"}
        assert all(mode == 0o600 and cookie.value not in text for mode, text in kept(tmp_path))
        async with http.post("/logout", headers=stolen, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
        assert await status(http, Cookie=f"tillstream_session={cookie.value}") == 401


def kept(directory: Path) -> list[tuple[int, str]]:
    """Mode, and name with content, of every file."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    return [(path.stat().st_mode & 0o777, path.name + path.read_text()) for path in files]


async def test_a_stream_of_changes_ends_with_its_session() -> None:
    async with serving(**SIGNED) as http:  # without a ClickHouse it soon tells that it is away
        signed = {"Cookie": f"tillstream_session={(await sign_in(http)).cookies['tillstream_session'].value}"}
        async with http.get("/live", headers=signed) as stream:
            assert await stream.content.readline() == b"event: away\n"
            async with http.post("/logout", headers=signed | {"Origin": origin(http)}, allow_redirects=False) as answer:
                assert answer.status == 303
            rest = await asyncio.wait_for(stream.content.read(), 30)
            assert rest.count(b"event:") == 0


async def test_who_signs_in_again_ends_the_session_before() -> None:
    async with serving(**SIGNED) as http:
        first = (await sign_in(http)).cookies["tillstream_session"].value
        second = (await sign_in(http, Cookie=f"tillstream_session={first}")).cookies["tillstream_session"].value
        assert [await status(http, Cookie=f"tillstream_session={one}") for one in (first, second)] == [401, 200]


async def test_consoles_that_share_a_directory_share_their_sessions(tmp_path: Path) -> None:
    async with serving(**SIGNED, state=tmp_path) as one, serving(**SIGNED, state=tmp_path) as other:
        cookie = (await sign_in(one)).cookies["tillstream_session"].value
        assert await status(other, Cookie=f"tillstream_session={cookie}") == 200
        assert (
            await status(other, "/logout", "POST", Cookie=f"tillstream_session={cookie}", Origin=origin(other)) == 303
        )
        assert await status(one, Cookie=f"tillstream_session={cookie}") == 401
    async with serving(**SIGNED, state=tmp_path) as one:
        cookie = (await sign_in(one)).cookies["tillstream_session"].value
    async with serving(**SIGNED, state=tmp_path) as again:
        assert await status(again, Cookie=f"tillstream_session={cookie}") == 200
    async with serving(**SIGNED | {"token": "another" * 5}, state=tmp_path) as changed:
        assert await status(changed, Cookie=f"tillstream_session={cookie}") == 401


def origin(http: aiohttp.ClientSession) -> str:
    return str(http._base_url).rstrip("/")


def test_a_session_is_over_in_time_and_leaves_no_file(tmp_path: Path) -> None:
    now = [1000.0]
    found = Sessions(tmp_path, Key(None), [(Role.ADMIN, TOKEN)], lambda: now[0])
    cookie, _ = found.begin(Role.ADMIN, TOKEN)
    assert found.find(cookie) is not None
    now[0] += sessions.SESSION_SECONDS
    assert found.find(cookie) is None
    found.begin(Role.ADMIN, TOKEN)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_key_is_random_is_kept_and_says_when_it_is_broken(tmp_path: Path) -> None:
    one, again, other = Key(tmp_path), Key(tmp_path), Key(None)
    assert one.digest("a", "b") == again.digest("a", "b") != other.digest("a", "b")
    assert one.unsigned("a", one.signed("a", "text.with.dots")) == "text.with.dots"
    assert one.unsigned("b", one.signed("a", "text")) is None
    (tmp_path / "key").write_text("half of")
    with pytest.raises(ConfigurationError, match="no key"):
        Key(tmp_path)


async def test_guesses_are_slowed_down_and_a_known_browser_is_not(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(**SIGNED) as http, serving(**SIGNED) as other:
        device = (await sign_in(http)).cookies["tillstream_browser"].value
        assert await status(http, Authorization=f"Bearer {READ}") == 200
        answers = [(await sign_in(http, f"guess-{number}")).status for number in range(throttle.AT_ONCE)]
        assert answers == [403] * throttle.AT_ONCE
        refused = await sign_in(http)  # the right one: not even looked at
        assert (refused.status, int(refused.headers["Retry-After"]) > 0) == (429, True)
        assert await status(http, Authorization=f"Bearer {TOKEN}") == 429
        assert await status(http, Authorization=f"Bearer {READ}") == 200  # has come in from there before
        assert await status(http, Authorization="Bearer guess") == 429
        assert (await sign_in(http, Cookie=f"tillstream_browser={device}")).status == 303
        assert (await sign_in(other)).status == 303


def test_a_flood_from_everywhere_leaves_everybody_one_attempt() -> None:
    now = [0.0]
    guesses = Throttle(lambda: now[0])
    for number in range(throttle.ALL_AT_ONCE + 1000):
        guesses.failed(f"10.0.{number // 250}.{number % 250}")
    assert guesses.wait("192.0.2.1") == 0
    guesses.failed("192.0.2.1")
    assert guesses.wait("192.0.2.1") > 0
    now[0] += 60
    assert guesses.wait("192.0.2.1") == 0
    now[0] += 3600
    for _ in range(throttle.AT_ONCE):
        assert guesses.wait("192.0.2.1") == 0
        guesses.failed("192.0.2.1")
    assert guesses.wait("192.0.2.1") == pytest.approx(throttle.ANEW_SECONDS)


@pytest.mark.parametrize(
    ("headers", "looks", "changes"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, 200, 409),
        ({"Authorization": f"Bearer {READ}"}, 200, 403),
        ({"Authorization": "Bearer else"}, 401, 401),
        ({"X-Forwarded-User": "u-1", "X-Forwarded-Email": "Ada@example.com"}, 200, 409),
        ({"X-Forwarded-User": "u-2", "X-Forwarded-Groups": "staff, Finance"}, 200, 409),
        ({"X-Forwarded-User": "u-2", "X-Forwarded-Groups": "ada@example.com"}, 200, 403),
        ({"X-Forwarded-User": "finance"}, 200, 403),
        ({"X-Forwarded-User": "u-2"}, 200, 403),
        ({"X-Forwarded-User": " "}, 401, 401),
        ({"X-Forwarded-Groups": "finance"}, 401, 401),
    ],
)
@pytest.mark.parametrize(
    ("proxy", "sent"),
    [
        ({"trusted_proxies": ("127.0.0.0/8",)}, {}),
        ({"proxy_secret": SECRET}, {"X-Tillstream-Proxy-Secret": SECRET}),
        ({"trusted_proxies": ("127.0.0.1",), "proxy_secret": SECRET}, {"X-Tillstream-Proxy-Secret": SECRET}),
    ],
)
async def test_who_may_look_and_who_may_change(
    headers: dict[str, str], looks: int, changes: int, proxy: dict[str, Any], sent: dict[str, str]
) -> None:
    editors = {"editors": ("ada@example.com",), "editor_groups": ("finance",)}
    async with serving(**SIGNED, **proxy, **editors) as http:
        own = headers | sent | {"HX-Request": "true", "Origin": origin(http)}
        async with http.get(LOOK, headers=own) as answer:
            assert answer.status == looks
        async with http.post(CHANGE, data={"account": "default"}, headers=own) as answer:
            assert answer.status == changes


@pytest.mark.parametrize(
    ("proxy", "sent"),
    [
        ({"trusted_proxies": ("10.0.0.1",)}, []),
        ({"proxy_secret": SECRET}, []),
        ({"proxy_secret": SECRET}, [("X-Tillstream-Proxy-Secret", SECRET + "x")]),
        ({"trusted_proxies": ("10.0.0.1",), "proxy_secret": SECRET}, [("X-Tillstream-Proxy-Secret", SECRET)]),
        ({"trusted_proxies": ("127.0.0.1",), "proxy_secret": SECRET}, []),
        ({"trusted_proxies": ("127.0.0.1",)}, [("X-Forwarded-User", "ada")]),  # twice: the browser's and the proxy's
    ],
)
async def test_a_name_from_a_stranger_is_not_believed(proxy: dict[str, Any], sent: list[tuple[str, str]]) -> None:
    async with serving(**proxy, editors=("*",)) as http:
        async with http.get("/", headers=[("X-Forwarded-User", "ada"), *sent]) as answer:
            assert answer.status == 403
        assert await status(http, "/login") == 404


async def test_a_form_of_ten_megabytes_is_not_read() -> None:
    async with serving(**SIGNED) as http:
        big = b"token=" + b"x" * 10_000_000
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for path in ("/login", CHANGE):
            sent = form | {"Authorization": f"Bearer {TOKEN}"}
            try:
                async with http.post(path, data=io.BytesIO(big), headers=sent) as answer:
                    assert answer.status in (409, 413)
            except aiohttp.ClientConnectionError:
                pass  # it hung up in the middle, which will do
        assert (await sign_in(http)).status == 303


async def test_an_open_redirect_is_none() -> None:
    async with serving(**SIGNED) as http:
        for target in ("//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"):
            form = {"token": TOKEN, "next": target}
            async with http.post("/login", data=form, allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_wrong_tokens_are_logged_and_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(**SIGNED) as http:
        await sign_in(http, "a-guess-that-may-be-nearly-right")
    told = capsys.readouterr()
    assert "sign-in refused" in told.out + told.err
    assert "nearly-right" not in told.out + told.err


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"host": "0.0.0.0"}, "TILLSTREAM_CONSOLE_TOKEN"),
        ({"public_url": "https://console.example"}, "TILLSTREAM_CONSOLE_TOKEN"),
        ({"token": "letmein"}, "openssl rand -hex 24"),
        ({"token": TOKEN, "read_token": "letmein"}, "TILLSTREAM_CONSOLE_READ_TOKEN=$(openssl"),
    ],
)
def test_a_console_that_would_be_open_does_not_start(wrong: dict[str, str], remedy: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ConsoleConfig(Address("http://127.0.0.1:1"), **wrong)  # type: ignore[arg-type]
    assert remedy in raised.value.remedy


def test_a_notice_is_for_one_page_and_one_minute() -> None:
    now = [1000.0]
    key, response = Key(None), web.Response()
    left = Notices(key, lambda: now[0])
    left.leave(response, "/profiles", "Done — ünï", secure=True)
    cookie = response.cookies[notices.COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"], cookie["secure"]) == (
        "/profiles",
        True,
        "Strict",
        True,
    )

    def told(path: str, by: Notices = left) -> str:
        sent = {"Cookie": f"{notices.COOKIE}={cookie.value}"}
        return by.take(make_mocked_request("GET", path, headers=sent))

    assert told("/profiles?q=x") == "Done — ünï"
    assert (told("/health"), told("/profiles", Notices(Key(None)))) == ("", "")
    now[0] += notices.SECONDS
    assert told("/profiles") == ""


def test_a_proxy_without_a_list_of_who_may_change_things_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    create_app(ConsoleConfig(Address("http://127.0.0.1:1"), trusted_proxies=("10.0.0.5",)))
    told = capsys.readouterr()
    assert "TILLSTREAM_CONSOLE_EDITORS" in told.out + told.err
    create_app(
        ConsoleConfig(Address("http://127.0.0.1:1"), trusted_proxies=("10.0.0.5",), editors=("ada@example.com",))
    )
    assert "TILLSTREAM_CONSOLE_EDITORS" not in "".join(capsys.readouterr())
