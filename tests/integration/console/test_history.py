"""The history of definitions in the console: who, when, what changed, and the way back."""

import html
import re
from pathlib import Path

import aiohttp
import pytest
from clickhouse_connect.driver.client import Client

from engage.definitions.keeping import Definitions
from schemas.definitions import Kind, Revision
from tests.conftest import eventually
from tests.integration.console.test_engagement import PAYERS, READ, furnished, http, page, place, post
from tests.integration.console.test_flow_editor import DUNNING
from tests.integration.console.test_mails import FIELDS
from tests.integration.engagement_support import Place

__all__ = ["furnished", "http", "place"]  # fixtures

LATER = DUNNING + "  - delay: 2 days\n"


async def test_what_a_flow_was_and_who_changed_it_is_told_and_leads_back(
    place: Place, http: aiohttp.ClientSession, clickhouse: Client
) -> None:
    file = place.project / "flows" / "told.yaml"
    await post(http, "/flow/save", name="told", yaml=DUNNING, new="true")
    await post(http, "/flow/save", name="told", yaml=LATER, base=await base(http, "told"))
    await post(http, "/flow/status", name="told", status="draft")
    file.write_text(file.read_text("utf-8").replace("2 days", "5 days"), "utf-8")  # in an editor of files
    entries = await history(http, "/flow", "told")
    assert [re.findall("<bdi>(.*?)</bdi>", one)[0] for one in entries] == [
        "Changed in its file",
        *["Saved by this machine"] * 3,
    ]
    said = [re.findall("<li><bdi>(.*?)</bdi>", one) for one in entries]
    assert any("No longer" in each and "2 days" in each for each in said[0])
    assert any("New" in each and "5 days" in each for each in said[0])
    assert said[1] == ["No longer: status live", "New: status draft"]
    assert said[3] == ["The first one."]
    assert "<del>  - delay: 2 days</del>" in entries[0]
    assert "<ins>  - delay: 5 days</ins>" in entries[0]
    assert "Roll back" not in entries[0]
    first, newest = posted(entries[3]), posted(entries[1])
    stale = first | {"base": newest["revision"]}
    assert "changed meanwhile" in await post(http, "/flow/roll-back", 409, **stale)
    assert "no such revision" in await post(http, "/flow/roll-back", 409, **first | {"revision": "x"})
    back = await post(http, "/flow/roll-back", **first)
    assert "It is as it was then" in back
    assert file.read_text("utf-8") == DUNNING.replace("live", "draft")  # with the status that it had
    assert back.count('<li class="card"') == 5
    audit = f"SELECT detail, outcome FROM {place.config.warehouse.database}.audit WHERE action LIKE 'went back%'"

    def rows() -> list[tuple[str, str]]:
        found = [(str(detail), str(outcome)) for detail, outcome in clickhouse.query(audit).result_rows]
        return found if len(found) == 3 and "begun" not in str(found) else []

    assert (f"flow told: {first['revision'][:8]}", "done") in await eventually(rows)
    assert "is archived" in await post(http, "/flow/archive", name="told")
    assert "/flow/history?name=told" in await page(http, "/flows")


async def test_a_segment_that_was_removed_is_brought_back_from_its_history(
    place: Place, http: aiohttp.ClientSession
) -> None:
    file = place.project / "segments" / "gone.yaml"
    await post(http, "/segment/save", name="gone", yaml=PAYERS, new="true")
    await post(http, "/segment/remove", name="gone")
    assert not file.exists()
    assert "/segment/history?name=gone" in await page(http, "/segments")
    _, first = await history(http, "/segment", "gone")
    assert "Brought back." in await post(http, "/segment/roll-back", **posted(first))
    assert file.read_text("utf-8") == PAYERS
    assert "nobody has changed" in await page(http, "/segment/history", 409, name="failing-payments")
    await post(http, "/segment/remove", name="gone")


@pytest.fixture
def elsewhere(place: Place, kafka_bootstrap: str, tmp_path: Path) -> Definitions:
    """Another machine, with a folder of its own."""
    prefix = f"{place.config.warehouse.database}."
    return Definitions(lambda: ({"bootstrap_servers": kafka_bootstrap}, prefix), tmp_path)


