"""The mail editor of the console: what is written to the project's folder, what is refused, and who may do that."""

import html
import re
from collections.abc import Iterator
from io import BytesIO

import aiohttp
import pytest

from engage.templates import blocks, starts
from tests.integration.console.test_engagement import READ, furnished, http, page, place, post
from tests.integration.engagement_support import Place

__all__ = ["furnished", "http", "place"]  # fixtures

FIELDS = {
    ":about": "Failed Payment",
    ":subject": "You owe {{ event.Amount|currency }}",
    "0:kind": "heading",
    "0:line": "Hello",
    "7:kind": "text",
    "7:text": "One\r\ntwo\r\n\r\nthree {{ person.name }}",
}
FLOW = "title: Mine\nstatus: live\ntrigger: {metric: Failed Payment}\nsteps:\n  - email: {template: mine}\n"


def base_of(told: str) -> str:
    return told.split('name="base" value="')[1].split('"')[0]


@pytest.fixture
def mine(place: Place) -> Iterator[Place]:
    (place.project / "flows").mkdir(parents=True, exist_ok=True)
    yield place
    for folder in ("templates", "flows"):
        for file in (place.project / folder).glob("mine*"):
            file.unlink()
    (place.project / "brand" / "brand.yaml").unlink(missing_ok=True)


async def test_a_mail_of_blocks_is_written_edited_and_removed(mine: Place, http: aiohttp.ClientSession) -> None:
    file = mine.project / "templates" / "mine.html"
    assert "Saved." in await post(http, "/template/save", title="Mine", new="true", **FIELDS)
    mail = blocks.parse(file.read_text("utf-8"))
    assert mail is not None
    assert mail.about == "Failed Payment"
    assert [dict(block.fields) for block in mail.blocks] == [
        {"line": "Hello"},
        {"text": "One\ntwo\n\nthree {{ person.name }}"},
    ]
    told = await page(http, "/template/edit", name="mine")
    assert 'value="You owe {{ event.Amount|currency }}"' in told
    assert "Saved." in await post(
        http, "/template/save", name="mine", base=base_of(told), **FIELDS | {"0:line": "Goodbye"}
    )
    assert "<h1>Goodbye</h1>" in file.read_text("utf-8")
    assert "Saved." in await post(http, "/template/save", title="Mine", new="true", **FIELDS)
    assert (file.parent / "mine-2.html").exists()  # never in another's place
    assert "Mine" in await page(http, "/templates")
    assert "is removed" in await post(http, "/template/remove", name="mine-2")
    assert not (file.parent / "mine-2.html").exists()


async def test_a_broken_edit_is_not_saved_and_the_last_good_one_stays(mine: Place, http: aiohttp.ClientSession) -> None:
    file = mine.project / "templates" / "mine.html"
    await post(http, "/template/save", title="Mine", new="true", **FIELDS)
    (mine.project / "flows" / "mine.yaml").write_text(FLOW, "utf-8")
    good, base = file.read_text("utf-8"), base_of(await page(http, "/template/edit", name="mine"))
    for text, why in (
        ("{{ evnt.Amount }}", "did you mean event?"),
        ("{{ event.Amount", "does not end with }}"),
        ("{% for x in y %}", "for a mail in HTML"),
        ("x" * 5_001, "more than 5,000 characters"),
        ("", "the text is empty"),
    ):
        told = html.unescape(
            await post(http, "/template/save", 400, name="mine", base=base, **FIELDS | {"7:text": text})
        )
        assert why in told
        assert file.read_text("utf-8") == good
        seen = html.unescape(await post(http, "/part/template/seen", name="mine", **FIELDS | {"7:text": text}))
        assert "Block 2, Text" in seen
        assert why in seen
    for text, why in (
        ("<a href={{ event.InvoiceURL }}>", "line 1: put quotes round"),
        ("<p>\n{% extends 'nothing.html' %}", "there is no template 'nothing.html'"),
        ("<p>\n\n{{ ''.__class__ }}", "line 3: not allowed"),
        ("{% for a in range(999) %}{% for b in range(999) %}x{% endfor %}{% endfor %}", "turns of loops"),
    ):
        told = html.unescape(await post(http, "/template/save", 400, name="mine", base=base, view="html", html=text))
        assert why in told
        assert file.read_text("utf-8") == good
    assert "The flow Mine sends it so" in await post(
        http, "/template/save", name="mine", base=base, **FIELDS | {"0:line": "New"}
    )


async def test_two_people_edit_one_mail_and_nothing_is_lost(mine: Place, http: aiohttp.ClientSession) -> None:
    file = mine.project / "templates" / "mine.html"
    await post(http, "/template/save", title="Mine", new="true", **FIELDS)
    base = base_of(await page(http, "/template/edit", name="mine"))
    await post(http, "/template/save", name="mine", base=base, **FIELDS | {"0:line": "Theirs"})
    told = await post(http, "/template/save", 409, name="mine", base=base, **FIELDS | {"0:line": "Ours"})
    assert "Somebody saved this template meanwhile" in told
    assert "Theirs" in told
    assert 'value="Ours"' in told
    assert "Theirs" in file.read_text("utf-8")
    await post(http, "/template/save", name="mine", base=base_of(told), **FIELDS | {"0:line": "Ours"})
    assert "Ours" in file.read_text("utf-8")


