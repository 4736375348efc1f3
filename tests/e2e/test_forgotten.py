"""A person is erased from a running Tillstream: the claims of docs/privacy.md, on real parts, by looking at bytes."""

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.delivery.signing import sign
from simulator.rendering.objects import event_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.triggers import trigger
from tests.conftest import eventually
from tests.e2e.running import SECRET, RunningUp, environment, tillstream_async
from tests.integration.engage_support import project
from tests.postbox import Postbox, postbox
from warehouse.address import Address
from warehouse.waiting import Warehouse

EMAIL, NAME = "zebulon.quirk@example.com", "Zebulon Quirkwood"
OTHER, OTHERS_NAME = "control.person@example.com", "Control Person"
DELAY = 150  # seconds: longer than it takes to erase somebody

LATER = f"""
status: live
trigger: {{metric: Successfully Paid}}
reentry: {{rule: always}}
steps:
  - delay: {DELAY} seconds
  - email: {{template: plain, subject: "later", transactional: true}}
  - publish: {{topic: told}}
"""
GOODBYE = """
status: live
trigger: {segment: payers, on: left}
steps:
  - email: {template: plain, subject: "goodbye", transactional: true}
"""
BIRTHDAY = """
status: live
trigger: {date: metadata.renewal, at: "%s", timezone: UTC}
steps:
  - email: {template: plain, subject: "renewal", transactional: true}
"""
SEGMENT = "name: Payers\nevery: 1 hour\nall:\n- metric: Successfully Paid\n"


def events_of(email: str, name: str, at: int, seed: int) -> list[dict[str, Any]]:
    """A customer with a paid invoice, who tells of a renewal today."""
    wanted = {"email": email, "name": name, "metadata.vip": f"{name} of {email}"}
    today = datetime.fromtimestamp(at, UTC).date().isoformat()
    told = [event_json(event, VERSIONS[2]) for event in trigger("invoice.paid", at, wanted, seed=seed)]
    customer = {
        "id": told[0]["data"]["object"]["customer"],
        "object": "customer",
        "created": at,
        "livemode": True,
        "email": email,
        "name": name,
        "phone": "+15550001234",
        "metadata": {"renewal": today},
    }
    first = {"id": f"evt_customer_{seed}", "type": "customer.created", "created": at, "data": {"object": customer}}
    return [{**told[0], **first}, *told]


async def post(up: RunningUp, *bodies: dict[str, Any] | bytes) -> None:
    url = up.runtime()["http_url"] + "/webhooks/stripe"
    async with aiohttp.ClientSession() as session:
        for told in bodies:
            body = told if isinstance(told, bytes) else json.dumps(told).encode()

            async def taken(body: bytes = body) -> bool:
                headers = {"Stripe-Signature": sign(body, SECRET, int(time.time())), "Content-Type": "application/json"}
                async with session.post(url, data=body, headers=headers) as answer:
                    assert answer.status in (200, 503), await answer.text()
                    return answer.status == 200

            await eventually(taken)


def spellings(*words: str) -> Iterator[re.Pattern[bytes]]:
    """How files may write them: any case; JSON's, URLs' and mails' escapes; base64 at each of three places."""
    for word in words:
        forms = {word, word.replace("@", "\\u0040"), word.replace("@", "%40"), word.replace("@", "=40")}
        for form in forms:
            yield re.compile(re.escape(form.encode()), re.IGNORECASE)
        for shift in range(3):
            encoded = base64.b64encode(b"x" * shift + word.encode())
            yield re.compile(re.escape(encoded[4 if shift else 0 : -4]))


def found_in_files(data: Path) -> list[str]:
    """Files below `data`, but for Kafka's, with the person's address or name."""
    patterns = list(spellings(EMAIL, NAME))
    found = []
    for path in (Path(folder, name) for folder, _, names in os.walk(data) for name in names):
        if path.is_relative_to(data / "kafka"):
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        seen = [match for pattern in patterns if (match := pattern.search(content))][:1]
        found += [f"{path.relative_to(data)}: {content[max(0, at.start() - 60) : at.end() + 60]!r}" for at in seen]
    return found


def clean(data: Path) -> bool:
    found = found_in_files(data)
    assert not found, "\n".join(found)
    return True


def found_in_tables(store: Warehouse) -> list[str]:
    """Tables with the person in them: their files are compressed, so the engine reads them."""
    tables = store.rows(
        "SELECT name FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree'",
        {"database": store.database},
    )
    patterns = list(spellings(EMAIL, NAME))
    found = []
    for table in [f"`{row['name']}`" for row in tables] + ["system.mutations", "system.parts_columns"]:
        content = store.raw(f"SELECT * FROM {table}", "JSONEachRow").replace(b"\\\\u0040", b"@")
        seen = [match for pattern in patterns if (match := pattern.search(content))][:1]
        found += [f"{table}: {content[max(0, at.start() - 300) : at.end() + 100]!r}" for at in seen]
    return found


def money(store: Warehouse) -> list[Any]:
    return store.rows("SELECT metric, day, currency, count, amount FROM daily_metrics ORDER BY ALL")


def warehouse(up: RunningUp) -> Warehouse:
    runtime = up.runtime()
    return Warehouse(Address(runtime["clickhouse_url"], database=runtime["database"]))