async def there(elsewhere: Definitions, kind: Kind, name: str, text: str) -> Revision:
    """Bob saves it on the other machine."""
    head = await elsewhere.head(kind, name)
    found = await elsewhere.save(kind, name, text, parent=head.id if head else "", author="bob")
    assert isinstance(found, Revision)
    return found


async def test_a_mail_that_two_machines_edit_is_lost_on_neither_and_goes_back(
    place: Place, http: aiohttp.ClientSession, elsewhere: Definitions
) -> None:
    file = place.project / "templates" / "both.html"
    await post(http, "/template/save", title="Both", new="true", **FIELDS)
    begun = await base(http, "both", "/template")
    first = file.read_text("utf-8")
    theirs = first.replace("Hello", "Theirs")
    await there(elsewhere, Kind.TEMPLATE, "both", theirs)
    ours = FIELDS | {"0:line": "Ours"}
    told = await post(http, "/template/save", 409, name="both", base=begun, **ours)
    assert "Somebody saved this template meanwhile" in told
    assert "&lt;h1&gt;Theirs&lt;/h1&gt;" in told
    assert 'value="Ours"' in told
    assert file.read_text("utf-8") == theirs
    again = told.split('name="base" value="')[1].split('"')[0]
    assert "Saved." in await post(http, "/template/save", name="both", base=again, **ours)
    assert "/template/history?name=both" in await page(http, "/template/edit", name="both")
    entries = await history(http, "/template", "both")
    assert [re.findall("<bdi>(.*?)</bdi>", one)[0] for one in entries] == [
        "Saved by this machine",
        "Saved by bob",
        "Saved by this machine",
    ]
    assert "<del><h1>Theirs</h1></del>" in entries[0]
    assert "<ins><h1>Ours</h1></ins>" in entries[0]
    back = posted(entries[1])
    assert "no such revision" in await post(http, "/template/roll-back", 409, **back | {"revision": "x"})
    assert "changed meanwhile" in await post(http, "/template/roll-back", 409, **back | {"base": back["revision"]})
    await post(http, "/template/roll-back", 400, name="both")
    assert "It is as it was then" in await post(http, "/template/roll-back", **back)
    assert file.read_text("utf-8") == theirs
    await elsewhere.settle()
    assert [each.text for each in elsewhere.taken(Kind.TEMPLATE, "both")][0::3] == [first, theirs]
    await post(http, "/template/remove", name="both")
    assert not file.exists()
    assert "/template/history?name=both" in await page(http, "/templates")
    first_one = posted((await history(http, "/template", "both"))[-1])
    assert "Brought back." in await post(http, "/template/roll-back", **first_one)
    assert file.read_text("utf-8") == first
    await post(http, "/template/remove", name="both")


async def test_the_brand_is_changed_on_two_machines_and_goes_back(
    place: Place, http: aiohttp.ClientSession, elsewhere: Definitions
) -> None:
    file = place.project / "brand" / "brand.yaml"
    assert "/brand/history" not in await page(http, "/brand")
    begun = (await page(http, "/brand")).split('name="base" value="')[1].split('"')[0]
    await there(elsewhere, Kind.BRAND, "brand", "colour: '#111111'\n")
    told = await post(http, "/brand/save", 409, base=begun, colour="#222222")
    assert "Somebody saved the brand meanwhile" in told
    assert "#111111" in told
    assert 'value="#222222"' in told
    await post(http, "/brand/save", base=told.split('name="base" value="')[1].split('"')[0], colour="#222222")
    assert "/brand/history?name=brand" in await page(http, "/brand")
    newest, bobs = await history(http, "/brand", "brand")
    assert "No longer: colour #111111" in newest
    assert "New: colour #222222" in newest
    assert "It is as it was then" in await post(http, "/brand/roll-back", **posted(bobs))
    assert file.read_text("utf-8") == "colour: '#111111'\n"
    file.unlink()


