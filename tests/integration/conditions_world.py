"""A small world of facts and people with nasty values, the same in ClickHouse and in Python's hands."""

import random
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import clickhouse_connect
import orjson
import pytest
from clickhouse_connect.driver.client import Client

from schemas.metrics import Metric
from schemas.money import major
from sinks.config import SinkConfig
from tests.conftest import ClickHouseServer
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate
from warehouse.query import Query

ZONE: Final = "Europe/Berlin"
#: Half an hour after clocks were put forward, in the middle of a local day that has 23 hours.
NOW: Final = datetime(2026, 3, 29, 12, 30, 15, 678_000, tzinfo=UTC)
TEXTS: Final = (
    "a", "A", "ab", "it's", 'say "hi"', "back\\slash", "\\'", "tab\there", "new\nline", "Zoë", "日本", "🎉", "100%",
    "a_b", "{p0:String}", "NULL", "\\N", "null", "true", "TRUE", "false", "0", "7", "007", "7.0", "-7.5", "1e3",
    "12.345678901", "9" * 25, "9" * 40,
    "2026-03-29", "2026-02-30", "2026-03-28T23:00:00Z", "2026-03-29T00:30:00+01:30", "0001-01-01",
    "2026-04-28", "2027-01-01", " a", "a ",
)  # fmt: skip
EMAILS: Final = (
    "ada@example.com", "o'brien@example.com", "zoë@example.com", "back\\slash@example.com", '"q"@example.com',
    "b@example.com", "c@example.com", "d@example.com", "e@example.com", "f@example.com",
)  # fmt: skip
KEYS: Final = ("plan", "a.b", "it's", "日本", "charge")
SEGMENT: Final = "others"

Row = dict[str, Any]


class World:
    """The newest versions, as `metrics` and `profiles` show them; members of the segment `others`."""

    def __init__(
        self, client: Client, facts: list[Row], people: list[Row], members: frozenset[tuple[str, bool]]
    ) -> None:
        self.client, self.facts, self.people, self.members = client, facts, people, members

    def __repr__(self) -> str:  # short: it stands in every example that fails
        return "world"

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """What ClickHouse answers."""
        found = self.client.query(query.text, parameters=dict(query.parameters))
        return [tuple(row) for row in found.result_rows]


def _moment(dice: random.Random) -> datetime:
    """Around the edges of windows: exact distances from now on Berlin's clock, midnights there, and anything else."""
    local = NOW.astimezone(ZoneInfo(ZONE))
    days = dice.choice((0, 1, 2, 7, 30, 60, 154, 155))
    edge = dice.choice(
        (
            (local - timedelta(days=days)).astimezone(UTC),
            NOW - timedelta(days=days),
            NOW - timedelta(hours=dice.choice((1, 24, 48))),
            datetime(2026, dice.choice((1, 3)), dice.choice((1, 28, 29)), tzinfo=ZoneInfo(ZONE)).astimezone(UTC),
            NOW - timedelta(seconds=dice.randrange(60 * 86_400)),
            NOW + timedelta(days=1),
        )
    )
    return edge + timedelta(milliseconds=dice.choice((-1, 0, 0, 1)))


