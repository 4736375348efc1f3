"""A year of two accounts through the real stack, badly delivered, then healed by an import, then rebuilt from nothing:
every row, day and profile equals Stripe's own truth.

What Stripe's API does not keep can't be healed: an upcoming invoice, or a failed attempt without a charge, whose only
webhook was lost. `make torture` runs the same with about 100,000 events.
"""

import asyncio
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas import topics
from schemas.envelope import Envelope, Source
from schemas.metrics import Metric
from schemas.money import major_decimal
from schemas.routing import partition_key
from schemas.times import rfc3339
from simulator.delivery.sender import Faults, plan, send
from simulator.rendering.objects import object_json
from simulator.rendering.shapes import VERSIONS
from simulator.world.books import Books
from simulator.world.history import World
from simulator.world.objects import Card, Customer, Event, Invoice, PaymentMethod, State
from simulator.world.truth import Fact, Truth
from streams.kafka import partitions_of
from tests.e2e.ledger_subscriptions import SUBSCRIPTION_EVENTS, started_with
from tests.e2e.running import SECRET, RunningUp, environment, settled, tillstream_async

CUSTOMERS = int(os.environ.get("TILLSTREAM_YEAR_CUSTOMERS", "28"))  # about 125 events each
SECONDS = 180 + CUSTOMERS * 0.5  # at most, for each of the four parts
START = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())
CURRENCIES = ("usd", "eur", "gbp", "jpy", "kwd", "isk", "ugx", "inr")
FAULTS = Faults(duplicate=0.2, drop=0.05, shuffle_window=100_000_000, versions=VERSIONS)
SEED = 1
ZONES = {"default": "America/New_York", "academy": "Pacific/Auckland"}  # both change their clocks in the year
IMPORTED = {"default": VERSIONS[-1], "academy": "2024-06-20"}  # the API version of each account's import
CONFIG = f"""
tillstream_timezone = "America/New_York"
[accounts.default]
webhook_secrets = ["{SECRET}"]
[accounts.academy]
webhook_secrets = ["{SECRET}"]
timezone = "Pacific/Auckland"
"""


def year() -> dict[str, World]:
    """A live account, and one in test mode."""
    return {
        name: World(
            seed=number, start=START, days=365, customers=CUSTOMERS // 2, accounts=(name,),
            livemode=name == "default", currencies=CURRENCIES, extended=True, rare=True,
        )
        for number, name in enumerate(ZONES, 1)
    }  # fmt: skip


def knowable(world: World) -> Truth:
    """The truth without what only a lost webhook told."""
    deliveries, _ = plan(world.events, FAULTS, SEED)
    told = {(d.event.type, d.event.created, getattr(d.event.object, "customer", "")) for d in deliveries}
    started = started_with([delivery.event for delivery in deliveries], world)

    def known(fact: Fact) -> bool:
        if fact.metric is Metric.UPCOMING_INVOICE:
            return ("invoice.upcoming", fact.occurred_at, fact.customer_id) in told
        for metric, type_ in SUBSCRIPTION_EVENTS.items():
            if fact.metric is metric and (fact.customer_id, fact.occurred_at) not in started:
                return (f"customer.subscription.{type_}", fact.occurred_at, fact.customer_id) in told
        if fact.metric is Metric.FAILED_PAYMENT and not fact.charge_id:
            return ("invoice.payment_failed", fact.occurred_at, fact.customer_id) in told
        return True

    histories = emails([delivery.event for delivery in deliveries], world)
    facts = [fact for fact in world.truth(lookups=True, listed=True).facts if known(fact)]
    facts = [replace(fact, email=email_at(histories.get(fact.customer_id, []), fact)) for fact in facts]
    return Truth(
        [
            replace(fact, amount_minor=amount)
            if fact.metric is Metric.SUBSCRIPTION_STARTED
            and (amount := started.get((fact.customer_id, fact.occurred_at))) is not None
            else fact
            for fact in facts
        ]
    )


def emails(events: Iterable[Event], world: World) -> dict[str, list[tuple[int, str]]]:
    """Customer id to (from when, email), ascending: as customer events told them, and as they were when imported."""
    known: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for event in events:
        for obj, at in ((event.object, event.created), (event.before, event.created - 1)):
            if isinstance(obj, Customer) and (at == event.created or obj.email != event.object.email):  # type: ignore[attr-defined]
                known[obj.id].add((at, (obj.email or "").strip().lower()))
    for books in world.accounts.values():
        for customer in books.customers.values():
            known[customer.id].add((world.end + 86_400, (customer.email or "").strip().lower()))
    return {name: sorted((at, email) for at, email in history if email) for name, history in known.items()}


