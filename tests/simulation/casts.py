"""Who plays in a schedule: the product's roles, what they read, what is told to them, and what must come of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol
from unittest.mock import patch

import orjson

from engage.config import EngageConfig
from engage.flows.library import Flows
from engage.flows.reading import parse
from engage.flows.rules.program import compile_flow
from engage.templates.rendering import Library, Rendered
from engage.worker import Engage
from ingest.publisher import Publisher
from processors.worker import Processor, ProcessorConfig
from schemas.errors import Unavailable
from schemas.metrics import Metric
from schemas.times import rfc3339
from schemas.topics import (
    ENGAGE_PEOPLE,
    LEDGER_PEOPLE,
    LEDGER_TRANSFERS,
    METRICS,
    PROFILES,
    SEGMENTS_CHANGES,
    STRIPE_EVENTS,
    SUPPRESSIONS,
)
from sinks.config import SinkConfig
from sinks.worker import Sink
from streams.message import Headers
from streams.partitioner import partition_of
from tests.simulation import judge
from tests.simulation.clients import ClickHouse, Consumer, Post, Producer, until_read
from tests.simulation.histories import messages, truth
from tests.simulation.loop import START, here
from warehouse.address import Address
from warehouse.tables import OF_TOPIC

if TYPE_CHECKING:
    from tests.simulation.room import Room

Told = tuple[str, bytes, bytes, Headers]  # topic, key, value, headers


class Cast(Protocol):
    """One role. `spared` are the faults that it makes no promise about; `sleeps`: when it has nothing to do."""

    group: str
    topics: tuple[str, ...]
    spared: frozenset[str]
    sleeps: bool

    def told(self, number: int) -> list[Told]:
        """The messages of a history, in their true order."""

    def role(self, partitions: int) -> Any:
        """A worker as its process begins it: `run(stop)` and `ready()`."""

    def tell(self, room: "Room", told: Told) -> None:
        """Have it come."""

    def waits(self, room: "Room") -> bool:
        """Whether something must still come, other than that all is read."""

    def asleep(self, room: "Room") -> bool:
        """Whether all of a role that `sleeps` do, by their own account."""

    def awake(self, room: "Room") -> bool:
        """Whether all that sleep have woken up."""

    def verdict(self, room: "Room") -> list[str]:
        """What is wrong, in words, once all has settled."""


def on_the_log(room: "Room", told: Told) -> None:
    """It comes from somewhere else."""
    topic, key, value, headers = told
    room.kafka.append((topic, partition_of(key, room.kafka.partitions)), [(key, value, headers)])


class Processors:
    """Events in, rows and profiles out."""

    group = "tillstream"
    topics = (STRIPE_EVENTS.name, LEDGER_TRANSFERS.name, LEDGER_PEOPLE.name)
    spared: frozenset[str] = frozenset()
    sleeps = False
    tell = staticmethod(on_the_log)

    @cache  # noqa: B019 (there is one cast, for ever)
    def told(self, number: int) -> list[Told]:
        return [(STRIPE_EVENTS.name, *message) for message in messages(number)]

    def role(self, partitions: int) -> Processor:
        return Processor(ProcessorConfig({}, Path("/nowhere"), partitions=partitions))

    def waits(self, room: "Room") -> bool:
        return False

    def asleep(self, room: "Room") -> bool:
        return False

    def awake(self, room: "Room") -> bool:
        return True

    def verdict(self, room: "Room") -> list[str]:
        return judge.rows_and_profiles(room, truth(room.plan.history, frozenset(place for _, place in room.plan.told)))


_FLOW = """
status: live
trigger: {metric: Successfully Paid}
steps:
  - id: now
    email: {template: plain}
  - id: tell
    webhook: {url: "http://other.example/"}
  - delay: 3 seconds
  - id: later
    email: {template: plain}
