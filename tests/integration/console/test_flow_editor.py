"""The flow editor of the console: what is written to the project's folder, what is told before, and who may do that."""

import html
import re
from datetime import datetime, timedelta

import aiohttp

from schemas.metrics import Metric
from tests.integration.console.test_engagement import READ, furnished, http, page, place, post
from tests.integration.engagement_support import Place

__all__ = ["furnished", "http", "place"]  # fixtures

DUNNING = (
    "title: Dunning\nstatus: live\ntrigger: {metric: Failed Payment}\nsteps:\n  - email: {template: failed_payment}\n"
)


async def begun_with(http: aiohttp.ClientSession) -> str:
    """The revision that an edit of the flow begins with."""
    return (await page(http, "/flow/edit", name="dunning")).split('name="base" value="')[1].split('"')[0]


async def test_two_people_edit_one_flow_and_nothing_is_lost(place: Place, http: aiohttp.ClientSession) -> None:
    file = place.project / "flows" / "dunning.yaml"
    await post(http, "/flow/save", name="dunning", yaml=DUNNING, new="true")
    base = await begun_with(http)
    theirs, mine = DUNNING + "  - delay: 2 days\n", DUNNING + "  - delay: 7 days\n"
    assert "Saved." in await post(http, "/flow/save", name="dunning", yaml=theirs, base=base)
    told = await post(http, "/flow/save", 409, name="dunning", yaml=mine, base=base)
    assert "Somebody saved this flow meanwhile" in told
    assert "2 days" in told
    assert "7 days" in told
    assert file.read_text("utf-8") == theirs
    newer = told.split('name="base" value="')[1].split('"')[0]
    assert "Saved." in await post(http, "/flow/save", name="dunning", yaml=mine, base=newer)
    assert file.read_text("utf-8") == mine
    file.unlink()


async def test_a_broken_edit_of_a_live_flow_is_not_saved(place: Place, http: aiohttp.ClientSession) -> None:
    file = place.project / "flows" / "dunning.yaml"
    await post(http, "/flow/save", name="dunning", yaml=DUNNING.replace("\n", "\r\n"), new="true")
    assert file.read_text("utf-8") == DUNNING
    base = await begun_with(http)
    for wrong, why in (
        (DUNNING.replace("delay", "dealy").replace("email", "mail"), "there is no kind of step"),
        (DUNNING.replace("{template: failed_payment}", "{template: nothing}"), "nothing"),
        (DUNNING.replace("metric: Failed Payment", "segment: nobody"), "there is no segment"),
        ("steps: [", "this is no YAML"),
    ):
        assert why in await post(http, "/flow/save", 400, name="dunning", yaml=wrong, base=base)
        assert why in await post(http, "/part/flow/check", name="dunning", yaml=wrong)
        assert file.read_text("utf-8") == DUNNING
    draft = DUNNING.replace("live", "draft").replace("{template: failed_payment}", "{template: nothing}")
    assert "Saved." in await post(http, "/flow/save", name="dunning", yaml=draft, base=base)
    assert "already" in await post(http, "/flow/save", 400, name="dunning", yaml=DUNNING, new="true")
    assert [path.name for path in file.parent.iterdir() if "dunning" in path.name] == ["dunning.yaml"]
    file.unlink()


async def test_a_new_flow_begins_as_a_draft_with_a_name_of_its_own(place: Place, http: aiohttp.ClientSession) -> None:
    assert "Failed payment" in await page(http, "/flow/new")
    begun = await page(http, "/flow/edit", start="failed-payment")
    assert 'value="Copy of Failed payment"' in begun
    yaml = html.unescape(begun.split('<textarea hidden name="yaml">\n')[1].split("</textarea>")[0])
    assert "status: draft" in yaml
    assert "Saved." in await post(http, "/flow/save", yaml=yaml, new="true", view="builder", base="")
    assert (place.project / "flows" / "copy-of-failed-payment.yaml").exists()
    assert "Saved." in await post(http, "/flow/save", yaml=yaml, new="true", view="builder", base="")
    for name in ("copy-of-failed-payment", "copy-of-failed-payment-2"):
        (place.project / "flows" / f"{name}.yaml").unlink()