@pytest.fixture
async def box() -> Any:
    async with postbox() as found:
        yield found


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_person_is_erased_everywhere_and_stays_erased(box: Postbox, tmp_path: Path) -> None:
    now = int(time.time())
    soon = (datetime.now(UTC) + timedelta(seconds=300)).strftime("%H:%M")
    folder = project(tmp_path / "project", later=LATER, goodbye=GOODBYE, renewal=BIRTHDAY % soon)
    (folder / "segments").mkdir()
    (folder / "segments" / "payers.yaml").write_text(SEGMENT, "utf-8")
    env = environment(
        STRIPE_WEBHOOK_SECRET=SECRET,
        SMTP_URL=box.url,
        TILLSTREAM_PROJECT=str(folder),
        TILLSTREAM_MAIL_FROM="Shop <shop@shop.example>",
        TILLSTREAM_SETTLE_SECONDS="1",
    )
    up = await RunningUp(tmp_path / "data", env).start(until_ready=False)

    async def command(*arguments: str, seconds: float = 180) -> Any:
        return await tillstream_async(*arguments, "--data", str(up.data), env=env, seconds=seconds)

    try:
        await eventually(lambda: up.runtime().get("ready"), deadline=240)
        store = warehouse(up)
        mine, others = events_of(EMAIL, NAME, now - 60, 5), events_of(OTHER, OTHERS_NAME, now - 60, 6)
        await post(up, *mine, *others)
        # The address in other spellings, and on somebody else's objects.
        charge = next(e for e in others if e["type"] == "charge.succeeded")
        nodding = json.loads(json.dumps(charge))
        nodding["id"], nodding["type"] = "evt_nodding", "charge.updated"
        nodding["data"]["object"]["description"] = f"for {EMAIL.upper()}"
        escaped = json.dumps({**mine[0], "id": "evt_escaped"}).replace("@", "\\u0040").encode()
        odd = {**charge, "id": "evt_odd", "data": {"object": {**charge["data"]["object"], "amount": f"of {EMAIL}"}}}
        await post(up, nodding, escaped, odd)

        def there() -> bool:
            rows = "SELECT count() AS c FROM metrics WHERE email = {email:String} AND metric = 'Successfully Paid'"
            people = "SELECT count() AS c FROM profiles WHERE email IN ({a:String}, {b:String})"
            members = "SELECT count() AS c FROM segment_members"
            return (
                store.rows(rows, {"email": EMAIL})[0]["c"] == 1
                and store.rows(people, {"a": EMAIL, "b": OTHER})[0]["c"] == 2
                and store.rows(members)[0]["c"] == 2
                and store.rows("SELECT count() AS c FROM dead_letters")[0]["c"] == 1
            )

        await eventually(there, deadline=120)
        before = money(store)
        assert found_in_tables(store)
        assert found_in_files(up.data)

        assert not box.received()
        done = await command("forget", EMAIL, "--yes", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["waiting"] == []
        assert all(told["kafka"].values()), told["kafka"]
        assert found_in_tables(store) == []
        await eventually(lambda: clean(up.data), deadline=180)

        assert money(store) == before
        erased = store.rows("SELECT email, customer_id FROM unlinked WHERE unlinked_reason = 'erased'")
        assert len(erased) >= 2
        assert {(row["email"], row["customer_id"]) for row in erased} == {("", "")}
        profiles = "SELECT email FROM profiles"
        assert [row["email"] for row in store.rows(profiles)] == [OTHER]
        again = await command("forget", EMAIL, "--yes", "--json")
        assert (again.returncode, sum(json.loads(again.stdout)["rows"].values())) == (1, 0)

        # The other one is sent what was waiting; of the erased one nothing is.
        await eventually(lambda: {"later", "renewal"} <= {s for to, s in box.received() if to == OTHER}, deadline=420)
        assert EMAIL not in {to for to, _ in box.received()}

        # Processors that know nothing read all of it again.
        await up.stop()
        rebuilt = await command("replay", "--rebuild", "--yes")
        assert rebuilt.returncode == 0, rebuilt.stderr
        await up.start(until_ready=False)
        await eventually(lambda: up.runtime().get("ready"), deadline=240)
        store = warehouse(up)
        replayed = await command("replay", "--yes")
        assert replayed.returncode == 0, replayed.stderr
        new = events_of("somebody@else.example", "Somebody Else", int(time.time()) - 5, 7)
        await post(up, *new)  # what comes last shows that all before it has been read
        await eventually(lambda: len(store.rows(profiles)) == 2, deadline=120)
        assert {row["email"] for row in store.rows(profiles)} == {OTHER, "somebody@else.example"}
        assert not found_in_tables(store)
        assert store.rows("SELECT count() AS c FROM unlinked WHERE unlinked_reason = 'erased'")[0]["c"] == len(erased)

        # Who pays after that is somebody new.
        await post(up, *events_of(EMAIL, NAME, int(time.time()) - 1, 8))
        await eventually(lambda: len(store.rows(profiles)) == 3, deadline=120)
        paid = "SELECT successfully_paid_count AS paid FROM profiles WHERE email = {email:String}"
        await eventually(lambda: store.rows(paid, {"email": EMAIL})[0]["paid"] == 1, deadline=120)
    finally:
        await up.stop()
