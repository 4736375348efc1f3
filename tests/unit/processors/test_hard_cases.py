"""What could lose, double or stall an event: checkpoints that fail or overlap, odd names, and large customers."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faust
import orjson
import pytest
from aiokafka.errors import KafkaTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from processors import records
from processors.records import Records
from processors.rules import links
from processors.rules.observation import observe
from processors.stages import LedgerStage, PeopleStage, _take_each
from schemas.errors import BadEvent, Unavailable
from streams.checkpoint import Checkpointer, Output, Pace
from streams.message import Headers
from streams.producer import Lane, Writer, pack
from streams.store import PartitionStore
from tests.fixtures.stripe.charges import charge, customer, refund
from tests.fixtures.stripe.invoices import invoice
from tests.fixtures.stripe.shapes import BASIL, V2024, at
from tests.fixtures.stripe.story import happened
from tests.ledger_harness import World, envelope_of

START = at("01-05 09:00:00")


@pytest.fixture
def table(tmp_path: Path) -> faust.Table:
    """A table on RocksDB; nothing of it needs a broker."""
    app = faust.App(
        "hard", broker="aiokafka://127.0.0.1:1", datadir=str(tmp_path), store="rocksdb://", web_enabled=False
    )
    options = {"driver": "rocksdict"}
    return app.Table("hard", partitions=2, key_type=bytes, value_type=bytes, options=options)


def test_a_record_on_its_way_to_disk_is_read_as_it_will_be(table: faust.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are folded while a checkpoint is under way: also when the cache has grown too large just then."""
    monkeypatch.setattr(records, "_CACHED", 2)
    store = PartitionStore(table, 0)
    ledger = Records(store)
    for number in range(4):
        ledger.put(f"key{number}", {"known": 1})
    ledger.flush()
    store.write(store.take_dirty(), 0)
    for number in range(4):
        ledger.put(f"key{number}", {"known": 2})
    ledger.flush()
    under_way = store.take_dirty()
    assert ledger.get("key3") == {"known": 2}
    store.write(under_way, 1)
    assert Records(PartitionStore(table, 0)).get("key3") == {"known": 2}


class Message:
    """As much of Faust's event and message as a checkpoint needs."""

    def __init__(self, value: bytes = b"", topic: str = "stripe.events", partition: int = 0) -> None:
        self.message, self.records = self, [self]
        self.value, self.topic, self.partition, self.offset = value, topic, partition, 0
        self.headers: Headers = ()
        self.acked = False

    def ack(self) -> None:
        self.acked = True


class FailingSender:
    """Fails the first time, as with a broker that is away for too long, and then sends all."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self._failed = False

    async def send(self, messages: Iterable[tuple[str, bytes, bytes, Headers]]) -> None:
        if not self._failed:
            self._failed = True
            raise KafkaTimeoutError
        self.values += [value for _, _, value, _ in messages]

    async def fence(self, _: str) -> Writer:
        return Writer(1, 0)

    async def write(self, lanes: dict[Lane, list[tuple[bytes, bytes]]], _: dict[Lane, Writer]) -> dict[Lane, int]:
        return dict.fromkeys(lanes, 0)


async def test_after_a_checkpoint_that_failed_none_is_made(table: faust.Table) -> None:
    """The next one's state would hold what the failed one has not told: redelivered, its rows would stay untold."""
    sender: Any = FailingSender()

    def drain(_: int) -> list[Output]:
        return [Output("metrics", b"key", b"row", "row")]

    checkpoint = Checkpointer("ledger", table, sender, Pace(0.0, 0.0), drain)
    await checkpoint.take_over([0])
    first, second = Message(), Message()
    checkpoint.store(0).put(b"charge", b"1")
    await checkpoint.took(first)
    with pytest.raises(KafkaTimeoutError):
        await checkpoint.flush()
    checkpoint.store(0).put(b"charge", b"2")
    await checkpoint.took(second)
    with pytest.raises(Unavailable):
        await checkpoint.flush()
    assert not first.acked
    assert not second.acked
    assert sender.values == []


