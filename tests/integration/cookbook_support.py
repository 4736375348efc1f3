"""A simulated shop whose every row is in ClickHouse, and the recipes of `docs/sql.md` to ask about it."""

import re
import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import clickhouse_connect
import orjson
import pytest
from clickhouse_connect.driver.client import Client
from pydantic import BaseModel

from connector.balance.messages import payout, transaction
from schemas.dead_letter import DeadLetter, Stage
from schemas.envelope import Envelope, Source
from schemas.metrics import Metric
from schemas.money import major_decimal
from schemas.times import rfc3339
from simulator.delivery.plan import Delivery, Faults, plan, told_by
from simulator.rendering.objects import event_body, event_json
from simulator.rendering.payments import payout_json, transaction_json
from simulator.rendering.shapes import shape_of
from simulator.world.books import Books
from simulator.world.history import World
from simulator.world.objects import Charge, Event, Invoice
from simulator.world.truth import Fact
from sinks.body import joined
from sinks.config import SinkConfig
from tests.conftest import ClickHouseServer
from tests.ledger_harness import run
from warehouse.address import Address
from warehouse.client import Warehouse
from warehouse.migrate import migrate
from warehouse.tables import BALANCE_TRANSACTIONS, CLOSINGS, PAYOUTS

PAGE: Final = Path(__file__).parents[2] / "docs" / "sql.md"
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAYS: Final = 80
SEED: Final = 18  # every question has an answer in this shop
END: Final = START + timedelta(days=DAYS)
# Asked in the middle of the history, at its end, and when everything open has long been due.
MOMENTS: Final = (START + timedelta(days=47, hours=7), END, END + timedelta(days=20))
ACCOUNTS: Final = ("default", "acct_1Shop")
ZONES: Final = {"default": "Europe/Berlin", "acct_1Shop": "America/New_York"}
SHAPES: Final = ("2024-06-20", "2025-03-31.basil", "2026-09-30.endive")
OLDEST: Final = "2020-03-02"  # where a charge lists its refunds with their reasons, which no other webhook tells
FIRST_LINES: Final = 10  # what a webhook shows of an invoice's lines

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Rows = list[tuple[Any, ...]]
LETTERS: Final = ((Stage.LEDGER, "no id"), (Stage.LEDGER, "no id"), (Stage.SINK, "not UTF-8"))


Answer = Callable[["Shop", datetime], Rows]
ANSWERS: Final[dict[str, Answer]] = {}
FINANCE: Final[set[str]] = (
    set()
)  # questions to a shop that has disputes, credit notes and Stripe's account of the money
#: What the books of January said of payments when they were closed, by account and currency: less than there were.
CLOSED: Final = {("default", "usd"): (3, Decimal("10.50")), ("acct_1Shop", "usd"): (0, Decimal("0.00"))}


@dataclass(frozen=True)
class Shop:
    """What is true of the live shop, from the simulator alone: nothing in here has passed through Tillstream."""

    facts: list[Fact]
    charges: dict[str, Charge]
    invoices: dict[str, Invoice]
    events: list[Event]
    accounts: list[Books]

    def of(self, *metrics: Metric) -> Iterator[Fact]:
        """The facts of these metrics, in order of time."""
        return (fact for fact in self.facts if fact.metric in metrics)

    def issued(self) -> Iterator[Invoice]:
        """The finalized invoices."""
        return (invoice for invoice in self.invoices.values() if invoice.finalized_at is not None)


def at(seconds: int | None) -> datetime:
    """A moment from Unix seconds."""
    assert seconds is not None
    return datetime.fromtimestamp(seconds, UTC)


def month(moment: date) -> date:
    """The first day of its month."""
    return date(moment.year, moment.month, 1)


def local_day(fact: Fact) -> date:
    """The day in the account's own timezone."""
    return datetime.fromtimestamp(fact.occurred_at, ZoneInfo(ZONES[fact.account])).date()


def money(*facts: Fact) -> Decimal:
    """Their sum in major units, all of one currency."""
    assert len({fact.currency for fact in facts}) <= 1
    return sum((major_decimal(fact.amount_minor, fact.currency) for fact in facts), Decimal())


