"""One person as support needs them, on the real engine."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from console.config import ConsoleConfig
from schemas.messages import Message, MessageStatus, Suppression
from schemas.metrics import Metric
from tests.conftest import ClickHouseServer
from tests.integration.console_support import HOSTILE, create_schema, insert, person, rfc, row, serving
from warehouse.address import Address

ADA = "ada@example.com"


def at(minutes: int) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def invoice(number: int, minutes: int, amount: int, **properties: str) -> Any:
    return row(Metric.ISSUED_INVOICE, number, at(minutes), currency="eur", amount_minor=amount, properties=properties)


async def test_support_reads_what_they_owe_what_failed_and_what_they_were_told(
    clickhouse_server: ClickHouseServer, database: str
) -> None:
    await create_schema(clickhouse_server.url, database)
    facts = [
        invoice(1, 60 * 24 * 40, 9900, status="paid", AmountRemaining="0.00"),
        invoice(2, 9, 10900, status="open", AmountPaid="10.00", AmountRemaining="79.00"),  # 20 of a credit note
        invoice(3, 8, 3000, status="open", AmountPaid="10.00"),  # as it was told before
        invoice(4, 7, 5000, status="void", AmountRemaining="50.00"),
        row(Metric.FAILED_PAYMENT, 2, at(2), reason="Your card was declined.", reason_code="card_declined"),
    ]
    mail = Message(
        message_id="m1", flow="failed-payment", step="first", trigger="Failed Payment", email=ADA, livemode=True,
        recipient=ADA, channel="email", status=MessageStatus.SENT, subject=HOSTILE, at=rfc(at(1)), version=1,
    )  # fmt: skip
    gone = Suppression(email=ADA, livemode=True, reason="unsubscribed", detail="by the link in a mail", at=rfc(at(1)))
    people = [
        person(ADA, HOSTILE, "cus_Ada", subscriptions={"sub_1": "past_due"}),
        person(ADA, "Ada Test", "cus_Test", livemode=False),
    ]
    for table, rows in (
        ("metric_rows", facts), ("message_rows", [mail]), ("suppression_rows", [gone]), ("profile_rows", people)
    ):  # fmt: skip
        await insert(clickhouse_server.url, database, table, rows)
    pages = {}
    async with (
        serving(ConsoleConfig(Address(clickhouse_server.url, database=database))) as url,
        aiohttp.ClientSession() as http,
    ):
        for mode in ("live", "test"):
            async with http.get(f"{url}/profile", params={"email": ADA, "mode": mode}) as answer:
                assert answer.status == 200
                pages[mode] = await answer.text()
    said = html.unescape(pages["live"]).replace("\N{NO-BREAK SPACE}", " ")
    assert "Owes 99.00 EUR, card declined 2 minutes ago, mail sent." in said  # 79 and 20
    assert '<span class="tag bad">Unsubscribed</span>' in said
    assert 'href="https://dashboard.stripe.com/customers/cus_Ada"' in said
    assert "past due" in said
    assert "<script>document" not in pages["live"]
    whats = re.findall(r'<a class="what"[^>]*>.*?</(?:span|svg)>([A-Z][A-Za-z ]+)', pages["live"])
    assert whats == ["Mail", "Failed Payment", *["Issued Invoice"] * 4]
    assert "Owes nothing, never paid." in pages["test"]
    assert "Can receive email" in pages["test"]
    assert 'href="https://dashboard.stripe.com/test/customers/cus_Test"' in pages["test"]