async def test_who_may_only_look_can_not_edit_flows(place: Place) -> None:
    headers = {"Authorization": f"Bearer {READ}"}
    async with (
        place.serve(token=READ[::-1], read_token=READ) as server,
        aiohttp.ClientSession(server.make_url("/")) as session,
    ):
        for path in ("/flow/edit", "/flow/new"):
            async with session.get(path, headers=headers) as answer:
                assert answer.status == 403
        for path in (
            "/flow/save",
            "/flow/archive",
            "/flow/restore",
            "/part/flow/build",
            "/part/flow/way",
            "/part/flow/draft/mail",
            "/flow/draft/test",
        ):
            async with session.post(path, headers=headers, data={"name": "x", "yaml": DUNNING}) as answer:
                assert answer.status == 403
    assert not (place.project / "flows" / "x.yaml").exists()


WALKED = """\
title: Walked
trigger: {metric: Failed Payment}
steps:
  - email: {template: failed_payment, transactional: true}
  - delay: 3 days
  - split:
      when: {metric: Failed Payment, count: at least 1}
      then: [{set_profile_property: {dunning: gentle}}, {exit: true}]
"""


async def test_what_would_happen_to_somebody_is_told_before_the_flow_is_saved(
    place: Place, http: aiohttp.ClientSession
) -> None:
    told = await post(http, "/part/flow/way", yaml=WALKED)
    stops = [each.split("</li>")[0] for each in told.split("<li class=")[1:]]
    assert [re.findall("<b>(.*?)</b>", stop) for stop in stops] == [
        ["starts"],
        ["Send email"],
        ["waits"],
        ["Conditional split"],
        ["Update profile property"],
        ["leaves the flow"],
    ]
    assert "Yes" in stops[3]
    begun, waited = (datetime.fromisoformat(re.findall('datetime="(.*?)"', stops[at])[0]) for at in (0, 3))
    assert waited - begun == timedelta(days=3)
    failed = next(row for row in place.rows if row.metric is Metric.FAILED_PAYMENT and row.email and row.livemode)
    assert failed.email in await post(http, "/part/flow/way", yaml=WALKED, email=failed.email)
    never = WALKED.replace("Failed Payment}\nsteps", "Failed Payment, where: {Amount: {at least: 99999999}}}\nsteps")
    assert "does not start" in await post(http, "/part/flow/way", yaml=never, email=failed.email)
    assert "is known yet" in await post(http, "/part/flow/way", 409, yaml=WALKED, email="nobody@example.com")
    assert "mend what is marked" in await post(http, "/part/flow/way", 409, yaml="steps: [")
    dated = WALKED.replace("{metric: Failed Payment}\nsteps", "{segment: failing-payments}\nsteps")
    assert "someone enters" not in await post(http, "/part/flow/way", yaml=dated)


async def test_a_mail_is_seen_before_its_flow_is_saved(place: Place, http: aiohttp.ClientSession) -> None:
    told = await post(http, "/part/flow/draft/mail", yaml=WALKED, step="0", **{"0:template": "failed_payment"})
    frame = html.unescape(told.split('<iframe src="')[1].split('"')[0])
    async with http.get(frame) as answer:
        assert answer.status == 200
        assert "could not be charged" in await answer.text()
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    missing = WALKED.replace("template: failed_payment", "template: nothing")
    assert "be shown" in await post(http, "/part/flow/draft/mail", yaml=missing, step="0")
    assert "sends no mail" in await post(http, "/part/flow/draft/mail", yaml=WALKED, step="1")
    assert "SMTP_URL is not set" in await post(
        http, "/flow/draft/test", 409, template="failed_payment", email="x@example.com", recipient="me@example.com"
    )


async def test_a_flow_is_set_aside_and_brought_back_as_a_draft(place: Place, http: aiohttp.ClientSession) -> None:
    folder = place.project / "flows"
    for _ in range(2):  # an earlier one of that name is in the history
        await post(http, "/flow/save", name="dunning", yaml=DUNNING, new="true")
        assert "is archived" in await post(http, "/flow/archive", name="dunning")
    assert (folder / "archived" / "dunning.yaml").read_text("utf-8") == DUNNING
    assert not (folder / "dunning.yaml").exists()
    await page(http, "/flow", 409, name="dunning")
    assert "Bring back" in await page(http, "/flows")
    assert "as a draft" in await post(http, "/flow/restore", name="dunning")
    assert (folder / "dunning.yaml").read_text("utf-8") == DUNNING.replace("live", "draft")
    assert "no flow" in await post(http, "/flow/restore", 409, name="dunning")
    assert "is set aside" in await post(http, "/flow/restore", 409, name="../dunning")
    assert "came with Tillstream" in await post(http, "/flow/archive", 409, name="failed-payment")
    (folder / "dunning.yaml").unlink()
