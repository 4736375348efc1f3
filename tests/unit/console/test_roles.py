"""What each role may do in the console, asked at every route that there is."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from console.actions import Actions
from console.app import create_app
from console.config import ConsoleConfig, console_config
from console.roles import Power, Role, to_change
from schemas.errors import ConfigurationError
from settings.loading import load_settings
from settings.table import Settings
from tillstream.broker import own_broker
from warehouse.address import Address

TOKENS = {role: f"{role}-" + "t" * 24 for role in Role}
EVERYBODY = set(Role)
PLACE = {"CLICKHOUSE_URL": "http://127.0.0.1:1"}
#: Who may do what: by hand, from what the roles are for. What is not here is for administrators alone.
MAY: dict[str, set[Role]] = {
    "/logout": EVERYBODY,
    "/profile/suppress": {Role.ADMIN, Role.MARKETER, Role.SUPPORT},
    "/profile/unsuppress": {Role.ADMIN, Role.MARKETER, Role.SUPPORT},
    **{
        path: {Role.ADMIN, Role.MARKETER}
        for path in (
            *("/segment/save", "/segment/add", "/segment/remove", "/part/segment/check", "/part/segment/build"),
            *("/flow/status", "/flow/release", "/flow/test", "/flow/save", "/flow/archive", "/flow/restore"),
            *("/flow/draft/test", "/part/flow/build", "/part/flow/check", "/part/flow/way", "/part/flow/draft/mail"),
        )
    },
}
ADMINS = (
    *("/integration/connect", "/integration/disconnect", "/integration/secret/add", "/integration/secret/remove"),
    *("/integration/import", "/part/connection", "/part/compare", "/health/replay"),
    *("/profile/merge", "/profile/unmerge", "/profile/erase"),
    *("/settings/save", "/settings/test", "/settings/alert", "/settings/stripe", "/part/going-live"),
)
LOOKED_AT = ("/", "/feed", "/profiles", "/segments", "/flows", "/integration", "/health", "/settings", "/audit")


def _config(**changes: Any) -> ConsoleConfig:
    tokens = tuple((role, token) for role, token in TOKENS.items() if role not in (Role.ADMIN, Role.READ))
    given: dict[str, Any] = {"token": TOKENS[Role.ADMIN], "read_token": TOKENS[Role.READ], "tokens": tokens}
    return ConsoleConfig(Address("http://127.0.0.1:1"), **given | changes)


def _changing() -> set[str]:
    routes = create_app(_config()).router.routes()
    return {route.resource.canonical for route in routes if route.method not in ("GET", "HEAD") and route.resource}


@pytest.fixture
def doing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Actions:
    """What can be done where nothing runs, and nothing is set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TILLSTREAM_DATA", str(tmp_path))
    return Actions(load_settings(), own_broker)


@pytest.fixture
async def http(doing: Actions) -> AsyncIterator[aiohttp.ClientSession]:
    async with TestServer(create_app(_config(), doing)) as server:
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(server.make_url("/"), cookie_jar=jar) as session:
            yield session


def as_(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[role]}"}


def test_what_is_named_here_is_there() -> None:
    assert {*MAY, *ADMINS} <= _changing()


@pytest.mark.parametrize("role", Role)
async def test_every_route_that_changes_something_lets_in_those_and_nobody_else(
    http: aiohttp.ClientSession, role: Role
) -> None:
    for path in sorted(_changing() - {"/login"}):
        if path not in MAY and path not in ADMINS and to_change(path) is not Power.ALL:
            continue  # below a beginning that is tried here
        async with http.post(path, headers=as_(role), allow_redirects=False) as answer:
            refused = answer.status == 403
        assert refused == (role not in MAY.get(path, {Role.ADMIN})), path


@pytest.mark.parametrize("role", Role)
async def test_everybody_may_look(http: aiohttp.ClientSession, role: Role) -> None:
    for path in LOOKED_AT:
        async with http.get(path, headers=as_(role)) as answer:
            assert answer.status != 403, path


async def test_a_path_that_nobody_has_named_needs_an_administrator() -> None:
    for path in ("/new/thing", "/segments-of-others", "/flowers/save", "/profile/erase/now", "/", ""):
        assert to_change(path) is Power.ALL, path


