"""What the console's tests share: a filled database, and a console that serves on a port of its own."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from console.actions import Actions
from console.app import create_app, serve
from console.config import ConsoleConfig
from console.engagement import Engagement
from embedded.child import free_port
from schemas.addresses import with_login
from schemas.envelope import Envelope, Source
from schemas.metrics import LineItem, Metric, MetricEvent
from schemas.money import major
from schemas.profile import Card, CurrencyValue, MetricSummary, Profile
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate

HOSTILE = '"><script>document.title="owned"</script>{{7*7}}\u202eevil'


def rfc(at: datetime) -> str:
    """RFC 3339 with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def row(metric: Metric, number: int, at: datetime, **changes: Any) -> MetricEvent:
    """A metric row of charge (or invoice) `number`."""
    invoice = metric in (Metric.ISSUED_INVOICE, Metric.UPCOMING_INVOICE)
    values: dict[str, Any] = {
        "metric": metric,
        "occurred_at": rfc(at),
        "email": "ada@example.com",
        "account": "default",
        "livemode": True,
        "customer_id": "cus_1",
        "charge_id": "" if invoice else f"ch_{number}",
        "invoice_id": f"in_{number}" if invoice else "",
        "currency": "usd",
        "amount_minor": 1250,
        "source": "webhook",
        "api_version": "2026-10-28.endive",
        "received_at": rfc(at + timedelta(seconds=1)),
        "version": 1,
        **changes,
    }
    values.setdefault("amount", major(values["amount_minor"], values["currency"]))
    mode = "live" if values["livemode"] else "test"
    values.setdefault("metric_id", f"{values['account']}:{mode}:{metric.slug}:{number}")
    values.setdefault("properties", {"Amount": values["amount"], "Currency": values["currency"].upper()})
    return MetricEvent(**values)


def envelope(number: int, at: datetime, mentioning: str, livemode: bool = True, account: str = "default") -> Envelope:
    """A raw charge.succeeded event about the object `mentioning`."""
    body = {"id": f"evt_{number}", "object": "event", "data": {"object": {"id": mentioning, "object": "charge"}}}
    return Envelope(
        event_id=f"evt_{number}",
        type="charge.succeeded",
        account=account,
        livemode=livemode,
        api_version="2026-10-28.endive",
        source=Source.WEBHOOK,
        observed_at=rfc(at),
        received_at=rfc(at + timedelta(seconds=1)),
        body=json.dumps(body),
    )


def month(now: datetime, seed: int = 7) -> tuple[list[MetricEvent], list[Profile], list[Envelope]]:
    """A seeded month of a small shop that sells in four currencies, in live mode and a little in test mode."""
    chance = random.Random(seed)
    rows: list[MetricEvent] = []
    for day in range(32):
        for number in range(day * 100, day * 100 + chance.randint(9, 26)):
            at = now - timedelta(days=day, seconds=chance.randint(60, 60_000))
            who = chance.randint(1, 60)
            currency = chance.choices(["usd", "eur", "jpy", "kwd"], [12, 5, 2, 1])[0]
            common: dict[str, Any] = {
                "email": "" if who == 60 else f"{_NAMES[who % 20]}.{who}@example.com",
                "unlinked_reason": "the charge names nobody" if who == 60 else "",
                "customer_id": f"cus_{who}",
                "currency": currency,
                "amount_minor": chance.choice([900, 1900, 2900, 9900]) * (10 if currency == "kwd" else 1),
                "livemode": chance.random() > 0.06,
            }
            rows += _purchase(chance, number, at, common)
    people = [_person(chance, who, now) for who in range(1, 60)]
    events = [envelope(n, now - timedelta(minutes=7 * n), f"ch_{n}") for n in range(40)]
    return rows, people, events


_NAMES = (
    "ada grace alan edsger barbara donald margaret tim radia ken dennis linus guido frances jean hedy katherine "
    "dorothy annie mary"
).split()
_DECLINES = {
    "Your card was declined.": "card_declined",
    "Your card has insufficient funds.": "insufficient_funds",
    "Your card has expired.": "expired_card",
}


def _purchase(chance: random.Random, number: int, at: datetime, common: dict[str, Any]) -> Iterable[MetricEvent]:
    line = LineItem(
        line_id=f"il_{number}",
        position=0,
        product_id="prod_tea",
        description="Tea, monthly",
        quantity=2,
        currency=common["currency"],
        amount=major(common["amount_minor"], common["currency"]),
        amount_minor=common["amount_minor"],
        metadata={"blend": "Earl Grey"},
    )
    properties = {
        "Amount": line.amount,
        "status": "paid",
        "InvoiceNumber": f"TEA-{number:04}",
        "metadata": {"subscription": {"plan": "monthly"}},
    }
    yield row(Metric.ISSUED_INVOICE, number, at, **common, lines=[line], properties=properties)
    if chance.random() < 0.16:
        reason = chance.choice(list(_DECLINES))
        yield row(
            Metric.FAILED_PAYMENT,
            number,
            at + timedelta(seconds=30),
            **common,
            reason=reason,
            reason_code=_DECLINES[reason],
            attempt_count=1,
            invoice_id=f"in_{number}",
        )
        return
    yield row(Metric.SUCCESSFULLY_PAID, number, at + timedelta(seconds=30), **common, invoice_id=f"in_{number}")
    if chance.random() < 0.08:
        yield row(
            Metric.REFUNDED_PAYMENT, number, at + timedelta(seconds=50), **common, reason_code="requested_by_customer"
        )