def email_at(history: list[tuple[int, str]], fact: Fact) -> str:
    """The customer's email at the time of the fact, else the first that is known, else what the payment tells."""
    until = [email for at, email in history if at <= fact.occurred_at]
    return until[-1] if until else history[0][1] if history else fact.email


def api_objects(books: Books) -> Iterator[State]:
    """All that Stripe's lists give."""
    people = (books.customers, books.payment_methods, books.subscriptions)
    for kind in (
        *people,
        books.charges,
        books.invoices,
        books.refunds,
        books.disputes,
        books.invoice_payments,
        books.credit_notes,
    ):
        for obj in kind.values():
            if not (isinstance(obj, Invoice) and obj.status == "deleted"):
                yield obj


def imported(obj: State, books: Books, at: int) -> tuple[bytes, bytes]:
    """Key and value of the message by which an object that was fetched at `at` comes in."""
    version = IMPORTED[books.name]
    body = object_json(obj, version, livemode=books.livemode)
    if isinstance(obj, Invoice) and version >= "2025-03-31":
        body["amount_paid_off_stripe"] = obj.paid_off_stripe  # shown to those who ask for its expansion
    envelope = Envelope(
        event_id=f"{body['id']}@{at}",
        type="",
        account=books.name,
        livemode=books.livemode,
        api_version=version,
        source=Source.IMPORT,
        observed_at=rfc3339(at),
        received_at=rfc3339(at),
        body=orjson.dumps(body).decode(),
    )
    return partition_key(body).encode(), orjson.dumps(envelope.model_dump(mode="json"))


async def publish(bootstrap: str, messages: list[tuple[bytes, bytes]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=256 * 1024) as producer:
        sent = [await producer.send(topics.STRIPE_EVENTS.name, value, key=key) for key, value in messages]
        await asyncio.gather(*sent)


async def ends(bootstrap: str) -> dict[TopicPartition, int]:
    """Where every topic ends now."""
    partitions = await partitions_of({"bootstrap_servers": bootstrap}, *(topic.name for topic in topics.ALL))
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    return found


class Ours:
    """What ClickHouse has."""

    def __init__(self, url: str) -> None:
        self._client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False, database="tillstream")

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._client.query(query).result_rows]

    def rows(self, whole: set[str]) -> Counter[tuple[Any, ...]]:
        """`whole`: charges and invoices of which every webhook arrived; of others the attempts are not counted."""
        return Counter(
            (*row, attempts if row[1] in whole and row[2] in whole else 0)
            for *row, attempts in self.ask(
                "SELECT metric, charge_id, invoice_id, account, livemode, toUnixTimestamp(occurred_at), email, "
                "currency, amount_minor, amount, customer_id, if(metric = 'Failed Payment', reason, ''), "
                "if(metric = 'Failed Payment', attempt_count, 0) FROM metrics"
            )
        )

    def lines(self) -> dict[tuple[str, str], tuple[int, int]]:
        """How many lines an issued invoice has, and their sum."""
        found = self.ask("SELECT account, invoice_id, count(), sum(amount_minor) FROM line_items GROUP BY ALL")
        return {row[:2]: row[2:] for row in found}

    def daily(self) -> dict[tuple[Any, ...], tuple[int, int]]:
        found = self.ask("SELECT day, metric, account, currency, livemode, count, amount_minor FROM daily_metrics")
        return {row[:5]: row[5:] for row in found}

    def profiles(self) -> dict[tuple[str, bool], Any]:
        found = self.ask(
            "SELECT email, livemode, counts, "
            "arrayMap(v -> (v.currency, v.paid_minor, v.refunded_minor, v.lifetime_value), value), "
            "arraySort(arrayMap(c -> (c.brand, c.last4, toInt64(c.month), toInt64(c.year)), card_expirations)), "
            "toUnixTimestamp(first_seen), toUnixTimestamp(last_seen), subscriptions FROM profiles"
        )
        return {
            row[:2]: (dict(row[2]), [tuple(v) for v in row[3]], [tuple(c) for c in row[4]], *row[5:]) for row in found
        }

    def metadata(self) -> dict[tuple[str, str], set[str]]:
        """Account and subscription to the subscription's metadata on all rows of its invoices, as JSON."""
        found = self.ask(
            "SELECT account, properties.Subscription.:String AS name, "
            "groupUniqArray(toJSONString(mapSort(properties.metadata['subscription']))) "
            "FROM metrics WHERE name != '' AND metric NOT LIKE 'Subscription%' AND metric != 'Trial Ending' "
            "GROUP BY account, name"
        )
        return {row[:2]: set(row[2]) for row in found}

    def whole(self) -> list[tuple[Any, ...]]:
        """Every row with all that it says, but for what tells of the telling."""
        return self.ask(
            "SELECT metric_id, metric, occurred_at, email, customer_id, charge_id, invoice_id, currency, amount, "
            "amount_minor, attempt_count, reason, reason_code, toString(properties) FROM metrics ORDER BY metric_id"
        )

    def people(self) -> list[tuple[Any, ...]]:
        """Every profile with all that it says, but for its version."""
        return self.ask("SELECT * EXCEPT (version, updated_at) FROM profiles ORDER BY email, livemode")