def net(*facts: Fact) -> Decimal:
    """What was paid less what was refunded, in major units, all of one currency."""
    refunds = [fact for fact in facts if fact.metric is Metric.REFUNDED_PAYMENT]
    return money(*(fact for fact in facts if fact.metric is Metric.SUCCESSFULLY_PAID)) - money(*refunds)


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by key, in the order of the keys."""
    groups: dict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(sorted(groups.items(), key=lambda group: group[0]))  # type: ignore[arg-type,return-value]


def when(fact: Fact) -> datetime:
    """When it happened."""
    return at(fact.occurred_at)


def since(facts: list[Fact], moment: datetime, days: int) -> list[Fact]:
    """Those of the last `days` before `moment`, and all after it."""
    return [fact for fact in facts if when(fact) >= moment - timedelta(days=days)]


def person(shop: Shop) -> str:
    """Who has most failed charges."""
    failures = Counter(fact.email for fact in shop.of(Metric.FAILED_PAYMENT) if fact.email and fact.charge_id)
    return max(failures, key=lambda email: (failures[email], email))


def answers(function: Answer) -> Answer:
    """Registers the answer to one question, whose heading is the function's name."""
    ANSWERS[function.__name__] = function
    return function


def finance_answers(function: Answer) -> Answer:
    """The same, of the shop that has more."""
    FINANCE.add(function.__name__)
    return answers(function)