@pytest.mark.parametrize("path", ["/flow/../settings/save", "/flow/%2e%2e/settings/save", "//settings/save"])
async def test_how_a_path_is_written_gives_nobody_more(http: aiohttp.ClientSession, path: str) -> None:
    url = http._base_url  # what is written stays as it is written
    assert url is not None
    async with http.post(
        type(url)(f"{str(url).rstrip('/')}{path}", encoded=True), headers=as_(Role.MARKETER), allow_redirects=False
    ) as answer:
        assert answer.status in (403, 404)


async def test_a_refusal_says_what_one_may(http: aiohttp.ClientSession) -> None:
    async with http.post("/settings/save", headers=as_(Role.SUPPORT)) as answer:
        assert "This sign-in may look and say who gets no mail, and nothing else" in await answer.text()


async def test_a_browser_signs_in_by_the_token_of_a_role_until_it_is_another_one(tmp_path: Path) -> None:
    for tokens, status in (((Role.MARKETER, TOKENS[Role.MARKETER]),), 200), (((Role.MARKETER, "n" * 24),), 303):
        async with TestServer(create_app(_config(tokens=tokens, state=tmp_path))) as server:
            jar = aiohttp.DummyCookieJar()
            async with aiohttp.ClientSession(server.make_url("/"), cookie_jar=jar) as http:
                if status == 200:
                    form = {"token": TOKENS[Role.MARKETER]}
                    async with http.post("/login", data=form, allow_redirects=False) as answer:
                        cookie = f"tillstream_session={answer.cookies['tillstream_session'].value}"
                headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
                async with http.get("/api/v1/openapi.json", headers=headers) as answer:
                    assert (answer.status == 200) == (status == 200)
                if status == 200:
                    async with http.post("/integration/import", headers=headers) as answer:
                        assert answer.status == 403


@pytest.mark.parametrize(
    ("user", "groups", "role"),
    [
        ("boss@shop.example", "", Role.ADMIN),
        ("Anna@shop.example", "", Role.MARKETER),
        ("tim@shop.example", "people,Finance", Role.ANALYST),
        ("anna@shop.example", "finance", Role.MARKETER),  # the first that fits
        ("eve@shop.example", "group:finance", Role.SUPPORT),  # as everybody
        ("group:finance", "", Role.SUPPORT),  # nobody becomes a group by their name
    ],
)
async def test_a_proxy_gives_the_same_roles(user: str, groups: str, role: Role, doing: Actions, tmp_path: Path) -> None:
    settings = load_settings(
        {
            "CLICKHOUSE_URL": "http://127.0.0.1:1",
            "TILLSTREAM_DATA": str(tmp_path),
            "TILLSTREAM_CONSOLE_TRUSTED_PROXIES": "127.0.0.1",
            "TILLSTREAM_CONSOLE_EDITORS": "boss@shop.example",
            "TILLSTREAM_CONSOLE_ROLES": "anna@shop.example=marketer, group:finance=analyst, *=support",
        }
    )
    headers = {"X-Forwarded-Email": user, "X-Forwarded-Groups": groups, "Sec-Fetch-Site": "same-origin"}
    app = create_app(console_config(settings), doing)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/"), headers=headers) as http:
        for path, roles in (*MAY.items(), ("/integration/import", {Role.ADMIN})):
            async with http.post(path, allow_redirects=False) as answer:
                assert (answer.status != 403) == (role in roles), path


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("TOKENS", "marketer:short", "fewer than 24"),
        ("TOKENS", "chef:" + "x" * 24, "has no role before it"),
        ("TOKENS", "x" * 30, "has no role before it"),
        ("TOKENS", "marketer:" + "x" * 24 + ",support:" + "x" * 24, "opens two roles"),
        ("ROLES", "anna@shop.example", "is not WHO=ROLE"),
        ("ROLES", "anna@shop.example=chef", "is not WHO=ROLE"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_start_and_no_token_is_named(name: str, text: str, words: str) -> None:
    settings = load_settings(PLACE | {f"TILLSTREAM_CONSOLE_{name}": text, "TILLSTREAM_CONSOLE_TOKEN": "y" * 24})
    with pytest.raises(ConfigurationError) as caught:
        console_config(settings)
    assert words in str(caught.value)
    assert "xxxx" not in str(caught.value)
    assert caught.value.remedy


def test_tokens_of_roles_close_the_console_and_let_it_listen_elsewhere() -> None:
    settings = load_settings(
        PLACE | {"TILLSTREAM_CONSOLE_TOKENS": "support:" + "x" * 24, "TILLSTREAM_CONSOLE_HOST": "0.0.0.0"}
    )
    assert console_config(settings).tokens == ((Role.SUPPORT, "x" * 24),)
