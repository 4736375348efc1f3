"""The senders against a real mail server and a real endpoint: what counts as sent, as later, as never, as unknown."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from engage.links import person_of, token, unsubscribe_url
from engage.senders.outcome import Again, Refused, Sent, Unknown
from engage.senders.smtp import Mail, Smtp, parse_url
from engage.senders.webhook import SIGNATURE, Hook, Webhooks
from engage.templates import logo
from engage.templates.brand import FILE, Brand, Branding, write
from engage.templates.context import Organization
from engage.web import create_app, serve
from schemas.errors import ConfigurationError
from tests.postbox import OK, postbox

MAIL = Mail("m1", "Shop <billing@shop.example>", "ann@example.com", "Grüße", "<p>Hello</p>", "Hello")


def mail(**changes: str) -> Mail:
    return Mail(**{name: getattr(MAIL, name) for name in MAIL.__slots__} | changes)  # type: ignore[arg-type]


async def test_a_mail_arrives_with_both_parts_and_the_headers_that_automatic_mail_has() -> None:
    async with postbox() as box:
        smtp = Smtp(box.url)
        assert isinstance(await smtp.send(mail(unsubscribe_url="https://shop.example/unsubscribe/x")), Sent)
        assert isinstance(await smtp.send(mail(message_id="m2")), Sent)  # on the same connection
        await smtp.close()
    first, second = box.mails
    assert (first["Subject"], first["To"], first["From"]) == ("Grüße", "ann@example.com", "Shop <billing@shop.example>")
    assert first["Message-ID"] == "<m1@shop.example>"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["List-Unsubscribe"] == "<https://shop.example/unsubscribe/x>"
    assert first["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert first["Date"]
    assert second["List-Unsubscribe"] is None
    assert [part.get_content().strip() for part in first.iter_parts()] == ["Hello", "<p>Hello</p>"]


@pytest.mark.parametrize("to", ["ann@example.com", "chloé@bücher.example"])
async def test_a_long_unsubscribe_link_arrives_on_one_line_as_it_is(to: str) -> None:
    url = f"https://mail.shop.example/unsubscribe/{'x' * 150}"
    async with postbox() as box:
        smtp = Smtp(box.url)
        assert isinstance(await smtp.send(mail(to=to, unsubscribe_url=url, text="Grüße\n", html="<p>ä</p>")), Sent)
        refused = await smtp.send(mail(to=to, unsubscribe_url=f"https://shop.example/{'x' * 1000}"))
        await smtp.close()
    assert box.one_click(to) == url
    assert max(map(len, box.raw[0].split(b"\r\n"))) <= 998
    assert box.raw[0].partition(b"\r\n\r\n")[2].isascii()  # a server that takes no eight bits breaks nothing
    assert [part.get_content().strip() for part in box.mails[0].iter_parts()] == ["Grüße", "<p>ä</p>"]
    assert isinstance(refused, Refused)
    assert "TILLSTREAM_UNSUBSCRIBE_URL" in refused.reason


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("550 5.1.1 no such user", Refused("550 5.1.1 no such user", bounced=True)),
        ("550 no such user", Refused("550 no such user", bounced=True)),
        ("554 5.7.1 we don't like your address", Refused("554 5.7.1 we don't like your address", bounced=False)),
        ("451 4.3.0 try later", Again("451 4.3.0 try later")),
        ("452 4.2.2 mailbox full", Again("452 4.2.2 mailbox full")),
    ],
)
async def test_the_servers_word_about_a_recipient_decides(reply: str, outcome: object) -> None:
    async with postbox() as box:
        box.answer = lambda address: reply if address == "ann@example.com" else OK
        smtp = Smtp(box.url)
        assert await smtp.send(MAIL) == outcome
        assert isinstance(await smtp.send(mail(to="bob@example.com")), Sent)  # one bad address is no trouble for others
        await smtp.close()


async def test_a_refused_content_is_no_bad_address() -> None:
    async with postbox() as box:
        box.content_answer = lambda _: "554 5.6.0 looks like spam"
        smtp = Smtp(box.url)
        assert await smtp.send(MAIL) == Refused("554 5.6.0 looks like spam", bounced=False)
        await smtp.close()


async def test_a_server_that_is_not_there_is_one_that_all_can_wait_for() -> None:
    async with postbox() as box:
        url = box.url
    smtp = Smtp(url)
    outcome = await smtp.send(MAIL)
    await smtp.close()
    assert isinstance(outcome, Again)
    assert outcome.unreachable


async def test_a_connection_that_breaks_after_the_mail_leaves_it_unknown() -> None:
    """The server has all of it and goes away before it answers."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                break
            writer.write(b"250 OK\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        smtp = Smtp(f"smtp://127.0.0.1:{port}")
        outcome = await smtp.send(MAIL)
        await smtp.close()
    assert isinstance(outcome, Unknown)


async def test_addresses_beyond_ascii_are_written_as_they_are() -> None:
    async with postbox() as box:
        smtp = Smtp(box.url)
        assert isinstance(await smtp.send(mail(to="chloé@bücher.example")), Sent)
        await smtp.close()
    assert box.mails[0]["To"] == "chloé@bücher.example"


@pytest.mark.parametrize("to", ["", "ann", "@example.com", "ann@", "ann@exa\nmple.com"])
async def test_what_is_no_address_is_never_sent(to: str) -> None:
    outcome = await Smtp("smtp://127.0.0.1:1").send(mail(to=to))
    assert isinstance(outcome, Refused)
    assert not outcome.bounced


async def test_the_rate_is_kept() -> None:
    async with postbox() as box:
        smtp = Smtp(box.url, rate=20)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(smtp.send(mail(message_id=f"m{number}")) for number in range(6)))
        assert asyncio.get_running_loop().time() - began >= 5 / 20
        await smtp.close()


