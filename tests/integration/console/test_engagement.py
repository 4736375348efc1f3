"""Segments and flows in the console: what is shown, what is written to the project's folder, and who may do that."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from clickhouse_connect.driver.client import Client

from schemas.metrics import Metric
from tests.conftest import ClickHouseServer
from tests.integration.console_support import address, rfc
from tests.integration.engagement_support import Place, environment, evaluate, furnish

NOW = datetime.now(UTC)
READ = "whoever has this may look"
PAYERS = "name: Payers\nall:\n  - metric: Successfully Paid\n"


@pytest.fixture(scope="module")
async def furnished(
    clickhouse_server: ClickHouseServer,
    clickhouse: Client,
    kafka_bootstrap: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Place, Path]]:
    database, data = f"t_{secrets.token_hex(4)}", tmp_path_factory.mktemp("engagement")
    clickhouse.command(f"CREATE DATABASE {database}")
    yield await furnish(clickhouse_server.url, database, data, NOW, kafka_bootstrap), data
    clickhouse.command(f"DROP DATABASE {database} SYNC")


@pytest.fixture
def place(furnished: tuple[Place, Path], kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    found, data = furnished
    told = environment(address(found.config), found.config.warehouse.database, data, kafka_bootstrap)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
async def http(place: Place) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with place.serve() as server, aiohttp.ClientSession(server.make_url("/"), cookie_jar=jar) as session:
        yield session


async def page(http: aiohttp.ClientSession, path: str, status: int = 200, **parameters: str) -> str:
    async with http.get(path, params=parameters) as answer:
        text = await answer.text()
        assert answer.status == status, text
        return text


async def post(http: aiohttp.ClientSession, path: str, expected: int = 200, /, **form: str) -> str:
    async with http.post(path, data=form) as answer:
        text = await answer.text()
        assert answer.status == expected, text
        return text


async def test_segments_are_listed_with_their_size_and_lead_to_their_people(
    place: Place, http: aiohttp.ClientSession, clickhouse: Client
) -> None:
    members = clickhouse.query(
        f"SELECT email FROM {place.config.warehouse.database}.segment_members "
        "WHERE segment = 'failing-payments' AND livemode ORDER BY email"
    ).result_rows
    assert len(members) > 10
    assert f'<b class="count">{len(members)}</b>' in await page(http, "/segments")
    told = await page(http, "/segment", name="failing-payments")
    assert "has a Failed Payment in the last 30 days where Invoice is set" in told
    assert all(f"/profile?email={email.replace('@', '%40')}" in told for (email,) in members)
    lines = (await page(http, "/segment/csv", name="failing-payments")).splitlines()
    assert [line.split(",")[0] for line in lines] == ["email", *(email for (email,) in members)]
    assert "people right now" in await page(http, "/part/segment/count", name="failing-payments")
    assert "Nobody in test mode" not in await page(http, "/segment", name="failing-payments", mode="test")


async def test_the_sql_that_is_shown_gives_what_the_page_counts(
    place: Place, http: aiohttp.ClientSession, clickhouse: Client
) -> None:
    text = "all:\n  - metric: Successfully Paid\n    sum: {of: Amount, currency: usd, at least: 20.5}\n"
    text += "    when: {in the last: 20 days}\n    where: {Currency: {in: [USD, EUR]}}\n"
    await post(http, "/segment/save", name="shown", yaml=text, new="true")
    shown = (
        (await page(http, "/segment/sql", name="shown")).split('<pre id="sql-1" tabindex="0">')[1].split("</pre>")[0]
    )
    for entity, sign in (("&#39;", "'"), ("&gt;", ">"), ("&lt;", "<"), ("&#34;", '"'), ("&amp;", "&")):
        shown = shown.replace(entity, sign)
    usual, clickhouse.database = clickhouse.database, place.config.warehouse.database
    try:
        rows = clickhouse.query(f"SELECT email FROM ({shown}) WHERE livemode").result_rows
    finally:
        clickhouse.database = usual
    assert rows
    assert f'<b class="big">{len(rows)}</b>' in await page(http, "/part/segment/count", name="shown")
    await post(http, "/segment/remove", name="shown")


async def test_a_draft_is_counted_or_its_mistakes_are_named_while_it_is_written(http: aiohttp.ClientSession) -> None:
    counted = await post(http, "/part/segment/check", name="draft", yaml=PAYERS)
    assert "people</span>" in counted or "people right now" in counted
    wrong = await post(http, "/part/segment/check", yaml=PAYERS.replace("Successfully", "Sucessfully"))
    assert "line 3, column 13" in wrong
    assert "did you mean <b>Successfully Paid</b>?" in wrong
    itself = await post(http, "/part/segment/check", name="draft", yaml="all:\n  - in segment: draft\n")
    assert "it asks for itself" in itself


async def test_a_segment_is_written_whole_evaluated_and_removed(place: Place, http: aiohttp.ClientSession) -> None:
    file = place.project / "segments" / "payers.yaml"
    refused = await post(http, "/segment/save", 400, name="payers", yaml=PAYERS + "  - metric: Nothing\n", new="true")
    assert "there is no metric" in refused
    assert not file.exists()
    assert "Saved." in await post(http, "/segment/save", name="payers", yaml=PAYERS.replace("\n", "\r\n"), new="true")
    assert file.read_text("utf-8") == PAYERS
    assert [path.name for path in file.parent.iterdir() if "payers" in path.name] == ["payers.yaml"]
    assert "looked at for the first time" in await page(http, "/segment", name="payers")
    await evaluate(address(place.config), place.config.warehouse.database, place.project, [NOW])
    assert "looked at for the first time" not in await page(http, "/segment", name="payers")
    assert "already" in await post(http, "/segment/save", 400, name="payers", yaml=PAYERS, new="true")
    assert "is removed" in await post(http, "/segment/remove", name="payers")
    assert not file.exists()


async def test_two_people_edit_one_segment_and_nothing_is_lost(place: Place, http: aiohttp.ClientSession) -> None:
    file = place.project / "segments" / "shared.yaml"
    await post(http, "/segment/save", name="shared", yaml=PAYERS, new="true")
    opened = await page(http, "/segment/edit", name="shared")
    base = opened.split('name="base" value="')[1].split('"')[0]
    theirs, mine = PAYERS + "    count: at least 2\n", PAYERS + "    count: at least 7\n"
    assert "Saved." in await post(http, "/segment/save", name="shared", yaml=theirs, base=base)
    told = await post(http, "/segment/save", 409, name="shared", yaml=mine, base=base)
    assert "Somebody saved this segment meanwhile" in told
    assert "at least 2" in told
    assert "at least 7" in told
    assert file.read_text("utf-8") == theirs
    newer = told.split('name="base" value="')[1].split('"')[0]
    assert "Saved." in await post(http, "/segment/save", name="shared", yaml=mine, base=newer)
    assert file.read_text("utf-8") == mine
    await post(http, "/segment/remove", name="shared")


async def test_a_starting_point_is_added_by_one_click_and_a_ready_one_can_be_made_ones_own(
    place: Place, http: aiohttp.ClientSession
) -> None:
    assert "Issued but not paid" in await page(http, "/segment/new")
    assert "Issued but not paid is there" in await post(http, "/segment/add", start="issued-but-not-paid")
    assert 'value="issued-but-not-paid"' not in await page(http, "/segment/new")
    ready = "name: Mine\nall:\n  - metric: Failed Payment\n"
    await post(http, "/segment/save", name="lapsed-customers", yaml=ready)
    assert "<bdi>Mine</bdi>" in await page(http, "/segments")
    assert "is there again" in await post(http, "/segment/remove", name="lapsed-customers")
    assert "Lapsed customers" in await page(http, "/segments")
    assert "can&#39;t be taken away" in await post(http, "/segment/remove", 409, name="lapsed-customers")
    await post(http, "/segment/remove", name="issued-but-not-paid")


@pytest.mark.parametrize("name", ["../evil", "a/b", "UPPER", ".hidden", "x" * 65])
async def test_no_name_leads_out_of_the_folder(place: Place, http: aiohttp.ClientSession, name: str) -> None:
    async with http.post("/segment/save", data={"name": name, "yaml": PAYERS, "new": "true"}) as answer:
        assert answer.status == 400
    folder = place.project / "segments"
    assert not [path for path in place.project.parent.rglob("*.yaml") if folder not in path.parents]
    assert not list(place.project.parent.rglob("*evil*"))


async def test_a_broken_file_is_named_and_the_others_stay(place: Place, http: aiohttp.ClientSession) -> None:
    folder = place.project / "segments"
    folder.mkdir(parents=True, exist_ok=True)
    broken = folder / "broken.yaml"
    broken.write_text("all:\n  - metrik: Failed Payment\n", "utf-8")
    try:
        told = await page(http, "/segments")
        assert "broken has mistakes" in told
        assert "line 2, column 5" in told
        assert "Failing payments" in told
        assert "Its file has mistakes" in await page(http, "/segment", name="broken")
    finally:
        broken.unlink()


async def test_who_may_only_look_changes_nothing_and_is_offered_nothing(place: Place) -> None:
    reader = {"Authorization": f"Bearer {READ}"}
    async with (
        place.serve(token=READ[::-1], read_token=READ) as server,
        aiohttp.ClientSession(server.make_url("/"), headers=reader) as http,
    ):
        for path in ("/segments", "/flows", "/segment?name=lapsed-customers", "/flow?name=invoice-receipt"):
            async with http.get(path) as answer:
                text = await answer.text()
                assert (answer.status, '<form method="post" action="/' in text.replace("/logout", "")) == (200, False)
                assert "Go live" not in text
                assert ">Edit<" not in text
        for path in ("/segment/edit", "/flow/live?name=invoice-receipt"):
            async with http.get(path) as answer:
                assert answer.status == 403
        for path in ("/segment/save", "/segment/add", "/segment/remove", "/flow/status", "/flow/release", "/flow/test"):
            await post(http, path, 403, name="lapsed-customers", status="live", start="issued-but-not-paid")
    assert not list(place.project.glob("*/*.yaml"))


async def test_another_site_changes_nothing(http: aiohttp.ClientSession) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    async with http.post("/flow/status", data={"name": "invoice-receipt", "status": "live"}, headers=foreign) as answer:
        assert answer.status == 403


async def test_a_flow_is_drawn_with_what_its_steps_did(http: aiohttp.ClientSession) -> None:
    listed = await page(http, "/flows")
    assert "Invoice receipt" in listed
    assert "<b>80</b>" in listed
    told = await page(http, "/flow", name="invoice-receipt")
    assert "Successfully Paid where Amount is more than 0" in told
    assert '<span class="of sent"><b>80</b> sent</span>' in told
    assert '<span class="of skipped"><b>10</b> skipped</span>' in told
    assert "SMTP_URL and TILLSTREAM_MAIL_FROM are not set" in await page(http, "/flow/live", name="invoice-receipt")


async def test_a_mail_is_made_from_a_real_event_and_can_do_nothing(place: Place, http: aiohttp.ClientSession) -> None:
    newest = max(
        (row for row in place.rows if row.metric == "Successfully Paid" and row.livemode and row.email),
        key=lambda row: row.occurred_at,
    )
    part = await page(http, "/part/flow/mail", name="invoice-receipt")
    assert newest.email in part
    frame = part.split('<iframe src="')[1].split('"')[0].replace("&amp;", "&")
    async with http.get(frame) as answer:
        assert answer.status == 200
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert "this is your receipt" in (await answer.text()).replace("\n", " ")
    nobody = await page(http, "/part/flow/mail", name="invoice-receipt", email="nobody@example.com")
    assert "that would start the flow is known yet" in nobody
    other = await page(http, "/part/flow/mail", name="failed-payment", step="reminder")
    assert "Subject" in other


async def test_a_flow_goes_live_after_what_it_would_have_sent_was_seen(
    place: Place, http: aiohttp.ClientSession
) -> None:
    def due() -> int:
        since = rfc(datetime.now(UTC) - timedelta(days=30))
        paid = [row for row in place.rows if row.metric is Metric.SUCCESSFULLY_PAID and row.livemode and row.email]
        return len([row for row in paid if row.occurred_at >= since])

    earlier = due()
    trial = await page(http, "/part/flow/trial", name="invoice-receipt")
    assert int(trial.split('<b class="big">')[1].split("<")[0].replace(",", "")) in range(due(), earlier + 1)
    assert "It is live" in await post(http, "/flow/status", name="invoice-receipt", status="live")
    assert "status: live" in (place.project / "flows" / "invoice-receipt.yaml").read_text("utf-8")
    assert "is-live" in await page(http, "/flow", name="invoice-receipt")
    assert "is a draft" in await post(http, "/flow/status", name="invoice-receipt", status="draft")
    (place.project / "flows" / "invoice-receipt.yaml").unlink()


@pytest.mark.parametrize("path", ["/segment?name=nope", "/flow?name=invoice-reciept", "/part/segment/count?name=no"])
async def test_a_name_that_there_is_not_is_told_with_the_nearest(http: aiohttp.ClientSession, path: str) -> None:
    told = await page(http, path, 409)
    assert "there is no" in told
    assert "reciept" not in path or "did you mean invoice-receipt?" in told