def recipes() -> dict[str, list[str]]:
    """Heading, in snake case → the SQL below it, for every heading of the page that has some."""
    parts = re.split(r"^#+ (.+)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        name = re.sub(r"\W+", "_", title.lower()).strip("_")
        if queries := re.findall(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            found[name] = queries
    return found


def asked_at(query: str, moment: datetime) -> str:
    """The query as if it were `moment` now."""
    query = query.replace("now()", f"toDateTime('{moment:%Y-%m-%d %H:%M:%S}', 'UTC')")
    return query.replace("today()", f"toDate('{moment:%Y-%m-%d}')")


def answer(client: Client, query: str, **parameters: str) -> Rows:
    """The rows of a query; times with their timezone."""
    rows = client.query(query, parameters=parameters).result_rows
    return [tuple(_zoned(value) for value in row) for row in rows]


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=value.tzinfo or UTC) if isinstance(value, datetime) else value


def _deliveries(world: World) -> list[Delivery]:
    """Twice and out of order, charges as the oldest API version has them and invoices in several."""
    planned, _ = plan(world.events, Faults(duplicate=0.2, shuffle_window=300, versions=SHAPES), SEED)
    return [replace(d, version=OLDEST) if isinstance(d.event.object, Charge) else d for d in planned]


def _in_test_mode(delivery: Delivery) -> Delivery:
    return replace(delivery, event=replace(delivery.event, id=f"{delivery.event.id}test", livemode=False))


def _envelope(delivery: Delivery) -> Envelope:
    event = delivery.event
    return Envelope(
        event_id=event.id,
        type=event.type,
        account=event.account,
        livemode=event.livemode,
        api_version=delivery.version,
        source=Source.WEBHOOK,
        observed_at=rfc3339(event.created),
        received_at=rfc3339(event.created + 1 + delivery.again),
        body=event_body(event, delivery.version).decode(),
    )


def body(event: Event) -> str:
    """A charge's event as it was delivered."""
    return event_body(event, OLDEST).decode()


def _letters() -> list[DeadLetter]:
    return [
        DeadLetter(
            account="default",
            event_id=f"evt_{offset}",
            type="charge.failed",
            stage=stage,
            reason=reason,
            topic="stripe.events",
            partition=0,
            offset=offset,
            failed_at=rfc3339(END.timestamp()),
            payload="{}",
        )
        for offset, (stage, reason) in enumerate(LETTERS)
    ]


async def _tell(sink: Warehouse, deliveries: list[Delivery]) -> None:
    """Runs the real ledger over the deliveries and inserts all that it tells, some of it twice."""
    ledger = run([event_json(d.event, d.version) for d in deliveries], partitions=3, seed=SEED)
    rows = [orjson.dumps(row) for row in ledger.told.values()]
    updated = {"updated_at": rfc3339(END.timestamp()), "version": 1}
    people = [orjson.dumps(profile | updated) for profile in ledger.profiles().values()]
    await _insert(sink, "metric_rows", rows)
    await _insert(sink, "metric_rows", rows[::3])
    await _insert(sink, "profile_rows", people)
    await _insert(sink, "stripe_event_rows", map(_bytes, map(_envelope, deliveries)))


def _bytes(model: BaseModel) -> bytes:
    return model.model_dump_json().encode()


async def _insert(sink: Warehouse, table: str, rows: Iterable[bytes]) -> None:
    await sink.insert(table, joined(table, list(rows)))


def _shop(world: World, deliveries: list[Delivery]) -> Shop:
    books = list(world.accounts.values())
    return Shop(
        told_by(deliveries, world.truth()).facts,
        {charge.id: charge for each in books for charge in each.charges.values()},
        {invoice.id: invoice for each in books for invoice in each.invoices.values()},
        world.events,
        books,
    )


@pytest.fixture(scope="session")
async def told(clickhouse_server: ClickHouseServer) -> AsyncIterator[tuple[Client, Shop]]:
    """A client in a database that holds a live shop, and the truth of that shop.

    The database also holds its double and some other people in test mode: a query that mixes the modes counts them.
    """
    live = World(SEED, START, DAYS, 60, accounts=ACCOUNTS)
    others = World(1, START, DAYS, 24, accounts=ACCOUNTS, livemode=False)
    name, default = f"cookbook_{secrets.token_hex(3)}", ZONES["default"]
    config = SinkConfig({}, Address(clickhouse_server.url, database=name), timezones=ZONES, default_timezone=default)
    async with Warehouse(config.warehouse) as sink:
        await migrate(sink, config.timezones, config.default_timezone)
        deliveries = _deliveries(live)
        await _tell(sink, deliveries)
        await _tell(sink, [*map(_in_test_mode, deliveries), *_deliveries(others)])
        await _insert(sink, "dead_letter_rows", map(_bytes, _letters()))
        await sink.insert(CLOSINGS.name, [row for closed_at in (1, 2) for row in _closings(closed_at)])
    client = clickhouse_connect.get_client(dsn=clickhouse_server.url, database=name)
    yield client, _shop(live, deliveries)
    client.command(f"DROP DATABASE {name} SYNC")
    client.close()


def _closings(number: int) -> Iterator[dict[str, Any]]:
    """January of payments, closed by hand; an earlier closing knew less still."""
    for (account, currency), (count, amount) in CLOSED.items():
        yield {
            "closing_id": f"{account}{number}",
            "account": account,
            "livemode": True,
            "month": "2026-01-01",
            "timezone": ZONES[account],
            "metric": Metric.SUCCESSFULLY_PAID.value,
            "currency": currency,
            "count": count if number == 2 else 0,
            "amount": str(amount),
            "amount_minor": int(amount * 100),
            "known_at": rfc3339(END.timestamp() + number),
            "closed_at": rfc3339(END.timestamp() + number),
            "closed_by": "ada",
        }


@pytest.fixture(scope="session")
async def finance(clickhouse_server: ClickHouseServer) -> AsyncIterator[tuple[Client, Shop]]:
    """The same of a shop with the rarer stories, and Stripe's account of the money; others' in test mode beside it."""
    worlds = [
        World(SEED, START, DAYS, 60, accounts=ACCOUNTS, extended=True, rare=True),
        World(1, START, DAYS, 24, accounts=ACCOUNTS, extended=True, rare=True, livemode=False),
    ]
    name, default = f"finance_{secrets.token_hex(3)}", ZONES["default"]
    config = SinkConfig({}, Address(clickhouse_server.url, database=name), timezones=ZONES, default_timezone=default)
    async with Warehouse(config.warehouse) as sink:
        await migrate(sink, config.timezones, config.default_timezone)
        for world in worlds:
            ledger = run([event_json(event, SHAPES[-1]) for event in world.events])
            await _insert(sink, "metric_rows", map(orjson.dumps, ledger.told.values()))
            for books in world.accounts.values():
                whose, late = (books.name, books.livemode), int(END.timestamp()) + 30 * 86_400
                moved = [
                    transaction_json(one, shape_of(SHAPES[-1]), late) for one in books.balance.transactions.values()
                ]
                paid = [
                    payout_json(one, shape_of(SHAPES[-1]), books.livemode, late)
                    for one in books.balance.payouts.values()
                ]
                await _insert(
                    sink, BALANCE_TRANSACTIONS.name, [_bytes(transaction(*whose, one, late)) for one in moved]
                )
                await _insert(sink, PAYOUTS.name, [_bytes(payout(*whose, one, late)) for one in paid])
    client = clickhouse_connect.get_client(dsn=clickhouse_server.url, database=name)
    live = worlds[0]
    yield client, _shop(live, plan(live.events, Faults(), SEED)[0])
    client.command(f"DROP DATABASE {name} SYNC")
