"""`flows preview`, `test` and `run --dry-run`: by the command line, from facts in ClickHouse, to an SMTP server."""

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner, Result

from embedded.child import free_port
from schemas.errors import ConfigurationError
from schemas.metrics import Metric
from schemas.profile import Profile
from tests.conftest import ClickHouseServer
from tests.fixtures.mails import PERSON, PROPERTIES
from tests.integration.console_support import create_schema, insert, rfc, row
from tests.shapes import differences
from tillstream.__main__ import app

NOW = datetime.now(UTC)
ORGANIZATION = {"TILLSTREAM_ORGANIZATION": "Northwind", "TILLSTREAM_PORTAL_URL": "https://billing.example/login"}


@dataclass
class Shop:
    """Facts in a database, and the environment that leads commands to them."""

    environment: dict[str, str]
    folder: Path

    def run(self, *arguments: str, **environment: str) -> Result:
        """One command; `--data` is a directory where nothing runs."""
        done = CliRunner().invoke(
            app, [*arguments, "--data", str(self.folder)], env={**self.environment, **environment}
        )
        assert "--json" not in arguments or not differences(arguments, done.stdout)
        return done


@dataclass
class Postbox:
    """An SMTP server's memory; `answer` is what it says to a mail."""

    answer: str = "250 OK"
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        if self.answer.startswith("250"):
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.taken.append((envelope.rcpt_tos, message))
        return self.answer


@pytest.fixture(scope="module")
async def shop(
    clickhouse_server: ClickHouseServer, clickhouse: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    database = f"t_{secrets.token_hex(4)}"
    clickhouse.command(f"CREATE DATABASE {database}")
    await create_schema(clickhouse_server.url, database)
    money: dict[str, Any] = {"currency": "eur", "amount_minor": 124950, "properties": PROPERTIES}
    bare = {name: value for name, value in PROPERTIES.items() if name != "InvoiceNumber"}
    rows = [
        row(Metric.SUCCESSFULLY_PAID, 1, NOW - timedelta(days=2), invoice_id="in_1", **money),
        row(Metric.SUCCESSFULLY_PAID, 2, NOW, amount_minor=0),  # newer, but the flow wants more than nothing
        row(Metric.SUCCESSFULLY_PAID, 3, NOW - timedelta(days=3), email="bob@example.com", amount_minor=700),
        row(Metric.SUCCESSFULLY_PAID, 4, NOW, email="test@example.com", livemode=False),
        row(Metric.SUCCESSFULLY_PAID, 7, NOW, email="", unlinked_reason="the charge names nobody"),
        row(Metric.FAILED_PAYMENT, 5, NOW, invoice_id="in_5", reason="Your card was declined.", attempt_count=1),
        row(Metric.UPCOMING_INVOICE, 6, NOW, invoice_id="", **{**money, "properties": bare}),
    ]
    await insert(clickhouse_server.url, database, "metric_rows", rows)
    told = {"updated_at": rfc(NOW), "version": 1, "last_seen": rfc(NOW), "first_seen": rfc(NOW)}
    metrics = [{**PERSON["metrics"][0], "first_at": rfc(NOW), "last_at": rfc(NOW)}]
    await insert(clickhouse_server.url, database, "profile_rows", [Profile(**{**PERSON, **told, "metrics": metrics})])
    environment = {"CLICKHOUSE_URL": clickhouse_server.url, "CLICKHOUSE_DATABASE": database, **ORGANIZATION}
    yield Shop(environment, tmp_path_factory.mktemp("data"))
    clickhouse.command(f"DROP DATABASE {database} SYNC")


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, str]]:
    box = Postbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"smtp://127.0.0.1:{port}"
    controller.stop()


def test_a_preview_is_made_from_the_newest_fact_that_would_start_the_flow(shop: Shop, tmp_path: Path) -> None:
    page = tmp_path / "receipt.html"
    done = shop.run("flows", "preview", "invoice-receipt", "--json", "--out", str(page))
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert (shown["flow"], shown["step"], shown["to"]) == ("invoice-receipt", "receipt", "ada@example.com")
    assert shown["metric_id"] == "default:live:successfully_paid:1"
    assert shown["subject"] == "Your receipt from Northwind: €1,249.50"
    assert "12 × Team plan (at €99.00 / month)" in shown["text"]
    assert "American Express ending in 0005" in shown["text"]
    assert page.read_text("utf-8") == shown["html"]


def test_a_preview_of_a_certain_fact_person_or_mode(shop: Shop) -> None:
    def metric_id(*arguments: str) -> str:
        done = shop.run("flows", "preview", "invoice-receipt", "--json", *arguments)
        assert done.exit_code == 0, done.output
        return str(json.loads(done.stdout)["metric_id"])

    assert metric_id("--metric-id", "default:live:successfully_paid:3").endswith(":3")
    assert metric_id("--email", " BOB@example.com").endswith(":3")
    assert metric_id("--test").endswith("default:test:successfully_paid:4")


@pytest.mark.parametrize(
    ("flow", "step", "words"),
    [
        ("failed-payment", "1", "Your payment of $12.50 did not go through"),
        ("failed-payment", "reminder", "Reminder: your payment of $12.50 is still open"),
        ("failed-payment", "3", "Last reminder: $12.50 is overdue"),
        ("upcoming-invoice", "", "Coming up: €1,249.50"),
        ("card-expiring", "", "Your American Express ending in 0005 expires soon"),
    ],
)
def test_every_mail_of_the_ready_flows_can_be_seen(shop: Shop, flow: str, step: str, words: str) -> None:
    known = shop.run("flows", "preview", flow, *(["--step", step] if step else []))
    assert known.exit_code == 0, known.output
    assert words.replace("$12.50", "US$12.50") in known.stdout