def _told(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _metadata(dice: random.Random) -> Row:
    origins = dice.sample(
        ("credit_note", "dispute", "charge", "invoice", "subscription", "line", "customer"), dice.randrange(4)
    )
    return {origin: {key: dice.choice(TEXTS) for key in dice.sample(KEYS, dice.randrange(1, 4))} for origin in origins}


def fact(dice: random.Random, number: int) -> Row:
    """One metric row."""
    currency = dice.choice(("usd", "eur", "jpy", "kwd"))
    amount = dice.choice((0, 1, 999, 1000, 1001, 5000, 123_456_789_012, dice.randrange(100_000)))
    metric = dice.choice(list(Metric))
    invoice = dice.choice(("", *(f"in_{n}" for n in range(30))))
    properties: Row = {
        "Amount": major(amount, currency),
        "Description": dice.choice(TEXTS),
        "Subscription": dice.choice(("", "sub_1", "sub_2", "it's")),
        "CardBrand": dice.choice(("visa", "amex")),
        "status": dice.choice(("open", "paid", "void")),
        "overdue": dice.choice((True, False)),
        "requires_action": True,
        "Disputed": True,
        "Total": major(amount * 2, currency),
        "Tax": major(amount // 7, currency),
        "RefundedInAll": major(amount, currency),
        "DueDate": _told(_moment(dice)),
        "NextPaymentAttempt": _told(_moment(dice)),
        "Items": [{"Product": dice.choice(TEXTS), "Quantity": 1} for _ in range(dice.randrange(3))],
        "metadata": _metadata(dice),
    }
    kept = {name: value for name, value in properties.items() if value and dice.random() < 0.8}
    return {
        "metric": metric.value,
        "metric_id": f"m{number}",
        "occurred_at": _told(_moment(dice)),
        "email": dice.choice(EMAILS) if dice.random() < 0.95 else "",
        "unlinked_reason": "",
        "account": dice.choice(("default", "acct_2")),
        "livemode": dice.random() < 0.8,
        "customer_id": dice.choice(("", "cus_1", "cus_2")),
        "charge_id": dice.choice(("", "ch_1", "ch_2")),
        "invoice_id": invoice,
        "currency": currency,
        "amount": major(amount, currency),
        "amount_minor": amount,
        "attempt_count": dice.choice((0, 1, 2, 4)),
        "reason": dice.choice(("", *TEXTS)),
        "reason_code": dice.choice(("", "card_declined")),
        "source": "webhook",
        "api_version": "",
        "properties": kept,
        "lines": [],
        "received_at": _told(NOW),
        "version": 2,
        "withdrawn": False,
    }


def person(dice: random.Random, email: str, livemode: bool) -> Row:
    """One profile; its counts are its own, so that they are not mistaken for those of the facts."""
    cards = [
        {"brand": dice.choice(("visa", "amex")), "last4": "4242", "month": 1, "year": 2027, "seen_at": _told(NOW)}
        for _ in range(dice.randrange(3))
    ]
    days = ("2026-03-28", "2026-03-29", "2026-03-30", "2026-04-28", "2026-04-29", "2027-01-31")
    counted = dice.sample(list(Metric), dice.randrange(4))
    values = dice.sample(("usd", "eur", "jpy"), dice.randrange(3))
    return {
        "email": email,
        "livemode": livemode,
        "name": dice.choice(("", *TEXTS)),
        "country": dice.choice(("", "DE", "US", "NO")),
        "city": dice.choice(("", *TEXTS)),
        "accounts": dice.sample(("default", "acct_2"), dice.randrange(3)),
        "customer_ids": [],
        "deleted_customer_ids": [],
        "subscriptions": {f"sub_{n}": dice.choice(("active", "canceled")) for n in range(dice.randrange(3))},
        "card_expirations": cards,
        "card_expiration_date": dice.choice((None, *days)),
        "first_seen": _told(_moment(dice)),
        "last_seen": _told(_moment(dice)),
        "currency": dice.choice(("", "usd")),
        "metrics": [
            {"metric": metric.value, "count": dice.randrange(1, 4), "first_at": _told(NOW), "last_at": _told(NOW)}
            for metric in counted
        ],
        "value": [
            {
                "currency": currency,
                "paid_minor": 0,
                "refunded_minor": 0,
                "lifetime_value_minor": amount,
                "lifetime_value": major(amount, currency),
            }
            for currency in values
            for amount in (dice.choice((-500, 0, 10_000, 99_999)),)
        ],
        "properties": {key: dice.choice(TEXTS) for key in dice.sample(KEYS, dice.randrange(4))},
        "updated_at": _told(NOW),
        "version": 2,
        "withdrawn": False,
    }


@pytest.fixture(scope="module")
async def world(clickhouse_server: ClickHouseServer) -> AsyncIterator[World]:
    """Some hundred facts of ten people in both modes, told twice, and some withdrawn."""
    dice = random.Random(20260329)
    facts = [fact(dice, number) for number in range(700)]
    people = [person(dice, email, live) for email in EMAILS for live in (True, False)]
    people.append(person(dice, "nothing@example.com", True))
    members = frozenset({(EMAILS[0], True), (EMAILS[1], True), (EMAILS[1], False)})
    name = f"conditions_{secrets.token_hex(3)}"
    config = SinkConfig({}, Address(clickhouse_server.url, database=name))
    older = [
        {**fact(dice, number), "occurred_at": row["occurred_at"], "version": 1} for number, row in enumerate(facts)
    ]
    same_place = ("metric", "account", "livemode")
    older = [row | {key: new[key] for key in same_place} for row, new in zip(older, facts, strict=True)]
    gone = [{**fact(dice, number), "version": 3} for number in range(700, 760)]
    member_rows = [
        {"segment": SEGMENT, "livemode": live, "email": email, "member": True, "entered_at": _told(NOW), "sequence": 1}
        for email, live in sorted(members)
    ]
    left = [{**member_rows[0], "email": EMAILS[2], "member": False, "sequence": 2}]
    async with Warehouse(config.warehouse) as sink:
        await migrate(sink)
        await _insert(sink, "metric_rows", older)
        await _insert(sink, "metric_rows", facts + gone)
        await _insert(sink, "metric_rows", [{**row, "version": 4, "withdrawn": True} for row in gone])
        await _insert(sink, "profile_rows", people)
        await _insert(sink, "profile_rows", [{**people[0], "country": "XX", "version": 1}])
        await _insert(sink, "segment_member_rows", [{**row, "sequence": 1, "member": True} for row in left])
        await _insert(sink, "segment_member_rows", member_rows + left)
    client = clickhouse_connect.get_client(dsn=clickhouse_server.url, database=name)
    yield World(client, facts, people, members)
    client.command(f"DROP DATABASE {name} SYNC")
    client.close()


async def _insert(sink: Warehouse, table: str, rows: list[Row]) -> None:
    await sink.insert(table, b"\n".join(orjson.dumps(row) for row in rows))
