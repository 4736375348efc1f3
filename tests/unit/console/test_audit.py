"""Whatever is done from the console is written down first, whoever is away, and nobody is named there."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from console.access.keys import Key
from console.access.visitors import Visitor, Way
from console.app import create_app
from console.audit import Action, Audit
from console.config import ConsoleConfig
from console.roles import Role
from schemas.errors import Unavailable
from warehouse.address import Address

EMAIL, OTHER = "Jenny.Rosen@example.com", "jenny@other.example"
VISITOR = Visitor(Role.ADMIN, "ada@staff.example", Way.PROXY, "192.0.2.7")
#: Every form that changes something, filled in; a new one belongs here.
FORMS: dict[str, tuple[Action, dict[str, str]]] = {
    "/integration/connect": (Action.CONNECT, {"api_key": "sk_test_secret", "url": "https://hooks.example.com"}),
    "/integration/disconnect": (Action.DISCONNECT, {}),
    "/integration/secret/add": (Action.ADD_SECRET, {"secret": "whsec_secret"}),
    "/integration/secret/remove": (Action.REMOVE_SECRET, {"id": "we_1"}),
    "/integration/import": (Action.IMPORT, {}),
    "/part/compare": (Action.COMPARE, {"day": "2026-01-05"}),
    "/health/replay": (Action.REPLAY, {}),
    "/profile/merge": (Action.MERGE, {"email": EMAIL, "into": OTHER}),
    "/profile/unmerge": (Action.UNMERGE, {"email": EMAIL}),
    "/profile/erase": (Action.ERASE, {"email": EMAIL, "again": EMAIL}),
    "/segment/save": (Action.SAVE_SEGMENT, {"name": "mine", "yaml": "name: Mine"}),
    "/segment/add": (Action.SAVE_SEGMENT, {"start": "mine"}),
    "/segment/remove": (Action.REMOVE_SEGMENT, {"name": "mine"}),
    "/segment/roll-back": (Action.ROLL_BACK, {"name": "mine", "revision": "1", "base": "2"}),
    "/flow/roll-back": (Action.ROLL_BACK, {"name": "receipt", "revision": "1", "base": "2"}),
    "/template/roll-back": (Action.ROLL_BACK, {"name": "mine", "revision": "1", "base": "2"}),
    "/brand/roll-back": (Action.ROLL_BACK, {"name": "brand", "revision": "1", "base": "2"}),
    "/template/save": (Action.SAVE_MAIL, {"name": "mine", "view": "html", "html": "<p>Hello</p>"}),
    "/template/remove": (Action.REMOVE_MAIL, {"name": "mine"}),
    "/template/test": (Action.SEND_TEST, {"view": "html", "html": "<p>Hello</p>", "recipient": EMAIL}),
    "/brand/save": (Action.SAVE_BRAND, {"colour": "#4338ca"}),
    "/flow/save": (Action.SAVE_FLOW, {"name": "receipt", "yaml": "title: Receipt"}),
    "/books/close": (Action.CLOSE_BOOKS, {"month": "2026-01"}),
    "/flow/archive": (Action.ARCHIVE_FLOW, {"name": "receipt"}),
    "/flow/restore": (Action.RESTORE_FLOW, {"name": "receipt"}),
    "/flow/draft/test": (Action.SEND_TEST, {"template": "receipt", "recipient": EMAIL}),
    "/flow/status": (Action.SET_STATUS, {"name": "receipt", "status": "live"}),
    "/flow/release": (Action.RELEASE, {"name": "receipt"}),
    "/flow/test": (Action.SEND_TEST, {"name": "receipt", "step": "mail", "to": EMAIL}),
    "/settings/save": (Action.SET, {"form": "mail", "smtp_password": "whsec_secret"}),
    "/settings/alert": (Action.SEND_TEST, {"form": "alerts", "tillstream_alert_slack": "whsec_secret"}),
    "/settings/test": (Action.SEND_TEST, {"form": "mail", "smtp_password": "whsec_secret", "to": EMAIL}),
}
ASKS_ONLY = {"/part/connection", "/part/segment/build", "/part/segment/check", "/part/flow/build", "/part/flow/check"}
ASKS_ONLY |= {"/part/flow/way", "/part/flow/draft/mail", "/part/going-live", "/settings/stripe", "/sql", "/sql/csv"}
ASKS_ONLY |= {"/part/template/build", "/part/template/seen"}
READS_FIRST = {"/profile/suppress", "/profile/unsuppress"}  # nothing is done to whom nobody knows
READS_FIRST |= {"/brand/logo"}  # the rest of the brand stays as it is
WITH_FORM = {"/integration/connect", "/integration/secret/add"}
SIGN_IN = {"/login", "/logout"}


@asynccontextmanager
async def serving(state: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A console that has nobody to do anything, and no ClickHouse."""
    app = create_app(ConsoleConfig(Address("http://127.0.0.1:1"), state=state))
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as http:
        yield http