def test_a_template_that_asks_for_what_is_not_there_is_named_with_its_line(shop: Shop) -> None:
    templates = shop.folder / "project" / "templates"
    templates.mkdir(parents=True)
    (templates / "receipt.html").write_text("<p>\n{{ event.Amout|currency }} {{ person.nick }}</p>", "utf-8")
    try:
        done = shop.run("flows", "preview", "invoice-receipt")
        assert done.exit_code == 1
        assert "receipt.html, line 2: event.Amout (did you mean event.Amount?)" in done.output
        assert "person.nick" in done.output
        told = shop.run("flows", "preview", "invoice-receipt", "--json")
        assert json.loads(told.stdout)["missing"][0] == {"name": "event.Amout", "template": "receipt.html", "line": 2}
    finally:
        (templates / "receipt.html").unlink()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["invoice-reciept"], "there is no flow 'invoice-reciept'; did you mean invoice-receipt?"),
        (["invoice-receipt", "--step", "9"], "the flow has no mail '9'; it has: 1 (receipt)"),
        (["invoice-receipt", "--metric-id", "nothing"], "there is no fact 'nothing'"),
        (["invoice-receipt", "--email", "nobody@example.com"], "no Successfully Paid of nobody@example.com"),
        (["card-expiring", "--metric-id", "x"], "no event starts this flow"),
    ],
)
def test_what_can_not_be_shown_is_said(shop: Shop, arguments: list[str], words: str) -> None:
    done = shop.run("flows", "preview", *arguments)
    assert isinstance(done.exception, ConfigurationError)
    assert words in str(done.exception)
    assert done.exception.remedy


def test_a_test_mail_goes_to_me_alone_and_is_marked(shop: Shop, postbox: tuple[Postbox, str]) -> None:
    box, url = postbox
    done = shop.run("flows", "test", "invoice-receipt", "--to", "me@northwind.example", "--json", SMTP_URL=url)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["sent"] is True
    [(recipients, message)] = box.taken
    assert recipients == ["me@northwind.example"]
    assert message["To"] == "me@northwind.example"
    assert message["Subject"] == "[Test] Your receipt from Northwind: €1,249.50"
    assert message["X-Tillstream-Test"] == "invoice-receipt"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "Amount paid" in text.get_content()
    assert "American Express ending in 0005" in html.get_content()


def test_a_mail_server_that_refuses_is_quoted(shop: Shop, postbox: tuple[Postbox, str]) -> None:
    box, url = postbox
    box.answer = "554 5.7.1 we don't take such mail"
    done = shop.run("flows", "test", "invoice-receipt", "--to", "me@northwind.example", SMTP_URL=url)
    assert done.exit_code == 1
    assert "554 5.7.1 we don't take such mail" in done.output
    assert box.taken == []


def test_without_a_mail_server_nothing_is_tried(shop: Shop) -> None:
    done = shop.run("flows", "test", "invoice-receipt", "--to", "me@northwind.example")
    assert isinstance(done.exception, ConfigurationError)
    assert "SMTP_URL is not set" in str(done.exception)


def test_a_dry_run_says_what_would_have_been_sent_and_why_not_more(shop: Shop) -> None:
    done = shop.run("flows", "run", "invoice-receipt", "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["would_send"], told["sent"], told["facts"]) == (2, {"receipt": 2}, 4)
    assert told["not_started"] == {"no email": 1, "trigger filters": 1}
    assert told["examples"]["no email"] == "default:live:successfully_paid:7"
    said = shop.run("flows", "run", "invoice-receipt", "--dry-run", "--since", "1d").stdout
    assert "invoice-receipt would have sent 0 since" in said
    assert "it is draft" in said
    series = json.loads(shop.run("flows", "run", "failed-payment", "--dry-run", "--json").stdout)
    assert (series["sent"], series["waiting"]) == ({"first": 1}, 1)
    assert shop.run("flows", "run", "card-expiring", "--dry-run", "--since", "2025-12-01").exit_code == 0


def test_a_flow_is_not_run_by_hand_without_saying_that_it_is_dry(shop: Shop) -> None:
    done = shop.run("flows", "run", "invoice-receipt")
    assert isinstance(done.exception, ConfigurationError)
    assert "--dry-run" in done.exception.remedy


def test_a_flow_that_a_segment_starts_is_shown_for_somebody(shop: Shop) -> None:
    flows = shop.folder / "project" / "flows"
    flows.mkdir(parents=True, exist_ok=True)
    steps = "steps:\n  - email: {template: hello, subject: 'Hi {{ person.first_name }}'}\n"
    (flows / "hello.yaml").write_text(f"name: hello\ntrigger: {{segment: newcomers}}\n{steps}", "utf-8")
    templates = shop.folder / "project" / "templates"
    templates.mkdir(parents=True, exist_ok=True)
    (templates / "hello.html").write_text("<p>Welcome, {{ person.name }}</p>", "utf-8")
    done = shop.run("flows", "preview", "hello", "--json")
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert (shown["subject"], shown["text"], shown["metric_id"]) == ("Hi Ada", "Welcome, Ada King Lovelace\n", "")
    assert json.loads(shop.run("flows", "run", "hello", "--dry-run", "--json").stdout)["facts"] == 0
