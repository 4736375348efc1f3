"""The commands beside a running `up`: each says what is so, to people and to programs."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import clickhouse_connect
import pytest
import stripe
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conftest import eventually, timed
from tests.e2e.running import SECRET, RunningUp, environment, settled, tillstream, tillstream_async

COMMANDS = (
    "up demo connect status doctor metrics feed profile sql deadletters reconcile replay relink merge simulate listen "
    "env settings ingest process sink console topics".split()
)
SIGNED = environment(STRIPE_WEBHOOK_SECRET=SECRET)


def charge_succeeded(number: str, amount: int, email: str) -> dict[str, Any]:
    """A `charge.succeeded` event of now."""
    now = int(time.time())
    card = {"brand": "visa", "last4": "4242", "exp_month": 4, "exp_year": 2031}
    charge = {
        "id": f"ch_{number}",
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "billing_details": {"email": email, "name": "Jenny Rosen"},
        "captured": True,
        "created": now,
        "currency": "usd",
        "customer": None,
        "livemode": True,
        "metadata": {"order": "6735"},
        "paid": True,
        "payment_method_details": {"type": "card", "card": card},
        "receipt_email": None,
        "refunded": False,
        "status": "succeeded",
    }
    return {
        "id": f"evt_{number}",
        "object": "event",
        "api_version": "2026-09-30.endive",
        "created": now,
        "livemode": True,
        "type": "charge.succeeded",
        "data": {"object": charge},
    }


async def post(up: RunningUp, event: dict[str, Any], secret: str = SECRET) -> int:
    """Deliver `event`, signed by stripe-python's own code; the answer's status."""
    body, moment = json.dumps(event), int(time.time())
    signature = stripe.WebhookSignature._compute_signature(f"{moment}.{body}", secret)
    headers = {"Stripe-Signature": f"t={moment},v1={signature}"}
    url = f"{up.runtime()['http_url']}/webhooks/stripe"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        return response.status


async def test_a_signed_webhook_is_a_row_in_sql_within_two_seconds(up: RunningUp) -> None:
    url = up.runtime()["clickhouse_url"]
    client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)
    query = "SELECT email, toString(amount), currency FROM tillstream.metrics WHERE charge_id = {id:String}"

    def rows(number: str) -> Any:
        return client.query(query, parameters={"id": f"ch_{number}"}).result_rows

    await eventually(lambda: taken(up, charge_succeeded("warm", 100, "warm@example.com")))
    await eventually(lambda: rows("warm"))
    times = []
    for number in range(7):  # the best of them: what else the machine does decides nothing
        name = f"fast_{number}"
        async with timed() as took:
            await eventually(lambda name=name: taken(up, charge_succeeded(name, 1234, " Jenny.Rosen@Example.com ")))
            found = await eventually(lambda name=name: rows(name), interval=0.02)
        assert [tuple(row) for row in found] == [("jenny.rosen@example.com", "12.34", "usd")]
        times.append(took.seconds)
    assert min(times) < 2.0, times
    client.close()


async def taken(up: RunningUp, event: dict[str, Any]) -> bool:
    return await post(up, event) == 200


async def test_a_forged_webhook_is_refused(up: RunningUp) -> None:
    assert await post(up, charge_succeeded("forged", 1, "a@example.com"), secret="whsec_guessed") == 400


async def test_simulated_traffic_is_taken_and_the_commands_show_it(up: RunningUp) -> None:
    arguments = ("simulate", "--customers", "40", "--seed", "5", "--data", up.data, "--json")
    sent = json.loads((await tillstream_async(*arguments, env=SIGNED)).stdout)
    assert sent["accepted"] == sent["sent"] > 200

    async def arrived() -> bool:
        told = json.loads((await tillstream_async("status", "--data", up.data, "--json")).stdout)
        return bool(told["ready"] and told["totals"]["events"] >= sent["sent"] and told["totals"]["profiles"])

    await eventually(arrived, deadline=180)
    await settled(up.runtime()["kafka_bootstrap"])

    async def judged() -> bool:  # from a shell that has neither the secret nor a key
        told = await answer(up, "status")
        names = {finding["name"] for finding in told["findings"]} & {"key-missing", "secret-missing", "lookups-waiting"}
        return (told["light"], names) == ("amber", {"key-missing"})

    await eventually(judged, deadline=120)

    found = {row["metric"]: row for row in await answer(up, "metrics", "--days", "31")}
    assert {name for name, row in found.items() if row["total"]["count"]} >= {
        "Successfully Paid",
        "Failed Payment",
        "Issued Invoice",
    }
    (one,) = await answer(up, "metrics", "--metric", "failed payment", "--days", "31", "--by", "reason")
    assert one["total"] == found["Failed Payment"]["total"]
    assert sum(part["count"] for part in one["parts"]) == one["total"]["count"]
    async with aiohttp.ClientSession() as session:  # the console's own words
        url = f"{up.runtime()['console_url']}/api/v1/metrics/failed_payment?split=reason&compare=true"
        async with session.get(f"{url}&from={one['from']}&to={one['to']}") as response:
            assert await response.json() == one

    feed = await answer(up, "feed", "-n", "5")
    assert len(feed) == 5
    assert [row["occurred_at"] for row in feed] == sorted((row["occurred_at"] for row in feed), reverse=True)

    email = next(row["email"] for row in await answer(up, "feed", "-n", "100") if row["email"])
    person = await eventually(lambda: answer(up, "profile", f" {email.upper()} "))
    assert person["profile"]["email"] == email
    assert person["events"]

    counted = await answer(up, "sql", "SELECT count() AS n FROM metrics")
    assert counted[0]["n"] > 0
    assert await answer(up, "deadletters") == []


async def answer(up: RunningUp, *arguments: str) -> Any:
    done = await tillstream_async(*arguments, "--data", up.data, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_every_answer_is_also_shown_to_people(up: RunningUp) -> None:
    for arguments in (
        ("status",),
        ("metrics",),
        ("feed",),
        ("sql", "SELECT 1 AS one, NULL AS nothing"),
        ("deadletters",),
    ):
        done = await tillstream_async(*arguments, "--data", up.data)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.strip()


async def test_sql_speaks_every_format_of_clickhouse(up: RunningUp) -> None:
    done = await tillstream_async("sql", "SELECT 1 AS a, 'x' AS b", "--format", "CSVWithNames", "--data", up.data)
    assert done.stdout == '"a","b"\n1,"x"\n'


async def test_a_wrong_query_is_explained_by_clickhouse(up: RunningUp) -> None:
    done = await tillstream_async("sql", "SELECT nothing FROM nowhere", "--data", up.data)
    assert done.returncode == 2
    assert "error: ClickHouse says:" in done.stderr
    assert "nowhere" in done.stderr


async def test_an_unknown_person_and_an_unknown_metric_are_told_apart_from_errors(up: RunningUp) -> None:
    nobody = await tillstream_async("profile", "nobody@example.com", "--data", up.data)
    told = "nobody is known as nobody@example.com in live mode\n next: tillstream profile nobody@example.com --test\n"
    assert (nobody.returncode, nobody.stderr) == (1, told)
    wrong = await tillstream_async("metrics", "--metric", "Lost Payment", "--data", up.data)
    assert wrong.returncode == 2
    assert "there is no metric 'Lost Payment'" in wrong.stderr


@pytest.mark.parametrize("arguments", [("status",), ("metrics",), ("feed",), ("sql", "SELECT 1"), ("deadletters",)])
def test_without_a_running_up_the_command_that_starts_one_is_named(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = tillstream(*arguments, "--data", tmp_path)
    assert done.returncode == 2
    assert f"error: nothing runs in {tmp_path}" in done.stderr
    assert f"next: tillstream up --data {tmp_path}" in done.stderr


def test_simulate_needs_a_secret_to_sign_with(tmp_path: Path) -> None:
    done = tillstream("simulate", "--data", tmp_path)
    assert done.returncode == 2
    assert "next: export STRIPE_WEBHOOK_SECRET" in done.stderr


async def test_one_story_is_triggered_and_each_of_its_events_is_forwarded(up: RunningUp) -> None:
    came: list[tuple[bytes, str]] = []

    async def take(request: web.Request) -> web.Response:
        came.append((await request.read(), request.headers["Stripe-Signature"]))
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", take)
    async with TestServer(application) as server:
        url = str(server.make_url("/hook"))
        options = ("--forward-to", url, "--events", "invoice.payment_failed,charge.failed", "--secret", "whsec_mine")
        listening = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tillstream", "listen", *options, "--limit", "2", "--json", "--data", str(up.data)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert listening.stderr is not None
        assert b"whsec_mine" in await asyncio.wait_for(listening.stderr.readline(), 120)
        overrides = ("--override", "amount=4200", "--override", "email=trigger@example.com")
        arguments = ("simulate", "trigger", "invoice.payment_failed", *overrides, "--data", up.data, "--json")
        story = json.loads((await tillstream_async(*arguments, env=SIGNED)).stdout)
        heard, _ = await asyncio.wait_for(listening.communicate(), 120)
    assert story[-1]["type"] == "invoice.payment_failed"
    assert all(row["accepted"] for row in story)
    told = [json.loads(line) for line in heard.splitlines()]
    assert [(row["type"], row["status"]) for row in told] == [("charge.failed", 200), ("invoice.payment_failed", 200)]
    events = [stripe.Webhook.construct_event(body, signature, "whsec_mine") for body, signature in came]
    assert [event.id for event in events] == [row["id"] for row in told]

    async def arrived() -> bool:
        rows = await answer(up, "feed", "-n", "20")
        return any(row["email"] == "trigger@example.com" and row["metric"] == "Failed Payment" for row in rows)

    await eventually(arrived, deadline=120)


async def test_a_feed_that_is_followed_goes_on_with_what_comes(up: RunningUp) -> None:
    email, other = f"fällt.{time.time_ns()}@example.com", f"other.{time.time_ns()}@example.com"
    follow = ("feed", "--follow", "--json", "--metric", "failed_payment", "--email", email, "--data", str(up.data))
    following = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "faulthandler", "-m", "tillstream", *follow),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert following.stdout is not None
    for whom in (other, email):
        arguments = ("simulate", "trigger", "charge.failed", "--override", f"email={whom}", "--data", up.data)
        done = await tillstream_async(*arguments, env=SIGNED)
        assert done.returncode == 0, done.stderr
    first = json.loads(await asyncio.wait_for(following.stdout.readline(), 90))
    assert (first["metric"], first["email"]) == ("Failed Payment", email)
    following.send_signal(signal.SIGINT)
    try:
        await asyncio.wait_for(following.wait(), 90)
    except TimeoutError:
        following.send_signal(signal.SIGABRT)  # it says where it hangs
    _, said = await following.communicate()
    assert following.returncode == 130, said.decode()
    (same,) = await answer(up, "feed", "--email", email)
    assert {**same, "version": 0, "received_at": ""} == {**first, "version": 0, "received_at": ""}

    async def told_alike() -> bool:  # the person comes after the fact
        events = await answer(up, "feed", "--email", email)
        return (await answer(up, "profile", email))["events"] == events

    await eventually(told_alike)


async def test_a_stripe_is_served_to_connect_to(tmp_path: Path) -> None:
    serving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillstream", "simulate", "serve", "--port", "0", "--customers", "10", "--days", "30"),
        stdout=subprocess.PIPE,
    )
    assert serving.stdout is not None
    await serving.stdout.readline()
    told = (await asyncio.wait_for(serving.stdout.readline(), 120)).decode()
    base, key = (part.partition("=")[2] for part in told.split()[1:])
    client = stripe.StripeClient(key, base_addresses={"api": base})
    charges = await asyncio.to_thread(client.v1.charges.list)
    assert charges.data
    serving.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(serving.wait(), 90) == 0


async def test_every_command_has_help_with_an_example() -> None:
    helps = await asyncio.gather(*(tillstream_async(command, "--help", seconds=280) for command in COMMANDS))
    for command, done in zip(COMMANDS, helps, strict=True):
        assert done.returncode == 0
        assert "Example:" in done.stdout, command
        assert "tillstream " + command in done.stdout.replace("\n", " "), command


def test_settings_never_show_a_secret() -> None:
    env = environment(STRIPE_WEBHOOK_SECRET="whsec_hidden", STRIPE_API_KEY="sk_live_hidden", SMTP_URL="smtp://hidden")
    for arguments in (("settings",), ("settings", "--json"), ("settings", "--markdown")):
        done = tillstream(*arguments, env=env)
        assert done.returncode == 0
        assert "TILLSTREAM_TIMEZONE" in done.stdout
        assert "hidden" not in done.stdout + done.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m tillstream settings --json | head -n 1"
    done = subprocess.run(command, shell=True, env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""