def whole_stories(worlds: Iterable[World]) -> set[str]:
    """Ids of which no webhook was lost; '' is one of them."""
    lost, ids = set[str](), {""}
    for world in worlds:
        _, dropped = plan(world.events, FAULTS, SEED)
        gone = set(dropped)
        ids |= {event.object.id for event in world.events}
        lost |= {event.object.id for event in world.events if event.id in gone}
    return ids - lost


def stripes_rows(facts: list[Fact], whole: set[str]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (
            f.metric.value, f.charge_id, f.invoice_id, f.account, f.livemode, f.occurred_at, f.email, f.currency,
            f.amount_minor, major_decimal(f.amount_minor, f.currency), f.customer_id,
            f.reason if f.metric is Metric.FAILED_PAYMENT else "",
            f.attempt_count if {f.charge_id, f.invoice_id} <= whole else 0,
        )
        for f in facts
    )  # fmt: skip


def told_cards(world: World) -> dict[str, set[Card]]:
    """Customer id to the cards of their payment methods: those that webhooks told of, and those that were imported."""
    deliveries, _ = plan(world.events, FAULTS, SEED)
    seen = [state for d in deliveries for state in (d.event.object, d.event.before)]
    seen += [method for books in world.accounts.values() for method in books.payment_methods.values()]
    cards: dict[str, set[Card]] = defaultdict(set)
    for state in seen:
        if isinstance(state, PaymentMethod) and state.customer:
            cards[state.customer].add(state.card)
    return cards