"""
_STEPS = ("now", "tell", "later")
_LATE = 5.0  # seconds that a fact may be on its way to flows, and a live flow to a worker


class Mails:
    """Payments in, mails and webhooks out.

    Spared: a blackout takes back that a mail was being sent, and a clock that is ahead takes news for history. Where
    flows sleep at first, what is told before all workers are awake may be history, and goes out once at most.
    """

    group = "tillstream-engage"
    topics = (
        *(topic.name for topic in METRICS.values()),
        *(topic.name for topic in (ENGAGE_PEOPLE, PROFILES, SUPPRESSIONS, SEGMENTS_CHANGES)),
    )
    spared = frozenset({"blackout", "jump", "retention"})
    sleeps = True

    def tell(self, room: "Room", told: Told) -> None:
        if room.plan.live:
            topic, key, value, headers = told
            told = (
                topic,
                key,
                orjson.dumps(orjson.loads(value) | {"received_at": rfc3339(START + room.loop.now)}),
                headers,
            )
        on_the_log(room, told)

    @cache  # noqa: B019 (as above)
    def told(self, number: int) -> list[Told]:
        rng = Random(f"payments {number}")
        return [told for payment in range(rng.randint(3, 9)) for told in _payment(f"{number}-{payment}", rng)]

    def role(self, partitions: int) -> Engage:
        config = EngageConfig(
            {}, Path("/nowhere"), Path("/nowhere"), partitions=partitions, settle_seconds=2.0, smtp_url="smtp://mail",
            mail_from="shop@shop.example", unsubscribe_secret="secret",
        )  # fmt: skip
        return Engage(config, time.time)

    def waits(self, room: "Room") -> bool:
        ended = {key for key, row in judge.messages(room).items() if row["status"] not in ("waiting", "skipped")}
        return not judge.due(room, self._expected(room), self._history(room)) <= ended

    def asleep(self, room: "Room") -> bool:
        roles = [slot.machine and slot.machine.role for slot in room.slots]
        return all(role is not None and role._worker is None for role in roles)

    def awake(self, room: "Room") -> bool:
        there = [slot.machine for slot in room.slots if slot.machine is not None and slot.machine.alive]
        owned = {number for machine in there for number in machine.role._owned if machine.role._worker is not None}
        return owned == set(range(room.plan.partitions)) and not any(machine.paused for machine in there)

    def verdict(self, room: "Room") -> list[str]:
        last = {told[1]: orjson.loads(told[2]) for told in map(self.told(room.plan.history).__getitem__, _places(room))}
        if not all(map(_stands, last.values())):
            return []  # a schedule that was cut down: whether something has gone out by then is a matter of luck
        wrong = judge.once_or_unknown(room, self._expected(room), self._history(room))
        return wrong + [f"{fact} went out, which was told while flows slept" for fact in self._slept(room)]

    def _expected(self, room: "Room") -> dict[tuple[str, str], set[str]]:
        """By fact and step, the addresses that the fact has had."""
        news = self._news(room.plan.history, frozenset(_places(room)))
        return {(fact, step): addresses for fact, addresses in news.items() for step in _STEPS}

    def _history(self, room: "Room") -> set[str]:
        """Facts of which something was told before flows were awake."""
        told = self.told(room.plan.history)
        return {told[place][1].decode() for at, place in room.plan.told if at <= room.awake}

    def _slept(self, room: "Room") -> set[str]:
        """Facts of which something has gone out, and all was told while flows slept, and nobody was late."""
        told, plan = self.told(room.plan.history), room.plan
        if plan.faults or plan.loss:
            return set()
        news = {told[at][1].decode() for when, at in plan.told if not room.asleep < when < plan.live - _LATE}
        return {fact for fact, _ in judge.messages(room)} - news

    @cache  # noqa: B019 (as above)
    def _news(self, number: int, places: frozenset[int]) -> dict[str, set[str]]:
        rows = [orjson.loads(self.told(number)[place][2]) for place in sorted(places)]  # the last of a fact counts
        standing = {row["metric_id"] for row in {row["metric_id"]: row for row in rows}.values() if _stands(row)}
        news = standing & {row["metric_id"] for row in rows if row["source"] == "webhook"}
        return {fact: {row["email"] for row in rows if row["metric_id"] == fact} for fact in news}


def _places(room: "Room") -> list[int]:
    return sorted({place for _, place in room.plan.told})


def _stands(row: dict[str, Any]) -> bool:
    return bool(row["email"]) and not row.get("withdrawn")


def _payment(name: str, rng: Random) -> list[Told]:
    """What is told of a payment: more and more, and perhaps that it is another's, nobody's, or of another time."""
    people = [f"p{person}@example.com" for person in range(5)]
    row: dict[str, Any] = {
        "metric": str(Metric.SUCCESSFULLY_PAID),
        "metric_id": f"default:live:paid:{name}",
        "occurred_at": rfc3339(START + 1),
        "received_at": rfc3339(START + 600),
        "email": rng.choice(people),
        "unlinked_reason": "",
        "account": "default",
        "livemode": True,
        "customer_id": "cus_1",
        "charge_id": f"ch_{name}",
        "invoice_id": "",
        "currency": "usd",
        "amount": "12.00",
        "amount_minor": 1200,
        "properties": {"Amount": "12.00", "Items": []},
        "source": rng.choice(("webhook", "webhook", "import")),
    }
    told = [row]
    for known in ({"invoice_id": f"in_{name}"}, {"properties": {"Amount": "12.00", "Items": [{"Name": "One"}]}}):
        if rng.random() < 0.5:
            break
        told.append(row := row | known)
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        match rng.randrange(3):
            case 0:
                told.append(row := row | {"email": rng.choice(people)})
            case 1:
                told += [row | {"email": ""}, row := row | {"email": rng.choice(people)}]
            case 2:
                told += [row | {"withdrawn": True}, row := row | {"occurred_at": rfc3339(START + 1 + len(told))}]
    topic = METRICS[Metric.SUCCESSFULLY_PAID].name
    key = row["metric_id"].encode()
    return [(topic, key, orjson.dumps(row | {"version": version}), ()) for version, row in enumerate(told, 1)]


class _Ends:
    """A door and a sink in one process."""

    def __init__(self) -> None:
        self.door = Publisher({}, STRIPE_EVENTS.name)
        self._sink = Sink(SinkConfig({}, Address("http://clickhouse"), patience=30.0))

    def ready(self) -> str:
        return self._sink.ready() or self.door.refusal

    async def run(self, stop: asyncio.Event) -> None:
        await self.door.start()
        try:
            await self._sink.run(stop)
        finally:
            await self.door.stop()


class Ends:
    """What Stripe posts, to the rows of raw events."""

    group = "tillstream-sink"
    topics = tuple(OF_TOPIC)
    sleeps = False
    spared = frozenset({"restore", "replace", "blackout", "retention"})  # they keep nothing, and the log must be whole

    def told(self, number: int) -> list[Told]:
        return Processors().told(number)

    def role(self, partitions: int) -> _Ends:
        return _Ends()

    def tell(self, room: "Room", told: Told) -> None:
        room.loop.spawn(None, self._post(room, told))

    async def _post(self, room: "Room", told: Told) -> None:
        """As Stripe does: again until it is answered 200."""
        room.outside[told[2]] += 1
        while True:
            machine = room.rng.choice([slot.machine for slot in room.slots if slot.machine is not None])
            answer = room.loop.create_future()
            if machine.alive and machine.role is not None:
                room.loop.spawn(machine, self._door(machine.role.door, told, answer))
            with suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    if await answer == 200:
                        room.accepted.append(told[2])
                        break
            await asyncio.sleep(room.rng.uniform(0.5, 3.0))
        room.outside[told[2]] -= 1

    async def _door(self, door: Publisher, told: Told, answer: "asyncio.Future[int]") -> None:
        try:
            await door.publish(*told[1:])
            status = 200
        except Unavailable:
            status = 503
        if not answer.done():
            answer.set_result(status)

    def waits(self, room: "Room") -> bool:
        return any(room.outside.values())

    def asleep(self, room: "Room") -> bool:
        return False

    def awake(self, room: "Room") -> bool:
        return True

    def verdict(self, room: "Room") -> list[str]:
        return judge.nothing_lost(room)


@cache
def _programs(status: str) -> dict[str, Any]:
    return {"paid": compile_flow(parse(_FLOW.replace("live", status), "paid", "paid.yaml"))}


def parts() -> list[Any]:
    """Patches for what reaches out of the roles' processes, other than Kafka."""

    @asynccontextmanager
    async def serve(*_: Any) -> AsyncIterator[int]:
        yield 1

    def refresh(flows: Flows) -> bool:
        machine: Any = here()
        before, flows.programs = flows.programs, _programs("live" if machine.kafka.live else "draft")
        return before is not flows.programs

    async def rendered(*_: Any, **__: Any) -> Rendered:
        machine: Any = here()
        await asyncio.sleep(machine.kafka.rng.expovariate(50))
        return Rendered("subject", "html", "text")

    async def ready(*_: Any) -> None: ...

    async def for_ever() -> None:
        await asyncio.Event().wait()

    return [
        patch("streams.batching.AIOKafkaProducer", Producer),
        patch("streams.publishing.AIOKafkaProducer", Producer),
        patch("streams.reading.Consumer", Consumer),
        patch("sinks.worker.Warehouse", ClickHouse),
        patch("sinks.worker.migrate", ready),
        patch("engage.worker.web", SimpleNamespace(serve=serve, create_app=lambda *_: None)),
        patch("engage.worker.Definitions", lambda *_: SimpleNamespace(settle=ready, run=for_ever)),
        patch("engage.worker.Smtp", Post),
        patch("engage.worker.Webhooks", Post),
        patch("engage.worker.until_read", until_read),
        patch.object(Engage, "_require_same_partitions", ready),
        patch.object(Flows, "refresh", refresh),
        patch.object(Library, "rendered", rendered),
    ]


CASTS: dict[str, Cast] = {"processors": Processors(), "mails": Mails(), "ends": Ends()}