def _person(chance: random.Random, who: int, now: datetime) -> Profile:
    paid, seen = chance.randint(1, 40) * 1900, now - timedelta(hours=chance.randint(1, 600))
    name = _NAMES[who % 20]
    return Profile(
        email=f"{name}.{who}@example.com",
        livemode=True,
        name=f"{name.title()} Example",
        country="GB",
        city="London",
        accounts=["default"],
        customer_ids=[f"cus_{who}"],
        card_expirations=[
            Card(brand="visa", last4="4242", month=4, year=now.year + 2, seen_at=rfc(seen)),
            Card(brand="mastercard", last4="4444", month=1, year=now.year - 1, seen_at=rfc(seen - timedelta(days=90))),
        ],
        card_expiration_date=f"{now.year + 2}-04-30",
        first_seen=rfc(seen - timedelta(days=200)),
        last_seen=rfc(seen),
        currency="usd",
        metrics=[MetricSummary(metric=Metric.SUCCESSFULLY_PAID, count=7, first_at=rfc(seen), last_at=rfc(seen))],
        value=[
            CurrencyValue(
                currency="usd",
                paid_minor=paid,
                refunded_minor=900,
                lifetime_value_minor=paid - 900,
                lifetime_value=major(paid - 900, "usd"),
            ),
            CurrencyValue(
                currency="jpy", paid_minor=500, refunded_minor=0, lifetime_value_minor=500, lifetime_value="500"
            ),
        ],
        properties={"favourite": "Earl Grey"},
        updated_at=rfc(seen),
        version=1,
    )


def person(email: str, name: str, customer: str, **changes: Any) -> Profile:
    """A profile seen now, who has paid nothing yet."""
    now = changes.pop("now", datetime.now(UTC))
    values: dict[str, Any] = {
        "email": email,
        "livemode": True,
        "name": name,
        "accounts": ["default"],
        "customer_ids": [customer],
        "card_expirations": [Card(brand="visa", last4="4242", month=4, year=2028, seen_at=rfc(now))],
        "first_seen": rfc(now - timedelta(days=9)),
        "last_seen": rfc(now),
        "metrics": [],
        "value": [],
        "properties": {},
        "updated_at": rfc(now),
        "version": 1,
        **changes,
    }
    return Profile(**values)


def movement(number: int, at: datetime, amount: str, after: str, **changes: Any) -> dict[str, Any]:
    """A movement of subscription `number`, of the customer of the same number."""
    when = at.isoformat().replace("+00:00", "Z")
    items = [{"product_id": "prod_tea", "currency": "usd", "amount": amount, "mrr": after}]
    return {
        "movement_id": f"default:live:mrr:sub_{number}:{at.timestamp():.0f}",
        "account": "default",
        "livemode": True,
        "customer_id": f"cus_{number}",
        "subscription_id": f"sub_{number}",
        "occurred_at": when,
        "items": items,
        "status": "active",
        "excludes": "",
        "found_late": False,
        "known_since": when,
        "started_at": when,
        "version": 1,
        **changes,
    }


async def create_schema(url: str, database: str, **zones: Any) -> None:
    """The sink's tables and views; `zones`: `timezones`, `default_timezone`."""
    async with Warehouse(Address(url, database=database)) as connection:
        await migrate(connection, **zones)


def address(config: ConsoleConfig) -> str:
    """The URL of its ClickHouse, with the login inside."""
    return with_login(config.warehouse.url, config.warehouse.user, config.warehouse.password)


async def insert(url: str, database: str, table: str, values: Iterable[BaseModel]) -> None:
    """Writes rows as the sink does."""
    body = b"\n".join(value.model_dump_json().encode() for value in values)
    async with Warehouse(Address(url, database=database)) as connection:
        await connection.insert(table, body)


async def fill(url: str, database: str, now: datetime) -> list[MetricEvent]:
    """The schema and a month; gives the metric rows."""
    await create_schema(url, database)
    rows, people, events = month(now)
    await insert(url, database, "metric_rows", rows)
    await insert(url, database, "profile_rows", people)
    await insert(url, database, "stripe_event_rows", events)
    return rows


@asynccontextmanager
async def serving(
    config: ConsoleConfig, engagement: Engagement | None = None, actions: Actions | None = None
) -> AsyncIterator[str]:
    """A running console; gives its base URL."""
    port, stop = free_port(), asyncio.Event()
    task = asyncio.create_task(serve(create_app(config, actions, engagement), "127.0.0.1", port, stop))
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    assert not task.done(), task.exception()
                    await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)