async def test_a_mail_that_a_flow_sends_can_not_be_deleted(mine: Place, http: aiohttp.ClientSession) -> None:
    await post(http, "/template/save", title="Mine", new="true", **FIELDS)
    (mine.project / "flows" / "mine.yaml").write_text(FLOW.replace("live", "draft"), "utf-8")
    assert "the flow mine sends this mail" in await post(http, "/template/remove", 409, name="mine")
    assert "came with Tillstream" in await post(http, "/template/remove", 409, name="receipt")
    over = mine.project / "templates" / "receipt.html"
    over.write_text(blocks.write(starts.STARTS["paid"][2]), "utf-8")
    assert "is sent again" in await post(http, "/template/remove", name="receipt")
    assert not over.exists()
    for name in ("../../etc/passwd", "_layout", "", "a/b"):
        for path in ("/template/remove", "/template/save"):
            assert await post(http, path, 400 if not name and "remove" in path else 409, name=name, **FIELDS)
    assert not list(mine.project.rglob("*passwd*"))


async def test_a_ready_template_opens_in_html_and_a_copy_is_one_s_own(mine: Place, http: aiohttp.ClientSession) -> None:
    told = await page(http, "/template/edit", name="failed_payment")
    assert "your version takes its place" in told
    assert "{% extends &#34;_layout.html&#34; %}" in told
    assert "Sent by" in told
    assert "Blocks can’t show this mail" in await post(
        http, "/part/template/build", name="failed_payment", view="html", html="<p>x</p>", do="view:blocks"
    )
    copied = await page(http, "/template/edit", copy="failed_payment")
    assert 'value="Copy of Failed payment"' in copied
    assert 'name="new"' in copied


async def test_a_mail_is_seen_with_any_person_and_lacks_are_named(mine: Place, http: aiohttp.ClientSession) -> None:
    told = await post(http, "/part/template/seen", **FIELDS)
    assert 'data-tag="{{ event.Amount|currency }}"' in told
    source = html.unescape(re.findall('class="day" src="([^"]+)"', told)[0])
    mail = await page(http, source)
    assert "prefers-color-scheme" not in mail
    assert "<h1" in mail
    nobody = await post(http, "/part/template/seen", email="nobody@example.com", **FIELDS)
    assert "no Failed Payment of nobody@example.com is known yet" in nobody
    blank = await post(http, "/part/template/seen", **FIELDS | {"0:line": "{{ event.Amout }}"})
    assert "Blank in this mail" in blank
    assert "did you mean event.Amount?" in blank
    test = await http.post("/part/template/seen?mode=test", data=FIELDS | {":about": "Trial Ending"})
    assert "this one is made up" in await test.text()
    async with http.get("/template/seen?id=nothing") as answer:
        assert answer.status == 404


async def test_the_brand_is_saved_or_its_mistake_is_named(mine: Place, http: aiohttp.ClientSession) -> None:
    file = mine.project / "brand" / "brand.yaml"
    base = base_of(await page(http, "/brand"))
    told = html.unescape(await post(http, "/brand/save", 400, base=base, colour="red", logo="logo.png"))
    assert "a colour is written like #4338ca" in told
    assert "begins with https://" in told
    assert 'value="logo.png"' in told
    assert not file.exists()
    assert "Saved" in await post(http, "/brand/save", base=base, colour="#4338CA")
    assert file.read_text("utf-8") == "# How all mails look.\ncolour: '#4338ca'\n"
    assert "Somebody saved the brand meanwhile" in await post(http, "/brand/save", 409, base=base, colour="#111111")
    file.write_text("colour: red\n", "utf-8")
    assert "can’t be read" in await page(http, "/brand")


PNG = b"\x89PNG\r\n\x1a\n" + bytes(500)


async def test_a_logo_is_uploaded_and_one_of_10_mb_is_refused_with_the_reason(
    mine: Place, http: aiohttp.ClientSession
) -> None:
    for content, status, told in (
        (PNG, 200, "The logo is saved"),
        (PNG + bytes(10_000_000), 400, "The logo has 10.0 MB, and may have 100 kB"),
        (b"<svg onload='alert(1)'/>", 400, "A logo is a PNG, JPEG or GIF image"),
    ):
        form = aiohttp.FormData()
        form.add_field("file", BytesIO(content), filename="logo.png", content_type="image/png")
        async with http.post("/brand/logo", data=form) as answer:
            assert answer.status == status
            assert told in await answer.text()
    async with http.get("/brand/logo") as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert await answer.read() == PNG
    told = await page(http, "/brand")
    assert "The logo that was uploaded" in told
    assert "TILLSTREAM_UNSUBSCRIBE_URL is not set" in told
    await post(http, "/brand/save", base=base_of(told), colour="#111111", logo="uploaded")
    seen = await post(http, "/part/template/seen", **FIELDS)
    mail = await page(http, html.unescape(re.findall('class="day" src="([^"]+)"', seen)[0]))
    assert 'src="data:image/png;base64,' in mail
    await post(http, "/brand/save", base=base_of(await page(http, "/brand")), logo="")
    async with http.get("/brand/logo") as answer:
        assert answer.status == 404


async def test_who_may_only_look_can_not_edit_mails(mine: Place) -> None:
    headers = {"Authorization": f"Bearer {READ}"}
    async with (
        mine.serve(token=READ[::-1], read_token=READ) as server,
        aiohttp.ClientSession(server.make_url("/")) as session,
    ):
        async with session.get("/templates", headers=headers) as answer:
            assert answer.status == 200
            assert "New template" not in await answer.text()
        for path in ("/template/edit", "/template/new", "/brand", "/template/seen"):
            async with session.get(path, headers=headers) as answer:
                assert answer.status == 403
        for path in ("/template/save", "/template/remove", "/template/test", "/part/template/seen", "/brand/save"):
            async with session.post(path, headers=headers, data=FIELDS) as answer:
                assert answer.status == 403