def kept(state: Path) -> list[dict[str, Any]]:
    """The newest of each entry that waits."""
    found = [json.loads(path.read_text()) for path in (state / "audit").iterdir()]
    return [one for one in found if one["version"] == max(e["version"] for e in found if e["id"] == one["id"])]


def test_every_form_is_known_here() -> None:
    app = create_app(ConsoleConfig(Address("http://127.0.0.1:1")))
    changing = {route.resource.canonical for route in app.router.routes() if route.method == "POST" and route.resource}
    assert changing == set(FORMS) | ASKS_ONLY | READS_FIRST | SIGN_IN


@pytest.mark.parametrize("path", FORMS)
async def test_what_is_done_is_written_down_although_clickhouse_is_away(path: str, tmp_path: Path) -> None:
    action, form = FORMS[path]
    async with serving(tmp_path) as http, http.post(path, data=form) as answer:
        refused = path in WITH_FORM  # whose page shows what ClickHouse knows beside
        assert answer.status == (503 if refused else 409)  # the result is told, and at once
    (entry,) = kept(tmp_path)
    assert (entry["action"], entry["outcome"], entry["who"], entry["way"]) == (action, "failed", "this machine", "open")
    assert "this console" in entry["error"]
    text = json.dumps(entry).lower()
    assert not any(secret in text for secret in (EMAIL.lower(), OTHER, "sk_test_secret", "whsec_secret"))
    assert len(entry["about"]) == len({"email", "into", "to", "recipient"} & set(form))


async def test_nothing_is_done_when_it_can_not_be_written_down(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    async with serving(tmp_path) as http, http.post("/integration/import") as answer:
        assert answer.status == 503
        assert "nothing was done" in await answer.text()


async def test_what_is_done_is_done_although_its_end_can_not_be_written(tmp_path: Path) -> None:
    audit = Audit(ConsoleConfig(Address("http://127.0.0.1:1"), state=tmp_path), Key(None))
    async with audit.change(VISITOR, Action.IMPORT, account="shop"):
        (tmp_path / "audit").rename(tmp_path / "gone")
        (tmp_path / "audit").write_text("in the way")
    (entry,) = [json.loads(path.read_text()) for path in (tmp_path / "gone").iterdir()]
    assert (entry["outcome"], entry["who"], entry["source"]) == ("begun", "ada@staff.example", "192.0.2.7")


async def test_an_email_is_a_digest_in_whatever_stands_there(tmp_path: Path) -> None:
    audit = Audit(ConsoleConfig(Address("http://127.0.0.1:1"), state=tmp_path), Key(None))
    odd = 'odd "name"@x y@example.com'
    with pytest.raises(Unavailable):
        async with audit.change(VISITOR, Action.MERGE, people=(odd,), detail=f"{odd.upper()} into {OTHER}"):
            raise Unavailable(f"nobody is known as {EMAIL} or '{odd}'")
    (entry,) = kept(tmp_path)
    text = json.dumps([entry["about"], entry["detail"], entry["error"]], ensure_ascii=False)
    assert "@" not in text
    assert entry["about"] == [audit.person(odd.upper())]
    assert audit.person(EMAIL) in entry["error"]
    assert audit.person(OTHER) in entry["detail"]
    assert Audit(ConsoleConfig(Address("http://127.0.0.1:1")), Key(None)).person(odd) not in text