class Letters:
    """A checkpoint's place for dead letters, with a store in memory."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.outputs: list[Output] = []

    def store(self, _: int) -> Any:
        return self

    def get(self, key: bytes) -> bytes | None:
        return self.kept.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.kept[key] = value

    def send(self, output: Output) -> None:
        self.outputs.append(output)


def envelope(**changes: Any) -> bytes:
    whole = envelope_of({"id": "evt_1", "type": "charge.succeeded", "livemode": True})
    return orjson.dumps(whole | {"body": "{}"} | changes)


CLAIM = {"kind": "claim", "scope": "default|live", "id": "ch_1", "customer": "cus_1"}
PERSON = {
    "party": "default|cus_1",
    "account": "default",
    "livemode": True,
    "email": "ada@example.com",
    "customer": "cus_1",
    "who": {},
    "meta": {},
    "m": {"Successfully Paid": [1, "2026-01-05T10:00:00.000Z", "2026-01-05T10:00:00.000Z"]},
    "money": {"usd": [100, 0]},
}


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        ("stripe.events", b"\xff\xfe"),
        ("stripe.events", b"[]"),
        ("stripe.events", b"null"),
        ("stripe.events", envelope(account=5, body="{")),
        ("stripe.events", envelope(event_id=["a"], type={}, body="{")),
        ("stripe.events", envelope(source="import", observed_at="soon", body='{"object":"charge","id":"ch_1"}')),
        ("stripe.events", envelope(source=[])),
        ("stripe.events", envelope(body=None)),
        ("ledger.transfers", b""),
        ("ledger.transfers", b"7"),
        ("ledger.transfers", orjson.dumps({"kind": "song"})),
        ("ledger.transfers", orjson.dumps(CLAIM | {"scope": None})),
        ("ledger.transfers", orjson.dumps(CLAIM | {"kind": "handoff", "record": [], "ticks": 0})),
        ("ledger.transfers", orjson.dumps({"kind": "observation", "observation": {"kind": "charge"}})),
        ("ledger.people", b"\xff"),
        ("ledger.people", b"[]"),
        ("ledger.people", orjson.dumps(PERSON | {"m": {"Successfully Paid": 1}})),
        ("ledger.people", orjson.dumps(PERSON | {"money": {"usd": ["1", "2"]}})),
        ("ledger.people", orjson.dumps(PERSON | {"cards": {"visa": 1}})),
        ("ledger.people", orjson.dumps(PERSON | {"email": 3})),
        ("ledger.people", orjson.dumps(PERSON | {"who": {"name": "Ada"}})),
    ],
)
def test_a_message_that_is_none_becomes_a_dead_letter_and_stalls_nothing(topic: str, value: bytes) -> None:
    letters: Any = Letters()
    stage = PeopleStage("") if topic == "ledger.people" else LedgerStage("", "both")
    message: Any = Message(value, topic)
    stage.take(message, letters)
    assert {output.kind for output in stage.drain(0)} <= {"lookup"}
    (letter,) = letters.outputs
    assert letter.topic == "dead_letters"


def test_what_can_not_be_written_down_is_refused_where_it_came_in() -> None:
    """Python's JSON reads lone surrogates; on their way to the owner's partition they would stop the checkpoint."""
    world = World()
    world.feed(happened("charge.succeeded", "01-05 10:00:00", charge(V2024, "ch_Aa1", customer="cus_1")))
    world.settle()
    ledger = world.ledgers[0]
    ledger._store.put("default|live|ch_Aa1|h", {"to": "cus_1"})  # as a home partition elsewhere has it
    event = happened("refund.created", "01-05 11:00:00", refund(V2024, "re_1", charge="ch_Aa1", description="\ud800"))
    observation = observe(envelope_of(event), event)
    assert observation is not None
    with pytest.raises(BadEvent):
        ledger.apply(observation)
    assert ledger.changes.transfers == []


@pytest.mark.parametrize("wrong", [{"payment_intent": 5}, {"payments": {"data": [{"id": 7}]}}])
def test_a_refused_invoice_leaves_what_is_in_memory_as_it_was(wrong: dict[str, Any]) -> None:
    """Else the mended event would be no news, and its row would stay untold."""
    world = World()
    good = happened("invoice.finalized", "01-05 10:00:00", invoice(V2024, "in_1", "open"))
    later = happened("invoice.paid", "01-05 12:00:00", invoice(V2024, "in_1", "paid"))
    world.feed(good)
    bad = orjson.loads(orjson.dumps(later))
    bad["data"]["object"] |= wrong
    with pytest.raises(BadEvent):
        world.feed(bad)
    world.feed(later)
    world.settle()
    expected = World()
    expected.feed(good)
    expected.feed(later)
    expected.settle()
    assert world.facts() == expected.facts()


@pytest.mark.parametrize("account", ["acct|live", "a|b", "a:b", "|"])
def test_an_account_may_have_any_name(account: str) -> None:
    world = World()
    event = happened("charge.succeeded", "01-05 10:00:00", charge(V2024, "ch_1", customer="cus_1"))
    world.feed(event, account=account)
    world.settle()
    (row,) = world.rows().values()
    assert (row["account"], row["livemode"]) == (account, True)
    (person,) = world.profiles().values()
    assert person["accounts"] == [account]


@pytest.mark.parametrize("own", ["user|42", "user|42|p", "7|m", "a:b", "%7C|"])
def test_a_customer_may_have_an_id_of_the_sellers_own_making(own: str) -> None:
    """Its records and those of a customer with a similar name are not mixed up."""
    world = World()
    other = own.partition("|")[0]
    for number, owner in enumerate((own, other) if other != own else (own,)):
        body = customer(V2024, id=owner, email=f"{number}@example.com")
        world.feed(happened("customer.created", "01-05 09:00:00", body))
        paid = charge(V2024, f"ch_{number}", customer=owner)
        world.feed(happened("charge.succeeded", "01-05 10:00:00", paid))
    world.settle()
    told_emails = {row["customer_id"]: row["email"] for row in world.rows().values()}
    assert told_emails[own] == "0@example.com"
    assert len(told_emails) == len(world.profiles())


def test_an_offer_of_an_invoice_with_colons_is_read_back() -> None:
    assert links.parse("in:x") == ("in:x", 0)
    assert links.parse("in:x:2:1767607200") == ("in:x", 2)
    assert links.parse("in_1:2:1767607200") == ("in_1", 2)


def test_two_accounts_with_the_same_ids_are_kept_apart() -> None:
    world = World(partitions=2)
    for account, amount in (("one", 100), ("two", 250)):
        body = charge(V2024, "ch_1", customer="cus_1", amount=amount, amount_captured=amount)
        event = happened("charge.succeeded", "01-05 10:00:00", body)
        world.feed(orjson.loads(orjson.dumps(event)), account=account)
    world.settle()
    assert {(row["account"], row["amount_minor"]) for row in world.rows().values()} == {("one", 100), ("two", 250)}


def test_what_an_event_writes_does_not_grow_with_its_customer() -> None:
    """Charges of as many amounts wait for an invoice: the thousandth is not written with all that came before."""
    world = World()
    sizes = []
    for number in range(1_000):
        amount = 1_000 + number
        body = charge(
            BASIL, f"ch_{number:04}", customer="cus_1", amount=amount, amount_captured=amount, created=START + number
        )
        world.feed(happened("charge.succeeded", "01-05 10:00:00", body, shape=BASIL))
        store = world.stores[0]
        sizes.append(sum(len(orjson.dumps(record)) for record in store._open.values()))
        world.checkpoint()
    assert max(sizes[-50:]) < sizes[10] + 2_000


@given(st.lists(st.dictionaries(st.text(), st.integers(0, 9), max_size=3)))
def test_packed_messages_come_out_as_they_went_in(messages: list[dict[str, int]]) -> None:
    taken: list[Any] = []
    for array in pack(map(orjson.dumps, messages)):
        _take_each(array, taken.append)
    assert taken == messages


def test_a_wrong_message_among_packed_ones_does_not_stop_the_others() -> None:
    taken: list[Any] = []

    def take(message: int) -> None:
        if message == 2:
            raise BadEvent("two is wrong")
        taken.append(message)

    with pytest.raises(BadEvent, match="two is wrong"):
        _take_each(b"[1,2,3]", take)
    assert taken == [1, 3]