def stripes_profiles(facts: list[Fact], books: Books, saved: dict[str, set[Card]]) -> dict[tuple[str, bool], Any]:
    by_person: dict[tuple[str, bool], list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.email:
            by_person[fact.email, fact.livemode].append(fact)
    return {person: _profile(own, books, saved) for person, own in by_person.items()}


def _profile(facts: list[Fact], books: Books, saved: dict[str, set[Card]]) -> Any:
    money: dict[str, list[int]] = {}
    lost = {one.charge: one.amount for one in books.disputes.values() if one.status == "lost"}
    for fact in facts:
        if fact.metric in (Metric.SUCCESSFULLY_PAID, Metric.REFUNDED_PAYMENT):
            money.setdefault(fact.currency, [0, 0, 0])[fact.metric is Metric.REFUNDED_PAYMENT] += fact.amount_minor
        elif fact.metric is Metric.DISPUTE:
            money.setdefault(fact.currency, [0, 0, 0])[2] += lost.get(fact.charge_id, 0)
    cards = {card for fact in facts if fact.charge_id and (card := books.charges[fact.charge_id].card)}
    customers = {fact.customer_id for fact in facts}
    cards |= {card for customer in customers for card in saved.get(customer, ())}
    return (
        dict(Counter(fact.metric.value for fact in facts)),
        [
            (code, paid, back, major_decimal(paid - back - gone, code))
            for code, (paid, back, gone) in sorted(money.items())
        ],
        sorted({(card.brand, card.last4, card.exp_month, card.exp_year) for card in cards}),
        min(fact.occurred_at for fact in facts),
        max(fact.occurred_at for fact in facts),
        {one.id: one.status for one in books.subscriptions.values() if one.customer in customers},
    )


def check(ours: Ours, worlds: dict[str, World]) -> None:
    """Everything against the truth; a difference is shown with a few of each side's own."""
    truths = {name: knowable(world) for name, world in worlds.items()}
    whole = whole_stories(worlds.values())
    rows = ours.rows(whole)
    expected = sum((stripes_rows(truth.facts, whole) for truth in truths.values()), Counter[tuple[Any, ...]]())
    surplus, missing = rows - expected, expected - rows
    assert not surplus and not missing, (  # noqa: PT018 -- one is not understood without the other
        f"{surplus.total()} surplus, {missing.total()} missing of {expected.total()}:\n"
        + "\n".join(map(str, sorted(surplus)[:5]))
        + "\n--\n"
        + "\n".join(map(str, sorted(missing)[:5]))
    )
    days = {
        (day, metric.value, account, currency, name == "default"): sums
        for name, truth in truths.items()
        for (day, metric, account, currency), sums in truth.daily(ZONES[name]).items()
    }
    assert ours.daily() == days
    assert ours.lines() == {
        (name, fact.invoice_id): (len(lines), sum(line.amount for line in lines))
        for name, truth in truths.items()
        for fact in truth.facts
        if fact.metric is Metric.ISSUED_INVOICE
        for lines in [worlds[name].accounts[name].invoices[fact.invoice_id].lines[:10]]  # Stripe sends ten
    }
    people: dict[tuple[str, bool], Any] = {}
    for name, truth in truths.items():
        people |= stripes_profiles(truth.facts, worlds[name].accounts[name], told_cards(worlds[name]))
    found = ours.profiles()
    assert found.keys() == people.keys()
    assert [(who, found[who], people[who]) for who in people if found[who] != people[who]][:3] == []
    subscribed = {(name, one.id): one for name in worlds for one in worlds[name].accounts[name].subscriptions.values()}
    metadata = ours.metadata()
    assert len(metadata) > len(worlds)
    assert metadata == {
        key: {orjson.dumps(subscribed[key].metadata, option=orjson.OPT_SORT_KEYS).decode()} for key in metadata
    }


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 4 + 120)
async def test_a_year_of_untidy_webhooks_and_an_import_is_stripes_own_truth_also_when_rebuilt_from_nothing(
    tmp_path: Path,
) -> None:
    worlds = year()
    (tmp_path / "tillstream.toml").write_text(CONFIG, "utf-8")
    up = RunningUp(tmp_path / "data", env=environment(TILLSTREAM_CONFIG=str(tmp_path / "tillstream.toml")))
    try:
        await up.start()
        runtime = up.runtime()
        reports = await asyncio.gather(
            *(send(w.events, runtime["http_url"], SECRET, faults=FAULTS, seed=SEED) for w in worlds.values())
        )
        assert [report.failed for report in reports] == [{}, {}]
        assert all(report.dropped and report.duplicates for report in reports)

        messages = [
            imported(obj, books, world.end + 86_400)
            for name, world in worlds.items()
            for books in [world.accounts[name]]
            for obj in api_objects(books)
        ]
        random.Random(SEED).shuffle(messages)
        await publish(runtime["kafka_bootstrap"], messages)
        await settled(runtime["kafka_bootstrap"], seconds=SECONDS)
        ours = Ours(runtime["clickhouse_url"])
        assert ours.ask("SELECT stage, reason, path FROM dead_letters LIMIT 5") == []
        check(ours, worlds)
        rows, people, told = ours.whole(), ours.people(), await told_so_far(runtime["kafka_bootstrap"])

        rebuild = ("replay", "--rebuild", "--yes", "--data", up.data)
        refused = await tillstream_async(*rebuild, env=up.env)
        assert refused.returncode == 2
        assert "the processors are running" in refused.stderr
        assert await up.stop() == 0
        done = await tillstream_async(*rebuild, "--json", env=up.env)
        assert done.returncode == 0, done.stderr
        accepted = sum(report.accepted for report in reports) + len(messages)
        assert json.loads(done.stdout)["events"] >= accepted  # what was answered too late was sent once more
        assert len(json.loads(done.stdout)["changelogs"]) == 2
        await up.start()
        runtime = up.runtime()
        await settled(runtime["kafka_bootstrap"], seconds=SECONDS)
        ours = Ours(runtime["clickhouse_url"])
        assert await told_so_far(runtime["kafka_bootstrap"]) >= told + len(rows)  # every row was told anew
        check(ours, worlds)
        assert ours.whole() == rows
        assert ours.people() == people
    finally:
        await up.stop()


async def told_so_far(bootstrap: str) -> int:
    """How many messages the metrics' topics ever had."""
    names = {topic.name for topic in topics.METRICS.values()}
    return sum(end for tp, end in (await ends(bootstrap)).items() if tp.topic in names)
