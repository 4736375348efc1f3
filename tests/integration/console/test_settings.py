"""The page Settings, on a real mail server, a real DNS server and the simulated Stripe."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from dns.asyncresolver import Resolver

from console.actions import Actions
from console.app import create_app
from console.config import ConsoleConfig
from engage.senders import records
from settings.browser import USED_BY, read_browser
from settings.loading import load_settings
from settings.secrets import StoredAccount, write_account
from simulator.api.app import create_app as create_stripe
from simulator.api.virtual import VirtualStripe
from simulator.world.history import World
from tests.integration.connector_support import START
from tests.postbox import postbox
from tillstream.broker import own_broker
from warehouse.address import Address

READ = "whoever has this may look"
TXT = {
    "shop.example.": ["v=spf1 mx -all"],
    "s1._domainkey.shop.example.": ["v=DKIM1; k=rsa; " + "x=" + "y" * 200, "; p=MIIBIjANBg"],
    "_dmarc.shop.example.": ["v=DMARC1; p=none"],
}


class Names(asyncio.DatagramProtocol):
    """A DNS server that has `TXT`, knows nothing else, and is silent about what is below `silent.example`."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = dns.message.from_wire(data)
        name = asked.question[0].name.to_text()
        if name.endswith("silent.example."):
            return
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        if texts := TXT.get(name):
            quoted = " ".join(f'"{text}"' for text in texts)
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", quoted))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Names, ("127.0.0.1", 0))
    found = Resolver(configure=False)
    found.nameservers, found.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    yield found
    transport.close()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in USED_BY:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TILLSTREAM_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