@pytest.mark.parametrize(
    ("kind", "path", "good", "broken"),
    [
        (Kind.TEMPLATE, "/template", "<p>Hello</p>", "<p>{{ persn.first_name }}</p>"),
        (Kind.BRAND, "/brand", "colour: '#333333'\n", "colour: red\n"),
    ],
)
async def test_a_mail_or_a_brand_that_can_not_be_used_is_not_gone_back_to(
    http: aiohttp.ClientSession, elsewhere: Definitions, kind: Kind, path: str, good: str, broken: str
) -> None:
    await there(elsewhere, kind, "brand", broken)  # as a machine did that did not look
    now = await there(elsewhere, kind, "brand", good)
    entry = posted((await history(http, path, "brand"))[1])
    told = html.unescape(await post(http, f"{path}/roll-back", 409, **entry))
    assert "would not work today" in told
    assert "did you mean person?" in told or "a colour is written like" in told
    assert await elsewhere.head(kind, "brand") == now
    await elsewhere.save(kind, "brand", good, parent=now.id, author="bob", archived=True)


async def test_what_would_not_work_today_is_not_gone_back_to(place: Place, http: aiohttp.ClientSession) -> None:
    template = place.project / "templates" / "short.html"
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text("{% block subject %}Hello{% endblock %}<p>Hello</p>", "utf-8")
    await post(http, "/flow/save", name="mailing", yaml=DUNNING.replace("failed_payment}", "short}"), new="true")
    await post(http, "/flow/save", name="mailing", yaml=DUNNING, base=await base(http, "mailing"))
    template.unlink()
    _, first = await history(http, "/flow", "mailing")
    assert "would not work today" in await post(http, "/flow/roll-back", 409, **posted(first))
    assert (place.project / "flows" / "mailing.yaml").read_text("utf-8") == DUNNING
    await post(http, "/flow/archive", name="mailing")


async def test_hostile_text_is_shown_as_text(http: aiohttp.ClientSession) -> None:
    hostile = DUNNING.replace("Dunning", '"<script>alert(1)</script>{{7*7}}"')
    await post(http, "/flow/save", name="hostile", yaml=hostile, new="true")
    told = await page(http, "/flow/history", name="hostile")
    assert "<script>alert" not in told
    assert "{{7*7}}" in told
    await post(http, "/flow/archive", name="hostile")


async def test_who_may_only_look_sees_the_history_and_can_t_go_back(place: Place, http: aiohttp.ClientSession) -> None:
    await post(http, "/segment/save", name="looked", yaml=PAYERS, new="true")
    begun = await base(http, "looked", "/segment")
    await post(http, "/segment/save", name="looked", yaml=PAYERS + "# more\n", base=begun)
    headers = {"Authorization": f"Bearer {READ}"}
    async with (
        place.serve(token=READ[::-1], read_token=READ) as server,
        aiohttp.ClientSession(server.make_url("/"), headers=headers) as looking,
    ):
        assert len(await history(looking, "/segment", "looked")) == 2
        assert "Roll back to this" not in await page(looking, "/segment/history", name="looked")
        await post(looking, "/segment/roll-back", 403, name="looked", revision="x", base="y")
    await post(http, "/segment/remove", name="looked")


async def test_while_kafka_is_away_nothing_is_saved_and_the_text_stays_in_the_editor(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    async with place.serve() as server, aiohttp.ClientSession(server.make_url("/")) as alone:
        assert "Save" in await page(alone, "/flow/edit", name="failed-payment")
        told = await post(alone, "/flow/save", 503, name="failed-payment", yaml=LATER, view="yaml")
        assert "Not saved" in told
        assert "delay: 2 days" in told
        told = await post(alone, "/template/save", 503, title="Lost", new="true", view="html", html="<p>Kept here</p>")
        assert "Not saved" in told
        assert "Kept here" in told
        told = await post(alone, "/brand/save", 503, colour="#123456")
        assert "Not saved" in told
        assert "#123456" in told
    for file in ("flows/failed-payment.yaml", "templates/lost.html", "brand/brand.yaml"):
        assert not (place.project / file).exists()


async def base(http: aiohttp.ClientSession, name: str, of: str = "/flow") -> str:
    """The revision that an edit begins with."""
    return (await page(http, f"{of}/edit", name=name)).split('name="base" value="')[1].split('"')[0]


async def history(http: aiohttp.ClientSession, of: str, name: str) -> list[str]:
    """Its entries, newest first."""
    told = html.unescape(await page(http, f"{of}/history", name=name))
    return told.split('<li class="card"')[1:]


def posted(entry: str) -> dict[str, str]:
    """What its button would post."""
    return {field: re.findall(f'name="{field}" value="(.*?)"', entry)[0] for field in ("name", "revision", "base")}