@pytest.mark.parametrize("url", ["http://mail", "smtp://", "mail.example", "smtp://host:99999", "smtp://host:x"])
def test_an_smtp_url_that_is_none_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SMTP_URL"):
        parse_url(url)
    server = parse_url("smtp+starttls://user%40shop:p%3Aw@mail.example")
    assert (server.host, server.port, server.username, server.password) == ("mail.example", 587, "user@shop", "p:w")
    assert (server.start_tls, server.use_tls) == (True, False)


@asynccontextmanager
async def endpoint(answer: Callable[[web.Request, bytes], web.Response]) -> AsyncIterator[str]:
    """A receiver of webhooks; gives its URL."""

    async def receive(request: web.Request) -> web.Response:
        return answer(request, await request.read())

    app = web.Application()
    app.router.add_post("/hook", receive)
    async with serve(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}/hook"


async def test_a_webhook_is_signed_as_stripes_own_are_and_carries_its_idempotency_key() -> None:
    got: list[tuple[str, str, bytes]] = []

    def answer(request: web.Request, body: bytes) -> web.Response:
        got.append((request.headers[SIGNATURE], request.headers["Idempotency-Key"], body))
        return web.Response(status=204)

    webhooks = Webhooks()
    async with endpoint(answer) as url:
        assert isinstance(await webhooks.send(Hook(url, b'{"a":1}', "m1", "whsec_x")), Sent)
    await webhooks.close()
    ((signature, key, body),) = got
    parts = dict(part.split("=") for part in signature.split(","))
    expected = hmac.new(b"whsec_x", f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert (parts["v1"], key, body) == (expected, "m1", b'{"a":1}')


@pytest.mark.parametrize(
    ("status", "kind"), [(200, Sent), (302, Refused), (404, Refused), (409, Again), (429, Again), (500, Again)]
)
async def test_the_status_of_an_answer_decides(status: int, kind: type) -> None:
    webhooks = Webhooks()
    async with endpoint(lambda *_: web.Response(status=status, text="words")) as url:
        outcome = await webhooks.send(Hook(url, b"{}", "m1"))
    await webhooks.close()
    assert isinstance(outcome, kind)
    if not isinstance(outcome, Sent):
        assert outcome.reason == f"{status} words"


def test_an_unsubscribe_link_is_the_persons_alone() -> None:
    url = unsubscribe_url("https://shop.example/", b"secret", "ann@example.com")
    assert person_of(b"secret", url.rpartition("/")[2]) == "ann@example.com"
    for forged in ("", "x", "a.b", token(b"other", "ann@example.com"), token(b"secret", "bob@x") + "x", "é.é"):
        assert person_of(b"secret", forged) != "ann@example.com"
    own = token(b"secret", "bob@example.com").partition(".")
    assert person_of(b"secret", f"{token(b'secret', 'ann@example.com').partition('.')[0]}.{own[2]}") == ""


async def test_opening_the_link_changes_nothing_and_agreeing_does(tmp_path: Path) -> None:
    import aiohttp

    gone: list[str] = []

    async def unsubscribe(person: str) -> None:
        gone.append(person)

    app = create_app(b"secret", Branding(tmp_path, Organization("Shop & Sons")), unsubscribe)
    async with serve(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        url = unsubscribe_url(f"http://127.0.0.1:{port}", b"secret", "<ann>@example.com")
        async with session.get(url) as response:
            page = await response.text()
            assert response.status == 200
        assert "&lt;ann&gt;@example.com" in page
        assert "Shop &amp; Sons" in page
        assert gone == []
        async with session.post(url, data={"List-Unsubscribe": "One-Click"}) as response:
            assert response.status == 200
        assert gone == ["<ann>@example.com"]
        async with session.post(url[:-2] + "xx") as response:
            assert response.status == 404
    assert gone == ["<ann>@example.com"]


async def test_mail_programs_fetch_the_logo_where_people_unsubscribe(tmp_path: Path) -> None:
    import aiohttp

    async def unsubscribe(_: str) -> None:
        raise AssertionError

    image = b"\x89PNG\r\n\x1a\n" + bytes(200)
    app = create_app(b"secret", Branding(tmp_path, Organization()), unsubscribe)
    async with serve(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{port}"
        async with session.get(f"{base}/logo") as response:
            assert response.status == 404
        (tmp_path / FILE).parent.mkdir()
        (tmp_path / FILE).write_text(write(Brand(logo=logo.packed(image))), "utf-8")
        address = Branding(tmp_path, Organization(), base).now().logo
        assert address.startswith(f"{base}/logo?v=")
        async with session.get(address) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "image/png"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert await response.read() == image