async def http(data: Path) -> AsyncIterator[aiohttp.ClientSession]:
    config = ConsoleConfig(Address("http://127.0.0.1:9"), state=data / "console")
    server = TestServer(create_app(config, Actions(load_settings(), own_broker)))
    await server.start_server()
    async with aiohttp.ClientSession(server.make_url("/"), cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session
    await server.close()


async def page(http: aiohttp.ClientSession) -> str:
    async with http.get("/settings") as answer:
        assert answer.status == 200
        return await answer.text()


async def revision(http: aiohttp.ClientSession) -> str:
    return (await page(http)).partition('name="revision" value="')[2].partition('"')[0]


async def save(http: aiohttp.ClientSession, form: str, **typed: str) -> tuple[int, str]:
    typed = {"form": form, "revision": await revision(http), **typed}
    async with http.post("/settings/save", data=typed) as answer:
        return answer.status, await answer.text()


async def test_a_mail_server_is_tried_before_it_is_saved_and_then_it_is_in_force(
    http: aiohttp.ClientSession, data: Path
) -> None:
    async with postbox() as box:
        port = box.url.rpartition(":")[2]
        typed = {"smtp_scheme": "smtp", "smtp_host": "127.0.0.1", "smtp_port": port}
        typed["tillstream_mail_from"] = "Shop <billing@shop.example>"
        async with http.post("/settings/test", data={"form": "mail", "to": "me@shop.example", **typed}) as answer:
            told = await answer.text()
        assert answer.status == 200
        assert "A test was sent to me@shop.example" in told
        assert '<option value="smtp" selected>' in told  # what was typed is still there
        (mail,) = box.mails
        assert (mail["To"], mail["From"]) == ("me@shop.example", "Shop <billing@shop.example>")
        assert read_browser(data) == {}
        status, told = await save(http, "mail", **typed)
        assert (status, "engage begins anew" in told) == (200, True)
    settings = load_settings()
    assert settings.smtp_url is not None
    assert settings.smtp_url.get_secret_value() == f"smtp://127.0.0.1:{port}"


async def test_a_refusal_of_the_mail_server_is_told_in_its_words(http: aiohttp.ClientSession) -> None:
    async with postbox() as box:
        box.answer = lambda _: "550 5.7.1 relaying denied"
        typed = {"smtp_scheme": "smtp", "smtp_host": "127.0.0.1", "smtp_port": box.url.rpartition(":")[2]}
        typed |= {"form": "mail", "tillstream_mail_from": "a@shop.example", "to": "me@shop.example"}
        async with http.post("/settings/test", data=typed) as answer:
            assert answer.status == 409
            assert "550 5.7.1 relaying denied" in await answer.text()


async def test_what_would_not_start_is_refused_and_what_was_typed_stays(
    http: aiohttp.ClientSession, data: Path
) -> None:
    hostile = '"><script>alert(1)</script>'
    status, told = await save(http, "organization", tillstream_organization=hostile, tillstream_timezone="Europe/Berln")
    assert status == 409
    assert "did you mean Europe/Berlin?" in told
    assert "&lt;script&gt;" in told
    assert "<script>alert" not in told
    assert read_browser(data) == {}


async def test_a_password_is_written_and_never_read(http: aiohttp.ClientSession, data: Path) -> None:
    typed = {"smtp_scheme": "smtps", "smtp_host": "mail.shop.example", "smtp_user": "me", "smtp_password": "hidden-1"}
    status, told = await save(http, "mail", **typed, tillstream_mail_from="a@shop.example")
    assert status == 200
    assert "hidden-1" not in told + await page(http)
    entries = "".join(path.read_text() for path in (data / "console" / "audit").iterdir())
    assert "changed settings" in entries
    assert "SMTP_URL" in entries
    assert "hidden-1" not in entries


async def test_what_the_environment_sets_is_shown_with_the_reason_and_not_changed(
    http: aiohttp.ClientSession, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILLSTREAM_ORGANIZATION", "Tea & Co")
    told = await page(http)
    field = told.partition('name="tillstream_organization"')[2].partition(">")[0]
    assert "readonly" in field
    assert "Tea &amp; Co" in field
    assert "<code>TILLSTREAM_ORGANIZATION</code> goes before this page" in told
    await save(http, "organization", tillstream_organization="Mine", tillstream_timezone="Asia/Tokyo")
    assert read_browser(data) == {"tillstream_timezone": "Asia/Tokyo"}


async def test_who_may_only_look_sees_no_form_that_does_anything(data: Path) -> None:
    config = ConsoleConfig(Address("http://127.0.0.1:9"), read_token=READ, state=data / "console")
    async with TestServer(create_app(config, Actions(load_settings(), own_broker))) as server:
        headers = {"Authorization": f"Bearer {READ}"}
        async with aiohttp.ClientSession(server.make_url("/"), headers=headers) as http:
            assert "<button>Save" not in await page(http)
            for path in ("save", "test", "stripe"):
                async with http.post(f"/settings/{path}", data={"form": "mail"}) as answer:
                    assert answer.status == 403


async def test_the_organisation_is_filled_in_from_stripes_account(
    http: aiohttp.ClientSession, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http.post("/settings/stripe") as answer:
        assert answer.status == 409  # no API key
    async with TestServer(create_stripe(VirtualStripe(World(3, START, 5, 20), timezone="Europe/Paris"))) as stripe:
        monkeypatch.setenv("STRIPE_API_BASE", f"http://127.0.0.1:{stripe.port}")
        stored = StoredAccount.model_validate({"api_key": "sk_live_simulated"})
        write_account(data, "default", stored)
        async with http.post("/settings/stripe") as answer:
            told = await answer.text()
    assert "nothing is saved yet" in told
    assert 'value="Europe/Paris"' in told
    assert 'value="https://harbour.example"' in told
    assert "1 Harbour Street, E1W 1AA London, GB" in told
    assert read_browser(data) == {}


async def test_records_are_looked_up_and_silence_is_no_verdict(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SECONDS", 0.3)
    names = ("shop.example", "s1._domainkey.shop.example", "nothing.example", "_dmarc.silent.example", "a" * 70)
    found = await records.texts(names, resolver)
    assert found["shop.example"] == ("v=spf1 mx -all",)
    assert found["s1._domainkey.shop.example"] == (TXT["s1._domainkey.shop.example."][0] + "; p=MIIBIjANBg",)
    assert found["nothing.example"] == ()
    assert found["_dmarc.silent.example"] is None
    assert found["a" * 70] is None


async def test_what_keeps_mail_from_going_out_is_shown_together(http: aiohttp.ClientSession) -> None:
    await save(http, "mail", smtp_scheme="smtps", smtp_host="mail.shop.example", tillstream_mail_from="a@b.invalid")
    async with http.get("/part/going-live") as answer:
        assert answer.status == 405  # a link must not have DNS asked
    async with http.post("/part/going-live") as answer:
        told = await answer.text()
    for name in ("Mail server", "Sender", "Unsubscribe page", "Postal address", "SPF", "DKIM", "DMARC"):
        assert f"<b>{name}</b>" in told
    assert "TILLSTREAM_UNSUBSCRIBE_URL is not set" in told


async def test_whom_to_alert_is_set_tried_and_never_shown(http: aiohttp.ClientSession, data: Path) -> None:
    taken: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.read())
        return web.Response()

    receiver = web.Application()
    receiver.router.add_post("/hidden-2", take)
    async with http.post("/settings/alert", data={"form": "alerts"}) as answer:
        assert answer.status == 409  # nobody is told yet
    status, told = await save(http, "alerts", tillstream_alert_mail="ops@shop.example")
    assert (status, "and no mail server" in told) == (409, True)
    async with TestServer(receiver) as server:
        status, told = await save(
            http, "alerts", tillstream_alert_minutes="3", tillstream_alert_slack=str(server.make_url("/hidden-2"))
        )
        assert (status, "hidden-2" in told) == (200, False)
        await save(http, "alerts", tillstream_alert_minutes="4")  # what is never shown is not emptied by that
        async with http.post("/settings/alert", data={"form": "alerts"}) as answer:
            assert "A test went out by slack" in await answer.text()
    assert len(taken) == 1
    assert load_settings().tillstream_alert_minutes == 4
    await save(http, "alerts", tillstream_alert_slack_remove="true")
    assert load_settings().tillstream_alert_slack is None
